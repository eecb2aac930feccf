// The command line's grammar for networks of hosts. program.ts has the rest.
import type { Command } from 'commander'
import type { CommandContext } from './command-context.ts'
import type { JoinOptions, SubnetOptions } from './commands/network.ts'
import type { PolicyOptions } from './commands/network-policy.ts'
import { whole } from './grammar.ts'

type Asks = (parent: Command, usage: string, description: string) => Command
type Run = (command: Command, work: (context: CommandContext) => Promise<unknown>) => Promise<void>

const REPLICAS_MAX = 5
const VIRTUAL_SUBNET_MAX = 0xfffffe

const list = (text: string): string[] => text.split(',').map((one) => one.trim())

export function addNetworkCommands(program: Command, asks: Asks, run: Run): void {
  asks(program, 'join', 'make this host one of a network of hosts, whose records are in NATS JetStream')
    .argument('<servers>', 'nats://HOST:PORT or tls://HOST:PORT, several separated by commas')
    .requiredOption('--network <name>', 'name of the network; it is made if there is none')
    .option('--name <host>', 'name of this host in it; default: the name of the machine')
    .option(
      '--credential <file>',
      'credential: a .creds file, an nkey seed, USER:PASSWORD or a token, readable by its owner only',
    )
    .option('--nats-ca <file>', 'certificates of the authorities of the NATS servers, PEM; implies TLS')
    .option('--plaintext', 'allow servers on other machines without TLS')
    .option('--provider <addresses>', "where tunnels to this host end; default: the overlay's own", list)
    .option('--replicas <number>', 'copies of the records, if the network is made', whole(1, REPLICAS_MAX))
    .action((servers: string, options: JoinOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/network.ts')).join(context, servers, options)),
    )
  asks(program, 'leave', 'take this host out of its network').action((_: unknown, command: Command) =>
    run(command, async (context) => (await import('./commands/network.ts')).leave(context)),
  )
  const show = (what: 'all' | 'hosts' | 'tunnels') => (_: unknown, command: Command) =>
    run(command, async (context) => (await import('./commands/network.ts')).network(context, what))
  const network = asks(program, 'network', 'show the network of hosts: who is in it, and where each port is').action(show('all'))
  asks(network, 'hosts', 'show its hosts').action(show('hosts'))
  asks(network, 'ports', 'show where each port is')
    .argument('[words...]', 'those whose name, host, addresses, virtual subnet, tenant or state fit all words')
    .action((words: string[], _: unknown, command: Command) =>
      run(command, async (context) => (await import('./commands/network.ts')).network(context, 'ports', words)),
    )
  asks(network, 'tunnels', 'show what goes through the tunnels to its hosts').action(show('tunnels'))
  const subnet = asks(network, 'subnet', 'virtual subnets of the network').action((_: unknown, command: Command) =>
    run(command, async (context) => (await import('./commands/network.ts')).subnets(context)),
  )
  asks(subnet, 'set', 'make a virtual subnet, or change it')
    .argument('<id>', 'VirtualSubnetID', whole(1, VIRTUAL_SUBNET_MAX))
    .option('--routing-domain <id>', 'routing domain to which it belongs')
    .option('--label <text>', 'name for people')
    .option('--tenant <name>', 'whose it is: ports of others are refused')
    .option('--hosts <names>', 'hosts that may have ports in it; default: all', list)
    .option('--prefixes <prefixes>', 'where its addresses lie, such as 10.1.0.0/24,fd00:1::/64', list)
    .option('--gateways <addresses>', 'addresses of the router in it, where it is in a routing domain', list)
    .action((id: number, options: SubnetOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/network.ts')).setSubnet(context, id, options)),
    )
  asks(subnet, 'remove', 'remove a virtual subnet')
    .argument('<id>', 'VirtualSubnetID', whole(1, VIRTUAL_SUBNET_MAX))
    .action((id: number, _: unknown, command: Command) =>
      run(command, async (context) => (await import('./commands/network.ts')).removeSubnet(context, id)),
    )
  addPolicyCommands(network, asks, run)
}

function addPolicyCommands(network: Command, asks: Asks, run: Run): void {
  const policy = asks(network, 'policy', 'what the network imposes on ports of all hosts').action(
    (_: unknown, command: Command) =>
      run(command, async (context) => (await import('./commands/network-policy.ts')).policies(context)),
  )
  asks(policy, 'set', 'impose something on ports, or change it; of a port and the network the stricter one counts')
    .argument('<name>', 'name of the policy')
    .option('--subnet <id>', 'for the ports of this virtual subnet', whole(1, VIRTUAL_SUBNET_MAX))
    .option('--port <name>', 'for the port of this name')
    .option('--maximum-bandwidth <rate>', 'what a port may send, such as 100mbit')
    .option('--maximum-receive-bandwidth <rate>', 'what a port may get')
    .option('--dhcp-guard', 'drop what DHCP servers send')
    .option('--router-guard', 'drop router advertisements and redirects')
    .option('--storm-limit <rate>', 'broadcast, multicast and unknown unicast: packets per second, or a rate such as 10mbit')
    .option('--source-guard <addresses>', 'what a port may speak for, such as 10.1.0.0/24,fd00:1::/64', list)
    .option('--no-mac-spoofing', 'nobody sends from other MAC addresses')
    .option('--no-teaming', 'nobody takes part in a team of a guest')
    .option('--rules <file>', "rules as extendedAcls of a port has them, YAML or JSON; they come before the port's own")
    .action((name: string, options: PolicyOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/network-policy.ts')).setPolicy(context, name, options)),
    )
  asks(policy, 'remove', 'impose it no longer')
    .argument('<name>', 'name of the policy')
    .action((name: string, _: unknown, command: Command) =>
      run(command, async (context) => (await import('./commands/network-policy.ts')).removePolicy(context, name)),
    )
}
