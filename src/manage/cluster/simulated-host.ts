// A host in virtual time: the reconciler with a connection to a bucket in memory, driven by the clock of both. What a real host has in its
// place is session.ts.
//
// The rule it must not break: it does what a session does, in the same order, and nothing more.
import type { MemoryConnection, VirtualClock } from './memory-store.ts'
import type { OwnPort } from './own-ports.ts'
import { type ClusterEvent, type Differences, Reconciler, type ReconcilerOptions } from './reconciler.ts'
import type { PolicyRecord } from './records.ts'

export class SimulatedHost {
  readonly reconciler: Reconciler
  readonly connection: MemoryConnection
  readonly events: ClusterEvent[] = []
  /** Told of each change of its look-up records. */
  onChange: ((changes: Differences, nowMs: number) => void) | null = null
  /** Told what the network imposes on ports. */
  onPolicies: ((policies: readonly PolicyRecord[]) => void) | null = null
  readonly #clock: VirtualClock
  #running = true
  #wakeAt = Number.POSITIVE_INFINITY

  constructor(options: ReconcilerOptions, connection: MemoryConnection, clock: VirtualClock) {
    this.#clock = clock
    this.connection = connection
    this.reconciler = new Reconciler(options, clock.nowMs)
    const told = (work: (nowMs: number) => void): void => {
      if (!this.#running) return
      work(clock.nowMs)
      this.step()
    }
    connection.watch({
      connected: (up, why) => told((now) => this.reconciler.connected(up, why, now)),
      begin: (kind) => this.reconciler.begin(kind),
      entries: (batch) => told((now) => this.reconciler.entries(batch, now)),
      synced: () => told((now) => this.reconciler.synced(now)),
    })
  }

  setPorts(ports: readonly OwnPort[]): void {
    this.reconciler.setPorts(ports)
    this.step()
  }

  /** The process ends at once, its lease and claims stay. */
  kill(): void {
    this.#running = false
    this.connection.setUp(false)
  }

  step(): void {
    if (!this.#running) return
    const differences = this.reconciler.step(this.#clock.nowMs)
    this.events.push(...differences.events)
    if (differences.set.length + differences.removed.length > 0) this.onChange?.(differences, this.#clock.nowMs)
    if (differences.policies !== null) this.onPolicies?.(differences.policies)
    for (const { key, value, expected } of differences.writes)
      this.connection.submit(key, value, expected, (result) => {
        if (!this.#running) return
        this.reconciler.answered(key, result, this.#clock.nowMs)
        this.step()
      })
    this.#wake()
  }

  #wake(): void {
    const at = this.reconciler.nextAtMs()
    if (at >= this.#wakeAt || at === Number.POSITIVE_INFINITY) return
    this.#wakeAt = at
    this.#clock.after(Math.max(1, at - this.#clock.nowMs), () => {
      if (this.#wakeAt !== at) return
      this.#wakeAt = Number.POSITIVE_INFINITY
      this.step()
    })
  }
}
