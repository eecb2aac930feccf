// What was found for the flows of late, so that packets of the same flow need not be classified anew: for each family a table of exact keys, in
// sets of two, in which a later flow takes the place of an earlier one. An entry lies in one cache line, and a burst asks for all of its
// flows in a row, so that the processor waits for many lines at once.
//
// The rule it must not break: it answers for a key only what was found for the very same key since it was emptied. Allocates a table once,
// when the first flow of its family comes; the kernel gives memory only for what is written to.
import { K_PORTS, K_PROTOCOL, K_SWITCH_PORT } from './flow-key.ts'

/** Flows of each family that are remembered at the most. */
export const MEMO_ENTRIES = 32_768
const SETS = MEMO_ENTRIES / 2
// An entry of IPv4: look-up and generation, ports, protocol, switch port, last word of the local and the remote address, rank; of IPv6 the other
// words of both follow.
const E_LOOKUP = 0
const E_PORTS = 1
const E_PROTOCOL = 2
const E_SWITCH_PORT = 3
const E_LOCAL = 4
const E_REMOTE = 5
const E_RANK = 6
const E_WIDE = 8
const NARROW_WORDS = 8
const WIDE_WORDS = 16
// Large blocks begin 16 bytes behind a page, and entries at a cache line.
const FIRST_WORD = 12
/** Look-ups of a key are numbered from 1, below this. */
const LOOKUPS = 8
/** With a look-up added it is an integer of 31 bits. */
const GENERATION_MAX = 0x3fffffff - LOOKUPS
/** Where less than half of PERIOD look-ups find something there are too many flows: it is left alone for so many periods, then tried again. */
const PAUSE = 16
const PERIOD = MEMO_ENTRIES
const BURST = 64

/** What is returned for a flow that is not known. */
export const NOT_KNOWN = -1

/** Fields are ordinary ones: it is read per packet. */
export class FlowMemo {
  private readonly wide: boolean
  private readonly stride: number
  private words: Int32Array | undefined
  private readonly places = new Int32Array(BURST)
  // Guests do not know which of their flows share a set.
  private readonly seed = (Math.random() * 2 ** 30) | 0
  // Added to look-ups: what was noted before it was raised is not found any more.
  private generation = 0
  // Look-ups of this period, and what was not found.
  private asked = 0
  private missed = 0
  private resting = false

  /** `wide`: for keys of IPv6. */
  constructor(wide: boolean) {
    this.wide = wide
    this.stride = wide ? WIDE_WORDS : NARROW_WORDS
  }

  /** Forgets everything. */
  clear(): void {
    this.generation += LOOKUPS
    if (this.generation <= GENERATION_MAX) return
    this.generation = 0
    this.words?.fill(0)
  }

  private table(): Int32Array {
    this.words ??= new Int32Array(FIRST_WORD + MEMO_ENTRIES * this.stride)
    return this.words
  }

  // Index of the set of a key.
  private placeOf(key: Uint32Array): number {
    let hash = Math.imul(key[7]! ^ key[K_PORTS]! ^ this.seed, 0x9e3779b1)
    hash = Math.imul(hash ^ (hash >>> 15) ^ key[3]! ^ key[K_PROTOCOL]!, 0x85ebca6b)
    if (this.wide) {
      const local = Math.imul(key[0]! ^ (key[1]! << 7) ^ (key[2]! << 13), 0x9e3779b1)
      const remote = Math.imul(key[4]! ^ (key[5]! >>> 11) ^ (key[5]! << 7) ^ (key[6]! << 13), 0x85ebca6b)
      hash = Math.imul(hash ^ (hash >>> 13) ^ local ^ (remote >>> 9) ^ remote, 0xc2b2ae35)
    }
    hash ^= Math.imul(key[K_SWITCH_PORT]!, 0x27d4eb2f)
    return FIRST_WORD + ((hash ^ (hash >>> 16)) & (SETS - 1)) * 2 * this.stride
  }

