// The command line's grammar for multicast groups. program.ts has the rest.
import type { Command } from 'commander'
import type { CommandContext } from './command-context.ts'

type Asks = (parent: Command, usage: string, description: string) => Command
type Run = (command: Command, work: (context: CommandContext) => Promise<unknown>) => Promise<void>

export function addMdbCommands(program: Command, asks: Asks, run: Run): void {
  const mdb = asks(program, 'mdb', 'show which ports joined which multicast groups').action((_: unknown, command: Command) =>
    run(command, async (context) => (await import('./commands/mdb.ts')).mdb(context)),
  )
  asks(mdb, 'on', 'snoop IGMP and MLD, with these settings')
    .argument('[settings...]', `JSON, or NAME=VALUE pairs: floodUnregistered=false querier={}`)
    .action((words: string[], _: unknown, command: Command) =>
      run(command, async (context) => (await import('./commands/mdb.ts')).mdbOn(context, words)),
    )
  asks(mdb, 'off', 'snoop no more: multicast frames go to all ports').action((_: unknown, command: Command) =>
    run(command, async (context) => (await import('./commands/mdb.ts')).mdbOff(context)),
  )
}
