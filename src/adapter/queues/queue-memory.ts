// The memory of a receive queue: a ring of bytes in shared memory in which packets wait for the queue's processor. Any processor appends
// under the queue's lock, taken once per batch; one reads at a time. A record is a packet's description and its bytes in one piece.
//
// The rule it must not break: packets leave in the order in which they came (VQ-114), and a record is given back only when its packet,
// and all before it, have been returned.
import type { PacketKernels } from '../../kernels/by-packet.ts'
import * as layout from '../../kernels/layout.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import type { SourceQueue } from '../../switch/data-path.ts'
import type { QueueTable } from './queue-table.ts'
import { OperationalState } from './queue-words.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { HEADER_COPY, HEADER_START, HEADER_STRIDE, PF_DATA_VALID, PF_VLAN_OOB, POOL_SLOTS, SEGMENTS_MAX, VNET_STRIDE } = layout
const { running } = OperationalState

// A record: bytes of the frame (or SKIP), flags and tag, needs, then the virtio-net header, then the frame.
const R_LENGTH = 0
const R_FLAGS = 1
const R_NEEDS = 2
const R_VNET = 4
const RECORD_BYTES = 32
const ALIGNMENT = 16
/** The rest of the memory up to its end is not used. */
const SKIP = 0xffffffff
const FLAGS = PF_DATA_VALID | PF_VLAN_OOB
const TAG_SHIFT = 16
/** Packets of one queue that may be out at a time. */
export const PACKETS_OUT_MAX = 256
const OUT_MASK = PACKETS_OUT_MAX - 1
const VNET_WORDS: number = VNET_STRIDE >> 2

/** What queues' memory lies in, and what copies there. */
export interface QueueMemoryComponents {
  /** Shared memory from linear address 0 on. */
  readonly buffer: ArrayBufferLike
  readonly pool: PacketPool
  readonly kernels: PacketKernels
  readonly queues: QueueTable
  /** Port of the extensible switch that the adapter is connected to: the source of its packets. */
  readonly sourcePort: number
}

const recordBytes = (length: number): number => RECORD_BYTES + ((length + ALIGNMENT - 1) & ~(ALIGNMENT - 1))

/** Records of a queue between two positions. `u32` views shared memory from linear address 0 on. */
function recordsBetween(u32: Uint32Array, queues: QueueTable, queue: number, from: number, to: number): number {
  const base = queues.address(queue)
  const mask = queues.bytes(queue) - 1
  let count = 0
  for (let at = from; at !== to; ) {
    const length = u32[(base + (at & mask)) >> 2]!
    if (length !== SKIP) count++
    at = (at + (length === SKIP ? mask + 1 - (at & mask) : recordBytes(length))) | 0
  }
  return count
}

/**
 * Throws away what waits in the memory of a queue that nobody writes to any more, unless a processor reads it just now (which does so
 * itself then). Returns how many packets that were. Control thread; shared memory must be viewed from linear address 0 on.
 */
export function discardWaiting(queues: QueueTable, queue: number): number {
  if (!queues.takeAsControl(queue)) return 0
  const tail = queues.tail(queue)
  const count = recordsBetween(new Uint32Array(queues.words.buffer), queues, queue, queues.head(queue), tail)
  queues.giveBack(queue, tail, true)
  return count
}

/** Appends packets to queues' memory. One per processor. Fields are ordinary ones: `append` runs per packet. */
export class QueueWriter {
  private readonly u32: Uint32Array
  private readonly pool: PacketPool
  private readonly kernels: PacketKernels
  private readonly queues: QueueTable
  private readonly vnet32: Uint32Array

  constructor({ buffer, pool, kernels, queues }: QueueMemoryComponents) {
    this.u32 = new Uint32Array(buffer)
    this.pool = pool
    this.kernels = kernels
    this.queues = queues
    this.vnet32 = new Uint32Array(buffer, pool.vnet.byteOffset, pool.vnet.length >> 2)
  }

  /**
   * Appends the packets in slots `slots[from…from + count - 1]` to a queue's memory, one copy each, and publishes them at once. Returns how
   * many it took; the others found no room, or the queue does not run. Allocates nothing.
   */
  append(queue: number, slots: Uint16Array, from: number, count: number): number {
    const { queues } = this
    if (!queues.lock(queue)) return 0
    let done = 0
    // Looked at under the lock: when the control thread has had it after stopping the queue, nobody writes there (VQ-125).
    if (queues.state(queue) === running) {
      let tail = queues.tail(queue)
      for (; done < count; done++) {
        const next = this.put(queue, tail, slots[from + done]!)
        if (next === tail) break
        tail = next
      }
      queues.publish(queue, tail)
    }
    queues.unlock(queue)
    return done
  }

