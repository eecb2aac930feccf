// The memory of the connection table: finds, adds and removes entries for all processors of a switch. An open-addressing index of
// fingerprints leads to entries of two cache lines each.
//
// Complications: look-ups take no lock, so an entry may change under a reader's eyes. Each has a sequence number that is odd while it is
// written; a reader compares the key between reading the number and making it odd itself, which fails if anything changed. What adds,
// removes or lists entries takes the table's lock first, and an entry's second, never the other way round.
//
// Fairness: every port has a reserve that nobody else can take. What is left is a pool, of which a port may hold as much as
// POOL_FACTOR times what is free in it: one busy port gets nearly all, several share equally, and room for one more always remains. A port
// over its share evicts its own entries that were not answered yet or are over, the oldest first, and never another port's.
//
// The rule it must not break: an established connection goes only by its own end, idleness or port; nothing is allocated per packet.
import * as layout from './connection-layout.ts'
import { isEvictable, PICK_UP_MS } from './time-outs.ts'

const {
  ENTRY_BITS,
  ENTRY_MASK,
  ENTRY_WORDS,
  FIRST_ENTRY,
  HEADER_WORDS,
  INDEX_PER_ENTRY,
  KEY_WORDS,
  LIST_FIRST,
  PROBES,
  TOMBSTONE,
} = layout
const { E_KEY, E_LAST, E_NEXT, E_PREVIOUS, E_STATE, E_TIMEOUT, STATE_MASK } = layout
const { H_BUMP, H_COUNTERS, H_FREE, H_LOCK, H_POOL_USED, H_SEED, H_USED } = layout
const { FLOW_SWITCH_PORT, SWITCH_PORT_MASK } = layout
const { PORT_RECORD_WORDS, R_HEAD, R_TAIL, R_USED } = layout
const { evicted: EVICTED } = layout.ConnectionCounter
const FREE = layout.ConnectionState.free
const MIX_A = layout.MIX_A | 0
const MIX_B = layout.MIX_B | 0
const MIX_C = layout.MIX_C | 0
const FAMILY_4 = 4

/** Entries that a port can hold whatever the others do, if the table is large enough. */
const RESERVE_MAX = 16
/** The part of the table that all reserves together may take: one in so many. */
const RESERVE_PART = 8
/** How many times what is free of the pool a port may hold of it. */
export const POOL_FACTOR = 8

const EVICTED_AT_ONCE = 2

/** Results of `allocate` in place of an entry. */
export const OVER_SHARE = -1
export const NO_ROOM = -2

export interface StoreOptions {
  /** A power of two. */
  readonly connections: number
  /** Port ids are below. */
  readonly ports: number
}

/** Fields are ordinary ones: they are read per packet. Entries are named by the position of their first word. */
export class ConnectionStore {
  readonly words: Int32Array
  readonly floats: Float64Array
  readonly connections: number
  readonly ports: number
  /** Entries that each port can hold whatever the others do, and what all share beyond those. */
  readonly reserve: number
  readonly pool: number
  private readonly mask: number
  private readonly indexAt: number
  /** Where the index starts, from the table's. */
  readonly indexBytes: number
  private readonly entriesAt: number

  /** Views the table at byte offset `at` (a multiple of 128) of `buffer`, zeroed by the caller. */
  constructor(buffer: ArrayBufferLike, at: number, { connections, ports }: StoreOptions) {
    if (connections < 16 || (connections & (connections - 1)) !== 0 || connections > layout.CONNECTIONS_MAX)
      throw new RangeError(
        `a connection table has a power of two of entries from 16 to ${layout.CONNECTIONS_MAX}, not ${connections}`,
      )
    const bytes = layout.connectionTableBytes(connections, ports)
    this.words = new Int32Array(buffer, at, bytes >> 2)
    this.floats = new Float64Array(buffer, at, bytes >> 3)
    this.connections = connections
    this.ports = ports
    this.reserve = Math.min(RESERVE_MAX, Math.floor(connections / RESERVE_PART / ports))
    this.pool = connections - this.reserve * ports
    this.mask = connections * INDEX_PER_ENTRY - 1
    this.indexAt = layout.indexAt(ports)
    this.indexBytes = this.indexAt * 4
    this.entriesAt = this.indexAt + connections * INDEX_PER_ENTRY
  }

  /** Makes where connections stand unforeseeable for guests. Once, before the table is used. */
  seed(random: number): void {
    this.words[H_SEED] = random | 0
  }

