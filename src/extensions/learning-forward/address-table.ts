// Which port an address was last seen at: an open-addressing table in memory common to all processors, four words per entry.
//
// The rules it must not break: its size is bounded and so is what one port can take of it, so that a guest that forges sources
// pushes out its own addresses only; and readers and writers of several processors may meet at an entry, so an entry is claimed
// before it is changed and a reader checks the key again after it read the port.
const ENTRY_WORDS = 4
const LOW = 0
const KEY = 1
const PORT = 2
const SEEN = 3
const PROBES = 8
const EMPTY = 0
const CLAIMED = -1
const VALID = 1 << 30
const PORT_IDS = 65536

/** Bytes for a table of `entries` (a power of two), and the count of entries per port. */
export const addressTableBytes = (entries: number): number => (entries * ENTRY_WORDS + PORT_IDS) * 4

/** Fields are ordinary ones: look-ups run per packet. Times are whole seconds of the switch's clock. */
export class AddressTable {
  private readonly words: Int32Array
  private readonly mask: number
  private readonly counts: number
  private readonly quota: number
  private readonly ageing: number

  constructor(words: Int32Array, entries: number, ageingSeconds: number) {
    this.words = words
    this.mask = entries - 1
    this.counts = entries * ENTRY_WORDS
    this.quota = entries >> 2
    this.ageing = ageingSeconds
  }

  // Folds before it multiplies: the entropy of MAC addresses is in their low bytes.
  private first(low: number, key: number): number {
    const mixed = low ^ Math.imul(key, 0x85ebca6b)
    return Math.imul(mixed ^ (mixed >>> 15), 0x9e3779b1) >>> 8
  }

  // Index of the entry of an address, or -1.
  private find(low: number, key: number): number {
    const words = this.words
    const mask = this.mask
    let slot = this.first(low, key)
    for (let probe = 0; probe < PROBES; probe++, slot++) {
      const at = (slot & mask) * ENTRY_WORDS
      if (words[at + KEY] === key && words[at + LOW] === low) return at
    }
    return -1
  }

  /** The port of an address (upper 16 and lower 32 bits) in a VLAN, or 0. Allocates nothing. */
  lookup(high: number, low: number, vlan: number, now: number): number {
    const key = VALID | (vlan << 16) | high
    const at = this.find(low | 0, key)
    if (at < 0) return 0
    const { words } = this
    const port = words[at + PORT]!
    if (now - words[at + SEEN]! > this.ageing) return 0
    return Atomics.load(words, at + KEY) === key && words[at + LOW] === (low | 0) ? port : 0
  }

  /** Notes that an address was seen as a source at `port`. Allocates nothing. Returns false if there was no room for it. */
  learn(high: number, low: number, vlan: number, port: number, now: number): boolean {
    const key = VALID | (vlan << 16) | high
    const { words } = this
    const at = this.find(low | 0, key)
    if (at < 0) return this.insert(low | 0, key, port, now)
    if (words[at + PORT] !== port) return this.write(at, key, low | 0, key, port, now)
    if (words[at + SEEN] !== now) words[at + SEEN] = now
    return true
  }

  private insert(low: number, key: number, port: number, now: number): boolean {
    const words = this.words
    const mask = this.mask
    const counts = this.counts
    const mine = words[counts + port]!
    let best = -1
    let slot = this.first(low, key)
    for (let probe = 0; probe < PROBES; probe++, slot++) {
      const at = (slot & mask) * ENTRY_WORDS
      const held = words[at + KEY]!
      if (held === CLAIMED) continue
      const owner = words[at + PORT]!
      const isFree = held === EMPTY || now - words[at + SEEN]! > this.ageing
      if (isFree && mine < this.quota) return this.write(at, held, low, key, port, now)
      const isMine = held !== EMPTY && owner === port
      const mayReplace = isMine || (mine < this.quota && held !== EMPTY && words[counts + owner]! > mine + 1)
      if (mayReplace && (best < 0 || words[at + SEEN]! < words[best + SEEN]!)) best = at
    }
    return best >= 0 && this.write(best, words[best + KEY]!, low, key, port, now)
  }

  // Claims the entry that held `held` and overwrites it; false if somebody else was first.
  private write(at: number, held: number, low: number, key: number, port: number, now: number): boolean {
    const { words, counts } = this
    if (held === CLAIMED || Atomics.compareExchange(words, at + KEY, held, CLAIMED) !== held) return false
    if (held !== EMPTY) Atomics.sub(words, counts + words[at + PORT]!, 1)
    Atomics.add(words, counts + port, 1)
    words[at + LOW] = low
    words[at + PORT] = port
    words[at + SEEN] = now
    Atomics.store(words, at + KEY, key)
    return true
  }

  /** Forgets the addresses of a port. */
  forget(port: number): void {
    const { words, counts } = this
    for (let at = 0; at < counts; at += ENTRY_WORDS) {
      const key = Atomics.load(words, at + KEY)
      if (key === EMPTY || key === CLAIMED || words[at + PORT] !== port) continue
      if (Atomics.compareExchange(words, at + KEY, key, CLAIMED) !== key) continue
      Atomics.sub(words, counts + words[at + PORT]!, 1)
      Atomics.store(words, at + KEY, EMPTY)
    }
  }

  /** Addresses held of a port. */
  count(port: number): number {
    return this.words[this.counts + port]!
  }
}
