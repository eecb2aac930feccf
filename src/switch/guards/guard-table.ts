// What the guards of each port are told, in shared memory: written by the control thread when a port's protection changes, read by every
// processor. It is a part of the port table, whose generation tells processors of a change.
//
// The rule it must not break: a port without protection has nothing but zeros here.
import type { ProtectionProperty } from '../../ndis/standard-properties.ts'
import {
  allowsIpv4,
  allowsIpv6,
  learnsSources,
  SOURCE_WORDS,
  type SourcePrefix,
  setSourcePrefixes,
  sourcePrefixes,
} from './source-addresses.ts'
import { isLimited, STORM_WORDS, type StormBucketState, setStormLimits, stormBucket, takeTokens } from './storm-limit.ts'

/** Guards of a port, as bits. */
export const GuardBit = {
  dhcp: 1,
  router: 2,
  storm: 4,
  source: 8,
} as const

const W_BITS = 0
const W_STORM = 1
const W_SOURCE = W_STORM + STORM_WORDS
const GUARD_WORDS = W_SOURCE + SOURCE_WORDS

export const guardTableWords = (ports: number): number => ports * GUARD_WORDS

/** The table over `words`, from word `at`; port ids are indices. */
export class GuardTable {
  private readonly words: Int32Array
  private readonly at: number

  constructor(words: Int32Array, at: number) {
    this.words = words
    this.at = at
  }

  /** Control thread only; whoever calls announces it. Undefined: no guards. */
  set(port: number, entry: ProtectionProperty | undefined): void {
    const at = this.at + port * GUARD_WORDS
    const storm = entry?.stormLimit ?? []
    const source = entry?.sourceGuard
    setStormLimits(this.words, at + W_STORM, storm)
    setSourcePrefixes(this.words, at + W_SOURCE, source?.prefixes ?? [], source?.learned ?? false)
    this.words[at + W_BITS] =
      (entry?.dhcpGuard ? GuardBit.dhcp : 0) |
      (entry?.routerGuard ? GuardBit.router : 0) |
      (storm.length > 0 ? GuardBit.storm : 0) |
      (source === undefined ? 0 : GuardBit.source)
  }

  /** The guards that are on at a port: GuardBit. */
  bits(port: number): number {
    return this.words[this.at + port * GUARD_WORDS + W_BITS]!
  }

  /** True if an IPv4 address is among those that a port's source guard allows. */
  allowsIpv4(port: number, address: number): boolean {
    return allowsIpv4(this.words, this.at + port * GUARD_WORDS + W_SOURCE, address)
  }

  /** The same of an IPv6 address, as four numbers. */
  allowsIpv6(port: number, a: number, b: number, c: number, d: number): boolean {
    return allowsIpv6(this.words, this.at + port * GUARD_WORDS + W_SOURCE, a, b, c, d)
  }

  /** True if a port's source guard allows addresses that are learned of the port. */
  learnsSources(port: number): boolean {
    return learnsSources(this.words, this.at + port * GUARD_WORDS + W_SOURCE)
  }

  /** True if a port's frames of a kind (see storm-limit.ts) are limited. */
  limits(port: number, kind: number): boolean {
    return isLimited(this.words, this.at + port * GUARD_WORDS + W_STORM, kind)
  }

  /** Counts frames against a port's limit for their kind; false: they are to be dropped. Any processor. */
  take(port: number, kind: number, frames: number, bytes: number, tick: number): boolean {
    return takeTokens(this.words, this.at + port * GUARD_WORDS + W_STORM, kind, frames, bytes, tick)
  }

  /** What the bucket of a port's frames of a kind has for so many of them; undefined: they are not limited. Takes nothing. */
  bucket(port: number, kind: number, frames: number, bytes: number, tick: number): StormBucketState | undefined {
    return stormBucket(this.words, this.at + port * GUARD_WORDS + W_STORM, kind, frames, bytes, tick)
  }

  /** The prefixes that a port's source guard allows. */
  sources(port: number): SourcePrefix[] {
    return sourcePrefixes(this.words, this.at + port * GUARD_WORDS + W_SOURCE)
  }
}
