// Network virtualization on one processor (hybrid forwarding, spec 5.10): frames of ports in a virtual subnet go to ports of this subnet, here
// or, encapsulated, to other hosts; tunnel packets from the external port are taken apart.
//
// The rules it must not break: a frame never leaves its virtual subnet; what came by a tunnel goes into none; nothing is allocated per
// packet; who sends on this switch is checked as without an overlay.
import * as layout from '../../kernels/layout.ts'
import type { Batch } from '../../ndis/batch.ts'
import { appendDestination } from '../../ndis/destinations.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import { copyPacket } from '../../ndis/packet-copies.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { decapsulateEcn, TunnelReader, TunnelVerdict, trafficClassOf, tunnelBytes } from '../../packet/tunnel.ts'
import type { Injections } from '../injections.ts'
import { MacTable } from '../mac-table.ts'
import { PortFlag, type PortTable } from '../port-table.ts'
import { NO_QUESTION } from './address-answers.ts'
import { CustomerAddressTable } from './customer-addresses.ts'
import { OverlaySender } from './overlay-sender.ts'
import { GROUP_PEER, OverlayPeers } from './peers.ts'
import { Flooding, type OverlayChange, type OverlayPlan } from './plan.ts'
import { clampSegmentSize } from './segment-size.ts'
import { separateSubnets } from './separation.ts'
import { OverlaySubnets } from './subnets.ts'
import { decapsulate, encapsulate, flowOf, isSuperFrame, pullUp } from './tunnel-fields.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const {
  DE_PRESERVE_PRIORITY,
  DE_PRESERVE_VLAN,
  HEADER_STRIDE,
  OFFLOAD_CHECKSUM,
  PF_BROADCAST,
  PF_DROPPED,
  PF_FRAGMENT,
  PF_MULTICAST,
  PF_TAGGED,
  VNET_STRIDE,
} = layout
const KEEP_ALL = DE_PRESERVE_VLAN | DE_PRESERVE_PRIORITY
const ETHERNET = 14
const IPV4 = 0x0800
const IPV6 = 0x86dd
const ARP = 0x0806
const TCP = 6
const IPV4_HEADER = 20
const IPV6_HEADER = 40
const TCP_HEADER = 20
/** Frames for the provider addresses themselves that go to the control thread, per second of a processor. */
const HEARD_PER_SECOND = 500
const SECOND = 1000

export interface OverlayPathOwner {
  /** Drops the packet at position `i` for `reason`, reported at `port`. */
  refuse(batch: Batch, i: number, reason: number, port: number): void
  /** Counts a copy for `port` that is lost. */
  filtered(slot: number, reason: number, port: number, incoming: boolean): void
  parse(slot: number): void
  /** The packet in `slot` is a tunnel packet now. */
  encapsulated(slot: number): void
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
}

/** Fields are ordinary ones: it runs per packet. */
export class OverlayPath {
  /** It sets the fields of what it changes. */
  readonly parses = true
  readonly peers: OverlayPeers
  readonly subnets: OverlaySubnets
  readonly customers: CustomerAddressTable
  private readonly plan: OverlayPlan
  private readonly components: OverlayPathComponents
  private readonly pool: PacketPool
  private readonly ports: PortTable
  private readonly macs: MacTable
  private readonly reader: TunnelReader
  private readonly sender: OverlaySender
  private readonly macLow: number
  private readonly macHigh: number
  // Bytes of the largest IP packet of a guest that fits, by the outer family.
  private readonly mtus: readonly [ipv4: number, ipv6: number]
  private second = 0
  private heardLeft = 0

  constructor(plan: OverlayPlan, components: OverlayPathComponents) {
    const { buffer, ports } = components
    const { mac, mtu, format } = plan
    this.plan = plan
    this.components = components
    this.pool = components.pool
    this.ports = ports
    this.peers = new OverlayPeers(buffer, plan)
    this.subnets = new OverlaySubnets(ports)
    this.customers = new CustomerAddressTable(plan.seed)
    this.macs = new MacTable(buffer, plan.customers, plan.customerEntries, plan.places)
    this.reader = new TunnelReader(format, plan.udpPort)
    this.sender = new OverlaySender({ ...components, addresses: this.customers })
    this.macHigh = mac[0]! | (mac[1]! << 8)
    this.macLow = mac[2]! | (mac[3]! << 8) | (mac[4]! << 16) | (mac[5]! << 24)
    this.mtus = [mtu - tunnelBytes(format, true), mtu - tunnelBytes(format, false)]
  }

  change({ peers, subnets, addresses }: OverlayChange): void {
    for (const one of peers) this.peers.change(one)
    for (const one of subnets) this.subnets.change(one)
    for (const { vsid, address, mac, gone } of addresses)
      if (gone) this.customers.remove(vsid, address, mac)
      else this.customers.set(vsid, address, mac)
  }

