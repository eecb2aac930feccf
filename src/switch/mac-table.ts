// The forwarding database: MAC address and VLAN → port. An open-addressing table in shared memory, 16 bytes per entry, that all
// processors read without a lock and write under one.
//
// Complications: a port that floods with forged sources must not push out other ports' addresses. So each port has a quota, an
// address of a port over its quota replaces only that port's own entries, and addresses known from the configuration are static:
// never aged, moved or pushed out. Readers may meet a writer: an entry is made invalid before it changes and its key is read again
// after its port was read.

import {
  MAC_ENTRY_BYTES,
  MAC_HASH_HIGH,
  MAC_HASH_MIX,
  MAC_KEY_MASK,
  MAC_KEY_STATIC,
  MAC_KEY_VALID,
  MAC_PROBES,
  MAC_TABLE_HEADER,
} from '../kernels/layout.ts'

const HEADER_WORDS = MAC_TABLE_HEADER >> 2
const ENTRY_WORDS = MAC_ENTRY_BYTES >> 2
const PROBES = MAC_PROBES
const KEY_VALID = MAC_KEY_VALID
const KEY_STATIC = MAC_KEY_STATIC
const KEY_MASK = MAC_KEY_MASK
const HASH_HIGH = MAC_HASH_HIGH
const HASH_MIX = MAC_HASH_MIX
const LOCK = 0
const USED = 1
const MOVES = 2
const REFUSED = 3
const NOT_FOUND = -1

export interface FdbEntry {
  mac: string
  vlan: number
  port: number
  static: boolean
  ageSeconds: number
}

/** Bytes to reserve for a table of `entries` (a power of two) and `ports` ports. */
export const macTableBytes = (entries: number, ports: number): number => (HEADER_WORDS + entries * ENTRY_WORDS + ports) * 4

/** The two words of a MAC address as the table and the data path use them: octets 2…5 and octets 0…1, both little-endian. */
export function macKey(mac: string): { low: number; high: number } {
  const octets = mac.split(':').map((octet) => Number.parseInt(octet, 16))
  if (!/^([0-9a-f]{1,2}:){5}[0-9a-f]{1,2}$/i.test(mac))
    throw new Error(`"${mac}" is not a MAC address (six octets in hexadecimal, separated by colons)`)
  const [a, b, c, d, e, f] = octets as [number, number, number, number, number, number]
  return { low: c | (d << 8) | (e << 16) | (f << 24), high: a | (b << 8) }
}

/** The inverse of `macKey`. */
export function macText(low: number, high: number): string {
  const octets = [high & 255, (high >> 8) & 255, low & 255, (low >> 8) & 255, (low >> 16) & 255, (low >>> 24) & 255]
  return octets.map((octet) => octet.toString(16).padStart(2, '0')).join(':')
}

/** Fields are ordinary ones: look-ups run per packet. Times are in seconds of the switch's own clock. */
export class MacTable {
  readonly words: Int32Array
  readonly mask: number
  readonly ports: number
  /** Entries that one port may hold. */
  readonly quota: number
  readonly countsAt: number

  /** Views the table at byte offset `at` of `buffer`, zeroed by the caller. `entries` is a power of two. */
  constructor(buffer: ArrayBufferLike, at: number, entries: number, ports: number, quota = Math.max(64, entries >> 2)) {
    if (entries < 16 || (entries & (entries - 1)) !== 0)
      throw new RangeError(`a MAC table has a power of two of entries from 16, not ${entries}`)
    this.words = new Int32Array(buffer, at, macTableBytes(entries, ports) >> 2)
    this.mask = entries - 1
    this.ports = ports
    this.quota = quota
    this.countsAt = HEADER_WORDS + entries * ENTRY_WORDS
  }

  /** The same table in memory of its own. */
  copy(): MacTable {
    const memory = new SharedArrayBuffer(this.words.byteLength)
    new Int32Array(memory).set(this.words)
    return new MacTable(memory, 0, this.mask + 1, this.ports, this.quota)
  }

  // Folds before it multiplies: a host's entropy is in the top byte of the low word.
  private start(low: number, high: number): number {
    const mixed = low ^ Math.imul(high, HASH_HIGH)
    return Math.imul(mixed ^ (mixed >>> 15), HASH_MIX) >>> 8
  }

