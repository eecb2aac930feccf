// The receive filters as the data path asks them: (MAC, VLAN) → VPort, in shared memory, open addressing with bounded probes. One
// control thread writes without a lock; all processors read.
//
// Complications: a move must be one step (SR-221), so it changes the one word that holds the VPort and nothing else. A reader that meets
// a writer reads the key again after the VPort. Several kinds of key share the table: with a VLAN id, untagged or zero (id 0), without
// VLAN test, each also for inner addresses; and the addresses that a VPort may send from.
import {
  FILTER_ENTRY_BYTES,
  FILTER_HASH_HIGH,
  FILTER_HASH_KEY,
  FILTER_HASH_MIX,
  FILTER_PROBES,
  FILTER_TABLE_HEADER,
  FILTER_VALID,
} from '../kernels/layout.ts'
import { macKey } from '../switch/mac-table.ts'

// The direct kernel reads the table too. V8 folds a module's own constants into the code: these are per packet.
const HEADER_WORDS: number = FILTER_TABLE_HEADER >> 2
const ENTRY_WORDS: number = FILTER_ENTRY_BYTES >> 2
const PROBES: number = FILTER_PROBES
const USED = 0
const INNER = 1
const VALID: number = FILTER_VALID
const KIND_SHIFT = 28
const KIND_VLAN = 0
const KIND_ANY_VLAN = 1
const KIND_SOURCE = 2
const INNER_MIX = 0x5bd1e995
const HASH_HIGH = FILTER_HASH_HIGH | 0
const HASH_MIX = FILTER_HASH_MIX | 0
const HASH_KEY = FILTER_HASH_KEY | 0

/** VLAN test of a filter that has none: any tag, or no tag, passes. */
export const ANY_VLAN = -1

export const filterTableBytes = (entries: number): number => (HEADER_WORDS + entries * ENTRY_WORDS) * 4

/** One filter's key. `vlan`: 0 = untagged or zero, 1…4094, or ANY_VLAN. `inner`: the MAC is that of an encapsulated frame. */
export interface FilterKey {
  readonly mac: string
  readonly vlan: number
  readonly inner: boolean
}

/** Fields are ordinary ones: look-ups run per packet. */
export class FilterTable {
  readonly words: Int32Array
  private readonly mask: number

  /** Views the table at byte offset `at` of `buffer`, zeroed by the caller. `entries` is a power of two. */
  constructor(buffer: ArrayBufferLike, at: number, entries: number) {
    if (entries < 16 || (entries & (entries - 1)) !== 0)
      throw new RangeError(`a filter table has a power of two of entries from 16, not ${entries}`)
    this.words = new Int32Array(buffer, at, filterTableBytes(entries) >> 2)
    this.mask = entries - 1
  }

  /** Entries that it has room for. */
  get entries(): number {
    return this.mask + 1
  }

  // Folds before it multiplies: a host's entropy is in the top byte of the low word.
  private start(low: number, key: number): number {
    const mixed = low ^ Math.imul(key, HASH_HIGH) ^ Math.imul(key >>> 16, HASH_KEY)
    return Math.imul(mixed ^ (mixed >>> 15), HASH_MIX) >>> 8
  }

  private find(low: number, key: number): number {
    const { words, mask } = this
    let i = this.start(low, key)
    for (let probe = 0; probe < PROBES; probe++, i++) {
      const at = HEADER_WORDS + ((i & mask) << 2)
      if (words[at + 1] === key && words[at] === low) return at
    }
    return -1
  }

  private vportOf(low: number, key: number): number {
    const at = this.find(low, key)
    if (at < 0) return -1
    const vport = Atomics.load(this.words, at + 2)
    return Atomics.load(this.words, at + 1) === key && this.words[at] === low ? vport : -1
  }

