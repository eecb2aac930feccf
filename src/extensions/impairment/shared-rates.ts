// What a line's rate and limits need of all processors: when the wire is free again, and how much waits. In memory that they share.
//
// The rule it must not break: nobody waits for another processor for long: after some looks at a lock it is taken for free. A rate is a
// little off then, and nothing else.

export const LINES_MAX = 1024
const WORDS = 8
const KEY = 0
const LOCK = 1
const FRAMES = 2
const BYTES = 3
const FREE_AT = 4 // f64
const LOOKS_MAX = 1000

export const SHARED_RATES_BYTES = LINES_MAX * WORDS * 4

export class SharedRates {
  private readonly words: Int32Array
  private readonly times: Float64Array
  private readonly several: boolean

  /** `words`: SHARED_RATES_BYTES, aligned to 8 bytes. `several`: whether other processors use it too. */
  constructor(words: Int32Array, several: boolean) {
    this.words = words
    this.times = new Float64Array(words.buffer, words.byteOffset, words.length >> 1)
    this.several = several
  }

  /** The place of the line that all processors know by `key` (not 0), or -1 if there is no place left. */
  place(key: number): number {
    const start = Math.imul(key, 0x9e3779b1) >>> 22
    for (let i = 0; i < LINES_MAX; i++) {
      const at = ((start + i) % LINES_MAX) * WORDS
      const known = Atomics.compareExchange(this.words, at + KEY, 0, key)
      if (known === 0 || known === key) return at
    }
    return -1
  }

  frames(place: number): number {
    return this.words[place + FRAMES]!
  }

  bytes(place: number): number {
    return this.words[place + BYTES]!
  }

  /** `frames` more (or, negative, fewer) wait, of `bytes` in all. */
  wait(place: number, frames: number, bytes: number): void {
    const { words } = this
    if (this.several) {
      Atomics.add(words, place + FRAMES, frames)
      Atomics.add(words, place + BYTES, bytes)
      return
    }
    words[place + FRAMES] = words[place + FRAMES]! + frames
    words[place + BYTES] = words[place + BYTES]! + bytes
  }

  /**
   * Puts a frame that takes `tookMs` onto the wire, as soon as it is free; returns when it has left it, in milliseconds. A wire that was
   * free may have been so for `savedMs` at the most.
   */
  send(place: number, nowMs: number, tookMs: number, savedMs: number): number {
    if (this.several) this.lock(place)
    const at = (place + FREE_AT) >> 1
    const left = Math.max(this.times[at]!, nowMs - savedMs) + tookMs
    this.times[at] = left
    if (this.several) Atomics.store(this.words, place + LOCK, 0)
    return Math.max(left, nowMs)
  }

  private lock(place: number): void {
    for (let i = 0; i < LOOKS_MAX; i++) if (Atomics.compareExchange(this.words, place + LOCK, 0, 1) === 0) return
  }
}
