// The receive path of an adapter's queues on one processor: a burst of the receive ring is assigned to queues; packets of this processor's
// own queues are indicated from where they lie, packets of others are appended to their queue's memory, and its processor is woken.
//
// The rule it must not break: every packet taken is indicated, appended, or counted as dropped with a reason; packets of one queue keep
// their order (VQ-114); a queue that is full loses its own packets only; nothing is allocated.
import type { QueueKernels } from '../../kernels/kernels.ts'
import * as layout from '../../kernels/layout.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import { ReceiveFlag } from '../../ndis/list-flags.ts'
import { type Counters, PortCounter } from '../../switch/counters.ts'
import type { SourceQueue } from '../../switch/data-path.ts'
import { MixedBurst } from './mixed-burst.ts'
import { QueueClassifier } from './queue-classifier.ts'
import { type QueueMemoryComponents, QueueReader, QueueWriter } from './queue-memory.ts'
import type { QueueTables } from './queue-tables.ts'
import { PROCESSORS_MAX, QUEUES_MAX } from './queue-words.ts'
import { WakeModeration } from './wake-moderation.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { ALIKE_BYTES_SHIFT, ALIKE_COUNT, ALIKE_ONE_SENDER, BURST_MAX, PF_DROPPED, QUEUE_BLOCK_BYTES, QUEUE_TARGETS_BYTES } = layout
const { receivedFrames, receivedBytes, receivedDropped, sendDropped } = PortCounter
const { dispatchLevel, singleQueue, sharedMemoryInfoValid } = ReceiveFlag
const { receiveBufferFull, paused } = DropReason
const NONE = 0xffff
const QUEUE_COUNT: number = QUEUES_MAX

// Where the packets of a queue go in the burst in work.
const HERE = 0
const ALONE = 1
const AWAY = 2

const LIST_BYTES = BURST_MAX * 2
/** In a path's memory, from `list` on: the table of where its queues' packets go, see QueuedForwarding. */
export const QUEUE_PATH_TARGETS = LIST_BYTES + QUEUE_BLOCK_BYTES
/** Bytes of shared memory of a path. */
export const QUEUE_PATH_LIST_BYTES = QUEUE_PATH_TARGETS + QUEUE_TARGETS_BYTES

/**
 * Takes what NdisMIndicateReceiveNetBufferLists would: slots `slots[0…count - 1]`, whose list stands at linear address `list` for the
 * kernels; of one queue, or -1 for several; ReceiveFlag. The packets are returned when it returns.
 */
export type Indicate = (slots: Uint16Array, list: number, count: number, queue: number, flags: number) => void

export interface QueuePathComponents extends Omit<QueueMemoryComponents, 'queues'> {
  readonly tables: QueueTables
  /** This processor's counters of the adapter; their port ids are queue ids. */
  readonly counters: Counters
  /** Linear address of QUEUE_PATH_LIST_BYTES. */
  readonly list: number
  readonly processor: number
  /** Short cuts over the pool's memory; without them each packet is looked at by itself. */
  readonly bursts?: QueueKernels
  readonly indicate: Indicate
  readonly wake: (processor: number) => void
  /** Microseconds, monotonic. */
  readonly nowUs: () => number
}

/** Fields are ordinary ones: they are read per packet. */
export class QueuePath {
  readonly classifier: QueueClassifier
  readonly moderation: WakeModeration
  private readonly components: QueuePathComponents
  private readonly writer: QueueWriter
  private readonly slots: Uint16Array
  private readonly readers: QueueReader[] = []
  // As of a generation of the table: queues whose processor this is, where each queue's packets go if nothing waits in its memory, and the
  // handle of the ring that they lie in.
  private readonly mine = new Uint16Array(QUEUE_COUNT)
  private readonly usual = new Uint8Array(QUEUE_COUNT)
  private readonly ringHandles = new Int32Array(QUEUE_COUNT)
  private mineCount = 0
  // Packets waited at the last look at the memory of queues, and what the table said of its being written then.
  private found = true
  private appended = -1
  private generation = -1
  private readonly memory: QueueMemoryComponents
  // Of the burst in work: queues that it has packets of, and of each queue the first and last packet, and where they go.
  private readonly touched = new Uint16Array(BURST_MAX)
  private readonly firstOf = new Uint16Array(QUEUE_COUNT).fill(NONE)
  private readonly lastOf = new Uint16Array(QUEUE_COUNT)
  private readonly where = new Uint8Array(QUEUE_COUNT)
  private readonly framesOf = new Uint32Array(QUEUE_COUNT)
  private readonly bytesOf = new Uint32Array(QUEUE_COUNT)
  private readonly nextOf = new Uint16Array(BURST_MAX)
  private readonly mixed: MixedBurst
  /** The packets of the list that goes out come from one address; false: not known. */
  oneSender = false
  // Found for a list that goes out.
  private info = false

