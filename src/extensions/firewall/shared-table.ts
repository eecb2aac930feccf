// A table of flows, names or questions that all processors' instances share, cut into lanes: one for each VM, so that none takes the room
// of another, however hostile it is. Within a lane, buckets of eight entries; a full bucket gives up what is over, then what was
// never answered, then what would end first.
//
// The rule it must not break: nothing is allocated, a look-up reads eight entries at the most, and an entry of one lane is never found in
// another.
const WAYS = 8
/** Looks at a taken lock before it is passed over: its holder is gone. */
const LOOKS_MAX = 1_000_000

// Words of an entry: its bits + 1 (0: free), the millisecond at which it ends, a value, then its key.
const BITS = 0
const ENDS = 1
const VALUE = 2
const KEY = 3

/** Bits of a flow that was seen from one side and from the other: with both it was answered, and is kept when others have to go. */
export const FROM_VM = 1
export const TO_VM = 2
const ANSWERED = FROM_VM | TO_VM
/** What `find` returns for an entry whose value is another one. */
export const ELSEWHERE = -2

export interface TableShape {
  readonly lanes: number
  /** Entries of a lane: a power of two, at least 8. */
  readonly entries: number
  readonly keyWords: number
}

const laneWords = ({ entries, keyWords }: TableShape): number => entries / WAYS + entries * (KEY + keyWords)

/** Bytes to declare for a table. */
export const tableBytes = (shape: TableShape): number => (1 + shape.lanes * laneWords(shape)) * 4

/** Fields are ordinary ones: they are read per packet. */
export class SharedTable {
  /** Key to look for: fill it in before a call. */
  readonly key: Int32Array
  /** Value of the entry that `find` or `take` found. */
  value = 0
  /** Look-ups find what they find, and nothing is changed: for packets that are traced. */
  isFrozen = false
  private readonly words: Int32Array
  private readonly several: boolean
  private readonly keyWords: number
  private readonly buckets: number
  private readonly perLane: number
  private readonly seed: number

  /** `several`: whether other processors use it too. */
  constructor(words: Int32Array, shape: TableShape, several: boolean) {
    this.words = words
    this.several = several
    this.keyWords = shape.keyWords
    this.key = new Int32Array(shape.keyWords)
    this.buckets = shape.entries / WAYS
    this.perLane = laneWords(shape)
    // One seed for all processors, which nobody can know: else a VM could aim at one bucket.
    const own = Math.floor(Math.random() * 0x7fffffff) + 1
    this.seed = Atomics.compareExchange(words, 0, 0, own) || own
  }

  // Two chains, so that one multiplication need not wait for the other.
  private bucket(): number {
    const { key, keyWords, seed } = this
    let even = seed
    let odd = ~seed
    for (let k = 1; k < keyWords; k += 2) {
      even = Math.imul(even ^ key[k - 1]!, 0x9e3779b1)
      odd = Math.imul(odd ^ key[k]!, 0xc2b2ae35)
      even ^= even >>> 15
      odd ^= odd >>> 13
    }
    if ((keyWords & 1) !== 0) even = Math.imul(even ^ key[keyWords - 1]!, 0x9e3779b1)
    const hash = Math.imul(even ^ (even >>> 15) ^ (odd << 16) ^ (odd >>> 16), 0x85ebca6b)
    return (hash ^ (hash >>> 16)) & (this.buckets - 1)
  }

  private lock(at: number): void {
    if (!this.several) return
    for (let i = 0; i < LOOKS_MAX; i++) if (Atomics.compareExchange(this.words, at, 0, 1) === 0) return
  }

  private unlock(at: number): void {
    if (this.several) Atomics.store(this.words, at, 0)
  }

  private entryAt(lane: number, bucket: number): number {
    return 1 + lane * this.perLane + this.buckets + bucket * WAYS * (KEY + this.keyWords)
  }

  // The entry with the key that is not over, or -1. Under the bucket's lock.
  private search(first: number, nowMs: number): number {
    const { words, key, keyWords } = this
    const stride = KEY + keyWords
    const last = keyWords - 1
    const lastWord = key[last]!
    for (let way = 0, at = first; way < WAYS; way++, at += stride) {
      if (words[at + KEY + last] !== lastWord || words[at] === 0) continue // of two flows the last words differ most often
      let k = 0
      while (k < last && words[at + KEY + k] === key[k]) k++
      if (k === last) return ((words[at + ENDS]! - nowMs) | 0) > 0 ? at : -1
    }
    return -1
  }

