// A timing wheel: entries, named by small numbers, come out when their tick has come, in the order of ticks and, within one, in the order
// in which they were put in. Three levels of 256 slots: a slot of one level is a round of the level below.
//
// The rule it must not break: putting in and taking out cost the same however many entries there are, and allocate nothing.

const SLOTS = 256
const LEVEL_1 = SLOTS
const LEVEL_2 = SLOTS * 2
const ROUND_1 = SLOTS
const ROUND_2 = SLOTS * SLOTS
const NONE = -1

/** How far ahead of the present tick an entry may be put. */
export const WHEEL_TICKS_MAX = (SLOTS - 1) * ROUND_2

/** Fields are ordinary ones: they are read per packet. */
export class TimingWheel {
  private readonly next: Int32Array
  private readonly due: Float64Array
  private readonly head = new Int32Array(SLOTS * 3).fill(NONE)
  private readonly tail = new Int32Array(SLOTS * 3).fill(NONE)
  // A bit for each slot that holds something.
  private readonly used = new Uint32Array((SLOTS * 3) >> 5)
  private now = 0
  /** Entries in the wheel. */
  count = 0

  /** Holds entries 0 to `entries` - 1, each once at a time. */
  constructor(entries: number) {
    this.next = new Int32Array(entries).fill(NONE)
    this.due = new Float64Array(entries)
  }

  /**
   * Puts `entry` in at `nowTick`, to come out at `tick`, or with the next `advance` if that is over. At most WHEEL_TICKS_MAX ahead.
   */
  add(entry: number, tick: number, nowTick: number): void {
    if (this.count === 0 && nowTick > this.now) this.now = nowTick
    this.due[entry] = tick > this.now ? Math.min(tick, this.now + WHEEL_TICKS_MAX) : this.now
    this.count++
    this.place(entry)
  }

  private place(entry: number): void {
    const { now } = this
    const due = this.due[entry]!
    const round = Math.floor(due / ROUND_1)
    let slot: number
    if (round === Math.floor(now / ROUND_1)) slot = due % SLOTS
    else {
      const outer = Math.floor(due / ROUND_2)
      slot = outer === Math.floor(now / ROUND_2) ? LEVEL_1 + (round % SLOTS) : LEVEL_2 + (outer % SLOTS)
    }
    this.next[entry] = NONE
    const last = this.tail[slot]!
    if (last === NONE) {
      this.head[slot] = entry
      this.used[slot >> 5] = this.used[slot >> 5]! | (1 << (slot & 31))
    } else this.next[last] = entry
    this.tail[slot] = entry
  }

  /** Which of two entries comes out first: below 0, 0 or above, as for sorting. Entries of one tick are equal. */
  compare(one: number, other: number): number {
    return this.due[one]! - this.due[other]!
  }

  /** The tick at which `advance` has something to do next; Infinity if the wheel is empty. An entry never comes out before its tick. */
  nextTick(): number {
    if (this.count === 0) return Number.POSITIVE_INFINITY
    const { now } = this
    const round = Math.floor(now / ROUND_1)
    const inRound = this.find(0, now % SLOTS, SLOTS)
    if (inRound >= 0) return round * ROUND_1 + inRound
    const outer = Math.floor(now / ROUND_2)
    const inOuter = this.find(LEVEL_1, (round % SLOTS) + 1, SLOTS)
    if (inOuter >= 0) return outer * ROUND_2 + inOuter * ROUND_1
    const at = outer % SLOTS
    const ahead = this.find(LEVEL_2, at + 1, SLOTS)
    if (ahead >= 0) return (outer + ahead - at) * ROUND_2
    return (outer + SLOTS + this.find(LEVEL_2, 0, at + 1) - at) * ROUND_2 // it goes round
  }

  // The first used slot of a level from `from` to before `to`, or -1.
  private find(level: number, from: number, to: number): number {
    for (let slot = from; slot < to; ) {
      const word = this.used[(level + slot) >> 5]! >>> (slot & 31)
      if (word !== 0) {
        const found = slot + (31 - Math.clz32(word & -word))
        return found < to ? found : NONE
      }
      slot = (slot | 31) + 1
    }
    return NONE
  }

  /** Calls `take` with each entry whose tick is not after `tick`. `take` puts nothing in. */
  advance(tick: number, take: (entry: number) => void): void {
    for (;;) {
      const next = this.nextTick()
      if (this.count === 0 || next > tick) break
      this.now = next
      if (next % ROUND_2 === 0) this.sink(LEVEL_2 + ((next / ROUND_2) % SLOTS))
      if (next % ROUND_1 === 0) this.sink(LEVEL_1 + ((next / ROUND_1) % SLOTS))
      for (let entry = this.empty(next % SLOTS); entry !== NONE; ) {
        const after = this.next[entry]!
        this.count--
        take(entry)
        entry = after
      }
    }
    if (tick > this.now && tick !== Number.POSITIVE_INFINITY) this.now = tick
  }

  /** Takes out everything, in order. */
  drain(take: (entry: number) => void): void {
    const { now } = this
    this.advance(Number.POSITIVE_INFINITY, take)
    this.now = now
  }

  // The entries of an outer slot, whose round begins, go to where they belong now.
  private sink(slot: number): void {
    for (let entry = this.empty(slot); entry !== NONE; ) {
      const after = this.next[entry]!
      this.place(entry)
      entry = after
    }
  }

  // Empties a slot; returns its first entry.
  private empty(slot: number): number {
    const first = this.head[slot]!
    this.head[slot] = NONE
    this.tail[slot] = NONE
    this.used[slot >> 5] = this.used[slot >> 5]! & ~(1 << (slot & 31))
    return first
  }
}