  constructor(components: QueuePathComponents) {
    const { buffer, pool, kernels, tables, sourcePort } = components
    this.components = components
    this.memory = { buffer, pool, kernels, queues: tables.queues, sourcePort }
    this.mixed = new MixedBurst(buffer, components.list + LIST_BYTES)
    this.classifier = new QueueClassifier(pool, tables, buffer, this.mixed.block)
    this.writer = new QueueWriter(this.memory)
    this.slots = new Uint16Array(buffer, components.list, BURST_MAX)
    this.moderation = new WakeModeration(PROCESSORS_MAX, components.wake)
    for (let queue = 0; queue < tables.queues.queues; queue++)
      this.readers.push(new QueueReader(this.memory, queue, components.processor))
  }

  // An id that names no queue counts as the default one (VQ-117).
  private readerOf(queue: number): QueueReader {
    return this.readers[queue < this.readers.length ? queue : 0]!
  }

  /** The reader of a queue's memory on this processor. */
  reader(queue: number): QueueReader {
    return this.readers[queue]!
  }

  /** Takes one burst from a receive ring. Returns the packets taken; all are returned to the ring, whatever happens in between. */
  turn(ring: SourceQueue): number {
    const taken = ring.receive(0, BURST_MAX)
    if (taken > 0) {
      try {
        this.burst(taken)
      } finally {
        ring.complete(0, taken)
      }
    }
    this.moderation.due(this.components.nowUs())
    return taken
  }

  /** Takes one burst from the memory of each queue that this processor serves. Returns the packets indicated. */
  serve(): number {
    if (!this.mayWait) return 0
    const { queues } = this.components.tables
    this.appended = queues.appended
    if (queues.generation !== this.generation) this.refresh()
    let taken = 0
    let waiting = false
    for (let k = 0; k < this.mineCount; k++) {
      if (queues.isEmpty(this.mine[k]!)) continue
      waiting = true
      taken += this.serveQueue(this.mine[k]!)
    }
    this.found = waiting
    return taken
  }

  /** False if nothing can have come into the memory of this processor's queues since they were found empty: one look for all of them. */
  get mayWait(): boolean {
    const { queues } = this.components.tables
    return this.found || queues.appended !== this.appended || queues.generation !== this.generation
  }

  private refresh(): void {
    const { tables, processor } = this.components
    this.generation = tables.queues.generation
    this.found = true // a queue may be this processor's now in which packets wait already
    this.mineCount = 0
    const { queues } = tables
    for (let queue = 0; queue < this.readers.length; queue++) {
      const own = queues.processor(queue) === processor
      if (own) this.mine[this.mineCount++] = queue
      this.usual[queue] = !own || queues.held(queue) ? AWAY : queues.alone(queue) ? ALONE : HERE
      this.ringHandles[queue] = queues.ringHandle(queue)
    }
  }

  private serveQueue(queue: number): number {
    const reader = this.readers[queue]!
    const discarded = reader.discarded
    const taken = reader.receive(0, BURST_MAX)
    if (reader.discarded !== discarded) this.lose(queue, reader.discarded - discarded, paused)
    if (taken === 0) return 0
    try {
      for (let slot = 0; slot < taken; slot++) this.slots[slot] = slot
      this.info = true
      this.indicate(taken, queue, true)
    } finally {
      reader.complete(0, taken)
    }
    return taken
  }

  // ---- a burst ------------------------------------------------------------------------------------------------------------------

