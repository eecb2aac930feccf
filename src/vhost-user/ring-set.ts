// All virtqueues of one port: their queue blocks, their locks, and the word of a processor that one broke.
//
// The rule it must not break: locks are taken transmit before receive, the order in which processors take them, and every change of
// a block happens under its lock.
import { QUEUE_BYTES } from '../kernels/layout.ts'
import { closeFd, createEventFd, drainEventFd, type Watcher, watchFd } from '../linux/files.ts'
import { RefusedError } from '../linux/refused.ts'
import type { SharedMemory } from '../linux/shared-memory.ts'
import { lockQueue, unlockQueue } from '../virtio/queue-lock.ts'
import { type RingSurroundings, Vring } from './vring.ts'

/** One queue pair for processors: linear addresses of its queue blocks. */
export interface QueuePair {
  readonly index: number
  /** What the guest receives from. */
  readonly rx: number
  /** What the guest sends into. */
  readonly tx: number
  /** Differs whenever the pair's rings or descriptors changed. */
  readonly generation: number
  /** Whether the driver receives on it: false of a pair that it has not enabled. */
  readonly receives: boolean
}

export interface RingSetOptions {
  /** Number of the port, for the queue blocks. */
  readonly port: number
  readonly queuePairs: number
}

export interface RingSetComponents {
  readonly memory: SharedMemory
  readonly surroundings: () => RingSurroundings
  /** Whether processors know all windows of guest memory in force. */
  readonly windowsConfirmed: () => boolean
  readonly event: (code: string, message: string) => void
  /** A ring broke; the set has reported it. */
  readonly onBreak: () => void
}

/** The rings of a port, even ones for receiving, odd ones for transmitting. */
export class RingSet {
  readonly all: readonly Vring[]
  readonly #components: RingSetComponents
  readonly #blocks: number
  readonly #alarm = createEventFd()
  readonly #watcher: Watcher

  constructor({ port, queuePairs }: RingSetOptions, components: RingSetComponents) {
    this.#components = components
    const { memory } = components
    this.#blocks = memory.allocate(2 * queuePairs * QUEUE_BYTES)
    this.all = Array.from(
      { length: 2 * queuePairs },
      (_, i) => new Vring(i, this.#blocks + i * QUEUE_BYTES, port, this.#alarm, memory),
    )
    this.#watcher = watchFd(this.#alarm, () => this.#onAlarm())
  }

  /** The ring with this number. Throws RefusedError. */
  at(index: number): Vring {
    const ring = this.all[index]
    if (!ring) throw new RefusedError('ring-index', `the front-end speaks of queue ${index}; this port has ${this.all.length}`)
    return ring
  }

  /** Does `work` while no processor is in any of `rings`. */
  locked(rings: readonly Vring[], work: () => void): void {
    const { i32 } = this.#components.memory
    const ordered = [...rings.filter((ring) => ring.isTransmit), ...rings.filter((ring) => !ring.isTransmit)]
    for (const { queue, index } of ordered)
      if (!lockQueue(i32, queue))
        this.#components.event('queue-stuck', `queue ${index} was not released by its processor; it is taken from it`)
    try {
      work()
    } finally {
      for (const { queue } of ordered) unlockQueue(i32, queue)
    }
  }

  /**
   * Does `change` while no processor is in `rings`, then brings their blocks up to date. With `strict`, a started ring that can't
   * run makes it throw a RefusedError; without, it makes an event.
   */
  update(rings: readonly Vring[], change: () => void, strict = false): void {
    this.locked(rings, () => {
      const problems = rings.map((ring) => ring.problem)
      change()
      const surroundings = this.#components.surroundings()
      for (const ring of rings) if (ring.settle(surroundings, this.#components.windowsConfirmed)) ring.wake()
      for (const [i, { index, problem }] of rings.entries()) {
        if (problem === null) continue
        if (strict) throw new RefusedError('ring-refused', `queue ${index} can't run: ${problem}`)
        if (problem !== problems[i]) this.#components.event('ring-refused', `queue ${index} can't run: ${problem}`)
      }
    })
  }

  /** Stops all rings. */
  stop(): void {
    this.locked(this.all, () => {
      for (const ring of this.all) ring.stop()
    })
  }

  /** Forgets all that was set. */
  reset(): void {
    this.locked(this.all, () => {
      for (const ring of this.all) ring.reset()
    })
  }

  /** Pairs of which at least one ring runs. */
  get pairs(): QueuePair[] {
    const pairs: QueuePair[] = []
    for (let i = 0; i < this.all.length; i += 2) {
      const [rx, tx] = [this.all[i]!, this.all[i + 1]!]
      if (rx.isRunning || tx.isRunning)
        pairs.push({
          index: i >> 1,
          rx: rx.queue,
          tx: tx.queue,
          generation: (rx.generation + tx.generation) >>> 0,
          receives: rx.isRunning,
        })
    }
    return pairs
  }

  /** Whether the guest's driver is ready: both rings of the first pair run. */
  get isServing(): boolean {
    return this.all[0]!.isServing && this.all[1]!.isServing
  }

  /** Gives the blocks back. Processors must have let go of them. */
  close(): void {
    this.#watcher.close()
    closeFd(this.#alarm)
    this.#components.memory.free(this.#blocks, this.all.length * QUEUE_BYTES)
  }

  #onAlarm(): void {
    drainEventFd(this.#alarm)
    for (const ring of this.all) {
      const reason = ring.reportBreak()
      if (reason !== null)
        this.#components.event(
          'ring-broken',
          `queue ${ring.index} is broken and stays stopped until the driver sets it up anew: ${reason}`,
        )
    }
    this.#components.onBreak()
  }
}
