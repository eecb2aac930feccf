// A host's life in a network: joins the shared store to the reconciler, keeps time, and hands on what has to change.
//
// The rule it must not break: differences are handed on one after the other, in the order in which they came to be; whoever takes them may be
// slow, or fail, and nothing is lost by it.
import type { OwnPort } from './own-ports.ts'
import { type ClusterEvent, type Differences, Reconciler, type ReconcilerOptions } from './reconciler.ts'
import type { PolicyRecord } from './records.ts'
import type { SharedStore, WriteResult } from './shared-store.ts'

export type LookupDifferences = Pick<Differences, 'set' | 'removed'>

export interface SessionComponents {
  readonly store: SharedStore
  /** Puts look-up records into the switch. */
  readonly apply: (changes: LookupDifferences) => Promise<void>
  /** Brings what the network imposes on ports into force, all of it. */
  readonly impose: (policies: readonly PolicyRecord[]) => Promise<void>
  readonly tell: (event: ClusterEvent) => void
  /** Milliseconds of a clock that never jumps. */
  readonly nowMs: () => number
}

/** Waits at least this long between two looks, whatever the reconciler says. */
const STEP_MIN_MS = 5
const FAREWELL_TRIES = 3

export class ClusterSession {
  readonly reconciler: Reconciler
  readonly #components: SessionComponents
  #timer: NodeJS.Timeout | undefined
  /** What comes at once is looked at once. */
  #soon: NodeJS.Immediate | undefined
  #closed = false
  // Changes of virtual subnets that were handed on.
  #subnetChanges = 0
  #applying: Promise<void> = Promise.resolve()
  readonly #waiting = new Set<() => void>()

  constructor(options: ReconcilerOptions, components: SessionComponents) {
    this.#components = components
    const { store, nowMs } = components
    this.reconciler = new Reconciler(options, nowMs())
    store.watch({
      connected: (up, why) => this.#during(() => this.reconciler.connected(up, why, nowMs())),
      begin: (kind) => this.reconciler.begin(kind),
      entries: (batch) => this.#during(() => this.reconciler.entries(batch, nowMs())),
      synced: () => this.#during(() => this.reconciler.synced(nowMs())),
    })
  }

  /** This host's ports from now on. */
  setPorts(ports: readonly OwnPort[]): void {
    this.#during(() => this.reconciler.setPorts(ports))
  }

  /** Waits until `condition` holds, or `timeoutMs` have passed; answers whether it does. */
  async until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
    const end = this.#components.nowMs() + timeoutMs
    while (!condition()) {
      const left = end - this.#components.nowMs()
      if (left <= 0 || this.#closed) return false
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, left)
        const waiting = this.#waiting
        function done(): void {
          clearTimeout(timer)
          waiting.delete(done)
          resolve()
        }
        waiting.add(done)
      })
    }
    return true
  }

  /** All that was handed on until now has been taken. */
  applied(): Promise<void> {
    return this.#applying
  }

  /** Writes something that is no host's own. */
  write(key: string, value: string | null, expected: number): Promise<WriteResult> {
    return this.#components.store.write(key, value, expected)
  }

  /** Takes this host out of the network; answers what could not be taken along. */
  async leave(): Promise<readonly string[]> {
    this.#stop()
    let left: readonly string[] = []
    for (let tries = 0; tries < FAREWELL_TRIES; tries++) {
      left = []
      const failed: string[] = []
      for (const { key, value, expected } of this.reconciler.farewell()) {
        const result = await this.#components.store.write(key, value, expected)
        if (!result.done) failed.push(`${key}: ${result.message}`)
        if (!result.done && result.code === 'unreachable') break
      }
      left = failed
      if (left.length === 0) break
    }
    return left
  }

  /** Ends the session. The host stays in the network until its lease runs out. */
  async close(): Promise<void> {
    this.#stop()
    await this.#components.store.close()
    await this.#applying
  }

  #stop(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    clearImmediate(this.#soon)
    for (const wake of this.#waiting) wake()
  }

  #during(work: () => void): void {
    if (this.#closed) {
      work() // what a farewell writes comes back
      return
    }
    work()
    this.#soon ??= setImmediate(() => {
      this.#soon = undefined
      this.#step()
    })
  }

  #step(): void {
    if (this.#closed) return
    const { store, nowMs, tell, apply, impose } = this.#components
    const { writes, set, removed, events, policies } = this.reconciler.step(nowMs())
    for (const event of events) tell(event)
    if (policies !== null) this.#hand(() => impose(policies))
    const { subnetChanges } = this.reconciler.view
    if (set.length + removed.length > 0 || subnetChanges !== this.#subnetChanges) this.#hand(() => apply({ set, removed }))
    this.#subnetChanges = subnetChanges
    for (const { key, value, expected } of writes)
      void store
        .write(key, value, expected)
        .catch((error: Error): WriteResult => ({ done: false, code: 'unreachable', message: error.message }))
        .then((result) => this.#during(() => this.reconciler.answered(key, result, nowMs())))
    this.#sleep()
    for (const wake of this.#waiting) wake()
  }

  #hand(work: () => Promise<void>): void {
    const { tell } = this.#components
    this.#applying = this.#applying
      .then(work)
      .catch((error: Error) => tell({ code: 'network-not-applied', message: error.message }))
  }

  #sleep(): void {
    clearTimeout(this.#timer)
    const at = this.reconciler.nextAtMs()
    if (at === Number.POSITIVE_INFINITY) return
    this.#timer = setTimeout(() => this.#step(), Math.max(STEP_MIN_MS, at - this.#components.nowMs()))
  }
}
