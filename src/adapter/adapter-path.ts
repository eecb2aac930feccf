// The data path of an SR-IOV adapter on one processor: a burst goes from a VPort's queue, or from the wire, through the NIC switch to
// its destinations, one copy each. It shares the packet pool and the kernels with the extensible switch's data path and nothing else:
// no extension ever sees a frame that goes from VF to VF or between VF and wire (SR-014, SR-238).
//
// Where the extensible switch stands above the default VPort, packets pass between the two without a copy, in their slots: those for the
// switch when all other destinations of their burst are served (host-port.ts), those of the switch in the middle of its delivery (`send`).
//
// The rule it must not break: every frame taken is delivered, or counted as dropped with a reason; nothing is allocated; a VPort whose
// ring is full loses its own frames only (PD-07).
import * as layout from '../kernels/layout.ts'
import type { DropReason } from '../ndis/drop-reasons.ts'
import type { PacketPool } from '../ndis/pool.ts'
import { type Counters, PortCounter, ProcessorCounter } from '../switch/counters.ts'
import type { SourceQueue } from '../switch/data-path.ts'
import type { Delivery } from '../switch/delivery.ts'
import { Admission, closedReason } from './admission.ts'
import { BorrowedPackets } from './borrowed-packets.ts'
import type { DirectPath, MayBeDirect } from './direct-path.ts'
import type { FilterTable } from './filter-table.ts'
import type { GroupTable } from './group-table.ts'
import type { HostPort } from './host-port.ts'
import { NicSwitchForwarding } from './nic-switch-forwarding.ts'
import type { RateLimits } from './rate-limits.ts'
import { insertTag, stripTag, tagType } from './tags.ts'
import { VPortFlag, type VPortTable } from './vport-table.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { BURST_MAX, BURST_SLOTS, DE_PORT, DIRECT_MAX, HEADER_STRIDE, PF_DROPPED, PF_MULTICAST, PF_TAGGED } = layout
const { strip, vf, access } = VPortFlag
const DEFAULT_VPORT = 0
/** Frames taken behind a frame that ended a direct run: soon enough the direct path is asked again. */
const AFTER_DIRECT = 8
const burstMax: number = BURST_MAX
const directMax: number = DIRECT_MAX

/** What the path works with. Delivery and counters are the adapter's own: their port ids are VPort ids, and `vports` for the wire. */
export interface AdapterPathComponents {
  readonly pool: PacketPool
  readonly vports: VPortTable
  readonly filters: FilterTable
  readonly groups: GroupTable
  readonly rates: RateLimits
  readonly counters: Counters
  readonly delivery: Delivery
  /** Milliseconds, monotonic, fractional. */
  readonly nowMs: () => number
  /** Takes what is simple from ring to ring; without it everything goes through the pool. */
  readonly direct?: DirectPath
}

/** Fields are ordinary ones: they are read per packet. */
export class AdapterPath {
  private readonly pool: PacketPool
  private readonly vports: VPortTable
  private readonly filters: FilterTable
  private readonly rates: RateLimits
  private readonly counters: Counters
  private readonly delivery: Delivery
  private readonly nowMs: () => number
  private readonly direct: DirectPath | undefined
  private readonly admission: Admission
  private readonly forwarding: NicSwitchForwarding
  /** What takes the frames for the default VPort; its queue stands in the delivery. Without one they are somebody else's. */
  host: HostPort | undefined
  private readonly borrowed: BorrowedPackets
  /** Slots 0, 1, 2…: those of a burst that a queue has filled. */
  private readonly filled = Uint16Array.from({ length: BURST_MAX }, (_, slot) => slot)
  /** Of each packet of the burst: the type of the tag that it has or had; 0 = none. */
  private readonly tagTypes = new Uint16Array(BURST_SLOTS)
  // Of the burst in work.
  private tags = 0
  // The untagged unicast destination decided last, and what was decided: frames of a burst often go where the one before went.
  private lastFirst = 0
  private lastSecond = 0
  private lastTarget = -1
  private needs = 0
  private bytes = 0

  constructor(components: AdapterPathComponents) {
    const { pool, vports, filters, groups } = components
    this.pool = pool
    this.vports = vports
    this.filters = filters
    this.rates = components.rates
    this.counters = components.counters
    this.delivery = components.delivery
    this.nowMs = components.nowMs
    this.direct = components.direct
    this.borrowed = new BorrowedPackets(pool)
    this.admission = new Admission(pool, vports, filters)
    this.forwarding = new NicSwitchForwarding(pool, vports, filters, groups)
  }

