// Time in a processor's thread: one monotonic clock for the whole switch, and the wall clock of the burst in work, read at most once
// per burst and without allocating.

const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6

/** CLOCK_MONOTONIC in milliseconds: comparable between threads. Allocates; for start-up only. */
export const systemMonotonicMs = monotonicMs

/** Milliseconds since the switch started, cheap and comparable between threads. */
export function createClock(startedMs: number): () => number {
  const offset = monotonicMs() - performance.now() - startedMs
  return () => performance.now() + offset
}

/** The wall clock as seconds and nanoseconds since 1970; refreshed on the first look after `expire`. */
export class WallClock {
  #stale = true
  #seconds = 0
  #nanoseconds = 0

  expire(): void {
    this.#stale = true
  }

  #refresh(): void {
    if (!this.#stale) return
    this.#stale = false
    const nowMs = performance.timeOrigin + performance.now()
    this.#seconds = Math.floor(nowMs / 1000)
    this.#nanoseconds = Math.floor((nowMs - this.#seconds * 1000) * 1e6)
  }

  get seconds(): number {
    this.#refresh()
    return this.#seconds
  }

  get nanoseconds(): number {
    this.#refresh()
    return this.#nanoseconds
  }
}
