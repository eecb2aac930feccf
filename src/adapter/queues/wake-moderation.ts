// Interrupt moderation (spec 5.7): wakes processors for which packets wait, at once, or so many microseconds or packets later. One wake-up
// serves all queues of a processor (VQ-032).
//
// The rule it must not break: a wake-up that is put off is made up by `due`, however few packets follow.

/** Packets after which a wake-up is not put off any longer. */
const PACKETS_MAX = 64

/** Fields are ordinary ones: `packets` runs per burst. */
export class WakeModeration {
  private readonly wake: (processor: number) => void
  private readonly waiting: Uint32Array
  private readonly since: Float64Array
  private readonly limitUs: Float64Array
  private pending = 0
  /** Wake-ups made. */
  wakes = 0

  /** `wake` wakes a processor below `processors`. */
  constructor(processors: number, wake: (processor: number) => void) {
    this.wake = wake
    this.waiting = new Uint32Array(processors)
    this.since = new Float64Array(processors)
    this.limitUs = new Float64Array(processors)
  }

  /** `count` packets wait for a processor; its wake-up may be put off by `limitUs` microseconds from the first of them. */
  packets(processor: number, count: number, limitUs: number, nowUs: number): void {
    const before = this.waiting[processor]!
    this.waiting[processor] = before + count
    if (before === 0) {
      this.since[processor] = nowUs
      this.limitUs[processor] = limitUs
      this.pending++
    } else if (limitUs < this.limitUs[processor]!) this.limitUs[processor] = limitUs
  }

  /** Wakes those whose time has come. At the end of each turn, and of each sleep. */
  due(nowUs: number): void {
    for (let p = 0; this.pending > 0 && p < this.waiting.length; p++) {
      const count = this.waiting[p]!
      if (count === 0 || (count < PACKETS_MAX && nowUs - this.since[p]! < this.limitUs[p]!)) continue
      this.waiting[p] = 0
      this.pending--
      this.wakes++
      this.wake(p)
    }
  }

  /** Microseconds until the next wake-up is due, or -1: a processor that goes to sleep sleeps no longer. */
  remainingUs(nowUs: number): number {
    let least = -1
    for (let p = 0; this.pending > 0 && p < this.waiting.length; p++) {
      if (this.waiting[p] === 0) continue
      const rest = Math.max(0, this.since[p]! + this.limitUs[p]! - nowUs)
      least = least < 0 ? rest : Math.min(least, rest)
    }
    return least
  }
}