  /** What was noted for the key by a look-up, or NOT_KNOWN. */
  find(key: Uint32Array, lookup: number): number {
    if (!this.asks(1)) return NOT_KNOWN
    const words = this.table()
    const at = this.placeOf(key)
    const rank = check(words, at, this.wide, key, lookup + this.generation)
    return rank === NOT_KNOWN ? check(words, at + this.stride, this.wide, key, lookup + this.generation) : rank
  }

  /** The same for the keys that the first `count` (at most 64) of `chosen` name, into `ranks`. Returns how many are not known. */
  findAll(keys: readonly Uint32Array[], lookups: Int32Array, chosen: Uint8Array, count: number, ranks: Int32Array): number {
    const { places, wide, stride, generation } = this
    if (!this.asks(count)) {
      for (let n = 0; n < count; n++) ranks[chosen[n]!] = NOT_KNOWN
      return count
    }
    const words = this.table()
    let missed = 0
    for (let n = 0; n < count; n++) places[n] = this.placeOf(keys[chosen[n]!]!)
    for (let n = 0; n < count; n++) {
      const i = chosen[n]!
      const key = keys[i]!
      const lookup = lookups[i]! + generation
      let rank = check(words, places[n]!, wide, key, lookup)
      if (rank === NOT_KNOWN) {
        rank = check(words, places[n]! + stride, wide, key, lookup)
        if (rank === NOT_KNOWN) missed++
      }
      ranks[i] = rank
    }
    return missed
  }

  // Counts look-ups; false while it is left alone.
  private asks(count: number): boolean {
    this.asked += count
    if (this.asked >= (this.resting ? PERIOD * PAUSE : PERIOD)) {
      this.resting = !this.resting && this.missed * 2 > this.asked
      this.asked = 0
      this.missed = 0
    }
    return !this.resting
  }

  /** Notes what was found for a key that is not known. */
  note(key: Uint32Array, lookup: number, rank: number): void {
    if (this.resting) return
    this.missed++
    const { wide, stride, generation } = this
    const words = this.table()
    let at = this.placeOf(key)
    if (words[at]! > generation && (words[at + stride]! <= generation || (this.missed & 1) !== 0)) at += stride
    words[at + E_LOOKUP] = lookup + generation
    words[at + E_PORTS] = key[K_PORTS]!
    words[at + E_PROTOCOL] = key[K_PROTOCOL]!
    words[at + E_SWITCH_PORT] = key[K_SWITCH_PORT]!
    words[at + E_LOCAL] = key[3]!
    words[at + E_REMOTE] = key[7]!
    words[at + E_RANK] = rank
    if (!wide) return
    for (let w = 0; w < 3; w++) {
      words[at + E_WIDE + w] = key[w]!
      words[at + E_WIDE + 3 + w] = key[4 + w]!
    }
  }
}

function check(words: Int32Array, at: number, wide: boolean, key: Uint32Array, lookup: number): number {
  let differs = words[at + E_LOOKUP]! ^ lookup
  differs |= words[at + E_PORTS]! ^ key[K_PORTS]!
  differs |= words[at + E_PROTOCOL]! ^ key[K_PROTOCOL]!
  differs |= words[at + E_SWITCH_PORT]! ^ key[K_SWITCH_PORT]!
  differs |= words[at + E_LOCAL]! ^ key[3]!
  differs |= words[at + E_REMOTE]! ^ key[7]!
  if (differs !== 0) return NOT_KNOWN
  if (wide) {
    const more = at + E_WIDE
    differs |= words[more]! ^ key[0]!
    differs |= words[more + 1]! ^ key[1]!
    differs |= words[more + 2]! ^ key[2]!
    differs |= words[more + 3]! ^ key[4]!
    differs |= words[more + 4]! ^ key[5]!
    differs |= words[more + 5]! ^ key[6]!
    if (differs !== 0) return NOT_KNOWN
  }
  return words[at + E_RANK]!
}
