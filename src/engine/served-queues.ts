// The queues of one port, VPort or wire on all processors: who polls which, under which lock, and their replacement.
//
// The rule it must not break: `set` settles when no processor uses what was there before.
import { type QueuePlan, ringKinds, type WindowPlan } from '../endpoints/endpoint.ts'
import type { SharedMemory } from '../linux/shared-memory.ts'
import type { QueueTarget } from './messages.ts'
import type { ProcessorSet } from './processor-set.ts'
import { SHARED_QUEUE_LOCK_BYTES } from './shared-queue.ts'

export interface ServedQueuesComponents {
  readonly memory: SharedMemory
  readonly processors: ProcessorSet
  /** A processor could not take the queues. */
  readonly failed: (error: Error) => void
}

export class ServedQueues {
  readonly #target: QueueTarget
  readonly #first: number
  readonly #components: ServedQueuesComponents
  #plans: readonly QueuePlan[] = []
  #locks: readonly number[] = []

  /** Queue pair N is polled by processor (`first` + N) mod processors: a target's pairs are spread, and so are targets. */
  constructor(target: QueueTarget, first: number, components: ServedQueuesComponents) {
    this.#target = target
    this.#first = first
    this.#components = components
  }

  get count(): number {
    return this.#plans.length
  }

  /** Replaces the queues; an empty list withdraws all. */
  async set(plans: readonly QueuePlan[], windows: readonly WindowPlan[] = []): Promise<void> {
    this.#plans = plans
    const { memory, processors, failed } = this.#components
    const { clients } = processors
    const before = this.#locks
    const locks = plans.map(({ kind }) =>
      clients.length > 1 && kind !== 'adapter' && !ringKinds.has(kind) ? memory.allocate(SHARED_QUEUE_LOCK_BYTES) : 0,
    )
    this.#locks = locks
    const owned = (processor: number): number[] =>
      plans.map((_, i) => i).filter((i) => (this.#first + plans[i]!.index) % clients.length === processor)
    await Promise.all(
      clients.map((client, processor) =>
        client
          .request({ kind: 'queues', target: this.#target, plans, owned: owned(processor), locks, windows })
          .catch((error: Error) => failed(error)),
      ),
    )
    for (const lock of before) if (lock !== 0) memory.free(lock, SHARED_QUEUE_LOCK_BYTES)
  }
}