  private burst(taken: number): void {
    const { pool } = this.components
    const { flags } = pool
    if (this.components.tables.queues.generation !== this.generation) this.refresh()
    this.oneSender = false
    if (this.isOneRun(taken) || this.isWhole(taken)) return
    const common = this.classifier.classify(0, taken)
    let count = 0
    let bytes = 0
    for (let slot = 0; slot < taken; slot++) {
      if ((flags[slot]! & PF_DROPPED) !== 0) this.lose(0, 1, pool.reason[slot]!)
      else {
        this.slots[count++] = slot
        bytes += pool.length[slot]!
      }
    }
    if (common < 0) this.sort(count)
    else if (count > 0) {
      this.components.counters.port(common, receivedFrames, count)
      this.components.counters.port(common, receivedBytes, bytes)
      this.route(common, count)
    }
  }

  // Plain frames to one address, as bursts mostly are: what is decided about the first holds for all. Returns false if they are not.
  private isOneRun(taken: number): boolean {
    const { bursts, pool, counters } = this.components
    if (bursts === undefined) return false
    const found = bursts.alike(pool.base, taken)
    if ((found & ALIKE_COUNT) !== taken) return false
    const queue = this.classifier.classify(0, 1)
    if (this.classifier.looksInside || (pool.flags[0]! & PF_DROPPED) !== 0) return false
    const { slots } = this
    const { receiveQueue } = pool
    for (let slot = 0; slot < taken; slot++) {
      slots[slot] = slot
      receiveQueue[slot] = queue // VQ-108
    }
    this.oneSender = (found & ALIKE_ONE_SENDER) !== 0
    counters.port(queue, receivedFrames, taken)
    counters.port(queue, receivedBytes, found >>> ALIKE_BYTES_SHIFT)
    this.route(queue, taken)
    return true
  }

  // Plain frames to several addresses, all of them for queues of this processor in whose memory nothing waits. Returns false if they are not.
  private isWhole(taken: number): boolean {
    const { bursts, pool, counters } = this.components
    const { mixed, slots } = this
    if (bursts === undefined || !mixed.assign(bursts, pool.base, taken, this.classifier)) return false
    const queues = mixed.count
    for (let i = 0; i < queues; i++) {
      const queue = mixed.touched[i]!
      if (this.placeOf(queue) === HERE && this.ringHandles[queue] === 0) continue
      mixed.clear()
      return false
    }
    for (let i = 0; i < queues; i++) {
      const queue = mixed.touched[i]!
      counters.port(queue, receivedFrames, mixed.frames[queue]!)
      counters.port(queue, receivedBytes, mixed.bytes[queue]!)
    }
    mixed.clear()
    for (let slot = 0; slot < taken; slot++) slots[slot] = slot
    this.undescribe()
    const single = queues === 1
    this.indicate(taken, single ? mixed.touched[0]! : -1, single)
    return true
  }

  // All of one queue: the list is complete already.
  private route(queue: number, count: number): void {
    if (this.placeOf(queue) === AWAY) this.append(queue, count)
    else {
      this.info = true
      if (this.ringHandles[queue] === 0) this.undescribe()
      else for (let i = 0; i < count; i++) this.describe(this.slots[i]!, queue)
      this.indicate(count, queue, true)
    }
  }

  // Packets of a burst that lie in a ring without a handle.
  private undescribe(): void {
    this.info = false
    this.components.pool.sharedMemory.fill(0, 0, BURST_MAX)
  }

  // The queue is this processor's, and nothing older waits in its memory: its packets may go from where they are.
  private placeOf(queue: number): number {
    return this.components.tables.queues.isEmpty(queue) ? this.usual[queue]! : AWAY
  }

