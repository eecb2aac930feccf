// Assigns the packets of a burst to receive queues (spec 5.4): the adapter's packet filter, then the queues' filters, then the default
// queue. The queue id goes into the out-of-band cell of each packet; the filter id there is always zero.
//
// The rule it must not break: a packet is given to a queue other than 0 only if all tests of one of the queue's filters passed (VQ-104);
// nothing is allocated.
import * as layout from '../../kernels/layout.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { PacketFilter } from '../vport-table.ts'
import { Encapsulation } from './encapsulation.ts'
import type { QueueFilterTable } from './queue-filter-table.ts'
import type { QueueTable } from './queue-table.ts'
import type { QueueTables } from './queue-tables.ts'
import { OperationalState, QUEUES_MAX } from './queue-words.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { HEADER_STRIDE, PF_BROADCAST, PF_DROPPED, PF_MULTICAST, PF_TAGGED, PF_VLAN_OOB } = layout
const { directed, multicast, allMulticast, broadcast, promiscuous } = PacketFilter
const { running } = OperationalState
const { noDestination } = DropReason
const PROTOCOL_GRE = 47
const VLAN_MASK = 0xfff
const QUEUE_COUNT: number = QUEUES_MAX
/** Destinations that are remembered, a power of two: a burst has at most 64. */
const RECENT: number = layout.QUEUE_IDS
/** No address and VLAN: ids end at 4095. */
const NEVER = -1
/** Flags of packets that more than the destination address decides about. */
const NOT_PLAIN = PF_DROPPED | PF_MULTICAST | PF_TAGGED | PF_VLAN_OOB

/** Fields are ordinary ones: `classify` runs per burst. */
export class QueueClassifier {
  private readonly pool: PacketPool
  private readonly queues: QueueTable
  private readonly filters: QueueFilterTable
  private readonly inside: Encapsulation
  private generation = -1
  private encapsulation = false
  private packetFilter = 0
  // Queues that run, and destinations decided lately with their queues (octets 0 to 3; octets 4, 5 and the VLAN), as of a generation.
  private readonly runs = new Uint8Array(QUEUE_COUNT)
  private readonly recentFirst: Int32Array
  private readonly recentRest: Int32Array
  private readonly recentQueue: Int16Array
  /** Look-ups in the filter table, ever. */
  lookUps = 0

  /** `block`: linear address of QUEUE_BLOCK_BYTES, where a kernel finds what was decided lately. */
  constructor(pool: PacketPool, tables: QueueTables, buffer: ArrayBufferLike, block: number) {
    this.pool = pool
    this.recentFirst = new Int32Array(buffer, block + layout.QB_RECENT_FIRST, RECENT)
    this.recentRest = new Int32Array(buffer, block + layout.QB_RECENT_REST, RECENT)
    this.recentQueue = new Int16Array(buffer, block + layout.QB_RECENT_QUEUE, RECENT)
    this.queues = tables.queues
    this.filters = tables.filters
    this.inside = new Encapsulation(pool)
  }

  /**
   * Writes the queue of slots `first`…`first + count - 1`, which have been parsed, to `pool.receiveQueue`. A packet that the packet filter
   * does not want becomes a dropped one. Returns the queue of all of them, or -1 if they are of several. Allocates nothing.
   */
  classify(first: number, count: number): number {
    const { pool } = this
    const { flags, receiveQueue, header32, headerOffset } = pool
    this.follow()
    const { encapsulation } = this
    let common = -2
    // Frames in a row often have one destination: the header's words of the untagged one before, and its queue.
    let lastFirst = 0
    let lastSecond = NEVER
    let lastQueue = 0
    for (let slot = first; slot < first + count; slot++) {
      const kind = flags[slot]!
      const at = (slot * HEADER_STRIDE + headerOffset[slot]!) >> 2
      const isPlain = !encapsulation && (kind & NOT_PLAIN) === 0 && (headerOffset[slot]! & 3) === 0
      let queue = 0
      if (isPlain && header32[at]! === lastFirst && (header32[at + 1]! & 0xffff) === lastSecond) queue = lastQueue
      else if ((kind & PF_DROPPED) === 0) {
        queue = (kind & PF_MULTICAST) !== 0 ? this.group(kind) : this.station(slot, kind)
        if (queue < 0) {
          this.refuse(slot)
          queue = 0
        } else if (isPlain) {
          lastFirst = header32[at]!
          lastSecond = header32[at + 1]! & 0xffff
          lastQueue = queue
        }
      }
      receiveQueue[slot] = queue // VQ-108
      common = common === -2 || common === queue ? queue : -1
    }
    return common
  }