  /**
   * The bits of the entry with `key`, with `more` bits set, or -1. It lives on for `times[bits]` milliseconds from now; without `times`
   * its end stays. ELSEWHERE, and nothing is changed, if `value` and the entry's are neither the same nor 0.
   */
  find(lane: number, nowMs: number, more = 0, times?: Int32Array, value = 0): number {
    const bucket = this.bucket()
    const lockAt = 1 + lane * this.perLane + bucket
    const now = nowMs | 0
    this.lock(lockAt)
    const at = this.search(this.entryAt(lane, bucket), now)
    let bits = -1
    if (at >= 0) {
      const { words } = this
      this.value = words[at + VALUE]!
      if (value !== 0 && this.value !== 0 && value !== this.value) bits = ELSEWHERE
      else {
        bits = (words[at + BITS]! - 1) | more
        if (!this.isFrozen) words[at + BITS] = bits + 1
        if (!this.isFrozen && times !== undefined) words[at + ENDS] = (now + times[bits]!) | 0
      }
    }
    this.unlock(lockAt)
    return bits
  }

  /** Removes the entry with `key`; false if there is none. */
  take(lane: number, nowMs: number): boolean {
    const bucket = this.bucket()
    const lockAt = 1 + lane * this.perLane + bucket
    this.lock(lockAt)
    const at = this.search(this.entryAt(lane, bucket), nowMs | 0)
    if (at >= 0) {
      this.value = this.words[at + VALUE]!
      if (!this.isFrozen) this.words[at + BITS] = 0
    }
    this.unlock(lockAt)
    return at >= 0
  }

  /** Puts `key` in, or anew, for `livesMs` (up to 2^30) from now. An entry that is there is never shortened if `onlyLonger`. */
  put(lane: number, nowMs: number, bits: number, livesMs: number, value: number, onlyLonger = false): void {
    if (this.isFrozen) return
    const bucket = this.bucket()
    const lockAt = 1 + lane * this.perLane + bucket
    const now = nowMs | 0
    this.lock(lockAt)
    const { words, key, keyWords } = this
    const first = this.entryAt(lane, bucket)
    const found = this.search(first, now)
    const at = found >= 0 ? found : this.victim(first, now)
    const ends = (now + livesMs) | 0
    words[at + BITS] = bits + 1
    words[at + ENDS] = found >= 0 && onlyLonger && ((words[at + ENDS]! - ends) | 0) > 0 ? words[at + ENDS]! : ends
    words[at + VALUE] = value
    for (let k = 0; k < keyWords; k++) words[at + KEY + k] = key[k]!
    this.unlock(lockAt)
  }

  private victim(first: number, now: number): number {
    const { words } = this
    const stride = KEY + this.keyWords
    let victim = first
    let isAnswered = true
    let rest = Number.POSITIVE_INFINITY
    for (let way = 0, at = first; way < WAYS; way++, at += stride) {
      const left = (words[at + ENDS]! - now) | 0
      if (words[at] === 0 || left <= 0) return at
      const answered = ((words[at + BITS]! - 1) & ANSWERED) === ANSWERED
      if ((isAnswered && !answered) || (answered === isAnswered && left < rest)) {
        victim = at
        isAnswered = answered
        rest = left
      }
    }
    return victim
  }

  /** Tells `visit` of each entry of a lane that is not over: its bits, the milliseconds that it has left, its value, and where its key is. */
  each(
    lane: number,
    nowMs: number,
    visit: (bits: number, restMs: number, value: number, words: Int32Array, keyAt: number) => void,
  ): void {
    const { words } = this
    const stride = KEY + this.keyWords
    for (let bucket = 0; bucket < this.buckets; bucket++) {
      const lockAt = 1 + lane * this.perLane + bucket
      this.lock(lockAt)
      for (let way = 0, at = this.entryAt(lane, bucket); way < WAYS; way++, at += stride) {
        const rest = (words[at + ENDS]! - (nowMs | 0)) | 0
        if (words[at] !== 0 && rest > 0) visit(words[at + BITS]! - 1, rest, words[at + VALUE]!, words, at + KEY)
      }
      this.unlock(lockAt)
    }
  }

  /** Forgets a lane: another VM gets it. */
  clear(lane: number): void {
    const from = 1 + lane * this.perLane
    this.words.fill(0, from + this.buckets, from + this.perLane)
  }
}
