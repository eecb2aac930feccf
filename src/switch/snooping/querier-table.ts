// Who asks for members, in each VLAN and for IPv4 and IPv6 apart: a router or switch elsewhere, or the built-in querier. In shared memory:
// processors note what they hear, the control thread says where the built-in querier asks.
//
// The rule it must not break: where nobody asks, or members had no time to answer yet, multicast is flooded: without a querier memberships
// would end and streams with them.

const VLANS = 4096
const WORDS = 12
const ENDS = 0
const FROM = 1
const PORT = 2
const OWN_FROM = 3
const INTERVAL = 4
const RESPONSE = 5
const ADDRESS = 6
/** Seconds between queries, and tenths to answer, that are believed of another querier at the most. */
const INTERVAL_SECONDS_MAX = 1800
const RESPONSE_TENTHS_MAX = 600

export const QUERIER_TABLE_BYTES = VLANS * 2 * WORDS * 4

/** Timers of snooping (RFC 3376 8, RFC 3810 9). */
export interface SnoopingTimers {
  readonly robustness: number
  readonly intervalSeconds: number
  readonly responseTenths: number
  readonly lastMemberTenths: number
}

/** A query as a processor heard it; words of the address are unsigned. */
export interface HeardQuery {
  readonly isIpv4: boolean
  readonly source0: number
  readonly source1: number
  readonly source2: number
  readonly source3: number
  readonly responseTenths: number
  readonly intervalSeconds: number
}

export interface QuerierEntry {
  readonly vlan: number
  readonly isIpv4: boolean
  /** Of another querier; undefined: there is none. */
  readonly other:
    | { readonly port: number; readonly address: readonly [number, number, number, number]; readonly endsTenths: number }
    | undefined
  /** The built-in one asks. */
  readonly own: boolean
}

/** Fields are ordinary ones: it is read per packet. Times are in tenths of a second. */
export class QuerierTable {
  private readonly words: Int32Array
  private readonly timers: SnoopingTimers

  constructor(buffer: ArrayBufferLike, timers: SnoopingTimers) {
    this.words = new Int32Array(buffer, 0, QUERIER_TABLE_BYTES >> 2)
    this.timers = timers
  }

  private at(vlan: number, isIpv4: boolean): number {
    return (vlan * 2 + (isIpv4 ? 0 : 1)) * WORDS
  }

  /** True if somebody asks and those who were asked first have had time to answer. */
  restricts(vlan: number, isIpv4: boolean, now: number): boolean {
    const { words } = this
    const at = this.at(vlan, isIpv4)
    const own = words[at + OWN_FROM]!
    return (own !== 0 && now >= own) || (words[at + ENDS]! > now && now >= words[at + FROM]!)
  }

  /** The port behind which another querier is, or 0. */
  port(vlan: number, isIpv4: boolean, now: number): number {
    const at = this.at(vlan, isIpv4)
    return this.words[at + ENDS]! > now ? this.words[at + PORT]! : 0
  }

  /** True if the built-in querier asks. */
  isOwn(vlan: number, isIpv4: boolean): boolean {
    return this.words[this.at(vlan, isIpv4) + OWN_FROM] !== 0
  }

  /** How long a membership lasts: robustness times interval, and the time for answers (RFC 3376 8.4). */
  membershipTenths(vlan: number, isIpv4: boolean, now: number): number {
    const { words, timers } = this
    const at = this.at(vlan, isIpv4)
    const heard = words[at + ENDS]! > now
    const interval = heard ? Math.max(timers.intervalSeconds, words[at + INTERVAL]!) : timers.intervalSeconds
    const response = heard ? Math.max(timers.responseTenths, words[at + RESPONSE]!) : timers.responseTenths
    return timers.robustness * interval * 10 + response
  }