  /**
   * Takes one burst from `queue` of VPort `vport` (or of the wire: `vports`) through the NIC switch. Returns the packets taken; 0 too
   * while the VPort is over its rate. They are given back to their owner whatever happens in between.
   */
  turn(queue: SourceQueue & MayBeDirect, vport: number): number {
    const { rates } = this
    const limited = vport !== this.vports.wire && rates.limits(vport)
    const room = limited ? rates.allowance(vport, this.nowMs() * 1000) : directMax
    if (room === 0) return 0
    const { direct } = this
    if (direct === undefined || queue.direct === undefined) return this.pooled(queue, vport, Math.min(room, burstMax))
    const taken = direct.turn(queue.direct, vport, room)
    if (taken === 0) return direct.rest ? this.pooled(queue, vport, Math.min(room, burstMax)) : 0
    rates.charge(vport, direct.bytes)
    const left = direct.rest ? Math.min(room - taken, AFTER_DIRECT) : 0
    return left === 0 ? taken : taken + this.pooled(queue, vport, left)
  }

  // A burst of at most `room` frames through the pool.
  private pooled(queue: SourceQueue, vport: number, room: number): number {
    const taken = queue.receive(0, room)
    if (taken === 0) return 0
    const { host } = this
    try {
      this.pool.arenaUsed = 0
      this.burst(this.filled, taken, vport)
      if (host !== undefined && host.waiting !== 0) host.handOver()
    } finally {
      queue.complete(0, taken)
    }
    host?.settle()
    return taken
  }

  /**
   * Takes packets that the switch above is delivering, `count` slots from `list[first]` on, as a burst from the default VPort. When
   * it returns they are as they were, destinations and tags included.
   */
  send(list: Uint16Array, first: number, count: number): void {
    const { borrowed } = this
    borrowed.take(list, first, count)
    try {
      this.burst(borrowed.slots, count, DEFAULT_VPORT)
      if (this.tags !== 0) this.retag(borrowed.slots, count)
    } finally {
      borrowed.giveBack()
    }
  }

  /** As `turn`, for a queue of the PF: a VPort id that does not exist any more counts as the default VPort (SR-230). */
  turnOfPf(queue: SourceQueue, vport: number): number {
    const exists = vport > 0 && vport < this.vports.vports && (this.vports.flags(vport) & VPortFlag.active) !== 0
    return this.turn(queue, exists ? vport : DEFAULT_VPORT)
  }

  private burst(slots: Uint16Array, taken: number, source: number): void {
    const { pool, counters, vports, admission, forwarding } = this
    const { flags, length, needs, header32, destination, destinationCount, destinationRoom } = pool
    this.tags = 0
    this.needs = 0
    this.bytes = 0
    forwarding.refresh()
    const policy = vports.flags(source)
    const closed = closedReason(policy)
    const ownLow = vports.macLow(source)
    const ownHigh = vports.macHigh(source)
    const plain = closed === 0 && (policy & (vf | access)) === vf && vports.admits(source, 0) && !this.filters.hasInner
    this.lastTarget = -1
    let frames = 0
    let multicasts = 0
    for (let i = 0; i < taken; i++) {
      const slot = slots[i]!
      destinationCount[slot] = 0
      const kind = flags[slot]!
      if ((kind & PF_DROPPED) !== 0) {
        this.drop(source, pool.reason[slot]!)
        continue
      }
      frames++
      this.bytes += length[slot]!
      multicasts += (kind & PF_MULTICAST) >> 2
      if ((pool.headerOffset[slot]! & 3) !== 0) this.align(slot)
      const at = (slot * HEADER_STRIDE + pool.headerOffset[slot]!) >> 2
      if (plain && this.lastTarget >= 0 && (kind & (PF_MULTICAST | PF_TAGGED)) === 0) {
        const second = header32[at + 1]!
        const own = (header32[at + 2]! | 0) === ownLow && second >>> 16 === ownHigh
        if (own && header32[at] === this.lastFirst && (second & 0xffff) === this.lastSecond) {
          destination[slot] = this.lastTarget
          destinationCount[slot] = 1
          destinationRoom[slot] = 0
          this.needs |= needs[slot]!
          continue
        }
      }
      const refused = closed !== 0 ? closed : admission.check(slot, source, policy)
      const reason = refused !== 0 ? refused : forwarding.decide(slot, source, admission.vlan)
      if (reason !== 0) {
        destinationCount[slot] = 0
        this.drop(source, reason)
        continue
      }
      this.tags |= flags[slot]! & PF_TAGGED
      this.needs |= needs[slot]!
      if ((kind & (PF_MULTICAST | PF_TAGGED)) === 0 && destinationRoom[slot] === 0) {
        this.lastFirst = header32[at]!
        this.lastSecond = header32[at + 1]! & 0xffff
        this.lastTarget = destination[slot]!
      }
    }
    counters.port(source, PortCounter.receivedFrames, frames)
    counters.port(source, PortCounter.receivedBytes, this.bytes)
    if (multicasts !== 0) counters.port(source, PortCounter.receivedMulticast, multicasts)
    counters.processor(ProcessorCounter.bursts, 1)
    counters.processor(ProcessorCounter.frames, taken)
    if (source !== vports.wire) this.rates.charge(source, this.bytes)
    if (this.tags === 0) this.deliverAll(slots, taken)
    else this.deliverTagged(slots, taken)
  }

