// What a processor is told of the overlay. All of it can be sent to a thread.
import type { TunnelFormat } from '../../packet/tunnel.ts'
import { OVERLAY_PEERS_MAX } from './options.ts'

/** Counters of one peer on one processor: Float64 each. */
export const PeerCounter = { sentFrames: 0, sentBytes: 1, receivedFrames: 2, receivedBytes: 3 } as const
export const PEER_COUNTERS = 4
/** Bytes of a processor's counters of all peers. */
export const OVERLAY_COUNTER_BYTES = OVERLAY_PEERS_MAX * PEER_COUNTERS * 8

export const Flooding = { drop: 0, replicate: 1, group: 2 } as const
export type Flooding = (typeof Flooding)[keyof typeof Flooding]

export interface OverlayPlan {
  readonly format: TunnelFormat
  readonly udpPort: number
  readonly ttl: number
  /** MAC address of the provider addresses. */
  readonly mac: Uint8Array
  readonly addresses: readonly Uint8Array[]
  /** Bytes of the largest IP packet that the network between the hosts takes. */
  readonly mtu: number
  readonly clampMss: boolean
  readonly learning: boolean
  readonly unknownUnicast: Flooding
  readonly multicast: Flooding
  /** Address for Flooding.group. */
  readonly group?: Uint8Array | undefined
  /** Linear address of the table of customers' MAC addresses (a MAC table whose VLANs are numbers of subnets), and its entries. */
  readonly customers: number
  readonly customerEntries: number
  /** Ports of the table: those of the switch, and behind them the peers. */
  readonly places: number
  /** A random number of 32 bits. */
  readonly seed: number
  /** Linear address of this processor's counters. */
  readonly counters: number
  /** Linear address of tunnelTableBytes(ports) of this processor, zeroed. */
  readonly tables: number
}

export interface OverlayChange {
  /** `nextHop` undefined: not known; `address` undefined: the peer is gone. */
  readonly peers: readonly {
    readonly peer: number
    readonly address: Uint8Array | undefined
    readonly nextHop: Uint8Array | undefined
  }[]
  /** `peers` undefined: the subnet is gone. */
  readonly subnets: readonly { readonly subnet: number; readonly vsid: number; readonly peers: readonly number[] | undefined }[]
  /** IP addresses of guests, and of the router. `kind`: KnownAs; a guest of another host without it. */
  readonly addresses: readonly {
    readonly vsid: number
    readonly address: Uint8Array
    readonly mac: Uint8Array
    readonly gone: boolean
    readonly kind?: number | undefined
  }[]
  /** Guests that left this switch; nobody without. */
  readonly departed?: readonly { readonly subnet: number; readonly mac: Uint8Array }[] | undefined
  /** What the router is told; nothing of it changed without. */
  readonly routing?: RoutingChange | undefined
}

export interface RoutingChange {
  /** Numbers of the routing domains that subnets are in; 0: in none. */
  readonly domains: readonly { readonly subnet: number; readonly domain: number }[]
  /** The router's addresses in subnets, which its messages come from; undefined: it has none of this family any more. */
  readonly gateways: readonly {
    readonly subnet: number
    readonly isIpv4: boolean
    readonly address: Uint8Array | undefined
  }[]
  /** `prefix`: 4 or 16 octets, those behind the first `length` bits are zero; `nextHop` undefined: addresses are in the subnet itself. */
  readonly routes: readonly {
    readonly domain: number
    readonly prefix: Uint8Array
    readonly length: number
    readonly subnet: number
    readonly vsid: number
    readonly nextHop: Uint8Array | undefined
    readonly gone: boolean
  }[]
}
