// Which slots of a pool are free: a bit for each. The lowest free one is taken first, so that packets which are kept together stand in a
// row, in as few cache lines as can be, and what was given back is used again before anything else.
//
// The rule it must not break: a slot is free or taken, never both; nothing is allocated.

const NONE = -1
const ALL = 0xffffffff
const WORD_SLOTS = 32

/** Fields are ordinary ones: they are read per packet. */
export class FreeSlots {
  private readonly words: Uint32Array
  // No slot in a word before this one is free.
  private lowest: number
  /** Free slots. */
  count = 0

  /** Slots `first` to before `end`, both multiples of 32, are free. */
  constructor(first: number, end: number) {
    this.words = new Uint32Array(end >> 5)
    this.words.fill(0xffffffff, first >> 5)
    this.lowest = first >> 5
    this.count = end - first
  }

  /** Takes stock: of the slots from `first` on those are free whose `taken` is 0. */
  reset(first: number, taken: Uint8Array): void {
    this.words.fill(0)
    this.count = 0
    this.lowest = this.words.length
    for (let slot = first; slot < taken.length; slot++) if (taken[slot] === 0) this.give(slot)
  }

  /** A slot that is free no more, or -1. */
  take(): number {
    if (this.count === 0) return NONE
    const { words } = this
    let at = this.lowest
    let word = words[at]!
    while (word === 0) word = words[++at]!
    this.lowest = at
    this.count--
    words[at] = word & (word - 1)
    return (at << 5) | (31 - Math.clz32(word & -word))
  }

  /** `take` for `count` slots, no more than are free: their numbers go to `slots`. */
  takeAll(slots: Uint16Array, count: number): void {
    const { words } = this
    let at = this.lowest
    for (let i = 0; i < count; at++) {
      let word = words[at]!
      if (word === ALL && count - i >= WORD_SLOTS) {
        for (let slot = at << 5, end = slot + WORD_SLOTS; slot < end; slot++) slots[i++] = slot
        words[at] = 0
        continue
      }
      for (; word !== 0 && i < count; word &= word - 1) slots[i++] = (at << 5) | (31 - Math.clz32(word & -word))
      words[at] = word
      if (word !== 0) break
    }
    this.lowest = at
    this.count -= count
  }

  /** Makes a slot free that was taken. */
  give(slot: number): void {
    const at = slot >> 5
    this.words[at] = this.words[at]! | (1 << (slot & 31))
    if (at < this.lowest) this.lowest = at
    this.count++
  }

  /** `give` for `count` slots from `first` on. */
  giveSpan(first: number, count: number): void {
    const { words } = this
    for (let slot = first, left = count; left > 0; ) {
      const bit = slot & 31
      const n = Math.min(left, WORD_SLOTS - bit)
      words[slot >> 5] = words[slot >> 5]! | ((n === WORD_SLOTS ? -1 : (1 << n) - 1) << bit)
      slot += n
      left -= n
    }
    if (first >> 5 < this.lowest) this.lowest = first >> 5
    this.count += count
  }

  /** `give` for the first `count` of `slots`: those in a row that share a word at once. */
  giveAll(slots: Uint16Array, count: number): void {
    const { words } = this
    for (let i = 0; i < count; ) {
      const at = slots[i]! >> 5
      let word = words[at]!
      for (; i < count && slots[i]! >> 5 === at; i++) word |= 1 << (slots[i]! & 31)
      words[at] = word
      if (at < this.lowest) this.lowest = at
    }
    this.count += count
  }
}
