// What a running switch lets others do with its overlay, and what it tells of it.
import type { RouteFilter } from './customer-routes.ts'
import type { OverlayRecord, OverlayRoute, OverlaySubnet, TunnelKind } from './options.ts'
import type { RecordFilter } from './records.ts'

/** Frames and bytes of guests, without the headers of the tunnel. */
export interface TunnelCounters {
  readonly sentFrames: number
  readonly sentBytes: number
  readonly receivedFrames: number
  readonly receivedBytes: number
}

export interface OverlayTunnel {
  /** Provider address of the other host. */
  readonly provider: string
  /** MAC address that its frames are sent to; null: not known yet. */
  readonly nextHop: string | null
  readonly counters: TunnelCounters
}

export interface OverlayStatus {
  readonly kind: TunnelKind
  /** With prefix lengths. */
  readonly providerAddresses: readonly string[]
  readonly providerMac: string
  /** null: NVGRE has none. */
  readonly udpPort: number | null
  /** Bytes of the largest IP packet of a guest that fits into a tunnel. */
  readonly guestMtu: number
  readonly learning: boolean
  /** Changes of subnets and records so far. */
  readonly generation: number
  readonly records: number
  /** Guests without room in the table of addresses: frames to them are flooded. */
  readonly unplaced: number
  readonly tunnels: readonly OverlayTunnel[]
  readonly counters: TunnelCounters
  /** Frames dropped by reason, those of tunnels only. */
  readonly drops: readonly { readonly reason: string; readonly frames: number }[]
}

/** A record in a list: given, or learned from frames that came by a tunnel. */
export interface ListedRecord extends OverlayRecord {
  readonly kind: 'static' | 'learned'
}

/**
 * The overlay of a running switch. Changes throw OverlayError (bad-overlay, no-such-subnet, no-such-record, no-such-customer-route, in-use, full) at once, and are
 * in force on all processors when their promise is fulfilled.
 */
export interface OverlayControl {
  readonly generation: number
  status(): OverlayStatus
  /** Names of the ports in a subnet are the caller's to find: PortConfig says which port is in which. */
  subnets(): readonly OverlaySubnet[]
  records(filter?: RecordFilter): readonly ListedRecord[]
  /** Sets records, each in the place of the one that its guest had; all or none. */
  set(records: readonly OverlayRecord[]): Promise<readonly OverlayRecord[]>
  remove(record: { readonly vsid: number; readonly mac: string }): Promise<void>
  setSubnet(subnet: OverlaySubnet): Promise<OverlaySubnet>
  removeSubnet(vsid: number): Promise<void>
  /** Customer routes that were given. */
  routes(filter?: RouteFilter): readonly OverlayRoute[]
  /** Sets a route; one with its subnet, prefix and next hop gets another metric. */
  setRoute(route: OverlayRoute): Promise<OverlayRoute>
  /** Throws OverlayError no-such-customer-route. */
  removeRoute(route: OverlayRoute): Promise<void>
}
