// Frames of ports in a virtual subnet: to ports of this subnet here, or into a tunnel to the host that has the destination.
//
// The rule it must not break: a frame never leaves its virtual subnet; who sends on this switch is checked as without an overlay.
import * as layout from '../../kernels/layout.ts'
import type { Batch } from '../../ndis/batch.ts'
import { appendDestination } from '../../ndis/destinations.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import { copyPacket } from '../../ndis/packet-copies.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { trafficClassOf } from '../../packet/tunnel.ts'
import type { MacTable } from '../mac-table.ts'
import { PortFlag, type PortTable } from '../port-table.ts'
import { NO_QUESTION } from './address-answers.ts'
import { IcmpError } from './icmp-errors.ts'
import type { OverlaySender } from './overlay-sender.ts'
import type { OverlayPathOwner, OverlayTables } from './overlay-tables.ts'
import { GROUP_PEER, type OverlayPeers } from './peers.ts'
import { Flooding } from './plan.ts'
import { isRouter, Router } from './router.ts'
import type { OverlaySubnets } from './subnets.ts'
import { encapsulate, flowOf, isSuperFrame } from './tunnel-fields.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { PF_DROPPED, PF_MULTICAST, PF_TAGGED, VNET_STRIDE } = layout
const ETHERNET = 14
const IPV4 = 0x0800
const IPV6 = 0x86dd
const ARP = 0x0806
const TCP = 6

/** Fields are ordinary ones: it runs per packet. */
export class Outbound {
  private readonly tables: OverlayTables
  private readonly pool: PacketPool
  private readonly ports: PortTable
  private readonly macs: MacTable
  private readonly peers: OverlayPeers
  private readonly subnets: OverlaySubnets
  private readonly owner: OverlayPathOwner
  private readonly sender: OverlaySender
  private readonly router: Router

  constructor(tables: OverlayTables, sender: OverlaySender) {
    this.tables = tables
    this.pool = tables.pool
    this.ports = tables.ports
    this.macs = tables.macs
    this.peers = tables.peers
    this.subnets = tables.subnets
    this.owner = tables.owner
    this.sender = sender
    this.router = new Router(tables)
  }

  /** ES-565, ES-569: the packet at position `i` came from `source`, a port in a virtual subnet. */
  forward(batch: Batch, i: number, slot: number, source: number): void {
    const { ports, owner, tables } = this
    const subnet = this.subnets.ofPort[source]!
    const at = tables.frameAt(slot)
    const policy = ports.flags(source)
    tables.addressAt(at + 6)
    if ((policy & PortFlag.checkSource) !== 0) {
      const { low, high } = tables
      const isItsOwn = low === ports.macLow(source) && high === ports.macHigh(source)
      if (!isItsOwn && !ports.teamAddress(source, low, high)) {
        owner.refuse(batch, i, DropReason.macSpoofing, source)
        return
      }
    }
    // ES-526: no station has the address of a group, nor that of the router.
    if ((tables.high & 1) !== 0 || (isRouter(tables.low, tables.high) && this.router.serves(subnet))) {
      owner.refuse(batch, i, DropReason.macSpoofing, source)
      return
    }
    this.macs.learn(tables.low, tables.high, subnet, source, tables.second)
    tables.addressAt(at)
    const { low, high } = tables
    if (high === 0x8001 && (low & 0xf0ffffff) === 0xc2) {
      // 01-80-C2-00-00-0x never leaves its link (802.1D 7.12.6)
      owner.refuse(batch, i, DropReason.reservedMulticast, source)
      return
    }
    const type = this.pool.etherType[slot]!
    if ((type === ARP || type === IPV6) && tables.customers.size !== 0 && this.answered(batch, i, slot, source)) return
    if (isRouter(low, high) && this.router.serves(subnet)) this.route(batch, i, slot, source, subnet, at)
    else this.direct(batch, i, slot, source, subnet, low, high)
  }

  // A frame for the router: on to the subnet of the routing domain that has its destination.
  private route(batch: Batch, i: number, slot: number, source: number, subnet: number, at: number): void {
    const { router, pool, owner, tables, ports } = this
    const reason = router.judge(slot, at, subnet)
    if (reason !== DropReason.none) {
      this.refuseRouted(batch, i, slot, source, subnet, reason, router.error)
      return
    }
    if (router.isEcho) {
      router.turnRound(slot, at)
      owner.parse(slot)
      tables.give(slot, source)
      return
    }
    const target = this.macs.lookup(router.low, router.high, router.subnet)
    const isHere = target >= 0 && target < ports.ports
    if (target < 0 || (isHere && this.subnets.ofPort[target] !== router.subnet)) {
      this.refuseRouted(batch, i, slot, source, subnet, DropReason.overlayNoNeighbour, IcmpError.nobodyThere)
      return
    }
    if (target === source) {
      owner.refuse(batch, i, DropReason.hairpin, source)
      return
    }
    const peer = target - ports.ports
    if (!isHere && this.packetBytes(slot) > tables.mtuTo(peer)) {
      this.sender.tell(slot, IcmpError.tooBig, tables.mtuTo(peer), router.source(slot, subnet))
      owner.refuse(batch, i, DropReason.overlayTooBig, source)
      return
    }
    router.pass(slot, at)
    pool.vsid[slot] = router.vsid
    owner.routed?.(slot, router.vsid)
    if (isHere) tables.give(slot, target)
    else this.tunnel(batch, i, slot, peer)
  }