  /** Forgets what was decided before the queues or their filters changed. */
  follow(): void {
    if (this.queues.generation !== this.generation) this.refresh()
  }

  /** Packets are looked into for an inner header: those to one address may be of several queues. */
  get looksInside(): boolean {
    return this.encapsulation
  }

  private refresh(): void {
    this.generation = this.queues.generation
    this.encapsulation = this.queues.encapsulation
    this.packetFilter = this.queues.packetFilter
    this.recentRest.fill(NEVER)
    for (let queue = 0; queue < this.queues.queues; queue++) this.runs[queue] = this.queues.state(queue) === running ? 1 : 0
  }

  // Groups have no filters: the default queue, if the packet filter wants them.
  private group(kind: number): number {
    const wanted = (kind & PF_BROADCAST) !== 0 ? broadcast : multicast | allMulticast
    return (this.packetFilter & (wanted | promiscuous)) !== 0 ? 0 : -1
  }

  private station(slot: number, kind: number): number {
    const { pool } = this
    const { header8, header32 } = pool
    const at = slot * HEADER_STRIDE + pool.headerOffset[slot]!
    const vlan = (kind & (PF_TAGGED | PF_VLAN_OOB)) !== 0 ? pool.vlan[slot]! & VLAN_MASK : 0
    // Octets 0 to 3 and 4 to 5, as the header's words have them.
    const aligned = (at & 3) === 0
    const first = aligned ? header32[at >> 2]! | 0 : wordAt(header8, at)
    const second = aligned ? header32[(at >> 2) + 1]! & 0xffff : header8[at + 4]! | (header8[at + 5]! << 8)
    if (this.encapsulation && pool.protocol[slot] === PROTOCOL_GRE && this.inside.parse(slot)) {
      const own = this.isOwn(first, second)
      const { frame } = this.inside // VQ-159, VQ-160; without an inner Ethernet header the outer one decides (VQ-161)
      return this.accept(this.decideInner(wordAt(header8, frame), header8[frame + 4]! | (header8[frame + 5]! << 8), vlan), own)
    }
    const rest = second | (vlan << 16)
    const place = (second ^ (second >>> 8) ^ vlan) & (RECENT - 1)
    if (this.recentRest[place] === rest && this.recentFirst[place] === first) return this.recentQueue[place]!
    this.lookUps++
    const matched = this.filters.match(lowOf(first, second), first & 0xffff, vlan, false) // VQ-087 to VQ-092
    const queue = this.accept(matched, this.isOwn(first, second))
    this.recentFirst[place] = first
    this.recentRest[place] = rest
    this.recentQueue[place] = queue
    return queue
  }

  // The adapter's own address.
  private isOwn(first: number, second: number): boolean {
    return lowOf(first, second) === this.queues.macLow && (first & 0xffff) === this.queues.macHigh
  }

  // Filters for either kind of address test the inner one (VQ-160, VQ-176); the lower queue decides.
  private decideInner(first: number, second: number, vlan: number): number {
    const low = lowOf(first, second)
    this.lookUps++
    const plain = this.filters.match(low, first & 0xffff, vlan, false)
    const inner = this.filters.match(low, first & 0xffff, vlan, true)
    if (plain <= 0) return inner < 0 ? plain : inner
    return inner > 0 && inner < plain ? inner : plain
  }

  // The queue of a packet whose address matched a filter of `matched` (-1: none), or -1 if it is not received at all.
  private accept(matched: number, own: boolean): number {
    const wanted = matched >= 0 || own ? directed | promiscuous : promiscuous
    if ((this.packetFilter & wanted) === 0) return -1
    return matched > 0 && this.runs[matched] !== 0 ? matched : 0 // VQ-051, VQ-065
  }

  private refuse(slot: number): void {
    const { pool } = this
    pool.flags[slot] = pool.flags[slot]! | PF_DROPPED
    pool.reason[slot] = noDestination
  }
}

// Octets 2 to 5 of an address whose octets 0 to 3 and 4 to 5 are given.
const lowOf = (first: number, second: number): number => (first >>> 16) | (second << 16)

const wordAt = (bytes: Uint8Array, at: number): number =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)

/** A packet filter that lets everything in. */
export const RECEIVE_EVERYTHING: number = directed | multicast | broadcast | promiscuous
