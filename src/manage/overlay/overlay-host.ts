// The part of SwitchHost that is about overlays, over the engine's object.
import type { RunningSwitch } from '../../engine/host.ts'
import type { SecurityProperty } from '../../ndis/standard-properties.ts'
import type { OverlayRoute as Route, OverlaySubnet as Subnet } from '../../switch/overlay/options.ts'
import type { OverlayControl } from '../../switch/overlay/overlay-control.ts'
import { ROUTER_MAC_TEXT } from '../../switch/overlay/routing.ts'
import { ipAddress } from '../config/ip-address.ts'
import { normalizeMac } from '../config/mac.ts'
import { normalRecord, normalSubnet } from '../config/overlay-checks.ts'
import { normalRoute } from '../config/overlay-route-checks.ts'
import { recordSchema, routeSchema, subnetSchema } from '../config/overlay-schema.ts'
import { ControlError } from '../control/control-errors.ts'
import type { OverlayCalls, OverlayRoute, OverlaySubnet } from './overlay-calls.ts'

export function overlayHost(running: RunningSwitch): OverlayCalls {
  const control = (): OverlayControl => {
    const found = running.overlay()
    if (found === null)
      throw new ControlError('no-overlay', 'the switch has no overlay: overlay in its configuration makes one (docs/overlays.md)')
    return found
  }
  const portsBySubnet = (all = running.ports()): ReadonlyMap<number, readonly string[]> => {
    const ports = new Map<number, string[]>()
    for (const { id, name } of all) {
      const security = running.policies.list(id).find(({ type }) => type === 'security')?.property as SecurityProperty | undefined
      const vsid = security?.virtualSubnetId ?? 0
      if (vsid !== 0) ports.set(vsid, [...(ports.get(vsid) ?? []), name])
    }
    return ports
  }
  const described = (
    { vsid, routingDomain, prefixes, gateways, peers }: Subnet,
    ports: ReadonlyMap<number, readonly string[]>,
    records: number,
  ): OverlaySubnet => ({
    vsid,
    routingDomain: routingDomain ?? null,
    prefixes: prefixes ?? [],
    gateways: gateways ?? [],
    peers,
    ports: ports.get(vsid) ?? [],
    records,
  })
  const domainOf = (vsid: number): string =>
    control()
      .subnets()
      .find((subnet) => subnet.vsid === vsid)?.routingDomain ?? ''
  const routeOf = ({ vsid, prefix, nextHop, metric }: Route, routingDomain: string): OverlayRoute => ({
    routingDomain,
    vsid,
    prefix,
    nextHop: nextHop ?? null,
    metric: metric ?? 0,
    kind: 'given',
  })

  return {
    overlay: () => {
      const overlay = running.overlay()
      if (overlay === null) return null
      const all = running.ports()
      const ports = portsBySubnet(all)
      const counts = new Map<number, number>()
      for (const { vsid } of overlay.records()) counts.set(vsid, (counts.get(vsid) ?? 0) + 1)
      return {
        ...overlay.status(),
        routerMac: ROUTER_MAC_TEXT,
        uplink: all.find(({ connected, endpoint }) => connected && isOutside(endpoint.kind))?.name ?? null,
        subnets: overlay.subnets().map((subnet) => described(subnet, ports, counts.get(subnet.vsid) ?? 0)),
      }
    },
    overlayRecords: ({ vsid, mac, address, provider }) =>
      running.overlay()?.records({
        vsid,
        mac: mac === undefined ? undefined : normalizeMac(mac),
        address: address === undefined ? undefined : (ipAddress(address)?.text ?? address),
        provider: provider === undefined ? undefined : (ipAddress(provider)?.text ?? provider),
      }) ?? [],
    setOverlayRecord: async (input) => {
      const [record] = await control().set([normalRecord(recordSchema.parse(input))])
      return { ...record!, kind: 'static' }
    },
    removeOverlayRecord: (of) => control().remove(of),
    overlayRoutes: ({ vsid, routingDomain }) => {
      const overlay = running.overlay()
      if (overlay === null) return []
      const subnets = new Map(overlay.subnets().map((subnet) => [subnet.vsid, subnet]))
      const own = [...subnets.values()].flatMap(({ vsid: id, routingDomain: domain, prefixes = [] }): OverlayRoute[] =>
        domain === undefined
          ? []
          : prefixes.map((prefix) => ({ routingDomain: domain, vsid: id, prefix, nextHop: null, metric: 0, kind: 'subnet' })),
      )
      const given = overlay.routes().map((route) => routeOf(route, subnets.get(route.vsid)?.routingDomain ?? ''))
      return [...own, ...given].filter(
        (route) => (vsid ?? route.vsid) === route.vsid && (routingDomain ?? route.routingDomain) === route.routingDomain,
      )
    },
    setOverlayRoute: async (input) => {
      const route = await control().setRoute(normalRoute(routeSchema.parse(input)))
      return routeOf(route, domainOf(route.vsid))
    },
    removeOverlayRoute: (of) => control().removeRoute(normalRoute(routeSchema.parse(of))),
    setOverlaySubnet: async (input) => {
      const overlay = control()
      const subnet = await overlay.setSubnet(normalSubnet(subnetSchema.parse(input)))
      return described(subnet, portsBySubnet(), overlay.records({ vsid: subnet.vsid }).length)
    },
    removeOverlaySubnet: async (vsid) => {
      const overlay = control()
      const [port] = portsBySubnet().get(vsid) ?? []
      if (port !== undefined && overlay.subnets().some((subnet) => subnet.vsid === vsid))
        throw new ControlError('in-use', `port "${port}" is in virtual subnet ${vsid}: give it another virtualSubnetId first`)
      await overlay.removeSubnet(vsid)
    },
  }
}

const isOutside = (kind: string): boolean => kind === 'uplink' || kind === 'adapter'