  // Writes one record at position `tail` of the queue; returns the position behind it, or `tail` without room.
  private put(queue: number, tail: number, slot: number): number {
    const { queues, pool, u32 } = this
    const bytes = queues.bytes(queue)
    const length = pool.length[slot]!
    const wanted = recordBytes(length)
    let at = tail & (bytes - 1)
    const skipped = at + wanted > bytes ? bytes - at : 0
    if (((tail - queues.head(queue)) | 0) + skipped + wanted > bytes) return tail
    const base = queues.address(queue)
    if (skipped !== 0) {
      u32[(base + at) >> 2] = SKIP
      at = 0
    }
    const record = (base + at) >> 2
    const flags = pool.flags[slot]! & FLAGS
    u32[record + R_LENGTH] = length
    u32[record + R_FLAGS] = flags | ((flags & PF_VLAN_OOB) !== 0 ? pool.vlan[slot]! << TAG_SHIFT : 0)
    u32[record + R_NEEDS] = pool.needs[slot]!
    for (let i = 0; i < VNET_WORDS; i++) u32[record + R_VNET + i] = this.vnet32[slot * VNET_WORDS + i]!
    if (this.kernels.copyFrame(pool.base, slot, 0, length, base + at + RECORD_BYTES) !== length) return tail
    return (tail + skipped + wanted) | 0
  }
}

/**
 * Takes packets out of one queue's memory into pool slots, on the processor that the queue belongs to: the source of a burst, as an
 * endpoint's queue is. Packets may come back in any grouping and order (VQ-116). One per queue and processor.
 */
export class QueueReader implements SourceQueue {
  private readonly components: QueueMemoryComponents
  private readonly queue: number
  private readonly processor: number
  private readonly u32: Uint32Array
  private readonly u8: Uint8Array
  private readonly vnet32: Uint32Array
  // Packets that are out, oldest first: where each ends, and whether it has come back.
  private readonly ends = new Int32Array(PACKETS_OUT_MAX)
  private readonly back = new Uint8Array(PACKETS_OUT_MAX)
  private oldest = 0
  private newest = 0
  private next = 0
  /** 1 + place among those that are out of the packet in a slot, 0 = none of ours. */
  private readonly held = new Uint16Array(POOL_SLOTS)
  /** Packets that were discarded because the queue did not run any more. */
  discarded = 0

  constructor(components: QueueMemoryComponents, queue: number, processor: number) {
    const { buffer, pool } = components
    this.components = components
    this.queue = queue
    this.processor = processor
    this.u32 = new Uint32Array(buffer)
    this.u8 = new Uint8Array(buffer)
    this.vnet32 = new Uint32Array(buffer, pool.vnet.byteOffset, pool.vnet.length >> 2)
  }

  /** Packets that have not come back. */
  get out(): number {
    return (this.newest - this.oldest) >>> 0
  }

  /**
   * Fills slots `first`… with up to `max` packets; they are parsed, and carry queue and shared memory out of band. Returns 0 too while
   * the queue is held, is another processor's, or does not run. Allocates nothing.
   */
  receive(first: number, max: number): number {
    const { queues, pool, kernels } = this.components
    const { queue } = this
    if (queues.isEmpty(queue) || queues.processor(queue) !== this.processor || queues.held(queue)) return 0 // VQ-029
    if (!queues.takeReader(queue, this.processor)) return 0
    if (this.out === 0) this.next = queues.head(queue)
    const tail = queues.tail(queue)
    if (queues.state(queue) !== running) {
      this.discard(tail)
      return 0
    }
    const room = Math.min(max, PACKETS_OUT_MAX - this.out)
    let taken = 0
    while (taken < room && this.next !== tail) if (this.take(first + taken)) taken++
    if (taken > 0) kernels.parse(pool.base, first, taken)
    for (let slot = first; slot < first + taken; slot++) this.restoreTag(slot)
    if (this.out === 0) queues.giveBack(queue, this.next, true)
    return taken
  }

