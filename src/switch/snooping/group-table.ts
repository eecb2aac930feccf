// Who is a member of which group: group address and VLAN → ports, with the time at which each membership ends. An open-addressing table in
// shared memory that all processors read without a lock and write under one. The ports behind which routers are stand in it too, as
// members of address 0.
//
// Complications: guests are hostile. A port holds at most its share of the table, which is the table divided by the number of ports: a
// flood of joins never takes the place of another port's groups. What is above the share, since ports came, is not renewed. The hash has
// a secret, so that nobody chooses groups that collide. Readers may meet a writer: a port more or less for one frame is harmless, so only
// the key is read again.

/** Groups of a table. */
export const GROUPS_MIN = 64
export const GROUPS_MAX = 8192
export const GROUPS_DEFAULT = 1024
/** A port's share is at most the table divided by this, however few ports there are. */
const SHARES_MIN = 8
const PROBES = 32
/** Tries for the lock before a report is given up: the next one comes. */
const LOCK_TRIES = 20_000

const HEADER_WORDS = 32
const LOCK = 0
const USED = 1
const SEED = 2
const SHARE = 3
const WANTED = 4
const COUNTERS = 8
const KEY_WORDS = 8
const K_META = 4
const K_MEMBERS = 5
const K_QUERIES = 6
const META_VALID = 1 << 20
const META_IPV6 = 1 << 12

/** What is counted of a table. */
export const GroupCounter = {
  reports: 0,
  queries: 1,
  hellos: 2,
  joined: 3,
  left: 4,
  expired: 5,
  invalid: 6,
  refusedByShare: 7,
  full: 8,
  busy: 9,
} as const

/** What a port is by configuration, as bits. */
export const GroupPort = { router: 1, fastLeave: 2 } as const

/** Outcome of a join. */
export const Joined = { refused: -1, renewed: 0, joined: 1 } as const

export interface GroupTableSize {
  /** Port ids are below. */
  readonly ports: number
  readonly groups: number
}

const wordsOf = (ports: number): number => Math.ceil(ports / 32)
const slotsOf = (groups: number): number => 2 ** Math.ceil(Math.log2(groups * 2))

/** Bytes of a table. */
export const groupTableBytes = ({ ports, groups }: GroupTableSize): number =>
  (HEADER_WORDS + ports * 3 + wordsOf(ports) + slotsOf(groups) * (KEY_WORDS + wordsOf(ports) + ports)) * 4

/** VLAN and address family, as the table takes them. */
export const groupMeta = (vlan: number, isIpv4: boolean): number => META_VALID | (isIpv4 ? 0 : META_IPV6) | vlan

/** One group as people see it; `address` are one or four words. */
export interface GroupEntry {
  readonly slot: number
  readonly vlan: number
  readonly isIpv4: boolean
  readonly address: readonly [number, number, number, number]
  readonly members: readonly { readonly port: number; readonly endsTenths: number }[]
}

/** Fields are ordinary ones: look-ups run per packet. Times are in tenths of a second of the switch's clock. */
export class GroupTable {
  readonly words: Int32Array
  readonly size: GroupTableSize
  /** Words of a bitmap of ports. */
  readonly bitmap: number
  /** Where the bitmap of configured router ports begins. */
  readonly routersAt: number
  private readonly mask: number
  private readonly countsAt: number
  private readonly refusedAt: number
  private readonly flagsAt: number
  private readonly keysAt: number
  private readonly bitsAt: number
  private readonly endsAt: number

  /** Views the table in `buffer`, zeroed by the caller. */
  constructor(buffer: ArrayBufferLike, size: GroupTableSize) {
    const { ports, groups } = size
    const slots = slotsOf(groups)
    this.words = new Int32Array(buffer, 0, groupTableBytes(size) >> 2)
    this.size = size
    this.bitmap = wordsOf(ports)
    this.mask = slots - 1
    this.countsAt = HEADER_WORDS
    this.refusedAt = this.countsAt + ports
    this.flagsAt = this.refusedAt + ports
    this.routersAt = this.flagsAt + ports
    this.keysAt = this.routersAt + this.bitmap
    this.bitsAt = this.keysAt + slots * KEY_WORDS
    this.endsAt = this.bitsAt + slots * this.bitmap
  }

  /** The slot of a group, or -1. Address: IPv4 in `a`, IPv6 in four words. */
  find(meta: number, a: number, b: number, c: number, d: number): number {
    const { words, mask, keysAt } = this
    let i = this.start(meta, a, b, c, d)
    for (let probe = 0; probe < PROBES; probe++, i++) {
      const at = keysAt + (i & mask) * KEY_WORDS
      if (words[at + K_META] !== meta || words[at] !== (a | 0) || words[at + 3] !== (d | 0)) continue
      if (words[at + 1] === (b | 0) && words[at + 2] === (c | 0)) return i & mask
    }
    return -1
  }

