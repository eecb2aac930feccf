// One descriptor ring of a function, as a data half sees it: where it lies in guest memory, and the checks on base, length, head and
// tail that precede every use.
//
// The rule it must not break: a ring whose set-up is impossible is stopped with a fault until the driver resets it; it never moves
// what is looked at out of the ring.
import { Fault, V_ALARM, V_DMA_FAULTS, V_GENERATION } from '../../adapter/igbvf/block.ts'
import { DESCRIPTOR_BYTES, RING_DESCRIPTORS_MAX, RING_LENGTH_UNIT } from '../../adapter/igbvf/registers.ts'
import type { Window } from '../../kernels/kernels.ts'
import { WINDOW_BYTES } from '../../kernels/layout.ts'
import { linearWindows } from '../../kernels/twin-memory.ts'
import { signalEventFd } from '../../linux/files.ts'
import type { SharedMemory } from '../../linux/shared-memory.ts'
import { GuestTable } from './guest-table.ts'

const WINDOW_SHIFT = 30
const WINDOW_MASK = WINDOW_BYTES - 1
const NEVER = -1

/** Registers and words of the block that one direction uses, as offsets in the block. */
export interface RingPlaces {
  readonly baseLow: number
  readonly baseHigh: number
  readonly length: number
  readonly head: number
  readonly tail: number
  readonly fault: number
}

/** A ring. Ordinary fields: they are read per packet. */
export class Ring {
  readonly table: GuestTable
  readonly u32: Uint32Array
  readonly i32: Int32Array
  readonly block: number
  /** View that holds the descriptors, the index in it of the first one's first word, and their number. */
  words: Uint32Array
  first = 0
  size = 0
  head = 0
  tail = 0
  private readonly places: RingPlaces
  private readonly windows: Window[]
  private generation = NEVER

  constructor(memory: SharedMemory, block: number, places: RingPlaces) {
    this.block = block
    this.places = places
    this.u32 = memory.u32
    this.i32 = memory.i32
    this.words = memory.u32
    this.windows = linearWindows(memory.buffer)
    this.table = new GuestTable(memory.u32, block)
  }

  /** Reads the ring's set-up, head and tail. Returns false if it must not be used. The ring's lock is held. */
  load(): boolean {
    const { u32, block, places } = this
    if (u32[(block + places.fault) >> 2] !== Fault.none) return false
    const generation = u32[(block + V_GENERATION) >> 2]!
    if (generation !== this.generation) {
      if (!this.locate()) return this.fail(Fault.ring)
      this.generation = generation
    }
    this.head = u32[(block + places.head) >> 2]!
    this.tail = Atomics.load(u32, (block + places.tail) >> 2)
    return this.head < this.size && this.tail < this.size ? true : this.fail(Fault.index)
  }

  /** Publishes the head. */
  storeHead(head: number): void {
    this.u32[(this.block + this.places.head) >> 2] = head
  }

  /** Stops the ring for `fault` and tells the control half. Returns false. */
  fail(fault: Fault): false {
    const { u32, block } = this
    this.generation = NEVER
    u32[(block + this.places.fault) >> 2] = fault
    if (fault === Fault.buffer) u32[(block + V_DMA_FAULTS) >> 2] = u32[(block + V_DMA_FAULTS) >> 2]! + 1
    const alarm = this.i32[(block + V_ALARM) >> 2]!
    if (alarm >= 0) signalEventFd(alarm)
    return false
  }

  private locate(): boolean {
    const { u32, block, places, table } = this
    const bytes = u32[(block + places.length) >> 2]!
    if (bytes === 0 || bytes % RING_LENGTH_UNIT !== 0 || bytes > RING_DESCRIPTORS_MAX * DESCRIPTOR_BYTES) return false
    const low = u32[(block + places.baseLow) >> 2]!
    if (low % DESCRIPTOR_BYTES !== 0 || !table.find(low, u32[(block + places.baseHigh) >> 2]!, bytes, true)) return false
    const { address } = table
    // A ring that a driver allocates in one piece never lies across a GiB of linear memory.
    if (address % DESCRIPTOR_BYTES !== 0 || (address % WINDOW_BYTES) + bytes > WINDOW_BYTES) return false
    this.words = this.windows[Math.floor(address / 2 ** WINDOW_SHIFT)]!.u32
    this.first = ((address % 2 ** WINDOW_SHIFT) & WINDOW_MASK) >> 2
    this.size = bytes / DESCRIPTOR_BYTES
    return true
  }
}
