// The command line's grammar for connections that stateful rules follow. program.ts has the rest.
import type { Command } from 'commander'
import type { CommandContext } from './command-context.ts'
import { whole } from './grammar.ts'

type Asks = (parent: Command, usage: string, description: string) => Command
type Run = (command: Command, work: (context: CommandContext) => Promise<unknown>) => Promise<void>

const LIMIT_DEFAULT = 100
const LIMIT_MAX = 1000

/** Adds `connections` to `acl`, the commands for access lists. */
export function addConnectionCommands(acl: Command, asks: Asks, run: Run): void {
  asks(acl, 'connections', 'show the connections of a port that its stateful rules follow')
    .argument('<port>')
    .option('--limit <number>', 'so many at a time', whole(1, LIMIT_MAX), LIMIT_DEFAULT)
    .option('--after <place>', 'go on where the page before ended')
    .action((port: string, { after, limit }: { after?: string; limit: number }, command: Command) =>
      run(command, async (context) =>
        (await import('./commands/connections.ts')).listConnections(context, port, { after, limit }),
      ),
    )
}
