// The part of SwitchHost that is about overlays: tunnels, virtual subnets, look-up records. Types only; host.ts has the rest.
import type { RecordInput, SubnetInput } from '../config/types.ts'

export type { RecordInput, SubnetInput } from '../config/types.ts'

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
  /** Provider addresses that were given; those of records come on top. */
  readonly peers: readonly string[]
  /** Names of the ports that are in it. */
  readonly ports: readonly string[]
  readonly records: number
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
  /** Adds a virtual subnet, or changes its domain and peers. */
  setOverlaySubnet(subnet: SubnetInput): Answer<OverlaySubnet>
  /** Fails with no-such-subnet; with in-use while ports or records are in it. */
  removeOverlaySubnet(vsid: number): Answer<void>
}