  /**
   * Notes a general query from port `port`. The querier that is known stays as long as it asks, unless this one has the lower address; an
   * address of 0 has no part in the election (RFC 4541 2.1.1). Allocates nothing.
   */
  heard(vlan: number, port: number, query: HeardQuery, now: number): void {
    const { words, timers } = this
    const at = this.at(vlan, query.isIpv4)
    const isKnown = words[at + ENDS]! > now
    if (isKnown && this.precedes(at + ADDRESS, query)) return
    const response = Math.min(RESPONSE_TENTHS_MAX, Math.max(timers.responseTenths, query.responseTenths))
    words[at + INTERVAL] = Math.min(INTERVAL_SECONDS_MAX, Math.max(timers.intervalSeconds, query.intervalSeconds))
    words[at + RESPONSE] = response
    words[at + ADDRESS] = query.source0
    words[at + ADDRESS + 1] = query.source1
    words[at + ADDRESS + 2] = query.source2
    words[at + ADDRESS + 3] = query.source3
    words[at + PORT] = port
    if (!isKnown) words[at + FROM] = now + response
    Atomics.store(words, at + ENDS, now + this.presentTenths(at, response))
  }

  /** How long a querier that was heard just now counts as there (RFC 3376 8.5). */
  routerTenths(vlan: number, isIpv4: boolean, now: number): number {
    const { timers } = this
    const at = this.at(vlan, isIpv4)
    if (this.words[at + ENDS]! > now) return this.presentTenths(at, this.words[at + RESPONSE]!)
    return timers.robustness * timers.intervalSeconds * 10 + Math.ceil(timers.responseTenths / 2)
  }

  private presentTenths(at: number, response: number): number {
    return this.timers.robustness * this.words[at + INTERVAL]! * 10 + Math.ceil(response / 2)
  }

  // True if the querier whose address stands at `at` stays before the one that asks now.
  private precedes(at: number, { source0, source1, source2, source3 }: HeardQuery): boolean {
    const { words } = this
    if ((words[at]! | words[at + 1]! | words[at + 2]! | words[at + 3]!) === 0) return false
    if (source0 === 0) return true
    const known = words[at]! >>> 0
    if (known !== source0) return known < source0
    if (words[at + 1]! >>> 0 !== source1) return words[at + 1]! >>> 0 < source1
    if (words[at + 2]! >>> 0 !== source2) return words[at + 2]! >>> 0 < source2
    return words[at + 3]! >>> 0 < source3
  }

  // ---- control thread ---------------------------------------------------------------------------------------------------------

  /** Says from when on the built-in querier's answers are there; 0: it does not ask. */
  setOwn(vlan: number, isIpv4: boolean, fromTenths: number): void {
    Atomics.store(this.words, this.at(vlan, isIpv4) + OWN_FROM, fromTenths)
  }

  /** Forgets a querier behind a port that is gone. */
  forget(port: number): void {
    for (let at = 0; at < this.words.length; at += WORDS)
      if (this.words[at + PORT] === port) Atomics.store(this.words, at + ENDS, 0)
  }

  /** What is known of a VLAN. */
  entry(vlan: number, isIpv4: boolean, now: number): QuerierEntry {
    const { words } = this
    const at = this.at(vlan, isIpv4)
    const word = (k: number): number => words[at + ADDRESS + k]! >>> 0
    const endsTenths = words[at + ENDS]!
    return {
      vlan,
      isIpv4,
      own: words[at + OWN_FROM] !== 0,
      other:
        endsTenths > now ? { port: words[at + PORT]!, address: [word(0), word(1), word(2), word(3)], endsTenths } : undefined,
    }
  }

  /** VLANs in which somebody asks. */
  entries(now: number): QuerierEntry[] {
    const found: QuerierEntry[] = []
    for (let vlan = 0; vlan < VLANS; vlan++)
      for (const isIpv4 of [true, false]) {
        const at = this.at(vlan, isIpv4)
        if (this.words[at + ENDS]! > now || this.words[at + OWN_FROM] !== 0) found.push(this.entry(vlan, isIpv4, now))
      }
    return found
  }
}