  // `error`: an IcmpError that the sender is told, or -1.
  private refuseRouted(
    batch: Batch,
    i: number,
    slot: number,
    source: number,
    subnet: number,
    reason: number,
    error: number,
  ): void {
    const from = this.router.source(slot, subnet)
    if (error >= 0 && from !== undefined) this.sender.tell(slot, error as IcmpError, 0, from)
    this.owner.refuse(batch, i, reason, source)
  }

  // By the destination's address (`low`, `high`: as MacKey words); who sends it has been checked.
  private direct(batch: Batch, i: number, slot: number, source: number, subnet: number, low: number, high: number): void {
    const { pool, ports, macs, owner, tables } = this
    if ((pool.flags[slot]! & PF_MULTICAST) !== 0) {
      this.flood(batch, i, slot, source, subnet, tables.plan.multicast)
      return
    }
    const target = macs.lookup(low, high, subnet)
    if (target === source) owner.refuse(batch, i, DropReason.hairpin, source)
    else if (target < 0) this.flood(batch, i, slot, source, subnet, tables.plan.unknownUnicast)
    else if (target >= ports.ports) this.tunnel(batch, i, slot, target - ports.ports)
    else if (this.subnets.ofPort[target] === subnet) tables.give(slot, target)
  }

  /** Into the tunnel to `peer` with a packet that came by another one: its guest went there. The sender is told nothing. */
  sendOn(batch: Batch, i: number, slot: number, peer: number): void {
    const { pool, tables, owner } = this
    if (this.packetBytes(slot) > tables.mtuTo(peer)) owner.refuse(batch, i, DropReason.overlayTooBig, pool.sourcePort[slot]!)
    else this.tunnel(batch, i, slot, peer)
  }

  // Encapsulates the packet at position `i` to `peer`, or says why not.
  private tunnel(batch: Batch, i: number, slot: number, peer: number): void {
    const { pool, owner, subnets } = this
    const source = pool.sourcePort[slot]!
    const reason = this.enter(slot, peer)
    if (reason !== DropReason.none) {
      owner.refuse(batch, i, reason, source)
      return
    }
    if (this.ports.connected(subnets.external)) appendDestination(pool, slot, subnets.external)
    else owner.refuse(batch, i, DropReason.destinationNotConnected, source)
  }

  // Puts the headers of the tunnel before the packet. Returns why that can't be.
  private enter(slot: number, peer: number): number {
    const { pool, peers, tables } = this
    const template = peers.templates[peer]
    if (template === undefined) return DropReason.overlayNoNextHop
    const mtu = tables.mtuTo(peer)
    const at = tables.frameAt(slot)
    if (tables.plan.clampMss) tables.clamp(slot, at, mtu)
    if (this.packetBytes(slot) > mtu) {
      this.sender.tellTooBig(slot, mtu)
      return DropReason.overlayTooBig
    }
    const type = pool.etherType[slot]!
    const trafficClass = type === IPV4 || type === IPV6 ? trafficClassOf(pool.header8, at + pool.l3[slot]!) : 0
    const bytes = pool.length[slot]!
    if (!encapsulate(pool, slot, template, pool.vsid[slot]!, flowOf(pool, slot), trafficClass)) return DropReason.noResources
    peers.countSent(peer, bytes)
    this.owner.encapsulated(slot)
    return DropReason.none
  }

  // Bytes of the packet behind its Ethernet header; of one that will be cut, those of the largest segment.
  private packetBytes(slot: number): number {
    const { pool } = this
    const tag = (pool.flags[slot]! & PF_TAGGED) === 0 ? 0 : 4
    if (!isSuperFrame(pool, slot)) return pool.length[slot]! - ETHERNET - tag
    const header = slot * VNET_STRIDE
    const size = pool.vnet[header + 4]! + (pool.vnet[header + 5]! << 8)
    const l4 = pool.l4[slot]!
    const transport = pool.protocol[slot] === TCP ? (pool.header8[this.tables.frameAt(slot) + l4 + 12]! >> 4) * 4 : 8
    return l4 - pool.l3[slot]! + transport + size
  }

  // True if the packet asks for an address that a record knows, and is done with.
  private answered(batch: Batch, i: number, slot: number, source: number): boolean {
    const length = this.sender.answer(slot)
    if (length === NO_QUESTION) return false
    if (length < 0) this.owner.refuse(batch, i, DropReason.stormLimit, source)
    else {
      this.pool.flags[slot] = this.pool.flags[slot]! | PF_DROPPED
      batch.dirty = true
    }
    return true
  }

  // To the ports of the subnet, and to other hosts as the setting says.
  private flood(batch: Batch, i: number, slot: number, source: number, subnet: number, mode: Flooding): void {
    const { pool, subnets, tables } = this
    tables.spread(slot, subnet, source)
    const peers = mode === Flooding.replicate ? subnets.peersIn(subnet) : GROUP
    if (mode === Flooding.drop || peers.length === 0) return
    const isAlone = pool.destinationCount[slot] === 0
    const last = peers.length - 1
    for (let k = 0; k < last; k++) this.copyTo(slot, peers[k]!)
    if (isAlone) this.tunnel(batch, i, slot, peers[last]!)
    else this.copyTo(slot, peers[last]!)
  }

  private copyTo(original: number, peer: number): void {
    const { pool, subnets, owner } = this
    if (!this.ports.connected(subnets.external)) return
    const slot = copyPacket(pool, original)
    if (slot < 0) {
      owner.filtered(original, DropReason.noResources, subnets.external, false)
      return
    }
    const reason = this.enter(slot, peer)
    if (reason !== DropReason.none) {
      owner.filtered(original, reason, subnets.external, false)
      pool.give(slot)
      return
    }
    this.sender.send(slot, subnets.external)
  }
}

const GROUP: readonly number[] = [GROUP_PEER]