  /** Where the bitmap of a group's members begins. */
  membersAt(slot: number): number {
    return this.bitsAt + slot * this.bitmap
  }

  /** True if the slot still is of this group. */
  isOf(slot: number, meta: number, a: number): boolean {
    const at = this.keysAt + slot * KEY_WORDS
    return Atomics.load(this.words, at + K_META) === meta && this.words[at] === (a | 0)
  }

  /** When the membership of a port ends; 0: it is no member. */
  ends(slot: number, port: number): number {
    return Atomics.load(this.words, this.endsAt + slot * this.size.ports + port)
  }

  count(counter: number, by = 1): void {
    Atomics.add(this.words, COUNTERS + counter, by)
  }

  counted(counter: number): number {
    return this.words[COUNTERS + counter]! >>> 0
  }

  /** GroupPort bits of a port. */
  portFlags(port: number): number {
    return this.words[this.flagsAt + port]!
  }

  /** Makes `port` a member until `ends`, or renews that. Returns a member of Joined. */
  join(meta: number, a: number, b: number, c: number, d: number, port: number, ends: number): number {
    const { words } = this
    const isAbove = words[this.countsAt + port]! > words[SHARE]!
    const known = this.find(meta, a, b, c, d)
    if (known >= 0) {
      const at = this.endsAt + known * this.size.ports + port
      const before = Atomics.load(words, at)
      if (before !== 0) {
        if (isAbove) return this.refuse(port, GroupCounter.refusedByShare)
        if (Atomics.compareExchange(words, at, before, ends) === before) {
          words[this.keysAt + known * KEY_WORDS + K_QUERIES] = 0
          return Joined.renewed
        }
      }
    }
    if (words[this.countsAt + port]! >= words[SHARE]!) return this.refuse(port, GroupCounter.refusedByShare)
    if (!this.tryLock()) return this.refuse(port, GroupCounter.busy)
    const found = this.find(meta, a, b, c, d)
    const slot = found >= 0 ? found : this.claim(meta, a, b, c, d)
    if (slot >= 0) this.addMember(slot, port, ends)
    this.unlock()
    if (slot < 0) return this.refuse(port, GroupCounter.full)
    this.count(GroupCounter.joined)
    return Joined.joined
  }

  /** Ends the membership of a port at once. */
  leave(slot: number, port: number): void {
    if (!this.tryLock()) return
    if (this.drop(slot, port)) this.count(GroupCounter.left)
    this.unlock()
  }

  /** Ends the membership of a port at `ends` if it lasts longer; 0 for `port`: of all ports. */
  lower(slot: number, port: number, ends: number): void {
    const { words } = this
    const { ports } = this.size
    for (let one = port === 0 ? 1 : port; one < (port === 0 ? ports : port + 1); one++) {
      const at = this.endsAt + slot * ports + one
      const before = Atomics.load(words, at)
      if (before > ends) Atomics.compareExchange(words, at, before, ends)
    }
  }

  /** Has the built-in querier ask `times` whether a group still has members. */
  want(slot: number, times: number): void {
    this.words[this.keysAt + slot * KEY_WORDS + K_QUERIES] = times
    Atomics.store(this.words, WANTED, 1)
  }

  // ---- writing, under the lock ----------------------------------------------------------------------------------------------

  private claim(meta: number, a: number, b: number, c: number, d: number): number {
    const { words, mask } = this
    let i = this.start(meta, a, b, c, d)
    for (let probe = 0; probe < PROBES; probe++, i++) {
      const slot = i & mask
      const at = this.keysAt + slot * KEY_WORDS
      if (words[at + K_META] !== 0) continue
      words[at] = a
      words[at + 1] = b
      words[at + 2] = c
      words[at + 3] = d
      words[at + K_MEMBERS] = 0
      words[at + K_QUERIES] = 0
      Atomics.store(words, at + K_META, meta)
      words[USED] = words[USED]! + 1
      return slot
    }
    return -1
  }

  private addMember(slot: number, port: number, ends: number): void {
    const { words } = this
    const at = this.endsAt + slot * this.size.ports + port
    if (Atomics.exchange(words, at, ends) !== 0) return
    words[this.membersAt(slot) + (port >> 5)]! |= 1 << (port & 31)
    words[this.keysAt + slot * KEY_WORDS + K_MEMBERS]!++
    words[this.keysAt + slot * KEY_WORDS + K_QUERIES] = 0
    words[this.countsAt + port]!++
  }

