// The leases, common to all processors: who has which address, until when, and by which name it wants to be known.
//
// The rule it must not break: one address has one holder; a port has its share of leases and no more, those that it declined among them; and a lease
// is changed and given back only from the port that it was given to; while the table is frozen no lease changes.

export const LeaseState = { free: 0, offered: 1, bound: 2, declined: 3, learned: 4 } as const

const LOCK = 0
const HEADER = 16
const STATE = 0
const PORT = 1
const FAMILY = 2
const ADDRESS = 3
const CLIENT = 7
const ENDS = 10
const NAME_LENGTH = 11
const NAME = 12
const NAME_BYTES_MAX = 63
const RECORD = 28
const NONE = -1
const LOOKS_MAX = 10_000_000

/** Bytes to declare for a table of `leases`. */
export const leaseBytes = (leases: number): number => (HEADER + leases * RECORD) * 4

/** Who asks: a client at a port. `client` is three words: hardware address, or hash of a DUID and its association. */
export interface Holder {
  readonly port: number
  readonly client: readonly [number, number, number]
}

export interface Lease {
  readonly state: number
  readonly port: number
  readonly family: number
  /** Four words; an IPv4 address is the last one. Unsigned. */
  readonly address: readonly number[]
  readonly name: string
}

export class LeaseTable {
  readonly #words: Int32Array
  readonly #count: number
  readonly #perPort: number
  readonly #several: boolean
  #isFrozen = false
  // What would have been written, and the record, -1: none.
  readonly #tried = new Int32Array(RECORD)
  #triedRecord = NONE

  constructor(words: Int32Array, leases: number, perPort: number, several: boolean) {
    this.#words = words
    this.#count = leases
    this.#perPort = perPort
    this.#several = several
  }

