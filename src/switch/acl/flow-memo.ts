// What was found for the flows of late, so that packets of the same flow need not be classified anew: for each family a table of exact keys, in
// sets of two, in which a later flow takes the place of an earlier one. An entry lies in one cache line, and a burst asks for all of its
// flows in a row, so that the processor waits for many lines at once.
//
// The rule it must not break: it answers for a key only what was found for the very same key since it was emptied. Allocates a table once,
// when the first flow of its family comes; the kernel gives memory only for what is written to.
import { FLOW_KEY_WORDS, K_PORTS, K_PROTOCOL, K_SWITCH_PORT } from './flow-key.ts'

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

  // Index of the set of the key at `k`.
  private placeOf(keys: Uint32Array, k: number): number {
    let hash = Math.imul(keys[k + 7]! ^ keys[k + K_PORTS]! ^ this.seed, 0x9e3779b1)
    hash = Math.imul(hash ^ (hash >>> 15) ^ keys[k + 3]! ^ keys[k + K_PROTOCOL]!, 0x85ebca6b)
    if (this.wide) {
      const local = Math.imul(keys[k]! ^ (keys[k + 1]! << 7) ^ (keys[k + 2]! << 13), 0x9e3779b1)
      const high = keys[k + 5]!
      const remote = Math.imul(keys[k + 4]! ^ (high >>> 11) ^ (high << 7) ^ (keys[k + 6]! << 13), 0x85ebca6b)
      hash = Math.imul(hash ^ (hash >>> 13) ^ local ^ (remote >>> 9) ^ remote, 0xc2b2ae35)
    }
    hash ^= Math.imul(keys[k + K_SWITCH_PORT]!, 0x27d4eb2f)
    return FIRST_WORD + ((hash ^ (hash >>> 16)) & (SETS - 1)) * 2 * this.stride
  }

  /** What was noted for the key by a look-up, or NOT_KNOWN. */
  find(key: Uint32Array, lookup: number): number {
    if (!this.asks(1)) return NOT_KNOWN
    const words = this.table()
    return inSet(words, this.placeOf(key, 0), this.wide, key, 0, lookup + this.generation)
  }

  /**
   * The same for those keys of `keys`, one behind the other, that the first `count` (at most 64) of `chosen` name, into `ranks`. Returns how many
   * are not known.
   */
  findAll(keys: Uint32Array, lookups: Int32Array, chosen: Uint8Array, count: number, ranks: Int32Array): number {
    const { places, wide, generation } = this
    if (!this.asks(count)) {
      for (let n = 0; n < count; n++) ranks[chosen[n]!] = NOT_KNOWN
      return count
    }
    const words = this.table()
    for (let n = 0; n < count; n++) places[n] = this.placeOf(keys, chosen[n]! * FLOW_KEY_WORDS)
    let missed = 0
    for (let n = 0; n < count; n++) {
      const i = chosen[n]!
      const rank = inSet(words, places[n]!, wide, keys, i * FLOW_KEY_WORDS, lookups[i]! + generation)
      ranks[i] = rank
      if (rank === NOT_KNOWN) missed++
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
    let at = this.placeOf(key, 0)
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

// The rank in the set at `at` for the key at `k`, or NOT_KNOWN.
function inSet(words: Int32Array, at: number, wide: boolean, keys: Uint32Array, k: number, lookup: number): number {
  if (isEntry(words, at, wide, keys, k, lookup)) return words[at + E_RANK]!
  const second = at + (wide ? WIDE_WORDS : NARROW_WORDS)
  return isEntry(words, second, wide, keys, k, lookup) ? words[second + E_RANK]! : NOT_KNOWN
}

function isEntry(words: Int32Array, at: number, wide: boolean, keys: Uint32Array, k: number, lookup: number): boolean {
  let differs = words[at + E_LOOKUP]! ^ lookup
  differs |= words[at + E_PORTS]! ^ keys[k + K_PORTS]!
  differs |= words[at + E_PROTOCOL]! ^ keys[k + K_PROTOCOL]!
  differs |= words[at + E_SWITCH_PORT]! ^ keys[k + K_SWITCH_PORT]!
  differs |= words[at + E_LOCAL]! ^ keys[k + 3]!
  differs |= words[at + E_REMOTE]! ^ keys[k + 7]!
  if (!wide || differs !== 0) return differs === 0
  const more = at + E_WIDE
  differs |= words[more]! ^ keys[k]!
  differs |= words[more + 1]! ^ keys[k + 1]!
  differs |= words[more + 2]! ^ keys[k + 2]!
  differs |= words[more + 3]! ^ keys[k + 4]!
  differs |= words[more + 4]! ^ keys[k + 5]!
  differs |= words[more + 5]! ^ keys[k + 6]!
  return differs === 0
}
