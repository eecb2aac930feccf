// The switch's own forwarding, when no forwarding extension is enabled (spec 5.3, ES-331): known unicast by VLAN and address, unknown
// unicast to uplinks and learning ports only, broadcast and multicast to all connected ports, never back to the source. It also
// enforces the standard source policy (ES-332).
//
// The rule it must not break: nothing is allocated per packet; lists of destinations are rebuilt only when the port table changed.
import * as layout from '../kernels/layout.ts'
import { ANYWHERE, type Batch } from '../ndis/batch.ts'
import { appendDestination } from '../ndis/destinations.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import { HELD_FIRST, type PacketPool } from '../ndis/pool.ts'
import { type Counters, PortCounter } from './counters.ts'
import type { MacTable } from './mac-table.ts'
import { PortFlag, type PortTable } from './port-table.ts'
import { type Snooping, TO_TARGETS } from './snooping/snooping.ts'
import { VlanPolicy } from './vlan-policy.ts'

const { DE_PORT, DE_PRESERVE_PRIORITY, DE_PRESERVE_VLAN, HEADER_STRIDE, PF_BROADCAST, PF_MULTICAST, PF_TAGGED } = layout
const KEEP_ALL = DE_PRESERVE_VLAN | DE_PRESERVE_PRIORITY
const ETHERNET_HEADER = 14
// The group bit of a source address, in a header's second word.
const GROUP_SOURCE = 0x10000
const ETHERTYPE_ARP = 0x0806
const ARP_BYTES = 28
const ARP_SENDER_IP = 14

/** What forwarding tells the data path. */
export interface ForwardingOwner {
  /** Drops the packet at position `i` for `reason` and reports it at `port`. */
  refuse(batch: Batch, i: number, reason: number, port: number): void
  /** Port `port` sends from an address that failed over to it from another adapter of its VM. */
  failedOver(port: number, low: number, high: number): void
}

/** What limits unknown unicast frames of ports. */
export interface UnknownUnicastLimit {
  /** False if the frame in `slot` from port `source` is one too many. */
  admitsUnknown(slot: number, source: number): boolean
  /** True if those of `source` are limited. */
  limits(source: number): boolean
}

/** What mirrors ports. */
export interface SentMirror {
  /** True if a copy of what `source` sends is wanted. */
  wants(source: number): boolean
}

/** Fields are ordinary ones: `forward` runs per packet. */
export class Forwarding {
  private readonly pool: PacketPool
  private readonly ports: PortTable
  private readonly macs: MacTable
  private readonly counters: Counters
  private readonly owner: ForwardingOwner
  private generation = -1
  private readonly flood: Uint16Array
  private floodCount = 0
  private readonly unknown: Uint16Array
  private unknownCount = 0
  private readonly vlans: VlanPolicy
  /** True if a port has a VLAN property: then packets with tags, and those from or to such a port, are looked at by it. */
  vlanAware = false
  /** True if IP addresses of a port are learned: then its packets are looked at for it. */
  learnsIps = false
  /** A bit for each port that `forward` has found among the destinations, its id modulo 32; cleared by who wants to know. */
  reached = 0
  /** Bytes of the longest frame that every connected port takes. */
  frameMax = Number.POSITIVE_INFINITY
  /** Set if a port's unknown unicast frames are limited: then all of them come by here. */
  storms: UnknownUnicastLimit | undefined
  /** Who gets multicast frames, where IGMP and MLD are snooped. */
  snooping: Snooping | undefined
  /** In a dry run: IP addresses and groups, which stand in the ports' own table, are not learned. */
  learnsNothing = false
  /** Who copies what ports send, though nobody else gets it. */
  mirroring: SentMirror | undefined
  /** Seconds of the switch's clock, for ageing; set by the engine. */
  nowSeconds = 0

  constructor(pool: PacketPool, ports: PortTable, macs: MacTable, counters: Counters, owner: ForwardingOwner) {
    this.pool = pool
    this.ports = ports
    this.macs = macs
    this.counters = counters
    this.owner = owner
    this.flood = new Uint16Array(ports.ports)
    this.unknown = new Uint16Array(ports.ports)
    this.vlans = new VlanPolicy(pool, ports)
  }

  /** Rebuilds the lists of destinations if a port changed. */
  refresh(): void {
    const generation = this.ports.generation
    if (generation === this.generation) return
    this.generation = generation
    this.floodCount = 0
    this.unknownCount = 0
    this.vlanAware = false
    this.learnsIps = false
    this.frameMax = Number.POSITIVE_INFINITY
    for (let port = 1; port <= this.ports.highest; port++) {
      if (!this.ports.connected(port)) continue
      this.flood[this.floodCount++] = port
      if (this.ports.vlanMode(port) !== 0) this.vlanAware = true
      if (this.ports.ipLimit(port) !== 0) this.learnsIps = true
      const mtu = this.ports.mtu(port)
      if (mtu !== 0) this.frameMax = Math.min(this.frameMax, mtu + ETHERNET_HEADER)
      if ((this.ports.flags(port) & PortFlag.unknownUnicast) !== 0) this.unknown[this.unknownCount++] = port
    }
  }