  /** Does something that no other processor comes between. */
  locked<Result>(work: () => Result): Result {
    if (!this.#several) return work()
    for (let i = 0; i < LOOKS_MAX; i++) if (Atomics.compareExchange(this.#words, LOCK, 0, 1) === 0) break
    try {
      return work()
    } finally {
      Atomics.store(this.#words, LOCK, 0)
    }
  }

  /** While it is frozen no lease is written or freed: what would have been is kept aside, where `last` finds it until the next call. */
  freeze(isFrozen: boolean): void {
    this.#isFrozen = isFrozen
    this.#triedRecord = NONE
  }

  #at(record: number): number {
    return HEADER + record * RECORD
  }

  #isLive(at: number, nowMs: number): boolean {
    return this.#words[at + STATE] !== LeaseState.free && ((this.#words[at + ENDS]! - (nowMs | 0)) | 0) > 0
  }

  /** The record of a holder's lease of a family, over or not, or -1. */
  find({ port, client }: Holder, family: number): number {
    const words = this.#words
    for (let record = 0; record < this.#count; record++) {
      const at = this.#at(record)
      const state = words[at + STATE]
      if (state !== LeaseState.offered && state !== LeaseState.bound) continue
      if (words[at + PORT] !== port || words[at + FAMILY] !== family) continue
      if (client.every((word, k) => words[at + CLIENT + k] === (word | 0))) return record
    }
    return -1
  }

  // The live record of an address, behind record `after`; -1: none.
  #holding(address: readonly number[], family: number, nowMs: number, after = NONE): number {
    const words = this.#words
    for (let record = after + 1; record < this.#count; record++) {
      const at = this.#at(record)
      if (words[at + FAMILY] !== family || words[at + ADDRESS + 3] !== (address[3]! | 0) || !this.#isLive(at, nowMs)) continue
      if (address.every((word, k) => words[at + ADDRESS + k] === (word | 0))) return record
    }
    return NONE
  }

  // What was learned at a port is in nobody's way there: it is the address of a guest that may well ask for it.
  #isInTheWay(record: number, port: number, except: number): boolean {
    const at = this.#at(record)
    return record !== except && !(this.#words[at + STATE] === LeaseState.learned && this.#words[at + PORT] === port)
  }

  /** Whether an address is in the way of a holder at `port`, whose own record is `except`. */
  isTaken(address: readonly number[], family: number, nowMs: number, port: number, except = NONE): boolean {
    for (let record = this.#holding(address, family, nowMs); record >= 0; ) {
      if (this.#isInTheWay(record, port, except)) return true
      record = this.#holding(address, family, nowMs, record)
    }
    return false
  }

  /** Whether anybody has an address. */
  isHeld(address: readonly number[], family: number, nowMs: number): boolean {
    return this.#holding(address, family, nowMs) >= 0
  }

  /** What was learned of an address at a port holds for `livesMs` from now. */
  prolong(address: readonly number[], family: number, port: number, nowMs: number, livesMs: number): void {
    const record = this.#holding(address, family, nowMs)
    if (this.#isFrozen || record < 0) return
    const at = this.#at(record)
    if (this.#words[at + STATE] === LeaseState.learned && this.#words[at + PORT] === port)
      this.#words[at + ENDS] = (nowMs + livesMs) | 0
  }

  /** Forgets that an address was learned at a port: it is leased now. */
  forgetLearned(address: readonly number[], family: number, port: number, nowMs: number): void {
    for (let record = this.#holding(address, family, nowMs); record >= 0; ) {
      const at = this.#at(record)
      if (this.#words[at + STATE] === LeaseState.learned && this.#words[at + PORT] === port) this.free(record)
      record = this.#holding(address, family, nowMs, record)
    }
  }

  /** The addresses of a family that are in the way of a holder at `port`, by their last word. */
  taken(family: number, nowMs: number, port: number): Set<number> {
    const words = this.#words
    const taken = new Set<number>()
    for (let record = 0; record < this.#count; record++) {
      const at = this.#at(record)
      if (words[at + FAMILY] === family && this.#isLive(at, nowMs) && this.#isInTheWay(record, port, NONE))
        taken.add(words[at + ADDRESS + 3]! >>> 0)
    }
    return taken
  }

  /** A record for a new lease of the port, or -1: its share, or the table, is used up. */
  place(port: number, nowMs: number): number {
    const words = this.#words
    let free = -1
    let held = 0
    for (let record = 0; record < this.#count; record++) {
      const at = this.#at(record)
      if (!this.#isLive(at, nowMs)) {
        if (free < 0) free = record
      } else if (words[at + PORT] === port) held++
    }
    return held < this.#perPort ? free : -1
  }

  /** How long a lease has to live, in milliseconds, and who holds it: for those who keep it elsewhere. */
  holding(record: number, nowMs: number): { readonly client: readonly [number, number, number]; readonly livesMs: number } {
    const at = this.#at(record)
    const client = [0, 1, 2].map((k) => this.#words[at + CLIENT + k]! >>> 0)
    return { client: [client[0]!, client[1]!, client[2]!], livesMs: (this.#words[at + ENDS]! - (nowMs | 0)) | 0 }
  }

  /** Records that hold a lease which is not over. */
  *records(nowMs: number): Generator<number> {
    for (let record = 0; record < this.#count; record++) if (this.#isLive(this.#at(record), nowMs)) yield record
  }

  /** The record in which a holder whose last one was `known` may have a lease now, or -1. One that is over counts like a new one. */
  placeFor(known: number, port: number, nowMs: number): number {
    if (known >= 0 && this.#isLive(this.#at(known), nowMs)) return known
    const place = this.place(port, nowMs)
    return place >= 0 && known >= 0 ? known : place
  }

  /** Writes a lease that lasts `livesMs` from now. */
  write(
    record: number,
    state: number,
    holder: Holder,
    family: number,
    address: readonly number[],
    nowMs: number,
    livesMs: number,
    name: string,
  ): void {
    const words = this.#isFrozen ? this.#tried : this.#words
    const at = this.#isFrozen ? 0 : this.#at(record)
    if (this.#isFrozen) this.#triedRecord = record
    words.fill(0, at, at + RECORD)
    words[at + STATE] = state
    words[at + PORT] = holder.port
    words[at + FAMILY] = family
    for (let k = 0; k < 4; k++) words[at + ADDRESS + k] = address[k]!
    for (let k = 0; k < 3; k++) words[at + CLIENT + k] = holder.client[k]!
    words[at + ENDS] = (nowMs + livesMs) | 0
    const length = Math.min(name.length, NAME_BYTES_MAX)
    words[at + NAME_LENGTH] = length
    for (let k = 0; k < length; k++) {
      const word = at + NAME + (k >> 2)
      words[word] = words[word]! | ((name.charCodeAt(k) & 127) << ((k & 3) * 8))
    }
  }

  /** The lease of a record, if it is one and not over. */
  read(record: number, nowMs: number): Lease | undefined {
    if (record < 0 || !this.#isLive(this.#at(record), nowMs)) return undefined
    return this.#read(this.#at(record))
  }

  /** What a record last held, over or not. */
  last(record: number): Lease {
    return record === this.#triedRecord ? this.#read(0, this.#tried) : this.#read(this.#at(record))
  }

  #read(at: number, words = this.#words): Lease {
    let name = ''
    for (let k = 0; k < words[at + NAME_LENGTH]!; k++)
      name += String.fromCharCode((words[at + NAME + (k >> 2)]! >> ((k & 3) * 8)) & 127)
    return {
      state: words[at + STATE]!,
      port: words[at + PORT]!,
      family: words[at + FAMILY]!,
      address: [0, 1, 2, 3].map((k) => words[at + ADDRESS + k]! >>> 0),
      name,
    }
  }

  free(record: number): void {
    if (!this.#isFrozen) this.#words[this.#at(record) + STATE] = LeaseState.free
  }

  /** All leases that are not over. */
  *live(nowMs: number): Generator<Lease> {
    for (const record of this.records(nowMs)) yield this.#read(this.#at(record))
  }

  /** Forgets what a port had: it is gone. */
  forgetPort(port: number): void {
    for (let record = 0; record < this.#count; record++)
      if (this.#words[this.#at(record) + PORT] === port) this.#words[this.#at(record) + STATE] = LeaseState.free
  }
}
