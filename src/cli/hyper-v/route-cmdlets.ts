// Cmdlets of Hyper-V Network Virtualization (module NetWNV) for customer routes: ways between the virtual subnets of a routing domain.
//
// A routing domain is a name here, and the route's is that of its virtual subnet; a next hop of zeros means the subnet itself.

import type { OverlayRoute } from '../../manage/overlay/overlay-calls.ts'
import { ROUTE_METRIC_MAX } from '../../switch/overlay/customer-routes.ts'
import { VSID_MAX } from '../../switch/overlay/options.ts'
import { CliError, ExitCode } from '../exit.ts'
import type { Cmdlet, CmdletCall, Output, Parameter } from './cmdlet.ts'
import { overlayOf } from './overlay-cmdlets.ts'

const parameters: readonly Parameter[] = [
  { name: 'RoutingDomainID', type: 'string', list: true, help: 'Its routing domain, by name.' },
  { name: 'VirtualSubnetID', type: 'int', list: true, min: 1, max: VSID_MAX, help: 'Virtual subnet that it leads into.' },
  { name: 'DestinationPrefix', type: 'string', list: true, help: 'Addresses that it is for, such as 0.0.0.0/0.' },
  { name: 'NextHop', type: 'string', list: true, help: 'Guest that packets are given to; 0.0.0.0 or ::: the subnet itself.' },
  { name: 'Metric', type: 'int', list: true, min: 0, max: ROUTE_METRIC_MAX, help: 'Of several routes the lowest is taken.' },
]
const columns = ['RoutingDomainID', 'VirtualSubnetID', 'DestinationPrefix', 'NextHop', 'Metric']
const single = (): readonly Parameter[] =>
  parameters.map((parameter) => ({ ...parameter, list: false, mandatory: parameter.name !== 'Metric' }))

const nextHopOf = ({ nextHop, prefix }: OverlayRoute): string => nextHop ?? (prefix.includes(':') ? '::' : '0.0.0.0')
const isZero = (address: string): boolean => address === '0.0.0.0' || address === '::'
const sameName = (a: string, b: string): boolean => a.replace(/^\{|\}$/g, '').toLowerCase() === b.toLowerCase()

const outputOf = (route: OverlayRoute): Output => ({
  RoutingDomainID: route.routingDomain,
  VirtualSubnetID: route.vsid,
  DestinationPrefix: route.prefix,
  NextHop: nextHopOf(route),
  Metric: route.metric,
})

const what = ({ prefix, vsid }: OverlayRoute): string => `${prefix} of ${vsid}`

/** The routes that the words fit. */
async function routesOf(call: CmdletCall): Promise<readonly OverlayRoute[]> {
  const { host } = await overlayOf(call)
  const { given } = call
  return (await host.overlayRoutes({})).filter(
    (route) =>
      (given.texts('RoutingDomainID')?.some((name) => sameName(name, route.routingDomain)) ?? true) &&
      (given.numbers('VirtualSubnetID')?.includes(route.vsid) ?? true) &&
      (given.texts('DestinationPrefix')?.includes(route.prefix) ?? true) &&
      (given.texts('NextHop')?.includes(nextHopOf(route)) ?? true) &&
      (given.numbers('Metric')?.includes(route.metric) ?? true),
  )
}

const keyOf = ({ vsid, prefix, nextHop }: OverlayRoute): { vsid: number; prefix: string; nextHop?: string } => ({
  vsid,
  prefix,
  ...(nextHop === null ? {} : { nextHop }),
})

async function set(call: CmdletCall, isNew: boolean): Promise<readonly Output[]> {
  const { given } = call
  const { host, overlay } = await overlayOf(call)
  const domain = given.text('RoutingDomainID')!
  const vsid = given.number('VirtualSubnetID')!
  const prefix = given.text('DestinationPrefix')!
  const hop = given.text('NextHop')!
  const subnet = overlay.subnets.find((one) => one.vsid === vsid)
  if (subnet === undefined || !sameName(domain, subnet.routingDomain ?? ''))
    throw new CliError(
      'no-such-subnet',
      `routing domain ${domain} has no virtual subnet ${vsid}`,
      'vmswitch overlay subnet set gives a virtual subnet its routing domain',
      ExitCode.failed,
    )
  const nextHop = isZero(hop) ? null : hop
  const known = (await host.overlayRoutes({ vsid })).find(
    (route) => route.kind === 'given' && route.prefix === prefix && route.nextHop === nextHop,
  )
  if (isNew === (known !== undefined))
    throw new CliError(
      isNew ? 'route-exists' : 'no-such-customer-route',
      `virtual subnet ${vsid} has ${isNew ? 'this route already' : 'no such route'}: ${prefix} through ${hop}`,
      isNew ? 'Set-NetVirtualizationCustomerRoute gives it another metric' : 'New-NetVirtualizationCustomerRoute makes one',
      ExitCode.failed,
    )
  if (!call.should(isNew ? 'Add a customer route' : 'Change the customer route', `${prefix} of ${vsid}`)) return []
  const metric = given.number('Metric') ?? known?.metric ?? 0
  return [outputOf(await host.setOverlayRoute({ vsid, prefix, metric, ...(nextHop === null ? {} : { nextHop }) }))]
}

export const routeCmdlets: readonly Cmdlet[] = [
  {
    name: 'New-NetVirtualizationCustomerRoute',
    synopsis: 'Adds a route to the routing domain of a virtual subnet.',
    native: 'vmswitch overlay route add',
    example:
      'New-NetVirtualizationCustomerRoute -RoutingDomainID blue -VirtualSubnetID 5001 -DestinationPrefix 0.0.0.0/0 -NextHop 10.1.0.9 -Metric 255',
    changes: true,
    columns,
    parameters: single(),
    run: (call) => set(call, true),
  },
  {
    name: 'Get-NetVirtualizationCustomerRoute',
    synopsis: 'Shows the routes of routing domains, those to the prefixes of virtual subnets too.',
    native: 'vmswitch overlay routes',
    columns,
    parameters,
    run: async (call) => (await routesOf(call)).map(outputOf),
  },
  {
    name: 'Set-NetVirtualizationCustomerRoute',
    synopsis: 'Gives a route another metric.',
    native: 'vmswitch overlay route add',
    example:
      'Set-NetVirtualizationCustomerRoute -RoutingDomainID blue -VirtualSubnetID 5001 -DestinationPrefix 0.0.0.0/0 -NextHop 10.1.0.9 -Metric 10',
    changes: true,
    passthru: true,
    columns,
    parameters: single(),
    run: (call) => set(call, false),
  },
  {
    name: 'Remove-NetVirtualizationCustomerRoute',
    synopsis: 'Removes routes that were given; those to the prefixes of virtual subnets go with the prefix.',
    native: 'vmswitch overlay route remove',
    changes: true,
    passthru: true,
    columns,
    parameters,
    async run(call) {
      const { host } = await overlayOf(call)
      const gone: Output[] = []
      for (const route of await routesOf(call)) {
        if (route.kind !== 'given' || !call.should('Remove the customer route', what(route))) continue
        await host.removeOverlayRoute(keyOf(route))
        gone.push(outputOf(route))
      }
      return gone
    },
  },
]