  private drop(vport: number, reason: DropReason): void {
    this.counters.drop(vport, reason, 1)
    this.counters.port(vport, PortCounter.receivedDropped, 1)
  }

  // No frame of the burst has a tag: all go out as they are.
  private deliverAll(slots: Uint16Array, taken: number): void {
    const { pool, delivery } = this
    const { destination, destinationCount, destinationRoom, length } = pool
    for (let i = 0; i < taken; i++) {
      const slot = slots[i]!
      if (destinationCount[slot] === 1 && destinationRoom[slot] === 0) {
        const target = destination[slot]! & DE_PORT
        if (this.open(target)) delivery.add(target, slot, length[slot]!)
      } else this.spread(slot, -1)
    }
    delivery.flush(this.needs, false)
  }

  // Ports that take frames without tag first, then those that take them as they are on the wire. A port is always of one kind, so
  // the order of its frames is kept.
  private deliverTagged(slots: Uint16Array, taken: number): void {
    const { pool, tagTypes, delivery } = this
    const { flags, destinationCount } = pool
    for (let i = 0; i < taken; i++) {
      const slot = slots[i]!
      tagTypes[i] = 0
      if (destinationCount[slot] === 0) continue
      if ((flags[slot]! & PF_TAGGED) !== 0) tagTypes[i] = tagType(pool, slot)
      if (tagTypes[i] !== 0 && this.has(slot, strip)) stripTag(pool, slot)
      this.spread(slot, strip)
    }
    delivery.flush(this.needs, false)
    for (let i = 0; i < taken; i++) {
      const slot = slots[i]!
      if (destinationCount[slot] === 0 || !this.has(slot, 0)) continue
      if (tagTypes[i] !== 0) this.retagOne(slot, tagTypes[i]!)
      this.spread(slot, 0)
    }
    delivery.flush(this.needs, false)
  }

  private retagOne(slot: number, type: number): void {
    const { pool } = this
    if ((pool.flags[slot]! & PF_TAGGED) === 0) insertTag(pool, slot, type, pool.vlan[slot]!)
  }

  // Puts back what was stripped.
  private retag(slots: Uint16Array, taken: number): void {
    for (let i = 0; i < taken; i++) if (this.tagTypes[i] !== 0) this.retagOne(slots[i]!, this.tagTypes[i]!)
  }

  // True if a destination of the packet takes frames as `form` says: strip = without tag, 0 = as they are.
  private has(slot: number, form: number): boolean {
    const { pool, vports } = this
    if (pool.destinationRoom[slot] === 0) return (vports.flags(pool.destination[slot]! & DE_PORT) & strip) === form
    const first = pool.destinationOffset[slot]!
    for (let k = first; k < first + pool.destinationCount[slot]!; k++)
      if ((vports.flags(pool.arena[k]! & DE_PORT) & strip) === form) return true
    return false
  }

  // Puts the packet on the lists of its destinations of one form, or of all (-1).
  private spread(slot: number, form: number): void {
    const { pool } = this
    const count = pool.destinationCount[slot]!
    if (count === 0) return
    if (pool.destinationRoom[slot] === 0) {
      this.give(pool.destination[slot]! & DE_PORT, slot, form)
      return
    }
    const first = pool.destinationOffset[slot]!
    for (let k = first; k < first + count; k++) this.give(pool.arena[k]! & DE_PORT, slot, form)
  }

  private give(target: number, slot: number, form: number): void {
    if (form >= 0 && (this.vports.flags(target) & strip) !== form) return
    if (this.open(target)) this.delivery.add(target, slot, this.pool.length[slot]!)
  }

  // Counts a frame for a VPort that is closed; true if it is open.
  private open(target: number): boolean {
    const reason = closedReason(this.vports.flags(target))
    if (reason === 0) return true
    this.counters.drop(target, reason, 1)
    this.counters.port(target, PortCounter.sendDropped, 1)
    return false
  }

  // A header that starts at an odd place goes to an aligned one: words are read.
  private align(slot: number): void {
    const { header8, headerOffset, headerLength } = this.pool
    const from = slot * HEADER_STRIDE + headerOffset[slot]!
    const to = from & ~3
    header8.copyWithin(to, from, from + headerLength[slot]!)
    headerOffset[slot] = to - slot * HEADER_STRIDE
  }
}
