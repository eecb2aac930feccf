// The direct path of an SR-IOV adapter on one processor: a burst of a VF goes from ring to ring, one copy, without the packet pool. It
// takes what is simple (known unicast without tags, between VFs whose rings the kernel can read) up to the first frame
// that is not; AdapterPath takes those, so with and without it every frame has the same fate.
//
// The rule it must not break: order within the source ring is kept, and every frame taken is delivered or counted as dropped.
import type { DirectKernels } from '../kernels/kernels.ts'
import {
  D_BYTES,
  D_FILTER_MASK,
  D_FILTERS,
  D_MARKS,
  D_NOTIFY,
  D_QUEUES,
  D_RECORD,
  D_RECORD_BYTES,
  D_RECORDS,
  D_TAKEN,
  D_VPORT_COUNT,
  D_VPORTS,
  DIRECT_BYTES,
  DR_BYTES,
  DR_FRAMES,
  DR_LOST,
  DR_NOTIFY,
  DR_VPORT,
} from '../kernels/layout.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import { type Counters, PortCounter, ProcessorCounter } from '../switch/counters.ts'
import type { FilterTable } from './filter-table.ts'
import type { VPortTable } from './vport-table.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per burst.
const BYTES: number = D_BYTES >> 2
const NOTIFY: number = D_NOTIFY >> 2
const RECORDS: number = D_RECORDS >> 2
const TAKEN: number = D_TAKEN >> 2
const RECORD: number = D_RECORD >> 2
const RECORD_WORDS: number = D_RECORD_BYTES >> 2
const VPORT: number = DR_VPORT >> 2
const FRAMES: number = DR_FRAMES >> 2
const FRAME_BYTES: number = DR_BYTES >> 2
const LOST: number = DR_LOST >> 2
const WANTED: number = DR_NOTIFY >> 2

/** What a queue says when it is asked for a direct run: it has nothing; it is locked and ready; or `receive` has to decide. */
export const DirectStart = { nothing: 0, begun: 1, refused: 2 } as const
const { nothing, begun } = DirectStart

/** A queue pair whose rings are split virtqueues with blocks (Q_* in kernels/layout.ts) that the kernel can work on. */
export interface DirectQueue {
  /** Linear addresses of its queue blocks. */
  readonly transmitRing: number
  readonly receiveRing: number
  /** Locks the transmit ring if there is something in it. Returns one of DirectStart. */
  beginDirect(): number
  /** Ends what `beginDirect` began: the kernel took `taken` frames; `notify` is 1 if the guest wants to be told. Unlocks. */
  endDirect(taken: number, notify: number): void
  /** The kernel has locked the receive ring and put `frames` frames into it: does what is left of a delivery. Unlocks. */
  settleDirect(frames: number, notify: number): void
}

/** What may have a direct queue: any endpoint's queue. */
export interface MayBeDirect {
  readonly direct?: DirectQueue | undefined
}

const aligned = (bytes: number): number => Math.ceil(bytes / 64) * 64

/** Bytes of linear memory, zeroed, that a direct path takes for an adapter of that many VPorts. */
export const directPathBytes = (vports: number): number => aligned(DIRECT_BYTES) + aligned(vports * 4) + aligned(vports)

export interface DirectPathComponents {
  readonly kernels: DirectKernels
  /** The adapter's tables and counters; the tables lie in linear memory. */
  readonly vports: VPortTable
  readonly filters: FilterTable
  readonly counters: Counters
}

/** Fields are ordinary ones: they are read per burst. */
export class DirectPath {
  /** After `turn`: a frame was left that somebody else has to decide about. */
  rest = false
  /** After `turn`: bytes of the frames taken. */
  bytes = 0
  private readonly kernels: DirectKernels
  private readonly counters: Counters
  private readonly block: number
  private readonly words: Uint32Array
  private readonly rings: Uint32Array
  private readonly queues: (DirectQueue | undefined)[]

  /** `at`: linear address of directPathBytes(vports) in `buffer`, the memory of the kernels. */
  constructor(buffer: ArrayBufferLike, at: number, components: DirectPathComponents) {
    const { vports, filters } = components
    this.kernels = components.kernels
    this.counters = components.counters
    this.block = at
    this.words = new Uint32Array(buffer, at, DIRECT_BYTES >> 2)
    const ringsAt = at + aligned(DIRECT_BYTES)
    this.rings = new Uint32Array(buffer, ringsAt, vports.vports)
    this.queues = new Array(vports.vports).fill(undefined)
    this.words[D_VPORTS >> 2] = vports.words.byteOffset
    this.words[D_VPORT_COUNT >> 2] = vports.vports
    this.words[D_FILTERS >> 2] = filters.words.byteOffset
    this.words[D_FILTER_MASK >> 2] = filters.entries - 1
    this.words[D_QUEUES >> 2] = ringsAt
    this.words[D_MARKS >> 2] = ringsAt + aligned(vports.vports * 4)
  }

  /** Sets the queues of a VPort. One with several, or with another kind of queue, gets its frames through the pool. */
  setQueues(vport: number, queues: readonly MayBeDirect[]): void {
    if (vport >= this.rings.length) return // the wire
    const only = queues.length === 1 ? queues[0]!.direct : undefined
    this.queues[vport] = only
    this.rings[vport] = only === undefined ? 0 : only.receiveRing
  }

  /** Takes up to `max` frames (≤ DIRECT_MAX) of VPort `vport` from its queue. Returns how many; sets `rest` and `bytes`. */
  turn(queue: DirectQueue, vport: number, max: number): number {
    this.bytes = 0
    const start = queue.beginDirect()
    this.rest = start !== nothing
    if (start !== begun) return 0
    const { words, counters, queues } = this
    this.rest = this.kernels.direct(this.block, queue.transmitRing, vport, max) !== 0
    for (let i = words[RECORDS]!, record = RECORD; i > 0; i--, record += RECORD_WORDS) {
      const target = words[record + VPORT]!
      const frames = words[record + FRAMES]!
      const lost = words[record + LOST]!
      queues[target]!.settleDirect(frames, words[record + WANTED]!)
      counters.port(target, PortCounter.sentFrames, frames)
      counters.port(target, PortCounter.sentBytes, words[record + FRAME_BYTES]!)
      if (lost !== 0) {
        counters.drop(target, DropReason.receiveBufferFull, lost) // PD-07
        counters.port(target, PortCounter.sendDropped, lost)
      }
    }
    const taken = words[TAKEN]!
    queue.endDirect(taken, words[NOTIFY]!)
    if (taken === 0) return 0
    this.bytes = words[BYTES]!
    counters.port(vport, PortCounter.receivedFrames, taken)
    counters.port(vport, PortCounter.receivedBytes, this.bytes)
    counters.processor(ProcessorCounter.bursts, 1)
    counters.processor(ProcessorCounter.frames, taken)
    return taken
  }
}