  /** True if nothing is to be done with what `source` sends but to look its addresses up: no VLANs, no IP addresses. */
  isPlain(source: number, mayBeTagged: boolean): boolean {
    if (this.learnsOf(source)) return false
    return !this.vlanAware || (!mayBeTagged && this.ports.vlanMode(source) === 0)
  }

  /** True if IP addresses of `source` are learned: the short cut does not look for them. */
  learnsOf(source: number): boolean {
    return this.learnsIps && this.ports.ipLimit(source) !== 0
  }

  /**
   * The one port that a flood from `source` goes to whatever its VLAN is, or 0 if there are several or none; it may be of another VLAN.
   * `unknown`: of unknown unicast.
   */
  onlyTarget(source: number, unknown: boolean): number {
    if (unknown ? this.storms?.limits(source) === true : this.snooping !== undefined) return 0
    const list = unknown ? this.unknown : this.flood
    const count = unknown ? this.unknownCount : this.floodCount
    if (count === 1) return list[0] === source ? 0 : list[0]!
    if (count !== 2) return 0
    return list[0] === source ? list[1]! : list[1] === source ? list[0]! : 0
  }

  /**
   * Determines the destinations of the packets at positions `from`…`to - 1` (default: all) that have none; those that get none are
   * dropped with a reason.
   */
  forward(batch: Batch, from = 0, to = batch.length): void {
    const { pool, ports, macs } = this
    const { slots } = batch
    const { header32, headerOffset, flags, sourcePort, destinationCount } = pool
    for (let i = from; i < to; i++) {
      const slot = slots[i]!
      const kind = flags[slot]!
      if (destinationCount[slot] !== 0) {
        this.noteReached(slot) // by native forwarding, or by the short cut
        continue
      }
      if ((headerOffset[slot]! & 3) !== 0) this.align(slot)
      const at = (slot * HEADER_STRIDE + headerOffset[slot]!) >> 2
      const first = header32[at]!
      const second = header32[at + 1]!
      const source = sourcePort[slot]!
      let vlan = 0
      if (source !== 0) {
        const policy = ports.flags(source)
        vlan = ports.vlan(source)
        if (this.vlanAware) {
          this.member = this.vlans.classify(slot, source)
          if (this.member < 0) {
            this.owner.refuse(batch, i, DropReason.vlan, source)
            continue
          }
          vlan = this.vlans.addressVlan
          batch.mayBeTagged ||= this.member !== 0
        } else if (vlan === 0 && (kind & PF_TAGGED) !== 0) vlan = pool.vlan[slot]! & 0xfff
        if ((policy & PortFlag.checkSource) !== 0) {
          const low = header32[at + 2]! | 0
          if (low !== ports.macLow(source) || second >>> 16 !== ports.macHigh(source)) {
            if (!ports.teamAddress(source, low, second >>> 16)) {
              this.owner.refuse(batch, i, DropReason.macSpoofing, source)
              continue
            }
            this.owner.failedOver(source, low, second >>> 16) // ES-527
          }
        } else if ((policy & PortFlag.learn) !== 0) {
          if ((second & GROUP_SOURCE) === 0) macs.learn(header32[at + 2]! | 0, second >>> 16, vlan, source, this.nowSeconds)
          else if ((policy & PortFlag.external) === 0) {
            this.owner.refuse(batch, i, DropReason.macSpoofing, source) // ES-526: of any station, and none has a group's address
            continue
          }
        }
        if (this.learnsIps && pool.etherType[slot] === ETHERTYPE_ARP && ports.ipLimit(source) !== 0) this.learnIp(slot, source)
      } else if (this.vlanAware) this.member = this.vlans.classify(slot, 0)
      if ((kind & PF_MULTICAST) !== 0) {
        if ((kind & PF_BROADCAST) === 0 && first === 0x00c28001 && (second & 0xf0ff) === 0) {
          this.owner.refuse(batch, i, DropReason.reservedMulticast, source) // 01-80-C2-00-00-0x never leaves its link (802.1D 7.12.6)
          continue
        }
        if (this.snooping !== undefined && (kind & PF_BROADCAST) === 0) this.snooped(batch, i, slot, this.snooping)
        else this.spread(batch, i, slot, source, this.flood, this.floodCount)
        continue
      }
      const low = (first >>> 16) | (second << 16)
      let target = macs.lookup(low, first & 0xffff, vlan)
      // Addresses of the configuration are known without a VLAN: their ports take tagged frames unless a property says otherwise.
      if (target < 0 && vlan !== 0) target = macs.lookupStatic(low, first & 0xffff)
      if (target < 0) {
        if (this.storms !== undefined && !this.storms.admitsUnknown(slot, source)) {
          this.owner.refuse(batch, i, DropReason.stormLimit, source)
          continue
        }
        this.spread(batch, i, slot, source, this.unknown, this.unknownCount)
        continue
      }
      if (target === source) {
        this.unreceived(batch, i, DropReason.hairpin, source)
        continue
      }
      if (!ports.connected(target)) {
        this.unreceived(batch, i, DropReason.destinationNotConnected, target)
        continue
      }
      if (this.vlanAware && !this.vlans.admits(target, this.member)) {
        this.owner.refuse(batch, i, DropReason.vlan, target) // ES-365
        continue
      }
      this.give(slot, target)
    }
  }

