// When to send again: RFC 6298. It measures round trips of what was sent once (Karn's rule), and doubles its time at each loss.
import type { Clock } from './clock.ts'
import { sequenceDifference } from './tcp-segment.ts'

const FIRST_TIMEOUT_MS = 1_000
const TIMEOUT_MIN_MS = 200
const TIMEOUT_MAX_MS = 10_000

export class RetransmissionTimer {
  readonly #clock: Clock
  readonly #expired: () => void
  #timeoutMs = FIRST_TIMEOUT_MS
  #smoothedMs = 0
  #variationMs = 0
  #measured: { end: number; sentAtMs: number } | null = null
  #cancel: (() => void) | null = null

  constructor(clock: Clock, expired: () => void) {
    this.#clock = clock
    this.#expired = expired
  }

  /** A segment goes out. `isNew`: none of it went out before; only such a one can be timed. */
  sent(end: number, isNew: boolean): void {
    if (!isNew) this.#measured = null
    else this.#measured ??= { end, sentAtMs: this.#clock.nowMs() }
  }

  acknowledged(acknowledgment: number): void {
    if (this.#measured === null || sequenceDifference(acknowledgment, this.#measured.end) < 0) return
    const sampleMs = this.#clock.nowMs() - this.#measured.sentAtMs
    this.#measured = null
    if (this.#smoothedMs === 0) {
      this.#smoothedMs = sampleMs
      this.#variationMs = sampleMs / 2
    } else {
      this.#variationMs = 0.75 * this.#variationMs + 0.25 * Math.abs(this.#smoothedMs - sampleMs)
      this.#smoothedMs = 0.875 * this.#smoothedMs + 0.125 * sampleMs
    }
    this.#timeoutMs = Math.min(TIMEOUT_MAX_MS, Math.max(TIMEOUT_MIN_MS, this.#smoothedMs + 4 * this.#variationMs))
  }

  /** Starts it if it does not run. */
  start(): void {
    this.#cancel ??= this.#clock.after(this.#timeoutMs, () => {
      this.#cancel = null
      this.#expired()
    })
  }

  restart(): void {
    this.stop()
    this.start()
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = null
  }

  /** It has expired: wait twice as long, and run. */
  backOff(): void {
    this.#measured = null
    this.#timeoutMs = Math.min(TIMEOUT_MAX_MS, this.#timeoutMs * 2)
    this.restart()
  }
}
