// The command line's grammar for receive queues. program.ts has the rest.
import { type Command, InvalidArgumentError } from 'commander'
import { PROCESSORS_MAX } from '../manage/config/limits.ts'
import type { CommandContext } from './command-context.ts'
import { whole } from './grammar.ts'

type Asks = (parent: Command, usage: string, description: string) => Command
type Run = (command: Command, work: (context: CommandContext) => Promise<unknown>) => Promise<void>

const processorNumber = whole(0, PROCESSORS_MAX - 1)

const processorOrAuto = (text: string): number | 'auto' => {
  if (text === 'auto') return text
  try {
    return processorNumber(text)
  } catch {
    throw new InvalidArgumentError(`auto, or a whole number from 0 to ${PROCESSORS_MAX - 1}, is needed.`)
  }
}

export function addQueueCommands(program: Command, asks: Asks, run: Run): void {
  const commands = () => import('./commands/queue.ts')
  const list = (_: unknown, command: Command): Promise<void> =>
    run(command, async (context) => (await commands()).listQueues(context))
  const queue = asks(program, 'queue', 'show the receive queues of VMs').action(list)
  asks(queue, 'list', 'show them').action(list)
  asks(queue, 'set', "choose the processor that serves a VM's queue and its port")
    .argument('<port>')
    .requiredOption('--processor <number|auto>', 'auto: the load decides again', processorOrAuto)
    .action((port: string, { processor }: { processor: number | 'auto' }, command: Command) =>
      run(command, async (context) => (await commands()).setQueue(context, port, processor === 'auto' ? null : processor)),
    )
}
