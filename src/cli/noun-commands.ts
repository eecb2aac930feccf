// The command line's grammar for nouns that have verbs only: switch, nic, vlan, security, filter. program.ts has the rest.
import { type Command, Option } from 'commander'
import type { CommandContext } from './command-context.ts'
import type { SecurityWish } from './commands/security.ts'
import type { SwitchWish } from './commands/switch.ts'
import type { VlanWish } from './commands/vlan.ts'
import { whole } from './grammar.ts'

type Asks = (parent: Command, usage: string, description: string) => Command
type Run = (command: Command, work: (context: CommandContext) => Promise<unknown>) => Promise<void>

const VLAN_MAX = 4094
const VFS_MAX = 63
const ADDRESS_LIMIT_MAX = 0xffffffff

export function addNounCommands(program: Command, asks: Asks, run: Run): void {
  addSwitchCommands(program, asks, run)
  addVlanCommands(program, asks, run)
  addSecurityCommands(program, asks, run)
  const listing = () => import('./commands/filter.ts')
  const nic = program.command('nic').description('show the NICs behind ports').enablePositionalOptions()
  asks(nic, 'list', 'show them')
    .argument('[port]', 'of this port only')
    .action((port: string | undefined, _: unknown, command: Command) =>
      run(command, async (context) => (await listing()).listNics(context, port)),
    )
  const filter = program.command('filter').description('show receive filters of adapters').enablePositionalOptions()
  asks(filter, 'list', 'show filters of VPorts and of receive queues')
    .argument('[adapter]', 'of this adapter only')
    .action((adapter: string | undefined, _: unknown, command: Command) =>
      run(command, async (context) => (await listing()).listFilters(context, adapter)),
    )
}

function addSwitchCommands(program: Command, asks: Asks, run: Run): void {
  const commands = () => import('./commands/switch.ts')
  const noun = program.command('switch').description('show, make or remove the switch of a service').enablePositionalOptions()
  asks(noun, 'show', 'show it, as status does').action((_: unknown, command: Command) =>
    run(command, async (context) => (await import('./commands/status.ts')).status(context)),
  )
  asks(noun, 'create', 'make the switch of a service that has none')
    .argument('<name>')
    .addOption(
      new Option('--type <type>', 'default: external with an uplink, else private').choices(['private', 'internal', 'external']),
    )
    .option('--uplink <interfaces...>', 'interfaces of the host that lead to the network; several are a team')
    .option('--management-os', 'give the host an adapter of its own on the switch')
    .option('--vfs <number>', 'make the uplink an SR-IOV adapter with so many virtual functions', whole(1, VFS_MAX))
    .action((name: string, words: Omit<SwitchWish, 'name'>, command: Command) =>
      run(command, async (context) => (await commands()).createSwitch(context, { name, ...words })),
    )
  asks(noun, 'remove', 'stop the switch of a service, and forget its configuration')
    .argument('<name>')
    .option('--yes', 'do it')
    .action((name: string, { yes }: { yes?: boolean }, command: Command) =>
      run(command, async (context) => (await commands()).removeSwitch(context, name, yes === true)),
    )
}

function addVlanCommands(program: Command, asks: Asks, run: Run): void {
  const commands = () => import('./commands/vlan.ts')
  const vlanId = whole(0, VLAN_MAX)
  const vlan = program.command('vlan').description('show or change the VLANs of ports').enablePositionalOptions()
  asks(vlan, 'list', 'show them')
    .argument('[port]', 'of this port only')
    .action((port: string | undefined, _: unknown, command: Command) =>
      run(command, async (context) => (await commands()).listVlans(context, port)),
    )
  asks(vlan, 'set', 'give a port its VLANs')
    .argument('<port>')
    .option('--access <id>', 'one VLAN, whose frames are untagged at the port', vlanId)
    .option('--trunk <list>', 'several VLANs, tagged, such as 10,20-30')
    .option('--native <id>', 'of a trunk: the VLAN of untagged frames', vlanId)
    .option('--isolated', 'private VLAN: reaches promiscuous ports only')
    .option('--community', 'private VLAN: reaches its community, and promiscuous ports')
    .option('--promiscuous', 'private VLAN: reaches all of them')
    .option('--primary <id>', 'the primary VLAN of a private one', vlanId)
    .option('--secondary <list>', 'its secondary VLAN; of a promiscuous port, several')
    .option('--tag <id>', "Open vSwitch's name of --access, beside --trunks of --native", vlanId)
    .option('--trunks <list>', "Open vSwitch's name of --trunk")
    .option('--pvid <id>', 'the same as --tag, as in bridge vlan', vlanId)
    .action((port: string, wish: VlanWish, command: Command) =>
      run(command, async (context) => (await commands()).setVlan(context, port, wish)),
    )
  asks(vlan, 'clear', 'take the VLANs of a port away')
    .argument('<port>')
    .action((port: string, _: unknown, command: Command) =>
      run(command, async (context) => (await commands()).clearVlan(context, port)),
    )
}

function addSecurityCommands(program: Command, asks: Asks, run: Run): void {
  const commands = () => import('./commands/security.ts')
  const onOff = (flags: string, help: string): Option => new Option(`${flags} <on|off>`, help).choices(['on', 'off'])
  const noun = program.command('security').description('show or change what guests may send').enablePositionalOptions()
  asks(noun, 'list', 'show it')
    .argument('[port]', 'of this port only')
    .action((port: string | undefined, _: unknown, command: Command) =>
      run(command, async (context) => (await commands()).listSecurity(context, port)),
    )
  asks(noun, 'set', 'change what the guest behind a port may send')
    .argument('<port>')
    .addOption(onOff('--mac-spoofing', 'send from other MAC addresses than its own'))
    .addOption(onOff('--teaming', 'send from the address of another adapter of its VM'))
    .addOption(onOff('--priority-tag', 'get frames with their 802.1p priority'))
    .option('--address-limit <number>', 'IP addresses that are learned of it; 0: no limit', whole(0, ADDRESS_LIMIT_MAX))
    .addOption(onOff('--dhcp-guard', 'drop what a DHCP server says'))
    .addOption(onOff('--router-guard', 'drop router advertisements and redirects'))
    .option('--source-guard <addresses>', 'what it may speak for, such as 10.0.0.5,fd00::5/128, or learned; off: anything')
    .option('--storm-limit <rate>', 'packets per second, 10mbit, or for each kind: broadcast=100,multicast=10mbit; off: none')
    .addOption(onOff('--spoofchk', 'the opposite of --mac-spoofing, as in ip link set'))
    .addOption(onOff('--ra-guard', 'another name of --router-guard'))
    .option('--storm-control <rate>', 'another name of --storm-limit')
    .action((port: string, wish: SecurityWish, command: Command) =>
      run(command, async (context) => (await commands()).setSecurity(context, port, wish)),
    )
}
