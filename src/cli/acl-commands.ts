// The command line's grammar for the ACLs of ports. program.ts has the rest.
import type { Command } from 'commander'
import type { CommandContext } from './command-context.ts'
import type { AclWords } from './commands/acl.ts'
import { addConnectionCommands } from './connection-commands.ts'

type Asks = (parent: Command, usage: string, description: string) => Command
type Run = (command: Command, work: (context: CommandContext) => Promise<unknown>) => Promise<void>

export function addAclCommands(program: Command, asks: Asks, run: Run): void {
  const commands = () => import('./commands/acl.ts')
  const acl = program.command('acl').description('show or change the ACLs of ports').enablePositionalOptions()
  asks(acl, 'list', 'show entries and rules with what they counted')
    .argument('[port]', 'of this port only')
    .action((port: string | undefined, _: unknown, command: Command) =>
      run(command, async (context) => (await commands()).listAcls(context, port)),
    )
  addConnectionCommands(acl, asks, run)
  asks(acl, 'meter', 'show what was metered, by VM and prefix')
    .argument('[port]', 'of this port only')
    .action((port: string | undefined, _: unknown, command: Command) =>
      run(command, async (context) => (await commands()).meterAcls(context, port)),
    )
  asks(acl, 'add', 'add an entry to the ACL of a port, or a rule to its extended one')
    .argument('<port>')
    .argument('<entry...>', 'NAME=VALUE pairs: action=deny direction=outbound remoteIPAddress=10.0.0.0/8')
    .option('--extended', 'a rule of the extended ACL')
    .action((port: string, entry: string[], options: AclWords, command: Command) =>
      run(command, async (context) => (await commands()).addAcl(context, port, entry, options)),
    )
  asks(acl, 'remove', 'remove an entry, or a rule')
    .argument('<port>')
    .argument('<entry>', 'its number, its address or its name, as shown by list')
    .option('--extended', 'a rule of the extended ACL')
    .action((port: string, which: string, options: AclWords, command: Command) =>
      run(command, async (context) => (await commands()).removeAcl(context, port, which, options)),
    )
}