  private hash(key: Uint32Array): number {
    let mixed = Math.imul(this.words[H_SEED]! ^ key[3]!, MIX_A)
    mixed = Math.imul(mixed ^ (mixed >>> 15) ^ key[7]!, MIX_B)
    mixed = Math.imul(mixed ^ (mixed >>> 13) ^ key[8]!, MIX_C)
    mixed = Math.imul(mixed ^ (mixed >>> 16) ^ key[9]!, MIX_A)
    if (((key[9]! >>> 8) & 0xf) !== FAMILY_4) {
      mixed = Math.imul(mixed ^ (mixed >>> 15) ^ key[0]!, MIX_B)
      mixed = Math.imul(mixed ^ (mixed >>> 13) ^ key[1]!, MIX_C)
      mixed = Math.imul(mixed ^ (mixed >>> 16) ^ key[2]!, MIX_A)
      mixed = Math.imul(mixed ^ (mixed >>> 15) ^ key[4]!, MIX_B)
      mixed = Math.imul(mixed ^ (mixed >>> 13) ^ key[5]!, MIX_C)
      mixed = Math.imul(mixed ^ (mixed >>> 16) ^ key[6]!, MIX_A)
    }
    mixed = Math.imul(mixed ^ (mixed >>> 15) ^ key[10]!, MIX_B)
    mixed = Math.imul(mixed ^ (mixed >>> 13), MIX_C)
    return mixed ^ (mixed >>> 16)
  }

  private matches(at: number, key: Uint32Array): boolean {
    const { words } = this
    const at4 = at + E_KEY
    return (
      ((words[at4 + 3]! ^ key[3]!) |
        (words[at4 + 7]! ^ key[7]!) |
        (words[at4 + 8]! ^ key[8]!) |
        (words[at4 + 9]! ^ key[9]!) |
        (words[at4 + 10]! ^ key[10]!) |
        (words[at4]! ^ key[0]!) |
        (words[at4 + 1]! ^ key[1]!) |
        (words[at4 + 2]! ^ key[2]!) |
        (words[at4 + 4]! ^ key[4]!) |
        (words[at4 + 5]! ^ key[5]!) |
        (words[at4 + 6]! ^ key[6]!)) ===
      0
    )
  }

  /** The entry of a key, which is the caller's to write until it calls `release`; -1 if there is none. Allocates nothing. */
  acquire(key: Uint32Array): number {
    const { words, mask, indexAt } = this
    const hash = this.hash(key)
    let i = hash & mask // the fingerprint is of the upper bits
    for (let probe = 0; probe < PROBES; probe++, i++) {
      const word = words[indexAt + (i & mask)]!
      if (word === 0) return -1
      if ((word ^ hash) >>> ENTRY_BITS !== 0 || (word & ENTRY_MASK) < FIRST_ENTRY) continue
      const at = this.entriesAt + ((word & ENTRY_MASK) - FIRST_ENTRY) * ENTRY_WORDS
      for (;;) {
        const sequence = Atomics.load(words, at)
        if ((sequence & 1) !== 0) continue
        if ((words[at + E_STATE]! & STATE_MASK) === FREE || !this.matches(at, key)) {
          if (Atomics.load(words, at) === sequence) break
          continue
        }
        if (Atomics.compareExchange(words, at, sequence, (sequence + 1) | 0) === sequence) return at
      }
    }
    return -1
  }

  /** Ends writing to an entry. */
  release(at: number): void {
    Atomics.store(this.words, at, (this.words[at]! + 1) | 0)
  }

  /** Makes an entry the caller's to write, whatever it holds. */
  acquireAt(at: number): void {
    const { words } = this
    for (;;) {
      const sequence = Atomics.load(words, at)
      if ((sequence & 1) === 0 && Atomics.compareExchange(words, at, sequence, (sequence + 1) | 0) === sequence) return
    }
  }

  /** Takes the table's lock. Never while an entry is held. */
  lock(): void {
    while (Atomics.compareExchange(this.words, H_LOCK, 0, 1) !== 0);
  }

  unlock(): void {
    Atomics.store(this.words, H_LOCK, 0)
  }

  /** Adds to a counter (ConnectionCounter). The lock is held. */
  count(counter: number, by = 1): void {
    const at = (H_COUNTERS >> 1) + counter
    this.floats[at] = this.floats[at]! + by
  }