  /**
   * The VPort whose filter matches a frame with this destination address and VLAN id (0 = untagged or zero), or -1. More specific
   * filters come first. Allocates nothing.
   */
  match(low: number, high: number, vlan: number): number {
    const vport = this.vportOf(low, high | (vlan << 16) | VALID) // SR-203, SR-206, SR-209
    return vport >= 0 ? vport : this.vportOf(low, high | (KIND_ANY_VLAN << KIND_SHIFT) | VALID) // SR-205, SR-208
  }

  /** As `match`, for the destination address of an encapsulated frame. */
  matchInner(low: number, high: number, vlan: number): number {
    return this.match(low ^ INNER_MIX, high, vlan)
  }

  /** True if a filter tests inner addresses: only then are encapsulations looked into. */
  get hasInner(): boolean {
    return this.words[INNER] !== 0
  }

  /** True if the VPort may send from this address because one of its filters has it (PD-01). */
  mayBeSource(low: number, high: number, vport: number): boolean {
    return this.find(low, high | (vport << 16) | (KIND_SOURCE << KIND_SHIFT) | VALID) >= 0
  }

  // ---- control thread ---------------------------------------------------------------------------------------------------

  private insert(low: number, key: number, vport: number): boolean {
    const { words } = this
    const found = this.find(low, key)
    if (found >= 0) {
      Atomics.store(words, found + 2, vport)
      return true
    }
    const at = this.freeEntry(low, key)
    if (at < 0) return false
    words[at] = low
    words[at + 2] = vport
    Atomics.store(words, at + 1, key)
    words[USED] = words[USED]! + 1
    return true
  }

  // A free entry for the key, or -1.
  private freeEntry(low: number, key: number): number {
    let i = this.start(low, key)
    for (let probe = 0; probe < PROBES; probe++, i++) {
      const at = HEADER_WORDS + ((i & this.mask) << 2)
      if (this.words[at + 1] === 0) return at
    }
    return -1
  }

  private remove(low: number, key: number): boolean {
    const at = this.find(low, key)
    if (at < 0) return false
    Atomics.store(this.words, at + 1, 0)
    this.words[USED] = this.words[USED]! - 1
    return true
  }

  /**
   * Programs a filter, or gives one that is programmed to another VPort in one step: a frame meets it there or here, never nowhere and
   * never twice (SR-221). Returns false if its probes are all taken (a bigger table helps).
   */
  set(filter: FilterKey, vport: number): boolean {
    const { low, key } = keyOf(filter)
    const known = this.find(low, key) >= 0
    if (!this.insert(low, key, vport)) return false
    if (filter.inner && !known) this.words[INNER] = this.words[INNER]! + 1
    return true
  }

  /** Takes a filter out. */
  clear(filter: FilterKey): boolean {
    const { low, key } = keyOf(filter)
    if (!this.remove(low, key)) return false
    if (filter.inner) this.words[INNER] = this.words[INNER]! - 1
    return true
  }

  /** Notes that a VPort may send from an address. Returns false without room. */
  allowSource(mac: string, vport: number): boolean {
    const { low, high } = macKey(mac)
    return this.insert(low, high | (vport << 16) | (KIND_SOURCE << KIND_SHIFT) | VALID, vport)
  }

  /** Takes that back. */
  denySource(mac: string, vport: number): void {
    const { low, high } = macKey(mac)
    this.remove(low, high | (vport << 16) | (KIND_SOURCE << KIND_SHIFT) | VALID)
  }

  /** Entries in use. */
  get used(): number {
    return this.words[USED]!
  }
}

function keyOf(filter: FilterKey): { low: number; key: number } {
  const { low, high } = macKey(filter.mac)
  const kind = filter.vlan === ANY_VLAN ? KIND_ANY_VLAN : KIND_VLAN
  const vlan = filter.vlan === ANY_VLAN ? 0 : filter.vlan
  return { low: filter.inner ? low ^ INNER_MIX : low, key: high | (vlan << 16) | (kind << KIND_SHIFT) | VALID }
}
