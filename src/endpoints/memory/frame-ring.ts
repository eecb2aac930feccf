// A lock-free ring of frames in shared memory, one writer and one reader, which may be different threads. Frames lie in one piece
// each, led by their length and a virtio-net header.
//
// The rule it must not break: the writer touches free bytes only and the reader published ones only; indices are read and published
// with Atomics, once per batch; a reader that sleeps is woken by exactly one signal.
import { FRAME_MAX, VNET_HEADER } from '../../kernels/layout.ts'
import { signalEventFd } from '../../linux/files.ts'
import type { SharedMemory } from '../../linux/shared-memory.ts'

const R_HEAD = 0 // u32: bytes ever written, padding included
const R_TAIL = 64 // u32: bytes ever read
const R_WAITING = 128 // i32: 1 = the reader sleeps and wants a signal
const R_DATA = 192
const E_LENGTH = 0 // u32: bytes of the frame, or WRAP
const E_VNET = 4
/** Bytes that lead a frame in the ring. */
export const ENTRY_HEADER = E_VNET + VNET_HEADER
const ENTRY_ALIGNMENT = 16
const WRAP = 0xffff_ffff
/** Least capacity: any frame fits even when the end of the ring is left out. */
export const RING_BYTES_MIN = 256 * 1024
/** Bytes of memory that a ring of `capacity` takes. */
export const ringMemory = (capacity: number): number => R_DATA + capacity

/** Where a ring is. Structured-cloneable. */
export interface RingPlan {
  /** Linear address of ringMemory(capacity) zeroed bytes. */
  readonly at: number
  /** A power of two, at least RING_BYTES_MIN. */
  readonly capacity: number
  /** eventfd that wakes the reader. */
  readonly doorbell: number
}

const entryBytes = (length: number): number => (ENTRY_HEADER + length + ENTRY_ALIGNMENT - 1) & -ENTRY_ALIGNMENT

/** The writing side. Allocates nothing after construction. */
export class RingWriter {
  readonly i32: Int32Array
  readonly u32: Uint32Array
  readonly plan: RingPlan
  readonly data: number
  head: number
  tail: number

  constructor(memory: SharedMemory, plan: RingPlan) {
    this.i32 = memory.i32
    this.u32 = memory.u32
    this.plan = plan
    this.data = plan.at + R_DATA
    this.head = Atomics.load(this.i32, (plan.at + R_HEAD) >> 2) >>> 0
    this.tail = Atomics.load(this.i32, (plan.at + R_TAIL) >> 2) >>> 0
  }

  /** Goes on where the ring's last writer stopped: several processors may take turns under the queue's lock. */
  resume(): void {
    this.head = Atomics.load(this.i32, (this.plan.at + R_HEAD) >> 2) >>> 0
  }

  /** Reserves room for a frame of `length` bytes. Returns the entry's linear address, 0 if the ring is full. */
  reserve(length: number): number {
    const { capacity } = this.plan
    const need = entryBytes(length)
    const offset = this.head & (capacity - 1)
    const skip = offset + need > capacity ? capacity - offset : 0
    if (((this.head - this.tail) >>> 0) + skip + need > capacity) {
      this.tail = Atomics.load(this.i32, (this.plan.at + R_TAIL) >> 2) >>> 0
      if (((this.head - this.tail) >>> 0) + skip + need > capacity) return 0
    }
    if (skip > 0) {
      this.u32[(this.data + offset + E_LENGTH) >> 2] = WRAP
      this.head = (this.head + skip) >>> 0
    }
    const entry = this.data + (this.head & (capacity - 1))
    this.u32[(entry + E_LENGTH) >> 2] = length
    this.head = (this.head + need) >>> 0
    return entry
  }

  /** Hands what was reserved and filled to the reader and wakes it if it sleeps. */
  publish(): void {
    Atomics.store(this.i32, (this.plan.at + R_HEAD) >> 2, this.head | 0)
    if (Atomics.exchange(this.i32, (this.plan.at + R_WAITING) >> 2, 0) === 1) signalEventFd(this.plan.doorbell)
  }
}

/** The reading side. Allocates nothing after construction. */
export class RingReader {
  readonly i32: Int32Array
  readonly u32: Uint32Array
  readonly plan: RingPlan
  readonly data: number
  head: number
  /** Read so far; published by release. */
  cursor: number
  /** Bytes of the frame that next returned. */
  length = 0
  /** The ring holds what no writer of ours wrote: nothing more is read. */
  broken = false

  constructor(memory: SharedMemory, plan: RingPlan) {
    this.i32 = memory.i32
    this.u32 = memory.u32
    this.plan = plan
    this.data = plan.at + R_DATA
    this.cursor = Atomics.load(this.i32, (plan.at + R_TAIL) >> 2) >>> 0
    this.head = this.cursor
  }

  /** The linear address of the next entry, its frame's length in `length`; 0 if there is none. */
  next(): number {
    const { capacity } = this.plan
    for (;;) {
      if (this.broken || (this.cursor === this.head && !this.look())) return 0
      const offset = this.cursor & (capacity - 1)
      const entry = this.data + offset
      const length = this.u32[(entry + E_LENGTH) >> 2]!
      if (length === WRAP) {
        this.cursor = (this.cursor + capacity - offset) >>> 0
        continue
      }
      const bytes = entryBytes(length)
      if (length > FRAME_MAX || offset + bytes > capacity || bytes > (this.head - this.cursor) >>> 0) {
        this.broken = true
        return 0
      }
      this.cursor = (this.cursor + bytes) >>> 0
      this.length = length
      return entry
    }
  }

  /** Gives everything that next returned back to the writer. */
  release(): void {
    Atomics.store(this.i32, (this.plan.at + R_TAIL) >> 2, this.cursor | 0)
  }

  /** Asks for a signal at the next frame. Returns true if some came meanwhile: then don't sleep. */
  arm(): boolean {
    Atomics.store(this.i32, (this.plan.at + R_WAITING) >> 2, 1)
    return this.cursor !== this.head || this.look()
  }

  /** Wants no signal any more. */
  disarm(): void {
    Atomics.store(this.i32, (this.plan.at + R_WAITING) >> 2, 0)
  }

  /** Reads the writer's index. Returns whether something is there. */
  look(): boolean {
    this.head = Atomics.load(this.i32, (this.plan.at + R_HEAD) >> 2) >>> 0
    if ((this.head - this.cursor) >>> 0 > this.plan.capacity) this.broken = true
    return this.head !== this.cursor && !this.broken
  }
}

/** Linear address of the virtio-net header of an entry, and of its frame. */
export const entryVnet = (entry: number): number => entry + E_VNET
export const entryFrame = (entry: number): number => entry + ENTRY_HEADER
