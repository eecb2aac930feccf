// Which station of a virtual subnet has an IP address, from the look-up records, the addresses of ports, and the router's: what ARP and
// neighbour discovery are answered from, and routed packets directed. One per processor; the control thread's changes come to it as they
// come to the data path.
//
// The rule it must not break: a look-up allocates nothing and ends, however addresses were chosen: the table is at most half full, and
// where an address stands depends on a number that nobody outside knows.
import { MAC_BYTES } from '../../packet/addresses.ts'
import { get32 } from '../../packet/bytes.ts'
import { type CustomerAddresses, KnownAs } from './address-answers.ts'

const CAPACITY_MIN = 64
/** Words of an entry: virtual subnet (0: free), address (an IPv4 one is mapped into IPv6). */
const WORDS = 5
const MAPPED = 0xffff
/** Who keeps an address that others are said to have too, by kind. */
const RANK = { [KnownAs.nobody]: 0, [KnownAs.station]: 1, [KnownAs.local]: 2, [KnownAs.router]: 3 } as Readonly<
  Record<number, number>
>

export class CustomerAddressTable implements CustomerAddresses {
  private entries = new Uint32Array(CAPACITY_MIN * WORDS)
  private macs = new Uint8Array(CAPACITY_MIN * MAC_BYTES)
  private kinds = new Uint8Array(CAPACITY_MIN)
  private mask = CAPACITY_MIN - 1
  private used = 0
  private readonly seed: number
  private readonly key = new Uint32Array(WORDS)

  /** `seed`: a random number of 32 bits. */
  constructor(seed: number) {
    this.seed = seed
  }

  /** Addresses in all. */
  get size(): number {
    return this.used
  }

  /**
   * The station with `mac` has the address in `bytes` (4 or 16 octets) in virtual subnet `vsid`, which nobody else has then. An address
   * of the router stays the router's, and one of a port here that port's, whatever records say.
   */
  set(vsid: number, bytes: Uint8Array, mac: Uint8Array, kind: KnownAs = KnownAs.station): void {
    if (2 * (this.used + 1) > this.mask) this.grow()
    this.readKey(vsid, bytes, 0, bytes.length)
    const at = this.find()
    if (this.entries[at * WORDS] === 0) {
      this.entries.set(this.key, at * WORDS)
      this.used++
    } else if (RANK[this.kinds[at]!]! > RANK[kind]) return
    this.macs.set(mac, at * MAC_BYTES)
    this.kinds[at] = kind
  }

  /** Forgets the address; with `mac`, only if it is that station's. */
  remove(vsid: number, bytes: Uint8Array, mac?: Uint8Array, kind: KnownAs = KnownAs.station): void {
    this.readKey(vsid, bytes, 0, bytes.length)
    const at = this.find()
    if (this.entries[at * WORDS] === 0 || this.kinds[at] !== kind) return
    for (let i = 0; mac !== undefined && i < MAC_BYTES; i++) if (this.macs[at * MAC_BYTES + i] !== mac[i]) return
    this.free(at)
    this.used--
  }

  stationOf(vsid: number, bytes: Uint8Array, at: number, length: 4 | 16, mac: Uint8Array, macAt: number): KnownAs {
    if (this.used === 0) return KnownAs.nobody
    this.readKey(vsid, bytes, at, length)
    const found = this.find()
    if (this.entries[found * WORDS] === 0) return KnownAs.nobody
    for (let i = 0; i < MAC_BYTES; i++) mac[macAt + i] = this.macs[found * MAC_BYTES + i]!
    return this.kinds[found] as KnownAs
  }

  private readKey(vsid: number, bytes: Uint8Array, at: number, length: number): void {
    const { key } = this
    key[0] = vsid
    if (length === 4) {
      key[1] = key[2] = 0
      key[3] = MAPPED
      key[4] = get32(bytes, at)
    } else for (let word = 0; word < 4; word++) key[1 + word] = get32(bytes, at + 4 * word)
  }

  private home(words: Uint32Array, at: number): number {
    let hash = this.seed
    for (let word = 0; word < WORDS; word++) {
      hash = Math.imul(hash ^ words[at + word]!, 0x9e3779b1)
      hash ^= hash >>> 15
    }
    return (Math.imul(hash, 0x85ebca6b) >>> 3) & this.mask
  }

  // The entry of the key, or the free one where it would stand.
  private find(): number {
    const { key, entries, mask } = this
    for (let at = this.home(key, 0); ; at = (at + 1) & mask) {
      const entry = at * WORDS
      if (entries[entry] === 0) return at
      let word = 0
      while (word < WORDS && entries[entry + word] === key[word]) word++
      if (word === WORDS) return at
    }
  }

  // What stands behind moves up, so that no gap cuts it off from its home.
  private free(hole: number): void {
    const { entries, macs, kinds, mask } = this
    let gap = hole
    for (let at = (gap + 1) & mask; entries[at * WORDS] !== 0; at = (at + 1) & mask) {
      const home = this.home(entries, at * WORDS)
      if (((at - home) & mask) < ((at - gap) & mask)) continue
      entries.copyWithin(gap * WORDS, at * WORDS, (at + 1) * WORDS)
      macs.copyWithin(gap * MAC_BYTES, at * MAC_BYTES, (at + 1) * MAC_BYTES)
      kinds[gap] = kinds[at]!
      gap = at
    }
    entries.fill(0, gap * WORDS, (gap + 1) * WORDS)
  }

  private grow(): void {
    const { entries, macs, kinds } = this
    const capacity = 2 * (this.mask + 1)
    this.entries = new Uint32Array(capacity * WORDS)
    this.macs = new Uint8Array(capacity * MAC_BYTES)
    this.kinds = new Uint8Array(capacity)
    this.mask = capacity - 1
    for (let old = 0; old < entries.length; old += WORDS) {
      if (entries[old] === 0) continue
      this.key.set(entries.subarray(old, old + WORDS))
      const at = this.find()
      this.entries.set(this.key, at * WORDS)
      this.macs.set(macs.subarray((old / WORDS) * MAC_BYTES, (old / WORDS + 1) * MAC_BYTES), at * MAC_BYTES)
      this.kinds[at] = kinds[old / WORDS]!
    }
  }
}