  private drop(slot: number, port: number): boolean {
    const { words } = this
    if (Atomics.exchange(words, this.endsAt + slot * this.size.ports + port, 0) === 0) return false
    words[this.membersAt(slot) + (port >> 5)]! &= ~(1 << (port & 31))
    words[this.countsAt + port]!--
    const at = this.keysAt + slot * KEY_WORDS
    if (--words[at + K_MEMBERS]! > 0) return true
    Atomics.store(words, at + K_META, 0)
    words[USED] = words[USED]! - 1
    return true
  }

  private refuse(port: number, counter: number): number {
    this.count(counter)
    Atomics.add(this.words, this.refusedAt + port, 1)
    return Joined.refused
  }

  private start(meta: number, a: number, b: number, c: number, d: number): number {
    let mixed = Math.imul(a ^ this.words[SEED]!, 0x9e3779b1) ^ Math.imul(d ^ meta, 0x85ebca6b)
    mixed = Math.imul(mixed ^ (mixed >>> 15) ^ b ^ Math.imul(c, 0xc2b2ae35), 0x27d4eb2f)
    return (mixed ^ (mixed >>> 13)) >>> 0
  }

  private tryLock(): boolean {
    for (let tries = 0; tries < LOCK_TRIES; tries++) if (Atomics.compareExchange(this.words, LOCK, 0, 1) === 0) return true
    return false
  }

  private unlock(): void {
    Atomics.store(this.words, LOCK, 0)
  }

  // ---- control thread ---------------------------------------------------------------------------------------------------------

  private locked<T>(work: () => T): T {
    while (!this.tryLock());
    try {
      return work()
    } finally {
      this.unlock()
    }
  }

  /** The secret of the hash; before anything is joined. */
  seed(secret: number): void {
    this.words[SEED] = secret
  }

  /** Divides the table among `ports` ports. */
  divide(ports: number): void {
    this.words[SHARE] = Math.max(1, Math.floor(this.size.groups / Math.max(SHARES_MIN, ports)))
  }

  get share(): number {
    return this.words[SHARE]!
  }

  /** Groups, and VLANs with routers, that stand in the table. */
  get used(): number {
    return this.words[USED]!
  }

  /** Memberships of a port. */
  held(port: number): number {
    return this.words[this.countsAt + port]!
  }

  /** Joins of a port that were refused. */
  refused(port: number): number {
    return this.words[this.refusedAt + port]! >>> 0
  }

  /** What a port is by configuration: GroupPort bits. */
  setPort(port: number, flags: number): void {
    this.words[this.flagsAt + port] = flags
    const at = this.routersAt + (port >> 5)
    const bit = 1 << (port & 31)
    this.words[at] = (flags & GroupPort.router) !== 0 ? this.words[at]! | bit : this.words[at]! & ~bit
  }

  /** True once after `want`. */
  takeWanted(): boolean {
    return Atomics.exchange(this.words, WANTED, 0) !== 0
  }

  /** True if queries for a group are still to be sent. */
  isWanted(slot: number): boolean {
    return this.words[this.keysAt + slot * KEY_WORDS + K_QUERIES]! > 0
  }

  /** Counts one of them. */
  takeQuery(slot: number): void {
    const at = this.keysAt + slot * KEY_WORDS + K_QUERIES
    if (this.words[at]! > 0) this.words[at]!--
  }

  /** Removes memberships that ended by `now`, and those of ports for which `isGone`. */
  sweep(now: number, isGone: (port: number) => boolean): void {
    for (const { slot, members } of this.entries())
      for (const { port, endsTenths } of members) {
        const gone = isGone(port)
        if (!gone && endsTenths > now) continue
        this.locked(() => {
          const ends = this.ends(slot, port)
          if ((gone || (ends !== 0 && ends <= now)) && this.drop(slot, port)) this.count(GroupCounter.expired)
        })
      }
  }

  /** All entries; those of address 0 are routers. */
  entries(): GroupEntry[] {
    const { words, keysAt } = this
    const found: GroupEntry[] = []
    for (let slot = 0; slot <= this.mask; slot++) {
      const at = keysAt + slot * KEY_WORDS
      const meta = Atomics.load(words, at + K_META)
      if (meta === 0) continue
      found.push({
        slot,
        vlan: meta & 0xfff,
        isIpv4: (meta & META_IPV6) === 0,
        address: [words[at]! >>> 0, words[at + 1]! >>> 0, words[at + 2]! >>> 0, words[at + 3]! >>> 0],
        members: this.membersOf(slot),
      })
    }
    return found
  }

  private membersOf(slot: number): GroupEntry['members'] {
    const members: { port: number; endsTenths: number }[] = []
    const from = this.membersAt(slot)
    for (let word = 0; word < this.bitmap; word++)
      for (let bits = this.words[from + word]!; bits !== 0; bits &= bits - 1) {
        const port = word * 32 + 31 - Math.clz32(bits & -bits)
        members.push({ port, endsTenths: this.ends(slot, port) })
      }
    return members
  }
}