  /** Before a burst. */
  refresh(): void {
    this.subnets.refresh()
    const second = Math.floor(this.components.nowMs() / SECOND)
    if (second === this.second) return
    this.second = second
    this.heardLeft = HEARD_PER_SECOND
    this.sender.nextSecond()
  }

  // Of the frame in `slot`, octets 2…5 and 0…1 of its destination and source address, as MacKey words.
  private low = 0
  private high = 0
  private addressAt(at: number): void {
    const { header8 } = this.pool
    this.high = header8[at]! | (header8[at + 1]! << 8)
    this.low = header8[at + 2]! | (header8[at + 3]! << 8) | (header8[at + 4]! << 16) | (header8[at + 5]! << 24)
  }

  private frameAt(slot: number): number {
    return slot * HEADER_STRIDE + this.pool.headerOffset[slot]!
  }

  /** Of ports in a subnet of the overlay, and from the external port what is for a provider address. ES-563, ES-571 */
  claims(batch: Batch, i: number): boolean {
    const slot = batch.slots[i]!
    const { pool, subnets } = this
    const source = pool.sourcePort[slot]!
    if (source === 0) return false
    if (source !== subnets.external) return subnets.ofPort[source] !== 0
    const flags = pool.flags[slot]!
    if ((flags & PF_TAGGED) !== 0) return false
    const at = this.frameAt(slot)
    if ((flags & PF_MULTICAST) !== 0) return this.isForGroup(slot, at, flags)
    this.addressAt(at)
    return this.low === this.macLow && this.high === this.macHigh
  }

  // A question about a provider address, or a packet of the group that floods go to.
  private isForGroup(slot: number, at: number, flags: number): boolean {
    const { header8, headerLength, etherType } = this.pool
    const type = etherType[slot]
    if (type === ARP) return headerLength[slot]! >= 42 && this.isOwn(at + 38, 4)
    if ((flags & PF_BROADCAST) !== 0) return false
    if (type === IPV6 && headerLength[slot]! >= 78 && header8[at + 20] === 58 && header8[at + 54] === 135)
      return this.isOwn(at + 62, 16)
    const { group } = this.plan
    if (group === undefined || headerLength[slot]! < 54) return false
    const from = type === IPV4 && group.length === 4 ? at + 30 : type === IPV6 && group.length === 16 ? at + 38 : -1
    if (from < 0) return false
    for (let k = 0; k < group.length; k++) if (header8[from + k] !== group[k]) return false
    return true
  }

  private isOwn(at: number, length: number): boolean {
    const { header8 } = this.pool
    for (const own of this.plan.addresses) {
      if (own.length !== length) continue
      let k = 0
      while (k < length && header8[at + k] === own[k]) k++
      if (k === length) return true
    }
    return false
  }

  /** ES-565, ES-569, ES-570: after ingress, before egress. */
  forward(batch: Batch, i: number): void {
    const slot = batch.slots[i]!
    const source = this.pool.sourcePort[slot]!
    if (source === this.subnets.external) this.inbound(batch, i, slot, source)
    else this.outbound(batch, i, slot, source)
  }

  // ---- from a tunnel ----------------------------------------------------------------------------------------------------------

  private inbound(batch: Batch, i: number, slot: number, source: number): void {
    const { pool, reader, components } = this
    const { owner } = components
    const at = this.frameAt(slot)
    const verdict = reader.read(pool.header8, at, at + pool.headerLength[slot]!, pool.length[slot]!)
    if (verdict === TunnelVerdict.other) {
      this.hear(slot, batch)
      return
    }
    if (verdict !== TunnelVerdict.sound) {
      const { overlayCriticalOption, overlayMalformed } = DropReason
      owner.refuse(batch, i, verdict === TunnelVerdict.critical ? overlayCriticalOption : overlayMalformed, source)
      return
    }
    if (!this.isOwn(reader.destination, reader.addressBytes) && (pool.flags[slot]! & PF_MULTICAST) === 0) {
      owner.refuse(batch, i, DropReason.overlayUnknownProvider, source)
      return
    }
    const peer = this.peers.find(pool.header8, reader.source, reader.addressBytes)
    if (peer < 0) {
      owner.refuse(batch, i, DropReason.overlayUnknownProvider, source)
      return
    }
    const subnet = this.subnets.index(reader.vsid)
    if (subnet === 0) {
      owner.refuse(batch, i, DropReason.overlayUnknownSubnet, source)
      return
    }
    if (!decapsulate(pool, slot, reader.headers, reader.inner)) {
      owner.refuse(batch, i, DropReason.badOffload, source)
      return
    }
    this.peers.countReceived(peer, reader.inner)
    pool.vsid[slot] = reader.vsid
    owner.parse(slot)
    if (this.lacksHeaders(slot)) {
      pullUp(pool, slot)
      owner.parse(slot)
    }
    this.deliver(batch, i, slot, subnet, peer)
  }

