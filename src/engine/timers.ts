// Timers of modules on one processor: few, so a list is enough. They fire between bursts, never inside one. Repeating ones are looked at
// once per slice; exact ones, which are set to a time, more often, and what waits for them waits to the fraction of a millisecond.
import type { Timer } from '../extension.ts'

interface Repeating {
  readonly intervalMs: number
  readonly callback: () => void
  readonly owner: string
  dueMs: number
}

interface Exact {
  readonly callback: () => void
  readonly owner: string
  /** Infinity: not set. */
  dueMs: number
  ended: boolean
}

/** Timers over the processor's clock. */
export class Timers {
  readonly #nowMs: () => number
  readonly #failed: (owner: string, error: unknown) => void
  #timers: Repeating[] = []
  #nextMs = Number.POSITIVE_INFINITY
  #exact: Exact[] = []
  #nextExactMs = Number.POSITIVE_INFINITY

  constructor(nowMs: () => number, failed: (owner: string, error: unknown) => void) {
    this.#nowMs = nowMs
    this.#failed = failed
  }

  /** Calls `callback` of `owner` every `intervalMs` (at least 1). Returns what stops it. */
  every(intervalMs: number, callback: () => void, owner: string): () => void {
    const interval = intervalMs >= 1 ? intervalMs : 1 // NaN too
    const timer: Repeating = { intervalMs: interval, callback, owner, dueMs: this.#nowMs() + interval }
    this.#timers.push(timer)
    this.#nextMs = Math.min(this.#nextMs, timer.dueMs)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** An exact timer of `owner` that is not set, and what ends it. */
  exact(callback: () => void, owner: string): { readonly timer: Timer; end(): void } {
    const exact: Exact = { callback, owner, dueMs: Number.POSITIVE_INFINITY, ended: false }
    this.#exact = [...this.#exact, exact]
    const timer: Timer = {
      at: (dueMs) => {
        if (exact.ended || Number.isNaN(dueMs)) return
        exact.dueMs = dueMs
        this.#nextExactMs = Math.min(this.#nextExactMs, dueMs)
      },
      stop: () => {
        exact.dueMs = Number.POSITIVE_INFINITY // the next look finds nothing due and looks for the next one
      },
    }
    return { timer, end: () => this.#end(exact) }
  }

  #end(exact: Exact): void {
    exact.ended = true
    exact.dueMs = Number.POSITIVE_INFINITY
    this.#exact = this.#exact.filter((other) => other !== exact)
  }

  /** Calls the exact ones that are due. Returns true if there was one. Costs a comparison while none is set. */
  runExact(): boolean {
    if (this.#nextExactMs === Number.POSITIVE_INFINITY) return false
    const now = this.#nowMs()
    if (now < this.#nextExactMs) return false
    this.#nextExactMs = Number.POSITIVE_INFINITY
    let called = false
    const timers = this.#exact
    for (let i = 0; i < timers.length; i++) {
      const exact = timers[i]!
      if (exact.dueMs <= now) {
        exact.dueMs = Number.POSITIVE_INFINITY
        called = true
        try {
          exact.callback()
        } catch (error) {
          this.#end(exact)
          this.#failed(exact.owner, error)
        }
      }
      this.#nextExactMs = Math.min(this.#nextExactMs, exact.dueMs)
    }
    return called
  }

  /** A callback was interrupted from outside: looks anew for what is due next. */
  interrupted(): void {
    this.#nextMs = Number.NEGATIVE_INFINITY
    this.#nextExactMs = Number.NEGATIVE_INFINITY
  }

  /** Milliseconds until the next exact one is due, with fractions; Infinity without any. */
  untilExactMs(): number {
    return this.#nextExactMs === Number.POSITIVE_INFINITY ? this.#nextExactMs : Math.max(0, this.#nextExactMs - this.#nowMs())
  }

  /** Calls those that are due. A timer that throws is stopped and reported. */
  run(): void {
    this.runExact()
    const now = this.#nowMs()
    if (now < this.#nextMs) return
    for (const timer of [...this.#timers]) {
      if (timer.dueMs > now || !this.#timers.includes(timer)) continue
      timer.dueMs = Math.max(timer.dueMs + timer.intervalMs, now)
      try {
        timer.callback()
      } catch (error) {
        this.#timers = this.#timers.filter((other) => other !== timer)
        this.#failed(timer.owner, error)
      }
    }
    this.#nextMs = this.#timers.reduce((next, timer) => Math.min(next, timer.dueMs), Number.POSITIVE_INFINITY)
  }

  /** Milliseconds until the next one is due, rounded up; a large number without any. */
  untilNextMs(): number {
    return this.#nextMs === Number.POSITIVE_INFINITY ? 1_000_000 : Math.max(0, Math.ceil(this.#nextMs - this.#nowMs()))
  }
}