  counter(counter: number): number {
    return this.floats[(H_COUNTERS >> 1) + counter]!
  }

  /** Position of a port's record. */
  recordOf(port: number): number {
    return HEADER_WORDS + port * PORT_RECORD_WORDS
  }

  // False if a port may hold no more than it does.
  private hasShare(port: number): boolean {
    const { words, reserve, pool } = this
    const used = words[this.recordOf(port) + R_USED]!
    return used < reserve || used - reserve < POOL_FACTOR * (pool - words[H_POOL_USED]!)
  }

  /**
   * An entry for `key`, which has none, with nothing but the key in it; it is the caller's to write until it calls `release`. Evicts what may be
   * evicted of the same port if that is over its share. OVER_SHARE or NO_ROOM if there is none. The lock is held.
   */
  allocate(key: Uint32Array): number {
    const { words } = this
    const port = key[FLOW_SWITCH_PORT]! & SWITCH_PORT_MASK
    if (port >= this.ports) return NO_ROOM
    const record = this.recordOf(port)
    // Two where the pool has become smaller meanwhile: so the port goes back to its share step by step.
    for (let evicted = 0; !this.hasShare(port); evicted++) {
      if (evicted === EVICTED_AT_ONCE || !this.evict(record)) return OVER_SHARE
    }
    const hash = this.hash(key)
    const place = this.placeFor(hash)
    if (place < 0) return NO_ROOM
    const entry = this.takeFree()
    if (entry < 0) return NO_ROOM
    const at = this.entryAt(entry)
    this.acquireAt(at)
    for (let k = 0; k < KEY_WORDS; k++) words[at + E_KEY + k] = key[k]!
    words.fill(0, at + E_NEXT, at + ENTRY_WORDS)
    words[H_USED] = words[H_USED]! + 1
    const used = words[record + R_USED]! + 1
    words[record + R_USED] = used
    if (used > this.reserve) words[H_POOL_USED] = words[H_POOL_USED]! + 1
    Atomics.store(words, place, (hash & ~ENTRY_MASK) | (entry + FIRST_ENTRY))
    return at
  }

  // Removes the oldest entry of a port that may be evicted; false without one.
  private evict(record: number): boolean {
    const { words } = this
    for (let oldest = words[record + R_HEAD]!; oldest !== 0; oldest = words[record + R_HEAD]!) {
      const at = this.entryAt(oldest - 1)
      this.acquireAt(at)
      if (isEvictable(words[at + E_STATE]! & STATE_MASK)) {
        this.removeHeld(at)
        this.count(EVICTED)
        return true
      }
      this.unlist(at) // it was answered a moment ago
      this.release(at)
    }
    return false
  }

  private placeFor(hash: number): number {
    const { words, mask, indexAt } = this
    let i = hash & mask // the fingerprint is of the upper bits
    for (let probe = 0; probe < PROBES; probe++, i++) {
      const place = indexAt + (i & mask)
      if ((words[place]! & ENTRY_MASK) < FIRST_ENTRY) return place
    }
    return -1
  }

  private takeFree(): number {
    const { words } = this
    const free = words[H_FREE]!
    if (free !== 0) {
      words[H_FREE] = words[this.entryAt(free - 1) + E_NEXT]!
      return free - 1
    }
    const next = words[H_BUMP]!
    if (next >= this.connections) return -1
    words[H_BUMP] = next + 1
    return next
  }

  /** Position of the entry with a number. */
  entryAt(entry: number): number {
    return this.entriesAt + entry * ENTRY_WORDS
  }

  private entryOf(at: number): number {
    return (at - this.entriesAt) / ENTRY_WORDS
  }

  /** Entries that were ever in use: numbers below this. */
  get everUsed(): number {
    return Atomics.load(this.words, H_BUMP)
  }

  /** Removes an entry in use, which is the caller's to write, and releases it. The lock is held: it was taken before the entry. */
  removeHeld(at: number): void {
    const { words } = this
    this.unlist(at)
    this.unindex(at)
    words[at + E_STATE] = FREE
    const record = this.recordOf(words[at + E_KEY + FLOW_SWITCH_PORT]! & SWITCH_PORT_MASK)
    const used = words[record + R_USED]!
    if (used > this.reserve) words[H_POOL_USED] = words[H_POOL_USED]! - 1
    words[record + R_USED] = used - 1
    words[H_USED] = words[H_USED]! - 1
    words[at + E_NEXT] = words[H_FREE]!
    words[H_FREE] = this.entryOf(at) + 1
    this.release(at)
  }

