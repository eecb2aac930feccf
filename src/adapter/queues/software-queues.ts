// Receive queues in software: the miniport's half that carries requests of queues out on the tables that the data path reads. The memory
// of a queue is a ring of bytes in which packets wait for the queue's processor; packets that the processor finds in its own receive
// ring are indicated from there.
//
// The rule it must not break: an act on one queue affects no other, and no memory is freed while a packet in it is out (VQ-129).
import { NdisStatus } from '../../ndis/status.ts'
import { macKey } from '../../switch/mac-table.ts'
import { DEFAULT_RECEIVE_QUEUE_ID } from '../identifiers.ts'
import type { Answer, Outcome } from '../miniport.ts'
import { InterruptVectors } from './interrupt-vectors.ts'
import { type OffloadParameters, OffloadSet } from './offload-state.ts'
import { RECEIVE_EVERYTHING } from './queue-classifier.ts'
import type { QueueFilter } from './queue-filters.ts'
import { discardWaiting } from './queue-memory.ts'
import type { FreeProgress, QueueMiniport, QueueResources } from './queue-miniport.ts'
import type { QueueTables } from './queue-tables.ts'
import { OperationalState, type QueueParameters, QueueParams, SharedMemoryUsage } from './queue-words.ts'
import type { SharedMemoryBlock, SharedMemoryProvider } from './shared-memory.ts'

/** Bytes per suggested receive buffer. */
const BUFFER_BYTES = 2048
const BUFFERS_DEFAULT = 256
/** The least that is allocated: two of the largest frames, or none would fit (FRAME_MAX is 64 KiB and some). */
const BYTES_MIN = 1 << 18
const BYTES_MAX = 1 << 24

export interface SoftwareQueuesOptions {
  /** NumQueues: queues that can be allocated. */
  readonly numQueues: number
  /** Processors that may be interrupted (NdisGetRssProcessorInformation, VQ-025). */
  readonly processors: readonly number[]
  readonly mac: string
  /** Microseconds that a wake-up may be put off, of all queues (spec 5.7). 0 = at once. */
  readonly moderationUs?: number
}

export interface SoftwareQueuesComponents {
  readonly tables: QueueTables
  readonly memory: SharedMemoryProvider
  /** Settles when every processor has begun a turn, or sleeps, since the call: what one saw in a table before, none works with any more. */
  readonly quiesced: () => Promise<void>
  /** A queue's state or processor changed: its processor looks at it. */
  readonly wake: (processor: number) => void
  /** So many packets that waited in a queue were thrown away here: to be counted as dropped, `paused`. */
  readonly discarded: (queue: number, packets: number) => void
}

interface Queue {
  readonly id: number
  processor: number
  readonly blocks: SharedMemoryBlock[]
}

export class SoftwareQueues implements QueueMiniport {
  readonly vectors: InterruptVectors
  readonly #components: SoftwareQueuesComponents
  #moderationUs: number
  readonly #byId = new Map<number, Queue>()
  readonly #pended = new Set<() => void>()

  constructor(options: SoftwareQueuesOptions, components: SoftwareQueuesComponents) {
    this.#components = components
    this.#moderationUs = options.moderationUs ?? 0
    this.vectors = new InterruptVectors(options.processors, options.numQueues)
    const { queues } = components.tables
    const { low, high } = macKey(options.mac)
    queues.setMac(low, high)
    queues.setPacketFilter(RECEIVE_EVERYTHING)
    const processor = Math.min(...options.processors)
    this.#byId.set(DEFAULT_RECEIVE_QUEUE_ID, { id: DEFAULT_RECEIVE_QUEUE_ID, processor, blocks: [] })
    this.vectors.program(DEFAULT_RECEIVE_QUEUE_ID, processor)
    this.#allocateMemory(this.#byId.get(DEFAULT_RECEIVE_QUEUE_ID)!, BUFFERS_DEFAULT)
    this.#write(DEFAULT_RECEIVE_QUEUE_ID, OperationalState.running, { flags: 0, portId: 0 })
  }

  // ---- requests -------------------------------------------------------------------------------------------------------------