  // True if headers of the inner frame may lie behind the copy.
  private lacksHeaders(slot: number): boolean {
    const { l4, etherType, headerLength, length, protocol } = this.pool
    if (headerLength[slot] === length[slot] || (etherType[slot] !== IPV4 && etherType[slot] !== IPV6)) return false
    if (l4[slot] === 0) return true
    return protocol[slot] === TCP && l4[slot]! + 60 > headerLength[slot]! && (isSuperFrame(this.pool, slot) || this.plan.clampMss)
  }

  // A decapsulated frame goes to ports of its subnet, never into a tunnel again.
  private deliver(batch: Batch, i: number, slot: number, subnet: number, peer: number): void {
    const { pool, macs, ports, reader, components } = this
    const { owner } = components
    const external = pool.sourcePort[slot]!
    const at = this.frameAt(slot)
    const isIp = pool.etherType[slot] === IPV4 || pool.etherType[slot] === IPV6
    if (reader.ecn !== 0 && isIp && !decapsulateEcn(pool.header8, at + pool.l3[slot]!, reader.ecn)) {
      owner.refuse(batch, i, DropReason.overlayMalformed, external)
      return
    }
    this.addressAt(at)
    if (this.low === this.macLow && this.high === this.macHigh) {
      owner.refuse(batch, i, DropReason.overlayNested, external)
      return
    }
    const low = this.low
    const high = this.high
    this.addressAt(at + 6)
    if (this.plan.learning && (this.high & 1) === 0) macs.learn(this.low, this.high, subnet, ports.ports + peer, this.second)
    if (this.plan.clampMss) this.clamp(slot, at, this.mtuTo(peer))
    if ((pool.flags[slot]! & PF_MULTICAST) !== 0) {
      this.spread(slot, subnet, external)
      return
    }
    const target = macs.lookup(low, high, subnet)
    if (target < 0) this.spread(slot, subnet, external)
    else if (target < ports.ports && this.subnets.ofPort[target] === subnet) this.give(slot, target)
  }

  // To all ports of the subnet.
  private spread(slot: number, subnet: number, source: number): void {
    const list = this.subnets.portsIn(subnet)
    for (let k = 0; k < list.length; k++) {
      const port = list[k]!
      if (port !== source && !this.give(slot, port)) this.components.owner.filtered(slot, DropReason.noResources, port, false)
    }
  }

  private give(slot: number, port: number): boolean {
    return appendDestination(this.pool, slot, port | KEEP_ALL)
  }

  // A frame for the provider address itself: the control thread answers it, nobody else sees it.
  private hear(slot: number, batch: Batch): void {
    const { pool, components } = this
    pool.flags[slot] = pool.flags[slot]! | PF_DROPPED
    batch.dirty = true
    if (this.heardLeft <= 0) return
    this.heardLeft--
    const at = this.frameAt(slot)
    components.heard(pool.header8.slice(at, at + pool.headerLength[slot]!))
  }

  // ---- into a tunnel ----------------------------------------------------------------------------------------------------------

  private outbound(batch: Batch, i: number, slot: number, source: number): void {
    const { pool, ports, macs, components } = this
    const { owner } = components
    const subnet = this.subnets.ofPort[source]!
    const at = this.frameAt(slot)
    const policy = ports.flags(source)
    this.addressAt(at + 6)
    if ((policy & PortFlag.checkSource) !== 0) {
      const { low, high } = this
      const isItsOwn = low === ports.macLow(source) && high === ports.macHigh(source)
      if (!isItsOwn && !ports.teamAddress(source, low, high)) {
        owner.refuse(batch, i, DropReason.macSpoofing, source)
        return
      }
    }
    if ((this.high & 1) === 0) macs.learn(this.low, this.high, subnet, source, this.second)
    this.addressAt(at)
    const { low, high } = this
    if (high === 0x8001 && (low & 0xf0ffffff) === 0xc2) {
      // 01-80-C2-00-00-0x never leaves its link (802.1D 7.12.6)
      owner.refuse(batch, i, DropReason.reservedMulticast, source)
      return
    }
    const type = pool.etherType[slot]!
    if ((type === ARP || type === IPV6) && this.customers.size !== 0 && this.answered(batch, i, slot, source)) return
    if ((pool.flags[slot]! & PF_MULTICAST) !== 0) {
      this.flood(batch, i, slot, source, subnet, this.plan.multicast)
      return
    }
    const target = macs.lookup(low, high, subnet)
    if (target === source) owner.refuse(batch, i, DropReason.hairpin, source)
    else if (target < 0) this.flood(batch, i, slot, source, subnet, this.plan.unknownUnicast)
    else if (target >= ports.ports) this.tunnel(batch, i, slot, target - ports.ports)
    else if (this.subnets.ofPort[target] === subnet) this.give(slot, target)
  }

