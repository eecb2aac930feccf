// The part of SwitchHost that is about overlays: tunnels, virtual subnets, look-up records. Types only; host.ts has the rest.
import type { RecordInput, RouteInput, SubnetInput } from '../config/types.ts'

export type { RecordInput, RouteInput, SubnetInput } from '../config/types.ts'

type Answer<T> = T | Promise<T>

/** Where a guest is. */
export interface OverlayRecord {
  readonly vsid: number
  readonly mac: string
  /** IP addresses of the guest; none of one that was learned. */
  readonly addresses: readonly string[]
  /** Provider address of the host that it is on. */
  readonly provider: string
  /** static: it was given; learned: from frames that came by the tunnel. */
  readonly kind: 'static' | 'learned'
}

export interface OverlaySubnet {
  readonly vsid: number
  readonly routingDomain: string | null
  /** Prefixes of its guests' addresses. */
  readonly prefixes: readonly string[]
  /** Addresses of the router in it. */
  readonly gateways: readonly string[]
  /** Provider addresses that were given; those of records come on top. */
  readonly peers: readonly string[]
  /** Names of the ports that are in it. */
  readonly ports: readonly string[]
  readonly records: number
}

/** A way to a prefix for a routing domain. */
export interface OverlayRoute {
  readonly routingDomain: string
  /** Virtual subnet that it leads into. */
  readonly vsid: number
  readonly prefix: string
  /** Guest that packets are given to; null: addresses are in the subnet itself. */
  readonly nextHop: string | null
  readonly metric: number
  /** given; subnet: to a prefix of the subnet. */
  readonly kind: 'given' | 'subnet'
}

/** Which routes are meant; all without a filter. */
export interface RouteFilter {
  readonly routingDomain?: string | undefined
  readonly vsid?: number | undefined
}

/** Which route is meant. */
export interface RouteKey {
  readonly vsid: number
  readonly prefix: string
  /** Absent: the one into the subnet itself. */
  readonly nextHop?: string | undefined
}

/** What went to and came from another host. */
export interface OverlayTunnel {
  readonly provider: string
  /** MAC address that its frames are sent to; null: not known yet. */
  readonly nextHop: string | null
  readonly counters: OverlayCounters
}

/** Frames and bytes are those of guests: without the headers of the tunnel. */
export interface OverlayCounters {
  readonly sentFrames: number
  readonly sentBytes: number
  readonly receivedFrames: number
  readonly receivedBytes: number
}

export interface OverlayStatus {
  readonly kind: 'nvgre' | 'vxlan' | 'geneve'
  /** With prefix lengths. */
  readonly providerAddresses: readonly string[]
  readonly providerMac: string
  /** Port that tunnels leave by; null: none is connected. */
  readonly uplink: string | null
  /** Destination port of VXLAN and Geneve; null: NVGRE has none. */
  readonly udpPort: number | null
  /** Largest IP packet of a guest that fits into a tunnel, in bytes. */
  readonly guestMtu: number
  readonly learning: boolean
  /** Changes of the records so far. */
  readonly generation: number
  readonly records: number
  /** Guests without room in the table of addresses: frames to them are flooded. */
  readonly unplaced: number
  /** MAC address of the router of virtual subnets. */
  readonly routerMac: string
  readonly subnets: readonly OverlaySubnet[]
  readonly tunnels: readonly OverlayTunnel[]
  readonly counters: OverlayCounters
  /** Frames that were dropped, by reason; those that never happened are left out. */
  readonly drops: readonly { readonly reason: string; readonly frames: number }[]
}

/** Which records are meant; all without a filter. */
export interface RecordFilter {
  readonly vsid?: number | undefined
  readonly mac?: string | undefined
  /** Customer address. */
  readonly address?: string | undefined
  readonly provider?: string | undefined
}

/** Changes fail with no-overlay where the switch has none. */
export interface OverlayCalls {
  /** Tunnels, subnets, counters; null: the switch has no overlay. */
  overlay(): Answer<OverlayStatus | null>
  /** None without an overlay. */
  overlayRecords(filter: RecordFilter): Answer<readonly OverlayRecord[]>
  /** Sets the record of a guest, in the place of the one that it had. Fails with bad-request, no-such-subnet, full. */
  setOverlayRecord(record: RecordInput): Answer<OverlayRecord>
  /** Fails with no-such-record. */
  removeOverlayRecord(of: { readonly vsid: number; readonly mac: string }): Answer<void>
  /** Customer routes: given ones, and those to the prefixes of subnets. None without an overlay. */
  overlayRoutes(filter: RouteFilter): Answer<readonly OverlayRoute[]>
  /** Sets a route; one with its subnet, prefix and next hop gets another metric. Fails with bad-overlay, no-such-subnet, full. */
  setOverlayRoute(route: RouteInput): Answer<OverlayRoute>
  /** Fails with no-such-customer-route. */
  removeOverlayRoute(of: RouteKey): Answer<void>
  /** Adds a virtual subnet, or changes its domain, prefixes, gateways and peers. */
  setOverlaySubnet(subnet: SubnetInput): Answer<OverlaySubnet>
  /** Fails with no-such-subnet; with in-use while ports, records or routes are in it. */
  removeOverlaySubnet(vsid: number): Answer<void>
}