  allocateQueue(parameters: QueueParameters): Outcome<QueueResources> {
    const processor = this.vectors.processorOf(parameters.processorAffinity)
    if (processor === undefined) return { status: NdisStatus.invalidParameter } // VQ-025
    const { queueId } = parameters
    if (queueId >= this.#components.tables.queues.queues) return { status: NdisStatus.resources }
    this.#byId.set(queueId, { id: queueId, processor, blocks: [] }) // VQ-042
    this.#write(queueId, OperationalState.paused, parameters)
    return { status: NdisStatus.success, value: this.#resources(queueId, processor) }
  }

  #resources(queueId: number, processor: number): QueueResources {
    return {
      msixTableEntry: this.vectors.program(queueId, processor),
      interruptCoalescingDomainId: this.vectors.domainOf(processor),
    }
  }

  completeAllocation(
    batch: readonly { readonly parameters: QueueParameters; readonly filters: readonly QueueFilter[] }[],
  ): NdisStatus[] {
    return batch.map(({ parameters, filters }) => {
      const queue = this.#byId.get(parameters.queueId)!
      if (!this.#allocateMemory(queue, parameters.numSuggestedReceiveBuffers)) return NdisStatus.resources
      const set: QueueFilter[] = []
      for (const filter of filters) {
        if (!this.#components.tables.filters.set(filter.key, queue.id)) {
          for (const one of set) this.#components.tables.filters.clear(one.key)
          this.#freeMemory(queue)
          return NdisStatus.resources
        }
        set.push(filter)
      }
      this.#write(queue.id, filters.length > 0 ? OperationalState.running : OperationalState.paused, parameters)
      return NdisStatus.success
    })
  }

  setQueueParameters(parameters: QueueParameters): Outcome<QueueResources> {
    const queue = this.#byId.get(parameters.queueId)!
    const processor = this.vectors.processorOf(parameters.processorAffinity)
    if (processor === undefined) return { status: NdisStatus.invalidParameter }
    const before = queue.processor
    queue.processor = processor
    this.#write(queue.id, this.#components.tables.queues.state(queue.id) as OperationalState, parameters) // VQ-031
    if (before !== processor) this.#components.wake(processor)
    return { status: NdisStatus.success, value: this.#resources(queue.id, processor) }
  }

  setQueueFilter(filter: QueueFilter, complete: boolean): Answer {
    if (!complete) return NdisStatus.success // PD-19: programmed when the allocation completes
    const { queues, filters } = this.#components.tables
    if (!filters.set(filter.key, filter.queue)) return NdisStatus.resources
    queues.setState(filter.queue, OperationalState.running)
    return NdisStatus.success
  }

  async clearQueueFilter(filter: QueueFilter, last: boolean): Promise<NdisStatus> {
    const { queues, filters } = this.#components.tables
    filters.clear(filter.key)
    queues.announce()
    if (last) await this.#pause(filter.queue)
    return NdisStatus.success
  }

  // Nothing matches the queue any more: what is in it is discarded by whoever reads it, or here (VQ-066, VQ-100).
  async #pause(queueId: number): Promise<void> {
    const { queues } = this.#components.tables
    if (queues.state(queueId) !== OperationalState.running) return
    queues.setState(queueId, OperationalState.paused)
    await this.#components.quiesced()
    this.#discard(queueId)
  }

  #discard(queueId: number): void {
    const count = discardWaiting(this.#components.tables.queues, queueId)
    if (count > 0) this.#components.discarded(queueId, count)
  }

  /** Takes the filter over; packets wait in the new queue until the old one has given out what it had, so that none overtakes another. */
  async moveQueueFilter(filter: QueueFilter, toQueue: number, last: boolean): Promise<NdisStatus> {
    const { queues, filters } = this.#components.tables
    const from = filter.queue
    queues.hold(toQueue, true)
    if (toQueue !== DEFAULT_RECEIVE_QUEUE_ID) queues.setState(toQueue, OperationalState.running)
    filters.set(filter.key, toQueue) // known there: it takes no room
    queues.announce()
    await this.#components.quiesced()
    await queues.passed(from, queues.tail(from))
    queues.hold(toQueue, false)
    this.#components.wake(queues.processor(toQueue))
    if (last) queues.setState(from, OperationalState.paused)
    return NdisStatus.success
  }

  async freeQueue(queueId: number, { stopped, gone }: FreeProgress): Promise<NdisStatus> {
    const { queues } = this.#components.tables
    const queue = this.#byId.get(queueId)!
    queues.stop(queueId) // VQ-125
    stopped() // VQ-126
    const freed = this.#freeWhenBack(queue).then(gone)
    let abort = (): void => {}
    const aborted = new Promise<NdisStatus>((resolve) => {
      abort = () => resolve(NdisStatus.requestAborted)
    })
    this.#pended.add(abort)
    const status = await Promise.race([freed.then(() => NdisStatus.success), aborted])
    this.#pended.delete(abort)
    return status
  }

  async #freeWhenBack(queue: Queue): Promise<void> {
    const { queues } = this.#components.tables
    await this.#components.quiesced()
    await queues.passed(queue.id, queues.tail(queue.id), () => this.#discard(queue.id)) // VQ-128
    this.#freeMemory(queue) // VQ-129
    this.vectors.release(queue.id)
    this.#byId.delete(queue.id)
    queues.clear(queue.id)
  }

  async setOffload({ encapsulatedPacketTaskOffload }: OffloadParameters): Promise<NdisStatus> {
    this.#components.tables.queues.setEncapsulation(encapsulatedPacketTaskOffload === OffloadSet.on)
    await this.#components.quiesced() // VQ-170
    return NdisStatus.success
  }

  abortPended(): void {
    for (const abort of this.#pended) abort()
  }

  // ---- the host's own doors -----------------------------------------------------------------------------------------------------

  /** NDIS packet filter (PacketFilter): what the adapter receives at all. An extensible switch wants everything. */
  setPacketFilter(filter: number): void {
    this.#components.tables.queues.setPacketFilter(filter)
  }

  /** The processor that serves the default queue. Throws RangeError if it may not be interrupted. */
  setDefaultProcessor(processor: number): void {
    if (this.vectors.processorOf([processor]) === undefined)
      throw new RangeError(`no queue can be served by processor ${processor}`)
    this.#byId.get(DEFAULT_RECEIVE_QUEUE_ID)!.processor = processor
    this.#write(DEFAULT_RECEIVE_QUEUE_ID, OperationalState.running, { flags: 0, portId: 0 })
    this.#components.wake(processor)
  }

  /**
   * Names the receive ring from whose memory, at linear address `address`, packets of a queue are indicated without a copy: their shared
   * memory information quotes `handle`, a nonzero number of the caller's.
   */
  attachRing(queueId: number, handle: number, address: number): void {
    this.#components.tables.queues.setRing(queueId, handle, address)
  }

  /** Microseconds that the wake-up of a queue's processor may be put off, for all queues (spec 5.7). 0 = at once. */
  setModeration(moderationUs: number): void {
    this.#moderationUs = moderationUs
    const { queues } = this.#components.tables
    for (const id of this.#byId.keys()) queues.setModeration(id, moderationUs)
  }

  /** MiniportHaltEx: the default queue's memory goes, after a surprise removal that of all (VQ-130). Processors have let go of it. */
  halt(): void {
    const { queues } = this.#components.tables
    for (const queue of this.#byId.values()) {
      queues.stop(queue.id)
      this.#freeMemory(queue)
      queues.clear(queue.id)
    }
    this.#byId.clear()
  }

  // ---- memory -------------------------------------------------------------------------------------------------------------------

  // The suggestion is a hint: a power of two of bytes, halved while there is no room for more (VQ-049, VQ-054).
  #allocateMemory(queue: Queue, suggested: number): boolean {
    const wanted = Math.min(BYTES_MAX, Math.max(BYTES_MIN, (suggested || BUFFERS_DEFAULT) * BUFFER_BYTES))
    for (let length = 2 ** Math.ceil(Math.log2(wanted)); length >= BYTES_MIN; length /= 2) {
      const parameters = { queueId: queue.id, vPortId: 0, usage: SharedMemoryUsage.receive, length, contiguous: true } // VQ-136
      const { status, block } = this.#components.memory.allocate(parameters) // VQ-135
      if (status !== NdisStatus.success || !block) continue
      queue.blocks.push(block)
      return true
    }
    return false
  }

  #freeMemory(queue: Queue): void {
    for (const block of queue.blocks.splice(0)) this.#components.memory.free(block.allocationHandle) // VQ-142
  }

  #write(queueId: number, state: OperationalState, { flags, portId }: Pick<QueueParameters, 'flags' | 'portId'>): void {
    const { processor, blocks } = this.#byId.get(queueId)!
    const block = blocks[0]
    this.#components.tables.queues.set(queueId, {
      state,
      alone: (flags & QueueParams.perQueueReceiveIndication) !== 0,
      processor,
      moderationUs: this.#moderationUs,
      handle: block?.sharedMemoryHandle ?? 0,
      address: block?.virtualAddress ?? 0,
      bytes: block ? block.scatterGatherList[0]!.length : 0,
      port: portId,
    })
  }
}
