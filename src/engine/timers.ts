// Timers of modules on one processor: few, so a list is enough. They fire between bursts, never inside one.

interface Timer {
  readonly intervalMs: number
  readonly callback: () => void
  readonly owner: string
  dueMs: number
}

/** Repeating timers over the processor's clock. */
export class Timers {
  readonly #nowMs: () => number
  readonly #failed: (owner: string, error: unknown) => void
  #timers: Timer[] = []
  #nextMs = Number.POSITIVE_INFINITY

  constructor(nowMs: () => number, failed: (owner: string, error: unknown) => void) {
    this.#nowMs = nowMs
    this.#failed = failed
  }

  /** Calls `callback` of `owner` every `intervalMs` (at least 1). Returns what stops it. */
  every(intervalMs: number, callback: () => void, owner: string): () => void {
    const interval = intervalMs >= 1 ? intervalMs : 1 // NaN too
    const timer: Timer = { intervalMs: interval, callback, owner, dueMs: this.#nowMs() + interval }
    this.#timers.push(timer)
    this.#nextMs = Math.min(this.#nextMs, timer.dueMs)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** Calls those that are due. A timer that throws is stopped and reported. */
  run(): void {
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
