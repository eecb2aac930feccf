// The command line's grammar for changes of one port. program.ts has the rest.
import { type Command, Option } from 'commander'
import { QUEUE_PAIRS_MAX } from '../manage/config/limits.ts'
import type { CommandContext } from './command-context.ts'
import type { PortOptions } from './commands/port.ts'
import type { PortWish } from './commands/port-add.ts'
import { simpleKinds } from './endpoint-kinds.ts'
import { whole } from './grammar.ts'

type Asks = (parent: Command, usage: string, description: string) => Command
type Run = (command: Command, work: (context: CommandContext) => Promise<unknown>) => Promise<void>

const MTU_MIN = 68
const MTU_MAX = 65_535
const SESSION_MAX = 255
const WEIGHT_MAX = 100
const VLAN_MAX = 4094

export function addPortCommands(program: Command, asks: Asks, run: Run): void {
  const commands = () => import('./commands/port.ts')
  const port = program.command('port').description('show, add or change ports').enablePositionalOptions()
  asks(port, 'list', 'show all ports, as vmswitch ports does').action((_: unknown, command: Command) =>
    run(command, async (context) => (await import('./commands/ports.ts')).ports(context)),
  )
  asks(port, 'add', 'add a port')
    .argument('<port>')
    .addOption(new Option('--kind <kind>', 'what it is connected to').choices(simpleKinds).default('vhost-user'))
    .option('--path <socket>', 'its socket; a plain name stands in the runtime directory. Default: NAME.sock')
    .option('--interface <name>', 'of a tap or an uplink: interface of the host')
    .option('--queues <number>', 'queue pairs', whole(1, QUEUE_PAIRS_MAX))
    .option('--vm <name>', 'VM behind the port; default: called like the port')
    .option('--mac <address>', 'MAC address of its NIC; without it the port learns')
    .option('--vlan <id>', 'VLAN, access mode', whole(0, VLAN_MAX))
    .option('--friendly-name <name>', 'its name for people')
    .addOption(new Option('--link <state>', 'its link').choices(['up', 'down']))
    .action((name: string, wish: PortWish, command: Command) =>
      run(command, async (context) => (await import('./commands/port-add.ts')).addPort(context, name, wish)),
    )
  for (const [usage, link, description] of [
    ['connect', 'up', 'connect the NIC behind a port to the switch: its link goes up'],
    ['disconnect', 'down', 'disconnect it: its link goes down'],
  ] as const)
    asks(port, usage, description)
      .argument('<port>')
      .action((name: string, _: unknown, command: Command) =>
        run(command, async (context) => (await commands()).setPort(context, name, { link })),
      )
  asks(port, 'show', 'show a port')
    .argument('<port>')
    .action((name: string, _: unknown, command: Command) =>
      run(command, async (context) => (await commands()).showPort(context, name)),
    )
  asks(port, 'set', 'change settings of a port')
    .argument('<port>')
    .addOption(new Option('--link <state>', 'its link').choices(['up', 'down']))
    .option('--mtu <bytes>', 'MTU, where its endpoint has none', whole(MTU_MIN, MTU_MAX))
    .addOption(
      new Option('--mirror <mode>', 'copy what it sends and gets, or get the copies').choices([
        'none',
        'source',
        'destination',
        'all',
      ]),
    )
    .option('--session <number>', 'session that joins mirrored ports with their destinations', whole(0, SESSION_MAX))
    .addOption(new Option('--direction <which>', 'what of a mirrored port is copied').choices(['both', 'sent', 'received']))
    .option('--maximum-bandwidth <rate>', 'what its VM may send, such as 100mbit; 0: no limit')
    .option('--maximum-receive-bandwidth <rate>', 'what its VM may get; 0: no limit')
    .option('--minimum-bandwidth-absolute <rate>', 'what its VM has of the uplink in any case; 0: nothing')
    .option(
      '--minimum-bandwidth-weight <weight>',
      'its part of what is left of the uplink; 0: none of its own',
      whole(0, WEIGHT_MAX),
    )
    .option('--tenant <name>', "tenant whose port it is; '' for none")
    .addOption(new Option('--load-balancing <how>', 'of a team of uplinks').choices(['HyperVPort', 'Dynamic']))
    .option('--standby <interfaces...>', 'members of a team that wait until no other one is up')
    .option('--mirror-vlan <id>', 'VLAN that copies for the port are tagged with; 0: none', whole(0, VLAN_MAX))
    .action((name: string, options: PortOptions, command: Command) =>
      run(command, async (context) => (await commands()).setPort(context, name, options)),
    )
  asks(port, 'rename', 'change the name of a port for people; commands go on taking its own')
    .argument('<port>')
    .argument('<name>')
    .action((port_: string, friendlyName: string, _: unknown, command: Command) =>
      run(command, async (context) => (await commands()).renamePort(context, port_, friendlyName)),
    )
  asks(port, 'remove', 'remove a port: its guest loses the connection')
    .argument('<port>')
    .action((name: string, _: unknown, command: Command) =>
      run(command, async (context) => (await commands()).removePort(context, name)),
    )
}