  private find(low: number, key: number): number {
    const words = this.words
    let i = this.start(low, key)
    for (let probe = 0; probe < PROBES; probe++, i++) {
      const at = HEADER_WORDS + ((i & this.mask) << 2)
      if ((words[at + 1]! & KEY_MASK) === key && words[at] === low) return at
    }
    return NOT_FOUND
  }

  /** The port of an address in a VLAN, or -1. Allocates nothing. */
  lookup(low: number, high: number, vlan: number): number {
    const key = high | (vlan << 16) | KEY_VALID
    const at = this.find(low, key)
    if (at < 0) return -1
    const port = this.words[at + 2]!
    return (Atomics.load(this.words, at + 1) & KEY_MASK) === key && this.words[at] === low ? port : -1
  }

  /** When an address in a VLAN was last seen as a source, in seconds of the switch's clock, or -Infinity. Allocates nothing. */
  lastSeen(low: number, high: number, vlan: number): number {
    const at = this.find(low, high | (vlan << 16) | KEY_VALID)
    return at < 0 ? Number.NEGATIVE_INFINITY : this.words[at + 3]!
  }

  /** The port that the configuration gives an address in a VLAN, or -1. Allocates nothing. */
  lookupStatic(low: number, high: number, vlan = 0): number {
    const at = this.find(low, high | (vlan << 16) | KEY_VALID)
    return at >= 0 && (this.words[at + 1]! & KEY_STATIC) !== 0 ? this.words[at + 2]! : -1
  }

  /** Notes that an address was seen as a source on `port` at `now`. Returns false if it could not be learned. Allocates nothing. */
  learn(low: number, high: number, vlan: number, port: number, now: number): boolean {
    const key = high | (vlan << 16) | KEY_VALID
    const at = this.find(low, key)
    if (at >= 0) {
      if (this.words[at + 2] === port) {
        if (this.words[at + 3] !== now) this.words[at + 3] = now
        return true
      }
      return (this.words[at + 1]! & KEY_STATIC) === 0 && this.move(low, key, port, now)
    }
    return this.insert(low, key, port, now)
  }

  private tryLock(): boolean {
    return Atomics.compareExchange(this.words, LOCK, 0, 1) === 0
  }

  private unlock(): void {
    Atomics.store(this.words, LOCK, 0)
  }

  private move(low: number, key: number, port: number, now: number): boolean {
    if (!this.tryLock()) return false
    const at = this.find(low, key)
    const movable = at >= 0 && (this.words[at + 1]! & KEY_STATIC) === 0
    if (movable && this.words[at + 2] !== port) {
      this.write(at, low, key, port, now)
      this.words[MOVES] = this.words[MOVES]! + 1
    }
    this.unlock()
    return movable
  }

  // Overwrites the entry at `at`. The lock is held.
  private write(at: number, low: number, key: number, port: number, now: number): void {
    const words = this.words
    const old = words[at + 1]!
    if (old !== 0) {
      this.count(words[at + 2]!, -1)
      Atomics.store(words, at + 1, 0)
    } else words[USED] = words[USED]! + 1
    words[at] = low
    words[at + 2] = port
    words[at + 3] = now
    Atomics.store(words, at + 1, key)
    this.count(port, 1)
  }

  private count(port: number, by: number): void {
    if (port >= 0 && port < this.ports) this.words[this.countsAt + port] = this.words[this.countsAt + port]! + by
  }

  private insert(low: number, key: number, port: number, now: number): boolean {
    if (!this.tryLock()) return false
    if (this.find(low, key) >= 0) {
      // Another processor learned it meanwhile: a second entry would outlive the first and mislead.
      this.unlock()
      return this.learn(low, key & 0xffff, (key >> 16) & 0xfff, port, now)
    }
    const words = this.words
    const full = words[this.countsAt + port]! >= this.quota
    let free = NOT_FOUND
    let oldest = NOT_FOUND
    let i = this.start(low, key)
    for (let probe = 0; probe < PROBES; probe++, i++) {
      const at = HEADER_WORDS + ((i & this.mask) << 2)
      const held = words[at + 1]!
      if (held === 0) {
        if (free < 0) free = at
        continue
      }
      if ((held & KEY_STATIC) !== 0) continue
      const owner = words[at + 2]!
      const replaceable = owner === port || (!full && words[this.countsAt + owner]! > words[this.countsAt + port]!)
      if (replaceable && (oldest < 0 || words[at + 3]! < words[oldest + 3]!)) oldest = at
    }
    const at = !full && free >= 0 ? free : oldest
    if (at >= 0) this.write(at, low, key, port, now)
    else words[REFUSED] = words[REFUSED]! + 1
    this.unlock()
    return at >= 0
  }

