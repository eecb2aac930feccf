// The part of the fake host that is about overlays: a subnet with one record, for tests without a switch.
import type { OverlayCalls, OverlayRecord, OverlayRoute, OverlaySubnet } from './overlay-calls.ts'

const counters = { sentFrames: 5, sentBytes: 500, receivedFrames: 4, receivedBytes: 400 }

/** `calls`: where changes are noted. */
export function fakeOverlay(calls: string[]): OverlayCalls {
  const subnets = new Map<number, OverlaySubnet>([
    [
      5001,
      {
        vsid: 5001,
        routingDomain: 'blue',
        prefixes: ['10.0.0.0/24'],
        gateways: ['10.0.0.1'],
        peers: ['192.0.2.2'],
        ports: ['alpha'],
        records: 1,
      },
    ],
  ])
  const records = new Map<string, OverlayRecord>()
  const routes = new Map<string, OverlayRoute>()
  const keep = (record: Omit<OverlayRecord, 'kind'>): OverlayRecord => {
    const kept = { ...record, kind: 'static' as const }
    records.set(`${record.vsid}/${record.mac}`, kept)
    return kept
  }
  keep({ vsid: 5001, mac: '02:00:00:00:00:02', addresses: ['10.0.0.2'], provider: '192.0.2.2' })
  return {
    overlay: () => ({
      kind: 'vxlan',
      providerAddresses: ['192.0.2.1/24'],
      providerMac: '02:00:00:00:01:01',
      uplink: 'beta',
      udpPort: 4789,
      guestMtu: 1450,
      learning: false,
      generation: 1,
      records: records.size,
      unplaced: 0,
      routerMac: '02:52:54:52:00:01',
      subnets: [...subnets.values()],
      tunnels: [{ provider: '192.0.2.2', nextHop: '02:00:00:00:01:02', counters }],
      counters,
      drops: [{ reason: 'overlay-unknown-subnet', frames: 3 }],
    }),
    overlayRecords: ({ vsid, mac, address, provider }) =>
      [...records.values()].filter(
        (one) =>
          (vsid ?? one.vsid) === one.vsid &&
          (mac ?? one.mac) === one.mac &&
          (provider ?? one.provider) === one.provider &&
          (address === undefined || one.addresses.includes(address)),
      ),
    setOverlayRecord({ vsid, mac, addresses = [], provider }) {
      calls.push(`record ${vsid} ${mac} ${provider}`)
      return keep({ vsid, mac, addresses, provider })
    },
    removeOverlayRecord({ vsid, mac }) {
      calls.push(`no record ${vsid} ${mac}`)
      records.delete(`${vsid}/${mac}`)
    },
    overlayRoutes: ({ vsid, routingDomain }) =>
      [...routes.values()].filter(
        (one) => (vsid ?? one.vsid) === one.vsid && (routingDomain ?? one.routingDomain) === one.routingDomain,
      ),
    setOverlayRoute({ vsid, prefix, nextHop = null, metric = 0 }) {
      calls.push(`route ${vsid} ${prefix} ${nextHop} ${metric}`)
      const routingDomain = subnets.get(vsid)?.routingDomain ?? ''
      const route: OverlayRoute = { routingDomain, vsid, prefix, nextHop, metric, kind: 'given' }
      routes.set(`${vsid} ${prefix} ${nextHop}`, route)
      return route
    },
    removeOverlayRoute({ vsid, prefix, nextHop = null }) {
      calls.push(`no route ${vsid} ${prefix} ${nextHop}`)
      routes.delete(`${vsid} ${prefix} ${nextHop}`)
    },
    setOverlaySubnet({ vsid, routingDomain = null, prefixes = [], gateways = [], peers = [] }) {
      calls.push(`subnet ${vsid}`)
      const subnet: OverlaySubnet = { vsid, routingDomain, prefixes, gateways, peers, ports: [], records: 0 }
      subnets.set(vsid, subnet)
      return subnet
    },
    removeOverlaySubnet(vsid) {
      calls.push(`no subnet ${vsid}`)
      subnets.delete(vsid)
    },
  }
}
