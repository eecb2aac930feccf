// Which ports of a configuration a network knows, and how it tells of them.
//
// The rule it must not break: only guests' ports with an address of their own are told: uplinks, and ports that learn who is behind them, are
// this host's affair.
import type { ResolvedConfig, ResolvedPort } from '../config/types.ts'
import { canonicalAddress } from './addresses.ts'
import type { OwnPort } from './own-ports.ts'

/** A port that is about to come from another host, as it will be here. */
export interface ComingPort {
  readonly from: string
  readonly port: ResolvedPort
}

/** Endpoints that lead to no guest. */
const otherEndpoints: ReadonlySet<string> = new Set(['uplink', 'adapter', 'pcap'])

/** Virtual subnet that the security property of a port names; 0: none. */
function virtualSubnetOf({ properties = [] }: ResolvedPort): number {
  const security = properties.find(({ type }) => type === 'security')?.value as { virtualSubnetId?: unknown } | undefined
  return typeof security?.virtualSubnetId === 'number' ? security.virtualSubnetId : 0
}

/** The ports that the network is to know: those of the configuration, and those that are about to come, by name. */
export function sharedPorts(config: ResolvedConfig | null, coming: ReadonlyMap<string, ComingPort> = new Map()): OwnPort[] {
  const own = config?.switch.ports ?? []
  const known = new Set(own.map(({ name }) => name))
  const rest = [...coming.values()].map(({ port }) => port).filter(({ name }) => !known.has(name))
  return [...own, ...rest].flatMap((port): OwnPort[] => {
    const { name, mac, vm, tenant, link, properties } = port
    if (mac === null || port.managementOS === true || otherEndpoints.has(port.endpoint.kind)) return []
    const from = coming.get(name)?.from
    return [
      {
        name,
        mac,
        virtualSubnetId: virtualSubnetOf(port),
        customerAddresses: (port.customerAddresses ?? []).flatMap((address) => canonicalAddress(address) ?? []),
        vm: vm ?? name,
        tenant: tenant ?? '',
        link,
        policies: JSON.parse(JSON.stringify(properties ?? [])) as OwnPort['policies'],
        ...(from === undefined ? {} : { movingFrom: from }),
      },
    ]
  })
}