  // Encapsulates the packet at position `i` to `peer`, or says why not.
  private tunnel(batch: Batch, i: number, slot: number, peer: number): void {
    const { pool, components, subnets } = this
    const source = pool.sourcePort[slot]!
    const reason = this.enter(slot, peer)
    if (reason !== DropReason.none) {
      components.owner.refuse(batch, i, reason, source)
      return
    }
    if (this.ports.connected(subnets.external)) appendDestination(pool, slot, subnets.external)
    else components.owner.refuse(batch, i, DropReason.destinationNotConnected, source)
  }

  private mtuTo(peer: number): number {
    return this.peers.templates[peer]?.isIpv4 === false ? this.mtus[1] : this.mtus[0]
  }

  // Puts the headers of the tunnel before the packet. Returns why that can't be.
  private enter(slot: number, peer: number): number {
    const { pool, peers, components } = this
    const template = peers.templates[peer]
    if (template === undefined) return DropReason.overlayNoNextHop
    const mtu = template.isIpv4 ? this.mtus[0] : this.mtus[1]
    const at = this.frameAt(slot)
    if (this.plan.clampMss) this.clamp(slot, at, mtu)
    if (this.packetBytes(slot) > mtu) {
      this.sender.tellTooBig(slot, mtu)
      return DropReason.overlayTooBig
    }
    const type = pool.etherType[slot]!
    const trafficClass = type === IPV4 || type === IPV6 ? trafficClassOf(pool.header8, at + pool.l3[slot]!) : 0
    const bytes = pool.length[slot]!
    if (!encapsulate(pool, slot, template, pool.vsid[slot]!, flowOf(pool, slot), trafficClass)) return DropReason.noResources
    peers.countSent(peer, bytes)
    components.owner.encapsulated(slot)
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
    const transport = pool.protocol[slot] === TCP ? (pool.header8[this.frameAt(slot) + l4 + 12]! >> 4) * 4 : 8
    return l4 - pool.l3[slot]! + transport + size
  }

  // Lowers the segment size that a TCP connection agrees on.
  private clamp(slot: number, at: number, mtu: number): void {
    const { pool } = this
    if (pool.protocol[slot] !== TCP || pool.l4[slot] === 0 || (pool.flags[slot]! & PF_FRAGMENT) !== 0) return
    const most = mtu - TCP_HEADER - (pool.etherType[slot] === IPV4 ? IPV4_HEADER : IPV6_HEADER)
    const isOpen = (pool.needs[slot]! & OFFLOAD_CHECKSUM) !== 0
    clampSegmentSize(pool.header8, at + pool.l4[slot]!, at + pool.headerLength[slot]!, most, isOpen)
  }

  // True if the packet asks for an address that a record knows, and is done with.
  private answered(batch: Batch, i: number, slot: number, source: number): boolean {
    const length = this.sender.answer(slot)
    if (length === NO_QUESTION) return false
    if (length < 0) this.components.owner.refuse(batch, i, DropReason.stormLimit, source)
    else {
      this.pool.flags[slot] = this.pool.flags[slot]! | PF_DROPPED
      batch.dirty = true
    }
    return true
  }

  // To the ports of the subnet, and to other hosts as the setting says.
  private flood(batch: Batch, i: number, slot: number, source: number, subnet: number, mode: Flooding): void {
    const { pool, subnets } = this
    this.spread(slot, subnet, source)
    const peers = mode === Flooding.replicate ? subnets.peersIn(subnet) : GROUP
    if (mode === Flooding.drop || peers.length === 0) return
    const isAlone = pool.destinationCount[slot] === 0
    const last = peers.length - 1
    for (let k = 0; k < last; k++) this.copyTo(slot, peers[k]!)
    if (isAlone) this.tunnel(batch, i, slot, peers[last]!)
    else this.copyTo(slot, peers[last]!)
  }

  private copyTo(original: number, peer: number): void {
    const { pool, subnets, components } = this
    const { owner } = components
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

  // ---- beside tunnels ---------------------------------------------------------------------------------------------------------

  /** Takes ports in virtual subnets out of the destinations of packets that are in none of theirs. */
  separate(batch: Batch): void {
    if (this.subnets.active) separateSubnets(batch, this.subnets.ofPort, this.components.owner)
  }
}

const GROUP: readonly number[] = [GROUP_PEER]
