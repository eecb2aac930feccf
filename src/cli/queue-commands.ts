// The command line's grammar for receive queues. program.ts has the rest.
import { type Command, InvalidArgumentError } from 'commander'
import { RSS_ENTRIES } from '../adapter/rss/queue-pair-counters.ts'
import { PROCESSORS_MAX, QUEUE_PAIRS_MAX } from '../manage/config/limits.ts'
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

const pairNumber = whole(0, QUEUE_PAIRS_MAX - 1)
const pairCount = whole(1, QUEUE_PAIRS_MAX)

const pairsOrAll = (text: string): number | 'all' => {
  if (text === 'all') return text
  try {
    return pairCount(text)
  } catch {
    throw new InvalidArgumentError(`all, or a whole number from 1 to ${QUEUE_PAIRS_MAX}, is needed.`)
  }
}

// 1,4-7 means 1, 4, 5, 6 and 7.
const entryList = (text: string): number[] =>
  text.split(',').flatMap((part) => {
    const [, first, last] = /^(\d{1,3})(?:-(\d{1,3}))?$/.exec(part.trim()) ?? []
    const [from, to] = [Number(first), Number(last ?? first)]
    if (first === undefined || to < from || to >= RSS_ENTRIES)
      throw new InvalidArgumentError(`entries are numbers from 0 to ${RSS_ENTRIES - 1}, such as 1,4-7.`)
    return Array.from({ length: to - from + 1 }, (_, i) => from + i)
  })

interface MoveWords {
  readonly entries: number[]
  readonly from: number
  readonly to: number
}

interface VmmqWords {
  readonly enabled?: boolean
  readonly queuePairs?: number | 'all'
}

function addRssCommands(queue: Command, asks: Asks, run: Run): void {
  const commands = () => import('./commands/rss.ts')
  asks(queue, 'rss', 'show how frames are spread over the queue pairs of guests')
    .argument('[port]', 'with its indirection table')
    .action((port: string | undefined, _: unknown, command: Command) =>
      run(command, async (context) => (await commands()).showRss(context, port)),
    )
  asks(queue, 'move', "move entries of a guest's indirection table, without reordering a flow")
    .argument('<port>')
    .requiredOption('--entries <list>', 'such as 1,4-7', entryList)
    .requiredOption('--from <pair>', 'the queue pair to which they point', pairNumber)
    .requiredOption('--to <pair>', 'the one to which they shall', pairNumber)
    .action((port: string, words: MoveWords, command: Command) =>
      run(command, async (context) => (await commands()).moveRss(context, { port, ...words })),
    )
  asks(queue, 'vmmq', 'choose how many queue pairs of a guest are used')
    .argument('<port>')
    .option('--enabled', 'several')
    .option('--no-enabled', 'the first one')
    .option('--queue-pairs <number|all>', 'so many at the most', pairsOrAll)
    .action((port: string, words: VmmqWords, command: Command) =>
      run(command, async (context) => (await commands()).setVmmq(context, port, words)),
    )
}

export function addQueueCommands(program: Command, asks: Asks, run: Run): void {
  const commands = () => import('./commands/queue.ts')
  const list = (_: unknown, command: Command): Promise<void> =>
    run(command, async (context) => (await commands()).listQueues(context))
  const queue = asks(program, 'queue', 'show the receive queues of VMs').action(list)
  asks(queue, 'list', 'show them').action(list)
  addRssCommands(queue, asks, run)
  asks(queue, 'set', "choose the processor that serves a VM's queue and its port")
    .argument('<port>')
    .requiredOption('--processor <number|auto>', 'auto: the load decides again', processorOrAuto)
    .action((port: string, { processor }: { processor: number | 'auto' }, command: Command) =>
      run(command, async (context) => (await commands()).setQueue(context, port, processor === 'auto' ? null : processor)),
    )
}