  // ---- control thread ---------------------------------------------------------------------------------------------------

  private locked<T>(work: () => T): T {
    while (!this.tryLock());
    try {
      return work()
    } finally {
      this.unlock()
    }
  }

  /** Adds an address known from the configuration. Returns false if its probes are all static (a bigger table helps). */
  addStatic(mac: string, vlan: number, port: number): boolean {
    const { low, high } = macKey(mac)
    const key = high | (vlan << 16) | KEY_VALID
    return this.locked(() => {
      let at = this.find(low, key)
      let i = this.start(low, key)
      for (let probe = 0; at < 0 && probe < PROBES; probe++, i++) {
        const candidate = HEADER_WORDS + ((i & this.mask) << 2)
        if ((this.words[candidate + 1]! & KEY_STATIC) === 0) at = candidate
      }
      if (at < 0) return false
      this.write(at, low, key | KEY_STATIC, port, 0)
      return true
    })
  }

  /** Removes the entry of an address, a static one too. False if there was none. */
  remove(mac: string, vlan: number): boolean {
    const { low, high } = macKey(mac)
    return this.locked(() => {
      const at = this.find(low, high | (vlan << 16) | KEY_VALID)
      if (at < 0) return false
      this.count(this.words[at + 2]!, -1)
      Atomics.store(this.words, at + 1, 0)
      this.words[USED] = this.words[USED]! - 1
      return true
    })
  }

  private removeWhere(matches: (at: number, isStatic: boolean) => boolean): number {
    return this.locked(() => {
      let removed = 0
      for (let at = HEADER_WORDS; at < this.countsAt; at += ENTRY_WORDS) {
        const key = this.words[at + 1]!
        if (key === 0 || !matches(at, (key & KEY_STATIC) !== 0)) continue
        this.count(this.words[at + 2]!, -1)
        Atomics.store(this.words, at + 1, 0)
        this.words[USED] = this.words[USED]! - 1
        removed++
      }
      return removed
    })
  }

  /** Removes all entries of a port, static ones too. */
  removePort(port: number): number {
    return this.removeWhere((at) => this.words[at + 2] === port)
  }

  /** Removes learned entries, of one port or VLAN or all. Returns how many. */
  flush(filter: { port?: number; vlan?: number } = {}): number {
    return this.removeWhere(
      (at, isStatic) =>
        !isStatic &&
        (filter.port === undefined || this.words[at + 2] === filter.port) &&
        (filter.vlan === undefined || ((this.words[at + 1]! >> 16) & 0xfff) === filter.vlan),
    )
  }

  /** Removes what was learned of an address, in all VLANs. Returns how many entries that were. */
  forgetLearned(mac: string): number {
    const { low, high } = macKey(mac)
    return this.removeWhere(
      (at, isStatic) => !isStatic && this.words[at] === low && (this.words[at + 1]! & 0xffff) === (high & 0xffff),
    )
  }

  /** Removes learned entries not seen for `ageingSeconds`. */
  age(now: number, ageingSeconds: number): number {
    return this.removeWhere((at, isStatic) => !isStatic && now - this.words[at + 3]! > ageingSeconds)
  }

  /** All entries, for `vmswitch fdb`. */
  entries(now: number): FdbEntry[] {
    const found: FdbEntry[] = []
    for (let at = HEADER_WORDS; at < this.countsAt; at += ENTRY_WORDS) {
      const key = Atomics.load(this.words, at + 1)
      if (key === 0) continue
      const isStatic = (key & KEY_STATIC) !== 0
      found.push({
        mac: macText(this.words[at]!, key & 0xffff),
        vlan: (key >> 16) & 0xfff,
        port: this.words[at + 2]!,
        static: isStatic,
        ageSeconds: isStatic ? 0 : Math.max(0, now - this.words[at + 3]!),
      })
    }
    return found
  }

  /** Entries in use, addresses that moved between ports, addresses that found no room. */
  statistics(): { used: number; capacity: number; moves: number; refused: number } {
    return { used: this.words[USED]!, capacity: this.mask + 1, moves: this.words[MOVES]!, refused: this.words[REFUSED]! }
  }
}
