// The command line's grammar for SR-IOV: adapters, virtual functions, VPorts. program.ts has the rest.
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { CommandContext } from './command-context.ts'
import type { VfOptions } from './commands/vf.ts'
import { whole } from './grammar.ts'
import { addQueueCommands } from './queue-commands.ts'

type Asks = (parent: Command, usage: string, description: string) => Command
type Run = (command: Command, work: (context: CommandContext) => Promise<unknown>) => Promise<void>

const VFS_MAX = 65_535
const RATE_MAX_MBPS = 1_000_000
const VLAN_MAX = 4094
const PRIORITY_MAX = 7

const onOff = (text: string): boolean => {
  if (text === 'on' || text === 'off') return text === 'on'
  throw new InvalidArgumentError('on or off is needed.')
}

const macAddress = (text: string): string => {
  if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) return text.toLowerCase()
  throw new InvalidArgumentError('a MAC address such as 52:54:00:77:00:01 is needed.')
}

export function addAdapterCommands(program: Command, asks: Asks, run: Run): void {
  addQueueCommands(program, asks, run)
  const adapters = () => import('./commands/adapter.ts')
  const functions = () => import('./commands/vf.ts')

  const adapter = asks(program, 'adapter', "show SR-IOV adapters: the switch's, and cards of the host").action(
    (_: unknown, command: Command) => run(command, async (context) => (await adapters()).listAdapters(context)),
  )
  asks(adapter, 'list', 'show them').action((_: unknown, command: Command) =>
    run(command, async (context) => (await adapters()).listAdapters(context)),
  )
  asks(adapter, 'show', 'show one with its VFs')
    .argument('<name>', 'adapter of the switch, or interface of the host')
    .action((name: string, _: unknown, command: Command) =>
      run(command, async (context) => (await adapters()).showAdapter(context, name)),
    )
  for (const [usage, description] of [
    ['pull', 'pull an adapter, as if it were torn out: guests go on through the switch'],
    ['plug', 'put a pulled adapter back'],
  ] as const)
    asks(adapter, usage, description)
      .argument('<name>')
      .action((name: string, _: unknown, command: Command) =>
        run(command, async (context) => (await adapters()).pullOrPlug(context, usage, name)),
      )
  asks(adapter, 'provision', 'make the VFs of a card of the host (sriov_numvfs)')
    .argument('<interface>')
    .requiredOption('--vfs <number>', 'how many; 0 takes them away', whole(0, VFS_MAX))
    .action((name: string, { vfs }: { vfs: number }, command: Command) =>
      run(command, async (context) => (await adapters()).provision(context, name, vfs)),
    )
  asks(adapter, 'request', 'issue an OID to an adapter of the switch')
    .argument('<name>')
    .argument('<oid>', 'its name or number, such as OID_NIC_SWITCH_ENUM_VPORTS')
    .argument('[payload]', 'JSON; bytes are written {"hex":"00ff"}')
    .addOption(new Option('--type <type>', 'kind of request').choices(['query', 'set', 'method']).default('query'))
    .action((name: string, oid: string, payload: string | undefined, { type }: { type: never }, command: Command) =>
      run(command, async (context) => (await adapters()).request(context, name, { oid, type, payload })),
    )

  const vf = asks(program, 'vf', 'show which guests have a virtual function').action((_: unknown, command: Command) =>
    run(command, async (context) => (await functions()).listVfs(context)),
  )
  asks(vf, 'list', 'show them').action((_: unknown, command: Command) =>
    run(command, async (context) => (await functions()).listVfs(context)),
  )
  asks(vf, 'assign', 'give the guest behind a port a virtual function')
    .argument('<port>')
    .action((port: string, _: unknown, command: Command) =>
      run(command, async (context) => (await functions()).assignVf(context, port)),
    )
  asks(vf, 'remove', "take a guest's virtual function back: it goes on with its synthetic card")
    .argument('<port>')
    .option('--surprise', 'at once, without asking the guest')
    .action((port: string, { surprise }: { surprise?: boolean }, command: Command) =>
      run(command, async (context) => (await functions()).removeVf(context, port, surprise === true)),
    )
  asks(vf, 'reset', "reset a guest's virtual function: its driver starts anew")
    .argument('<port>')
    .action((port: string, _: unknown, command: Command) =>
      run(command, async (context) => (await functions()).resetVf(context, port)),
    )
  asks(vf, 'set', 'change settings of a virtual function, in the words of ip link set … vf N')
    .argument('<adapter>', 'adapter of the switch, or interface of the host')
    .argument('<number>', 'the VF, from 0', whole(0, VFS_MAX))
    .option('--vlan <id>', 'VLAN; 0: none', whole(0, VLAN_MAX))
    .option('--qos <priority>', '802.1p priority of tags', whole(0, PRIORITY_MAX))
    .option('--spoofchk <on|off>', 'whether source addresses are checked', onOff)
    .option('--trust <on|off>', 'whether the guest may take other addresses and hear everything', onOff)
    .option('--max-tx-rate <mbps>', 'Mbit/s at the most; 0: no limit', whole(0, RATE_MAX_MBPS))
    .option('--min-tx-rate <mbps>', 'Mbit/s in any case; 0: none', whole(0, RATE_MAX_MBPS))
    .addOption(new Option('--state <state>', 'link that the guest sees').choices(['auto', 'enable', 'disable']))
    .option('--mac <address>', 'MAC address; cards of the host only', macAddress)
    .action((name: string, number: number, options: VfOptions, command: Command) =>
      run(command, async (context) => (await functions()).setVf(context, name, number, options)),
    )

  const vport = asks(program, 'vport', 'show the VPorts of adapters')
  const listVPorts = (name: string | undefined, command: Command): Promise<void> =>
    run(command, async (context) => (await import('./commands/vport.ts')).listVPorts(context, name))
  vport.action((_: unknown, command: Command) => listVPorts(undefined, command))
  asks(vport, 'list', 'show them')
    .argument('[adapter]', 'of this adapter only')
    .action((name: string | undefined, _: unknown, command: Command) => listVPorts(name, command))
}
