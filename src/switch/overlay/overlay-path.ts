// Network virtualization on one processor (hybrid forwarding, spec 5.10): frames of ports in a virtual subnet go to ports of this subnet, here
// or, encapsulated, to other hosts; tunnel packets from the external port are taken apart.
//
// The rule it must not break: a frame never leaves its virtual subnet; what came by a tunnel goes into none; nothing is allocated per
// packet; who sends on this switch is checked as without an overlay.
import * as layout from '../../kernels/layout.ts'
import type { Batch } from '../../ndis/batch.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { separateSubnets } from '../subnet-isolation.ts'
import { KnownAs } from './address-answers.ts'
import type { CustomerAddressTable } from './customer-addresses.ts'
import { Inbound } from './inbound.ts'
import { Outbound } from './outbound.ts'
import { OverlaySender } from './overlay-sender.ts'
import { type OverlayPathComponents, type OverlayPathOwner, OverlayTables } from './overlay-tables.ts'
import type { OverlayPeers } from './peers.ts'
import type { OverlayChange, OverlayPlan } from './plan.ts'
import type { OverlaySubnets } from './subnets.ts'
import { TunnelShortCut } from './tunnel-short-cut.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { PF_BROADCAST, PF_MULTICAST, PF_NATIVE_FORWARDING, PF_TAGGED } = layout
const IPV4 = 0x0800
const IPV6 = 0x86dd
const ARP = 0x0806
const SECOND = 1000

/** Fields are ordinary ones: it runs per packet. */
export class OverlayPath {
  /** It sets the fields of what it changes. */
  readonly parses = true
  readonly tables: OverlayTables
  private readonly components: OverlayPathComponents
  private readonly pool: PacketPool
  private readonly nowMs: () => number
  private readonly sender: OverlaySender
  private readonly outbound: Outbound
  private readonly inbound: Inbound
  private readonly shortCut: TunnelShortCut | undefined

  /** `shadowed`: the tables of a running path, for one that is only tried. */
  constructor(plan: OverlayPlan, components: OverlayPathComponents, shadowed?: OverlayTables) {
    this.components = components
    this.pool = components.pool
    this.nowMs = components.nowMs
    this.tables = new OverlayTables(plan, components, shadowed)
    this.sender = new OverlaySender({ ...components, addresses: this.tables.customers })
    this.outbound = new Outbound(this.tables, this.sender)
    this.inbound = new Inbound(this.tables, this.outbound, components.heard)
    const { buffer, tunnels } = components
    if (tunnels !== undefined) this.shortCut = new TunnelShortCut(this.tables, buffer, tunnels)
  }

  /** A path that decides as this one does for packets of `owner`; what it learns, counts and hears is forgotten with it. */
  shadow(owner: OverlayPathOwner): OverlayPath {
    const { tables, components } = this
    return new OverlayPath(tables.plan, { ...components, owner, heard: () => {}, tunnels: undefined }, tables)
  }

  get peers(): OverlayPeers {
    return this.tables.peers
  }

  get subnets(): OverlaySubnets {
    return this.tables.subnets
  }

  get customers(): CustomerAddressTable {
    return this.tables.customers
  }

  change({ peers, subnets, addresses, departed, routing }: OverlayChange): void {
    for (const one of peers) this.peers.change(one)
    for (const one of subnets) this.subnets.change(one)
    for (const { vsid, address, mac, gone, kind = KnownAs.station } of addresses)
      if (gone) this.customers.remove(vsid, address, mac, kind as KnownAs)
      else this.customers.set(vsid, address, mac, kind as KnownAs)
    const second = Math.floor(this.nowMs() / SECOND)
    for (const { subnet, mac } of departed ?? []) this.tables.departures.add(subnet, mac, second)
    if (routing !== undefined) this.tables.routing.change(routing)
    this.shortCut?.change({ peers, subnets })
  }

  /** Before a burst. */
  refresh(): void {
    const { tables } = this
    tables.subnets.refresh()
    this.shortCut?.refresh()
    const second = Math.floor(this.nowMs() / SECOND)
    if (second === tables.second) return
    tables.second = second
    this.inbound.nextSecond()
    tables.departures.nextSecond()
  }

  /** Of ports in a subnet of the overlay, and from the external port what is for a provider address. ES-563, ES-571 */
  claims(batch: Batch, i: number): boolean {
    const slot = batch.slots[i]!
    const { pool, tables } = this
    const { subnets } = tables
    const source = pool.sourcePort[slot]!
    if (source === 0) return false
    if (source !== subnets.external) return subnets.ofPort[source] !== 0
    const flags = pool.flags[slot]!
    if ((flags & PF_TAGGED) !== 0) return false
    const at = tables.frameAt(slot)
    if ((flags & PF_MULTICAST) !== 0) return this.isForGroup(slot, at, flags)
    tables.addressAt(at)
    return tables.isProviderMac
  }

  // A question about a provider address, or a packet of the group that floods go to.
  private isForGroup(slot: number, at: number, flags: number): boolean {
    const { header8, headerLength, etherType } = this.pool
    const type = etherType[slot]
    if (type === ARP) return headerLength[slot]! >= 42 && this.tables.isOwn(at + 38, 4)
    if ((flags & PF_BROADCAST) !== 0) return false
    if (type === IPV6 && headerLength[slot]! >= 78 && header8[at + 20] === 58 && header8[at + 54] === 135)
      return this.tables.isOwn(at + 62, 16)
    const { group } = this.tables.plan
    if (group === undefined || headerLength[slot]! < 54) return false
    const from = type === IPV4 && group.length === 4 ? at + 30 : type === IPV6 && group.length === 16 ? at + 38 : -1
    if (from < 0) return false
    for (let k = 0; k < group.length; k++) if (header8[from + k] !== group[k]) return false
    return true
  }

  /** NativeForwarding */
  mark(batch: Batch, source: number): number {
    return this.shortCut?.mark(batch, source, this.claimOne) ?? -1
  }

  private readonly claimOne = (batch: Batch, i: number): boolean => {
    if (!this.claims(batch, i)) return false
    const slot = batch.slots[i]!
    this.pool.flags[slot] = this.pool.flags[slot]! | PF_NATIVE_FORWARDING
    return true
  }

  /** NativeForwarding */
  forwardBurst(batch: Batch, source: number, one: (batch: Batch, i: number) => void): void {
    if (this.shortCut !== undefined) this.shortCut.forward(batch, source, one)
    else for (let i = 0; i < batch.length; i++) one(batch, i)
  }

  /** ES-565, ES-569, ES-570: after ingress, before egress. */
  forward(batch: Batch, i: number): void {
    const slot = batch.slots[i]!
    const source = this.pool.sourcePort[slot]!
    if (source === this.tables.subnets.external) this.inbound.forward(batch, i, slot, source)
    else this.outbound.forward(batch, i, slot, source)
  }

  get leavesPorts(): boolean {
    return this.subnets.strangers
  }

  /** Takes ports in virtual subnets out of the destinations of packets that are in none of theirs. */
  separate(batch: Batch): void {
    const { subnets, owner } = this.tables
    if (subnets.active && this.shortCut?.strays(batch) !== false) separateSubnets(batch, subnets.ofPort, owner)
  }
}