  // VQ-065, VQ-066: nothing is indicated, nothing is kept.
  private discard(tail: number): void {
    const { queues } = this.components
    this.discarded += recordsBetween(this.u32, queues, this.queue, this.next, tail)
    this.next = tail
    if (this.out === 0) queues.giveBack(this.queue, this.next, true)
    else this.ends[(this.newest - 1) & OUT_MASK] = this.next
  }

  // Fills one slot from the next record. False if that was none.
  private take(slot: number): boolean {
    const { queues, pool } = this.components
    const { u32, queue } = this
    const base = queues.address(queue)
    const bytes = queues.bytes(queue)
    const at = this.next & (bytes - 1)
    const record = (base + at) >> 2
    const length = u32[record + R_LENGTH]!
    if (length === SKIP) {
      this.next = (this.next + bytes - at) | 0
      return false
    }
    this.next = (this.next + recordBytes(length)) | 0
    const flags = u32[record + R_FLAGS]!
    const frame = base + at + RECORD_BYTES
    const header = Math.min(length, HEADER_COPY)
    const to = slot * HEADER_STRIDE + HEADER_START
    for (let i = 0; i < header; i += 4) pool.header32[(to + i) >> 2] = u32[(frame + i) >> 2]!
    pool.length[slot] = length
    pool.flags[slot] = flags & FLAGS
    pool.vlan[slot] = flags >>> TAG_SHIFT
    pool.head[slot] = 0
    pool.vsid[slot] = 0
    pool.destinationCount[slot] = 0
    pool.sourcePort[slot] = this.components.sourcePort
    pool.sourceNic[slot] = 0
    pool.headerOffset[slot] = HEADER_START
    pool.headerLength[slot] = header
    pool.window[slot] = 0
    pool.chain[slot] = 0
    pool.reason[slot] = 0
    pool.needs[slot] = u32[record + R_NEEDS]!
    pool.segments[slot] = length > header ? 1 : 0
    pool.address[slot] = frame + header
    pool.segment[(slot * SEGMENTS_MAX) << 1] = frame + header
    pool.segment[((slot * SEGMENTS_MAX) << 1) + 1] = length - header
    for (let i = 0; i < VNET_WORDS; i++) this.vnet32[slot * VNET_WORDS + i] = u32[record + R_VNET + i]!
    pool.receiveQueue[slot] = queue // VQ-108
    pool.sharedMemory[slot] = queues.handle(queue) // VQ-110
    pool.sharedOffset[slot] = frame - base
    const place = this.newest & OUT_MASK
    this.ends[place] = this.next
    this.back[place] = 0
    this.held[slot] = place + 1
    this.newest = (this.newest + 1) >>> 0
    return true
  }

  // Parsing writes the tag cell anew; one that came out of band stands there no more.
  private restoreTag(slot: number): void {
    const { queues, pool } = this.components
    if ((pool.flags[slot]! & PF_VLAN_OOB) === 0) return
    const record = (queues.address(this.queue) + pool.sharedOffset[slot]! - RECORD_BYTES) >> 2
    pool.vlan[slot] = this.u32[record + R_FLAGS]! >>> TAG_SHIFT
  }

  /** Returns slots; those that hold no packet of this queue are passed over (VQ-155). */
  complete(first: number, count: number): void {
    for (let slot = first; slot < first + count; slot++) this.note(slot)
    this.settle()
  }

  /** Returns the packets of a list. */
  completeList(slots: Uint16Array, from: number, count: number): void {
    for (let i = from; i < from + count; i++) this.note(slots[i]!)
    this.settle()
  }

  /** Returns everything that is out, for one who never will (VQ-154). */
  completeAll(): void {
    this.back.fill(1)
    this.held.fill(0)
    this.settle()
  }

  private note(slot: number): void {
    const place = this.held[slot]!
    if (place === 0) return
    this.held[slot] = 0
    this.back[place - 1] = 1
  }

  private settle(): void {
    if (this.oldest === this.newest) return
    let at = -1
    while (this.oldest !== this.newest && this.back[this.oldest & OUT_MASK] === 1) {
      at = this.oldest & OUT_MASK
      this.oldest = (this.oldest + 1) >>> 0
    }
    if (at >= 0) this.components.queues.giveBack(this.queue, this.ends[at]!, this.oldest === this.newest)
  }

  /** Bytes of a packet that is out, for one who looks at its shared memory. */
  memoryOf(slot: number): Uint8Array {
    const { queues, pool } = this.components
    const start = queues.address(this.queue) + pool.sharedOffset[slot]!
    return this.u8.subarray(start, start + pool.length[slot]!)
  }
}
