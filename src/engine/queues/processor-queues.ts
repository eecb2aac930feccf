// The receive queues of adapters as one processor serves them: the ring of the uplink that it polls, whose bursts are given to queues, and
// the memory of its queues, in which other processors leave what they find for them. Either way packets enter the switch at its external
// port, in their slots.
//
// The rule it must not break: packets of a queue enter the switch on the queue's processor, in the order in which they came (VQ-029, VQ-114).
import { QUEUE_PATH_TARGETS, QueuePath } from '../../adapter/queues/queue-path.ts'
import { viewQueueTables } from '../../adapter/queues/queue-tables.ts'
import type { EndpointQueue } from '../../endpoints/endpoint.ts'
import type { PacketKernels } from '../../kernels/by-packet.ts'
import type { QueueKernels } from '../../kernels/kernels.ts'
import { signalEventFd } from '../../linux/files.ts'
import type { SharedMemory } from '../../linux/shared-memory.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { Counters, PortCounter, ProcessorCounter } from '../../switch/counters.ts'
import type { DataPath, SourceQueue } from '../../switch/data-path.ts'
import type { MacTable } from '../../switch/mac-table.ts'
import { QueuedForwarding } from '../../switch/queued-forwarding.ts'
import type { QueueAdapterPlan } from './queue-plan.ts'
import { RingGate } from './ring-gates.ts'

const { handedOver, lookUps } = ProcessorCounter

/** Takes bursts from a queue in the data path's place. */
export interface BurstTaker {
  turn(queue: SourceQueue, port: number): number
}

export interface ProcessorQueuesComponents {
  readonly memory: SharedMemory
  readonly pool: PacketPool
  readonly kernels: PacketKernels
  readonly linear: QueueKernels
  readonly dataPath: DataPath
  readonly macs: MacTable
  /** This processor's counters of the switch. */
  readonly counters: Counters
  readonly processor: number
  /** Milliseconds, monotonic, fractional. */
  readonly nowMs: () => number
}

/** A queue of packets that has no ring of its own: what waits in the memory of this processor's queues. */
class WaitingPackets implements EndpointQueue {
  readonly offloads = 0
  readonly refusal: number = DropReason.noResources
  readonly #isWaiting: () => boolean

  constructor(isWaiting: () => boolean) {
    this.#isWaiting = isWaiting
  }

  receive(): number {
    return 0
  }

  complete(): void {}

  deliver(): number {
    return 0
  }

  arm(): boolean {
    return this.#isWaiting()
  }

  disarm(): void {}

  close(): void {}
}

/** A ring that notes how long its last burst was. Fields are ordinary ones: they are read per burst. */
class CountedBurst implements SourceQueue {
  queue: SourceQueue | undefined
  taken = 0

  receive(first: number, max: number): number {
    this.taken = this.queue!.receive(first, max)
    return this.taken
  }

  complete(first: number, count: number): void {
    this.queue!.complete(first, count)
  }
}

/** One adapter's queues on this processor. Fields are ordinary ones: they are read per burst. */
export class ServedQueueAdapter {
  private readonly path: QueuePath
  private readonly dataPath: DataPath
  private readonly counters: Counters
  private readonly plan: QueueAdapterPlan
  private readonly buffer: ArrayBufferLike
  private readonly forwarding: QueuedForwarding
  private readonly pool: PacketPool
  private readonly burst = new CountedBurst()
  private fromMemory = false
  private looked = 0
  /** What waits in the memory of queues, as a source that the processor polls, and what takes it. */
  readonly waiting: EndpointQueue
  readonly serving: BurstTaker

  constructor(plan: QueueAdapterPlan, components: ProcessorQueuesComponents) {
    const { memory, pool, kernels, linear, dataPath, macs, processor, nowMs } = components
    const { buffer } = memory
    const tables = viewQueueTables(buffer, plan.tables, plan.sizes)
    const own = new Counters(buffer, plan.counters, plan.sizes.queues)
    this.plan = plan
    this.dataPath = dataPath
    this.counters = components.counters
    this.buffer = buffer
    this.path = new QueuePath({
      buffer,
      pool,
      kernels,
      tables,
      counters: own,
      list: plan.list,
      sourcePort: plan.port,
      processor,
      bursts: linear,
      indicate: (slots, _list, count, queue) => {
        if (this.fromMemory) {
          this.counters.processor(handedOver, count)
          own.port(queue, PortCounter.sentFrames, count)
        }
        this.enter(slots, count, queue)
      },
      wake: (other) => signalEventFd(plan.doorbells[other]!),
      nowUs: () => nowMs() * 1000,
    })
    this.pool = pool
    this.forwarding = new QueuedForwarding(plan.port, {
      pool,
      ports: dataPath.ports,
      macs,
      owners: tables.queues,
      state: dataPath.forwarding,
      buffer,
      targets: plan.list + QUEUE_PATH_TARGETS,
      bursts: linear,
      isUnseen: () => dataPath.stack.modules.length === 0,
    })
    dataPath.choice.queued = this.forwarding
    this.waiting = new WaitingPackets(() => this.isWaiting(tables.queues, processor))
    this.serving = { turn: () => this.serve() }
  }

  // All packets of a ring's burst, in its order, are taken as they are.
  private enter(slots: Uint16Array, count: number, queue: number): void {
    const { dataPath, forwarding, plan, pool } = this
    const isWhole = !this.fromMemory && count === this.burst.taken
    if (isWhole && plan.nicIndex !== 0) pool.sourceNic.fill(plan.nicIndex, 0, count) // ES-300
    forwarding.verified = isWhole ? queue : -1
    forwarding.oneSender = this.path.oneSender
    dataPath.takeOver(isWhole ? undefined : slots, count, plan.port, plan.nicIndex)
    forwarding.verified = -1
  }

  private isWaiting(queues: ReturnType<typeof viewQueueTables>['queues'], processor: number): boolean {
    if (!this.path.mayWait) return false
    for (let queue = 0; queue < queues.queues; queue++)
      if (queues.processor(queue) === processor && !queues.isEmpty(queue) && !queues.held(queue)) return true
    return false
  }

  private serve(): number {
    this.fromMemory = true
    try {
      return this.path.serve()
    } finally {
      this.fromMemory = false
      this.dataPath.settle()
    }
  }

  /** What takes the bursts of ring `ring` of the uplink. */
  ring(ring: number): BurstTaker {
    const { path, dataPath, counters, burst } = this
    const gate = new RingGate(this.buffer, this.plan.gates, ring)
    return {
      turn: (queue) => {
        if (!gate.isOpen()) return 0
        burst.queue = queue
        const taken = path.turn(burst)
        gate.took(taken)
        if (taken === 0) return 0
        const looked = path.classifier.lookUps
        if (looked !== this.looked) {
          counters.processor(lookUps, looked - this.looked)
          this.looked = looked
        }
        dataPath.settle()
        return taken
      },
    }
  }
}

export class ProcessorQueues {
  readonly #components: ProcessorQueuesComponents
  readonly #served = new Map<number, ServedQueueAdapter>()

  constructor(components: ProcessorQueuesComponents) {
    this.#components = components
  }

  open(plan: QueueAdapterPlan): void {
    this.#served.set(plan.adapter, new ServedQueueAdapter(plan, this.#components))
  }

  close(adapter: number): void {
    if (this.#served.delete(adapter)) this.#components.dataPath.choice.queued = undefined
  }

  /** Throws for one that was not opened. */
  find(adapter: number): ServedQueueAdapter {
    const served = this.#served.get(adapter)
    if (!served) throw new Error(`this processor serves no queues of adapter ${adapter}`)
    return served
  }
}
