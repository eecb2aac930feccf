// A network as this host sees it, in one answer.
import type { OverlayTunnel } from '../overlay/overlay-calls.ts'
import type { NetworkHost, NetworkPolicy, NetworkPort, NetworkStatus, NetworkSubnet, NetworkTunnel } from './cluster-calls.ts'
import type { Reconciler } from './reconciler.ts'
import type { TunnelRate } from './tunnel-rates.ts'

type Seen = Pick<NetworkStatus, 'lagMs' | 'hosts' | 'ports' | 'subnets' | 'refused'> & {
  readonly policies: readonly Omit<NetworkPolicy, 'ports'>[]
}

export const nothingSeen: Seen = { lagMs: null, hosts: [], ports: [], subnets: [], policies: [], refused: [] }

/** What `reconciler` knows, `nowMs` by its clock. */
export function seenNetwork(reconciler: Reconciler, nowMs: number): Seen {
  const { view, leases, lookups, options, states } = reconciler
  const hosts = [...view.hosts.values()].flatMap(({ name, lease, lost, ports }): NetworkHost[] => {
    if (lease === null) return []
    const isOwn = name === options.host
    return [
      {
        name,
        state: isOwn ? 'here' : lost ? 'lost' : 'alive',
        heardMs: isOwn ? null : Math.round(leases.ageMs(name, nowMs) ?? 0),
        providerAddresses: lease.providerAddresses,
        ports: ports.size,
        software: lease.software,
        api: lease.api ?? null,
      },
    ]
  })
  const own = reconciler.ports.map((port): NetworkPort => {
    const found = states.get(port.name)
    return shownPort(options.host, port, found?.state ?? 'claiming', found?.message ?? null)
  })
  const others = [...view.hosts.values()].flatMap((host): NetworkPort[] =>
    host.name === options.host
      ? []
      : [...host.ports.values()].map(({ record }) => {
          const problem = lookups.refused.get(`${host.name}/${record.name}`)?.problem.message ?? null
          const isMoving = record.movingFrom !== undefined
          return shownPort(host.name, record, problem === null ? 'held' : isMoving ? 'moving' : 'refused', problem)
        }),
  )
  const subnets = [...view.subnets.values()].map(
    ({ virtualSubnetId, routingDomainId, name, tenant, prefixes, gateways }): NetworkSubnet => ({
      virtualSubnetId,
      routingDomainId: routingDomainId ?? null,
      name: name ?? null,
      tenant: tenant ?? null,
      prefixes: prefixes ?? [],
      gateways: gateways ?? [],
      peers: lookups.peersOf(virtualSubnetId),
    }),
  )
  const ports = [...own, ...others].sort((a, b) => compare(a.name, b.name) || compare(a.host, b.host))
  return {
    lagMs: reconciler.lagMs === null ? null : Math.round(reconciler.lagMs * 10) / 10,
    hosts: hosts.sort((a, b) => compare(a.name, b.name)),
    ports,
    subnets: subnets.sort((a, b) => a.virtualSubnetId - b.virtualSubnetId),
    policies: [...view.policies.values()]
      .map(({ name, virtualSubnetId, port, properties }) => ({
        name,
        virtualSubnetId: virtualSubnetId ?? null,
        port: port ?? null,
        properties,
      }))
      .sort((a, b) => compare(a.name, b.name)),
    refused: [...view.refused.values()],
  }
}

/** The tunnels of the overlay with the names of the hosts behind them. */
export function seenTunnels(
  tunnels: readonly OverlayTunnel[],
  hosts: readonly NetworkHost[],
  rates: ReadonlyMap<string, TunnelRate>,
): NetworkTunnel[] {
  const names = new Map(hosts.flatMap(({ name, providerAddresses }) => providerAddresses.map((address) => [address, name])))
  return tunnels.map(({ provider, nextHop, counters }) => ({
    provider,
    host: names.get(provider) ?? null,
    nextHop,
    counters,
    rate: rates.get(provider) ?? null,
  }))
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

type Shown = Pick<NetworkPort, 'name' | 'mac' | 'virtualSubnetId' | 'customerAddresses' | 'tenant' | 'link'>

const shownPort = (host: string, port: Shown, state: NetworkPort['state'], message: string | null): NetworkPort => ({
  name: port.name,
  host,
  mac: port.mac,
  virtualSubnetId: port.virtualSubnetId,
  customerAddresses: port.customerAddresses,
  tenant: port.tenant,
  link: port.link,
  state,
  message,
})
