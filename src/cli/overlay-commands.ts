// The command line's grammar for overlays. program.ts has the rest.
import type { Command } from 'commander'
import { ROUTE_METRIC_MAX } from '../switch/overlay/customer-routes.ts'
import { VSID_MAX } from '../switch/overlay/options.ts'
import type { CommandContext } from './command-context.ts'
import type { SubnetWords } from './commands/overlay.ts'
import { whole } from './grammar.ts'

type Asks = (parent: Command, usage: string, description: string) => Command
type Run = (command: Command, work: (context: CommandContext) => Promise<unknown>) => Promise<void>

interface FilterWords {
  readonly provider?: string
  readonly address?: string
}

export function addOverlayCommands(program: Command, asks: Asks, run: Run): void {
  const commands = () => import('./commands/overlay.ts')
  const vsid = whole(1, VSID_MAX)
  const show = (_: unknown, command: Command): Promise<void> =>
    run(command, async (context) => (await commands()).showOverlay(context))
  const overlay = asks(program, 'overlay', 'show tunnels to other hosts, virtual subnets and what goes through').action(show)
  asks(overlay, 'show', 'the same').action(show)
  asks(overlay, 'records', 'show the look-up records: where guests are')
    .argument('[subnet]', 'of this virtual subnet only', vsid)
    .option('--provider <address>', 'on the host with this provider address')
    .option('--address <address>', 'of the guest with this IP address')
    .action((subnet: number | undefined, { provider, address }: FilterWords, command: Command) =>
      run(command, async (context) => (await commands()).listRecords(context, { vsid: subnet, provider, address })),
    )
  const record = overlay.command('record').description('add or remove look-up records').enablePositionalOptions()
  asks(record, 'add', 'say where a guest is, in the place of what was said before')
    .argument('<subnet>', 'its virtual subnet', vsid)
    .argument('<mac>', 'its MAC address')
    .argument('<provider>', 'provider address of the host that it is on')
    .argument('[addresses...]', 'its IP addresses')
    .action((subnet: number, mac: string, provider: string, addresses: string[], _: unknown, command: Command) =>
      run(command, async (context) => (await commands()).addRecord(context, { vsid: subnet, mac, provider, addresses })),
    )
  asks(record, 'remove', 'remove the record of a guest')
    .argument('<subnet>', 'its virtual subnet', vsid)
    .argument('<mac>', 'its MAC address')
    .action((subnet: number, mac: string, _: unknown, command: Command) =>
      run(command, async (context) => (await commands()).removeRecord(context, subnet, mac)),
    )
  asks(overlay, 'routes', 'show the customer routes of routing domains')
    .argument('[subnet]', 'into this virtual subnet only', vsid)
    .option('--domain <name>', 'of this routing domain')
    .action((subnet: number | undefined, { domain }: { domain?: string }, command: Command) =>
      run(command, async (context) => (await commands()).listRoutes(context, { vsid: subnet, routingDomain: domain })),
    )
  const route = overlay.command('route').description('add or remove customer routes').enablePositionalOptions()
  asks(route, 'add', 'add a route to the routing domain of a virtual subnet, or give it another metric')
    .argument('<subnet>', 'virtual subnet that it leads into', vsid)
    .argument('<prefix>', 'addresses that it is for, such as 0.0.0.0/0')
    .argument('[nextHop]', 'guest that packets are given to; without it addresses are in the subnet itself')
    .option('--metric <number>', 'of several routes to a prefix the lowest is taken', whole(0, ROUTE_METRIC_MAX), 0)
    .action((subnet: number, prefix: string, nextHop: string | undefined, { metric }: { metric: number }, command: Command) =>
      run(command, async (context) => (await commands()).addRoute(context, { vsid: subnet, prefix, nextHop, metric })),
    )
  asks(route, 'remove', 'remove a route')
    .argument('<subnet>', 'virtual subnet that it leads into', vsid)
    .argument('<prefix>', 'addresses that it is for')
    .argument('[nextHop]', 'guest that packets are given to')
    .action((subnet: number, prefix: string, nextHop: string | undefined, _: unknown, command: Command) =>
      run(command, async (context) => (await commands()).removeRoute(context, { vsid: subnet, prefix, nextHop })),
    )
  const noun = overlay.command('subnet').description('add, change or remove virtual subnets').enablePositionalOptions()
  asks(noun, 'set', 'add a virtual subnet, or change it')
    .argument('<subnet>', 'its identifier', vsid)
    .option('--domain <name>', 'its routing domain')
    .option('--prefixes <prefixes>', "prefixes of its guests' addresses, separated by commas")
    .option('--gateways <addresses>', 'addresses of the router in it, separated by commas')
    .option('--peers <addresses>', 'provider addresses that get what is flooded, separated by commas')
    .action((subnet: number, words: SubnetWords, command: Command) =>
      run(command, async (context) => (await commands()).setSubnet(context, subnet, words)),
    )
  asks(noun, 'remove', 'remove a virtual subnet that nothing is in')
    .argument('<subnet>', 'its identifier', vsid)
    .action((subnet: number, _: unknown, command: Command) =>
      run(command, async (context) => (await commands()).removeSubnet(context, subnet)),
    )
}