  // The sender's address of an ARP packet for IPv4 over Ethernet; a probe has none (RFC 5227). ES-530
  private learnIp(slot: number, source: number): void {
    if (this.learnsNothing) return
    const { header8, headerOffset, headerLength, l3 } = this.pool
    const arp = l3[slot]!
    if (headerLength[slot]! < arp + ARP_BYTES) return
    const at = slot * HEADER_STRIDE + headerOffset[slot]! + arp
    const isIpv4 = header8[at + 2] === 0x08 && header8[at + 3] === 0 && header8[at + 4] === 6 && header8[at + 5] === 4
    const sender = at + ARP_SENDER_IP
    const address = (header8[sender]! << 24) | (header8[sender + 1]! << 16) | (header8[sender + 2]! << 8) | header8[sender + 3]!
    if (isIpv4 && address !== 0) this.ports.learnIp(source, address)
  }

  // The VLAN of the packet in work.
  private member = 0

  private noteReached(slot: number): void {
    const { pool } = this
    this.reached |= pool.destinationRoom[slot] === 0 ? 1 << (pool.destination[slot]! & DE_PORT) : ANYWHERE
  }

  // One more destination. A slot of the burst may have an array of a packet before it.
  private give(slot: number, port: number): boolean {
    const { pool } = this
    this.reached |= 1 << port
    const entry = port | (this.vlanAware ? this.vlans.preserve(port, this.member) : KEEP_ALL)
    if (slot < HELD_FIRST && pool.destinationCount[slot] === 0) {
      pool.destination[slot] = entry
      pool.destinationCount[slot] = 1
      pool.destinationRoom[slot] = 0
      return true
    }
    return appendDestination(pool, slot, entry)
  }

  /** Nobody gets the packet at position `i`: it is dropped, unless mirroring has use for it, which then does so. */
  unreceived(batch: Batch, i: number, reason: number, port: number): void {
    const slot = batch.slots[i]!
    if (this.mirroring?.wants(this.pool.sourcePort[slot]!)) this.pool.reason[slot] = reason
    else this.owner.refuse(batch, i, reason, port)
  }

  // Multicast frames go where snooping says. Out of `forward`, which stays small.
  private snooped(batch: Batch, i: number, slot: number, snooping: Snooping): void {
    const { pool } = this
    const source = pool.sourcePort[slot]!
    const tag = (pool.flags[slot]! & PF_TAGGED) !== 0 ? pool.vlan[slot]! & 0xfff : 0
    const own = this.vlanAware ? this.vlans.addressVlan : source === 0 ? 0 : this.ports.vlan(source)
    const verdict = snooping.place(
      slot,
      source,
      own === 0 && !this.vlanAware ? tag : own,
      this.nowSeconds * 10,
      !this.learnsNothing,
    )
    if (verdict > 0) this.owner.refuse(batch, i, verdict, source)
    else if (verdict === TO_TARGETS)
      this.spreadTo(batch, i, slot, source, snooping.targets, snooping.targetCount, snooping.emptyReason)
    else this.spread(batch, i, slot, source, this.flood, this.floodCount)
  }

  private spread(batch: Batch, i: number, slot: number, source: number, list: Uint16Array, count: number): void {
    this.counters.port(source, PortCounter.floodedFrames, 1)
    this.spreadTo(batch, i, slot, source, list, count, DropReason.noDestination)
  }

  // Destinations = the list without the source and the ports of other VLANs. One stays inline; more take room in an arena.
  private spreadTo(
    batch: Batch,
    i: number,
    slot: number,
    source: number,
    list: Uint16Array,
    count: number,
    emptyReason: number,
  ): void {
    for (let k = 0; k < count; k++) {
      const port = list[k]!
      if (port === source || (this.vlanAware && !this.vlans.admits(port, this.member))) continue
      if (!this.give(slot, port)) {
        this.pool.destinationCount[slot] = 0
        this.owner.refuse(batch, i, DropReason.noResources, source)
        return
      }
    }
    if (this.pool.destinationCount[slot] === 0) this.unreceived(batch, i, emptyReason, source)
  }

  // A header that was moved by an odd number of bytes (an encapsulation) goes to an aligned place: words are read below.
  private align(slot: number): void {
    const { header8, headerOffset, headerLength } = this.pool
    const from = slot * HEADER_STRIDE + headerOffset[slot]!
    const to = from & ~3
    header8.copyWithin(to, from, from + headerLength[slot]!)
    headerOffset[slot] = to - slot * HEADER_STRIDE
  }
}
