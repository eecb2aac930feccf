// Sets of rules as bits, and the classes of values that one field of a packet falls into: all values of a class are matched by the
// same rules. A packet is matched by the rules in the intersection of its fields' sets.
//
// The rule it must not break: bit n of a set is rule n of the program, and rule 0 is tried first; so the lowest bit decides.

/** Distinct sets of rules, by number. */
export class SetPool {
  /** Words of one set. */
  readonly words: number
  readonly #numbers = new Map<string, number>()
  readonly #sets: Int32Array[] = []

  constructor(rules: number) {
    this.words = Math.max(1, Math.ceil(rules / 32))
  }

  /** The number of the set of the rules for which `matches` holds, among `rules`. */
  number(rules: number, matches: (rule: number) => boolean): number {
    const set = new Int32Array(this.words)
    for (let rule = 0; rule < rules; rule++) if (matches(rule)) set[rule >> 5] = set[rule >> 5]! | (1 << (rule & 31))
    const key = set.join()
    const known = this.#numbers.get(key)
    if (known !== undefined) return known
    this.#numbers.set(key, this.#sets.length)
    this.#sets.push(set)
    return this.#sets.length - 1
  }

  /** Whether all sets are the same: then the field decides nothing. */
  get isTrivial(): boolean {
    return this.#sets.length <= 1
  }

  /** All sets one after the other: set n from index n * words. */
  flat(): Int32Array {
    const flat = new Int32Array(Math.max(1, this.#sets.length) * this.words)
    for (const [i, set] of this.#sets.entries()) flat.set(set, i * this.words)
    return flat
  }
}

/** Number of the set without rules among `Intersections`. */
export const EMPTY = 0

/** Distinct intersections of the sets of two fields, by number. */
export class Intersections {
  readonly #left: Int32Array
  readonly #right: Int32Array
  readonly #words: number
  readonly #byPair = new Map<number, number>()
  readonly #bySet = new Map<string, number>()
  readonly #sets: Int32Array[] = []
  #lastPair = -1
  #lastNumber = EMPTY

  /** Both sides hold sets of `words` words, one after the other. */
  constructor(left: Int32Array, right: Int32Array, words: number) {
    this.#left = left
    this.#right = right
    this.#words = words
    this.#add(new Int32Array(words))
  }

  #add(set: Int32Array): number {
    const key = set.join()
    const known = this.#bySet.get(key)
    if (known !== undefined) return known
    this.#bySet.set(key, this.#sets.length)
    this.#sets.push(set)
    return this.#sets.length - 1
  }

  /** The number of the intersection of set `left` and set `right`; EMPTY if they have no rule in common. */
  number(left: number, right: number): number {
    const pair = left * 0x10000 + right
    if (pair === this.#lastPair) return this.#lastNumber // neighbouring values mostly have the same sets
    let number = this.#byPair.get(pair)
    if (number === undefined) {
      const from = right * this.#words
      const set = this.#left.slice(left * this.#words, (left + 1) * this.#words)
      for (let w = 0; w < set.length; w++) set[w] = set[w]! & this.#right[from + w]!
      number = this.#add(set)
      this.#byPair.set(pair, number)
    }
    this.#lastPair = pair
    this.#lastNumber = number
    return number
  }

  /** All sets one after the other: set n from index n * words. */
  flat(): Int32Array {
    const flat = new Int32Array(this.#sets.length * this.#words)
    for (const [i, set] of this.#sets.entries()) flat.set(set, i * this.#words)
    return flat
  }
}

/** The first values of the stretches into which `ranges` cut 0…`last`. */
export function cuts(ranges: readonly (readonly [number, number])[], last: number): number[] {
  const starts = new Set<number>([0])
  for (const [from, to] of ranges) {
    starts.add(from)
    if (to < last) starts.add(to + 1)
  }
  return [...starts].sort((a, b) => a - b)
}
