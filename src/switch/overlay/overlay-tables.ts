// What both directions of network virtualization on one processor share: the tables that say who is where, and how a packet in the pool
// is read and directed.
//
// The rule it must not break: a frame is given to ports of its own virtual subnet only; nothing is allocated per packet.
import * as layout from '../../kernels/layout.ts'
import type { Batch } from '../../ndis/batch.ts'
import { appendDestination } from '../../ndis/destinations.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { tunnelBytes } from '../../packet/tunnel.ts'
import type { Injections } from '../injections.ts'
import { MacTable } from '../mac-table.ts'
import type { PortTable } from '../port-table.ts'
import { CustomerAddressTable } from './customer-addresses.ts'
import { Departures } from './departures.ts'
import { OverlayPeers } from './peers.ts'
import type { OverlayPlan } from './plan.ts'
import { Routing } from './routing.ts'
import { clampSegmentSize } from './segment-size.ts'
import { OverlaySubnets } from './subnets.ts'
import type { TunnelShortCutOptions } from './tunnel-short-cut.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { DE_PRESERVE_PRIORITY, DE_PRESERVE_VLAN, HEADER_STRIDE, OFFLOAD_CHECKSUM, PF_FRAGMENT } = layout
const KEEP_ALL = DE_PRESERVE_VLAN | DE_PRESERVE_PRIORITY
const IPV4 = 0x0800
const TCP = 6
const IPV4_HEADER = 20
const IPV6_HEADER = 40
const TCP_HEADER = 20

export interface OverlayPathOwner {
  /** Drops the packet at position `i` for `reason`, reported at `port`. */
  refuse(batch: Batch, i: number, reason: number, port: number): void
  /** Counts a copy for `port` that is lost. */
  filtered(slot: number, reason: number, port: number, incoming: boolean): void
  parse(slot: number): void
  /** The packet in `slot` is a tunnel packet now. */
  encapsulated(slot: number): void
  /** The packet in `slot` goes on to virtual subnet `vsid`: the router has it. */
  routed?(slot: number, vsid: number): void
  /** Modules in the stack: what is sent from above them passes all on egress. */
  readonly modules: number
}

export interface OverlayPathComponents {
  readonly buffer: ArrayBufferLike
  readonly pool: PacketPool
  readonly ports: PortTable
  readonly injections: Injections
  readonly nowMs: () => number
  readonly owner: OverlayPathOwner
  /** Takes a copy of a frame that is for a provider address itself: ARP, neighbour discovery, echo. */
  readonly heard: (frame: Uint8Array) => void
  /** Short cuts for bursts; without them everything is done in TypeScript. */
  readonly tunnels?: TunnelShortCutOptions | undefined
}

/** Fields are ordinary ones: it runs per packet. */
export class OverlayTables {
  readonly plan: OverlayPlan
  readonly pool: PacketPool
  readonly ports: PortTable
  readonly owner: OverlayPathOwner
  readonly peers: OverlayPeers
  readonly subnets: OverlaySubnets
  readonly customers: CustomerAddressTable
  readonly routing: Routing
  /** Guests that left a moment ago. */
  readonly departures: Departures
  /** Customers' MAC addresses: their VLANs are numbers of subnets, their ports those of the switch and behind them the peers. */
  readonly macs: MacTable
  /** The switch's clock, in seconds. */
  second = 0
  /** Octets of the address that `addressAt` was asked for, as MacKey words: 2…5 and 0…1. */
  low = 0
  high = 0
  private readonly macLow: number
  private readonly macHigh: number
  /** Bytes of the largest IP packet of a guest that fits, by the outer family. */
  readonly mtus: readonly [ipv4: number, ipv6: number]

  /** `shadowed`: tables to look at as they are; what is counted or learned is noted in copies of them. */
  constructor(plan: OverlayPlan, { buffer, pool, ports, owner }: OverlayPathComponents, shadowed?: OverlayTables) {
    const { mac, mtu, format } = plan
    this.plan = plan
    this.pool = pool
    this.ports = ports
    this.owner = owner
    this.peers = shadowed?.peers.shadow() ?? new OverlayPeers(buffer, plan)
    this.subnets = shadowed?.subnets ?? new OverlaySubnets(ports)
    this.customers = shadowed?.customers ?? new CustomerAddressTable(plan.seed)
    this.routing = shadowed?.routing ?? new Routing()
    this.departures = shadowed?.departures.copy() ?? new Departures()
    this.macs = shadowed?.macs.copy() ?? new MacTable(buffer, plan.customers, plan.customerEntries, plan.places)
    this.macHigh = mac[0]! | (mac[1]! << 8)
    this.macLow = mac[2]! | (mac[3]! << 8) | (mac[4]! << 16) | (mac[5]! << 24)
    this.mtus = [mtu - tunnelBytes(format, true), mtu - tunnelBytes(format, false)]
  }

  /** Where the frame in `slot` begins in the header area. */
  frameAt(slot: number): number {
    return slot * HEADER_STRIDE + this.pool.headerOffset[slot]!
  }

  /** Reads the MAC address at `at` into `low` and `high`. */
  addressAt(at: number): void {
    const { header8 } = this.pool
    this.high = header8[at]! | (header8[at + 1]! << 8)
    this.low = header8[at + 2]! | (header8[at + 3]! << 8) | (header8[at + 4]! << 16) | (header8[at + 5]! << 24)
  }

  /** True if the address read last is that of the provider addresses. */
  get isProviderMac(): boolean {
    return this.low === this.macLow && this.high === this.macHigh
  }

  /** True if the address at `at` is one of the provider addresses. */
  isOwn(at: number, length: number): boolean {
    const { header8 } = this.pool
    for (const own of this.plan.addresses) {
      if (own.length !== length) continue
      let k = 0
      while (k < length && header8[at + k] === own[k]) k++
      if (k === length) return true
    }
    return false
  }

  /** Bytes of the largest IP packet that fits into the tunnel to `peer`. */
  mtuTo(peer: number): number {
    return this.peers.templates[peer]?.isIpv4 === false ? this.mtus[1] : this.mtus[0]
  }

  /** Directs the packet to a port of its subnet. */
  give(slot: number, port: number): boolean {
    return appendDestination(this.pool, slot, port | KEEP_ALL)
  }

  /** Directs the packet to all ports of the subnet but `source`. */
  spread(slot: number, subnet: number, source: number): void {
    const list = this.subnets.portsIn(subnet)
    for (let k = 0; k < list.length; k++) {
      const port = list[k]!
      if (port !== source && !this.give(slot, port)) this.owner.filtered(slot, DropReason.noResources, port, false)
    }
  }

  /** Lowers the segment size that a TCP connection agrees on, in the frame at `at`. */
  clamp(slot: number, at: number, mtu: number): void {
    const { pool } = this
    if (pool.protocol[slot] !== TCP || pool.l4[slot] === 0 || (pool.flags[slot]! & PF_FRAGMENT) !== 0) return
    const most = mtu - TCP_HEADER - (pool.etherType[slot] === IPV4 ? IPV4_HEADER : IPV6_HEADER)
    const isOpen = (pool.needs[slot]! & OFFLOAD_CHECKSUM) !== 0
    clampSegmentSize(pool.header8, at + pool.l4[slot]!, at + pool.headerLength[slot]!, most, isOpen)
  }
}
