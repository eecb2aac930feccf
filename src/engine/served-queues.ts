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
  #first: number
  /** Processors that pairs are spread over; none: all. */
  #among: readonly number[] = []
  #steps: Promise<unknown> = Promise.resolve()
  readonly #components: ServedQueuesComponents
  #plans: readonly QueuePlan[] = []
  #locks: readonly number[] = []

  /** Queue pair N is polled by processor (`first` + N) mod processors: a target's pairs are spread, and so are targets. See `polledFrom`. */
  constructor(target: QueueTarget, first: number, components: ServedQueuesComponents) {
    this.#target = target
    this.#first = first
    this.#components = components
  }

  get count(): number {
    return this.#plans.length
  }

  /** Replaces the queues; an empty list withdraws all. Throws, with all withdrawn, when there is no memory for what they need. */
  set(plans: readonly QueuePlan[], windows: readonly WindowPlan[] = []): Promise<void> {
    return this.#inOrder(() => this.#set(plans, windows))
  }

  /**
   * Queue pair 0 is polled by `processor` from now on, the others by those of `among` that follow (none: of all). Nobody polls a pair while
   * it changes hands, so its frames keep their order; the guest's wait in its ring meanwhile.
   */
  polledFrom(processor: number, among: readonly number[] = []): Promise<void> {
    return this.#inOrder(async () => {
      const before = this.#owners()
      this.#first = processor
      this.#among = among
      const after = this.#owners()
      const { processors, failed } = this.#components
      const tell = (changed: (own: readonly number[], next: readonly number[]) => readonly number[] | undefined) =>
        Promise.all(
          processors.clients.map(async (client, i) => {
            const owned = changed(before[i]!, after[i]!)
            if (owned === undefined) return
            const queues = { target: this.#target, plans: this.#plans, owned, locks: this.#locks, windows: [] }
            await client.request({ kind: 'queues', ...queues }).catch((error: Error) => failed(error))
          }),
        )
      const loses = (own: readonly number[], next: readonly number[]): boolean => own.some((pair) => !next.includes(pair))
      const gains = (own: readonly number[], next: readonly number[]): boolean => next.some((pair) => !own.includes(pair))
      await tell((own, next) => (loses(own, next) ? own.filter((pair) => next.includes(pair)) : undefined))
      await tell((own, next) => (gains(own, next) ? next : undefined))
    })
  }

  /** The processor that polls a queue pair. */
  processorOf(queuePair: number): number {
    const { length } = this.#components.processors.clients
    const place = this.#among.indexOf(this.#first)
    return place < 0 ? (this.#first + queuePair) % length : this.#among[(place + queuePair) % this.#among.length]!
  }

  // For each processor the indices of the plans that it polls.
  #owners(): number[][] {
    return this.#components.processors.clients.map((_, processor) =>
      this.#plans.map((_, i) => i).filter((i) => this.processorOf(this.#plans[i]!.index) === processor),
    )
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#steps.then(work)
    this.#steps = result.catch(() => undefined)
    return result
  }

  async #set(plans: readonly QueuePlan[], windows: readonly WindowPlan[]): Promise<void> {
    const { memory } = this.#components
    const locks: number[] = []
    try {
      for (const plan of plans) locks.push(this.#needsLock(plan) ? memory.allocate(SHARED_QUEUE_LOCK_BYTES) : 0)
    } catch (error) {
      this.#free(locks)
      await this.#replace([], [], [])
      throw error
    }
    await this.#replace(plans, locks, windows)
  }

  // Queues that several processors use, and that have no locks of their own.
  #needsLock({ kind }: QueuePlan): boolean {
    return this.#components.processors.clients.length > 1 && kind !== 'adapter' && !ringKinds.has(kind)
  }

  async #replace(plans: readonly QueuePlan[], locks: readonly number[], windows: readonly WindowPlan[]): Promise<void> {
    const { processors, failed } = this.#components
    const { clients } = processors
    const before = this.#locks
    this.#plans = plans
    this.#locks = locks
    const owners = this.#owners()
    await Promise.all(
      clients.map((client, processor) =>
        client
          .request({ kind: 'queues', target: this.#target, plans, owned: owners[processor]!, locks, windows })
          .catch((error: Error) => failed(error)),
      ),
    )
    this.#free(before)
  }

  #free(locks: readonly number[]): void {
    for (const lock of locks) if (lock !== 0) this.#components.memory.free(lock, SHARED_QUEUE_LOCK_BYTES)
  }
}