  // Takes an entry out of the index. A word that no look-up needs to pass becomes empty again, and so do those before it.
  private unindex(at: number): void {
    const { words, mask, indexAt } = this
    for (let k = 0; k < KEY_WORDS; k++) this.scratch[k] = words[at + E_KEY + k]!
    const wanted = this.entryOf(at) + FIRST_ENTRY
    let i = this.hash(this.scratch) & mask
    for (let probe = 0; probe < PROBES; probe++, i++) {
      if ((words[indexAt + (i & mask)]! & ENTRY_MASK) !== wanted) continue
      if (words[indexAt + ((i + 1) & mask)] !== 0) {
        words[indexAt + (i & mask)] = TOMBSTONE
        return
      }
      words[indexAt + (i & mask)] = 0
      for (i--; words[indexAt + (i & mask)] === TOMBSTONE; i--) words[indexAt + (i & mask)] = 0
      return
    }
  }

  private readonly scratch = new Uint32Array(KEY_WORDS)

  /** Puts an entry into its port's list of those that may be evicted, or takes it out, as its state says. The lock is held. */
  relist(at: number): void {
    const { words } = this
    const state = words[at + E_STATE]! & STATE_MASK
    if (state === FREE) return
    const isListed = words[at + E_PREVIOUS] !== 0
    if (isEvictable(state) === isListed) return
    if (isListed) this.unlist(at)
    else this.list(at)
  }

  private list(at: number): void {
    const { words } = this
    const record = this.recordOf(words[at + E_KEY + FLOW_SWITCH_PORT]! & SWITCH_PORT_MASK)
    const last = words[record + R_TAIL]!
    const number = this.entryOf(at) + 1
    words[at + E_NEXT] = 0
    words[at + E_PREVIOUS] = last === 0 ? LIST_FIRST : last
    if (last === 0) words[record + R_HEAD] = number
    else words[this.entryAt(last - 1) + E_NEXT] = number
    words[record + R_TAIL] = number
  }

  private unlist(at: number): void {
    const { words } = this
    const previous = words[at + E_PREVIOUS]!
    if (previous === 0) return
    const next = words[at + E_NEXT]!
    const record = this.recordOf(words[at + E_KEY + FLOW_SWITCH_PORT]! & SWITCH_PORT_MASK)
    if (previous === LIST_FIRST) words[record + R_HEAD] = next
    else words[this.entryAt(previous - 1) + E_NEXT] = next
    if (next === 0) words[record + R_TAIL] = previous === LIST_FIRST ? 0 : previous
    else words[this.entryAt(next - 1) + E_PREVIOUS] = previous
    words[at + E_PREVIOUS] = 0
    words[at + E_NEXT] = 0
  }

  /** Connections of `port` that are in progress are picked up from now on, for PICK_UP_MS. Control thread only. */
  pickUp(port: number, nowMs: number): void {
    const record = this.recordOf(port)
    this.words[record + layout.R_PICK_UP_UNTIL] = nowMs + PICK_UP_MS
    Atomics.store(this.words, record + layout.R_PICK_UP, 1)
  }

  /** Entries in use. */
  get used(): number {
    return Atomics.load(this.words, H_USED)
  }

  /**
   * Removes what was idle for too long at `nowMs` among `count` entries from number `first` on. Returns the number to go on at, 0 at the end. Any thread; takes the lock per entry that goes only.
   */
  sweep(first: number, count: number, nowMs: number): number {
    const { words } = this
    const tick = nowMs | 0
    const end = Math.min(first + count, this.everUsed)
    for (let entry = first; entry < end; entry++) {
      const at = this.entryAt(entry)
      if ((words[at + E_STATE]! & STATE_MASK) === FREE || !this.isExpired(at, tick)) continue
      this.lock()
      this.acquireAt(at)
      if ((words[at + E_STATE]! & STATE_MASK) !== FREE && this.isExpired(at, tick)) {
        this.removeHeld(at)
        this.count(layout.ConnectionCounter.expired)
      } else this.release(at)
      this.unlock()
    }
    return end < this.everUsed ? end : 0
  }

  /** True if an entry was idle for too long at `tick`. */
  isExpired(at: number, tick: number): boolean {
    return ((tick - this.words[at + E_LAST]!) | 0) > this.words[at + E_TIMEOUT]!
  }
}