  // Packets of several queues: chains them by queue, decides for each queue once, then lets them go.
  private sort(count: number): void {
    const { receiveQueue, length } = this.components.pool
    const { slots, touched, firstOf, lastOf, nextOf } = this
    let queues = 0
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      const queue = receiveQueue[slot]!
      if (firstOf[queue] === NONE) {
        firstOf[queue] = slot
        touched[queues++] = queue
      } else nextOf[lastOf[queue]!] = slot
      lastOf[queue] = slot
      nextOf[slot] = NONE
      this.framesOf[queue] = this.framesOf[queue]! + 1
      this.bytesOf[queue] = this.bytesOf[queue]! + length[slot]!
    }
    try {
      this.letAllGo(count, queues)
    } finally {
      for (let k = 0; k < queues; k++) this.settle(touched[k]!)
    }
  }

  // Counts the packets of a queue, and forgets them.
  private settle(queue: number): void {
    const { counters } = this.components
    counters.port(queue, receivedFrames, this.framesOf[queue]!)
    counters.port(queue, receivedBytes, this.bytesOf[queue]!)
    this.framesOf[queue] = 0
    this.bytesOf[queue] = 0
    this.firstOf[queue] = NONE
  }

  private letAllGo(count: number, queues: number): void {
    const { touched, where } = this
    let together = 0
    for (let k = 0; k < queues; k++) {
      where[touched[k]!] = this.placeOf(touched[k]!)
      if (where[touched[k]!] === HERE) together++
    }
    if (together > 0) this.indicateTogether(count, together === 1)
    for (let k = 0; k < queues; k++) if (where[touched[k]!] !== HERE) this.letGo(touched[k]!)
  }

  // VQ-107: queues that do not ask to be alone share a call, in the order in which their packets came.
  private indicateTogether(count: number, single: boolean): void {
    const { slots, where } = this
    const { receiveQueue } = this.components.pool
    // Chains hold what the list loses here.
    this.info = true
    let kept = 0
    let queue = 0
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      if (where[receiveQueue[slot]!] !== HERE) continue
      queue = receiveQueue[slot]!
      this.describe(slot, queue)
      slots[kept++] = slot
    }
    this.indicate(kept, single ? queue : -1, single)
  }

  private letGo(queue: number): void {
    const { slots, nextOf } = this
    let count = 0
    this.info = true
    for (let slot = this.firstOf[queue]!; slot !== NONE; slot = nextOf[slot]!) {
      this.describe(slot, queue)
      slots[count++] = slot
    }
    if (this.where[queue] === AWAY) this.append(queue, count)
    else this.indicate(count, queue, true)
  }

  // Shared memory information of a packet that lies in the receive ring (VQ-111, VQ-112).
  private describe(slot: number, queue: number): void {
    const { pool, tables } = this.components
    const handle = this.ringHandles[queue]!
    pool.sharedMemory[slot] = handle
    if (handle === 0) this.info = false
    else pool.sharedOffset[slot] = pool.address[slot]! - pool.headerLength[slot]! - tables.queues.ringAddress(queue)
  }

  // VQ-105, VQ-106, VQ-110
  private indicate(count: number, queue: number, single: boolean): void {
    let flags: number = dispatchLevel
    if (single) flags |= singleQueue
    if (this.info) flags |= sharedMemoryInfoValid
    this.components.indicate(this.slots, this.components.list, count, queue, flags)
  }

  private append(queue: number, count: number): void {
    const { tables, nowUs } = this.components
    const taken = this.writer.append(queue, this.slots, 0, count)
    if (taken < count) this.lose(queue, count - taken, receiveBufferFull)
    if (taken > 0) this.moderation.packets(tables.queues.processor(queue), taken, tables.queues.moderationUs(queue), nowUs())
  }

  private lose(queue: number, count: number, reason: number): void {
    const { counters } = this.components
    counters.drop(queue, reason, count)
    counters.port(queue, reason === receiveBufferFull ? sendDropped : receivedDropped, count)
  }

  /**
   * Returns packets of queues' memory that outlived their indication: of any queues, or of one with ReturnFlag.singleQueue. Returns false,
   * with nothing returned, if a list that promises one queue has several (VQ-115).
   */
  giveBack(slots: Uint16Array, count: number, single: boolean): boolean {
    const { receiveQueue } = this.components.pool
    if (count === 0) return true
    if (single) {
      const queue = receiveQueue[slots[0]!]!
      for (let i = 1; i < count; i++) if (receiveQueue[slots[i]!] !== queue) return false
      this.readerOf(queue).completeList(slots, 0, count)
      return true
    }
    for (let i = 0; i < count; i++) this.readerOf(receiveQueue[slots[i]!]!).completeList(slots, i, 1)
    return true
  }
}
