// What the guards of each port are told, in shared memory: written by the control thread when a port's protection changes, read by every
// processor. It is a part of the port table, whose generation tells processors of a change.
//
// The rule it must not break: a port without protection has nothing but zeros here.
import type { ProtectionProperty } from '../../ndis/standard-properties.ts'
import { isLimited, STORM_WORDS, setStormLimits, takeTokens } from './storm-limit.ts'

/** Guards of a port, as bits. */
export const GuardBit = {
  dhcp: 1,
  router: 2,
  storm: 4,
} as const

const W_BITS = 0
const W_STORM = 1
const GUARD_WORDS = W_STORM + STORM_WORDS

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
    setStormLimits(this.words, at + W_STORM, storm)
    this.words[at + W_BITS] =
      (entry?.dhcpGuard ? GuardBit.dhcp : 0) |
      (entry?.routerGuard ? GuardBit.router : 0) |
      (storm.length > 0 ? GuardBit.storm : 0)
  }

  /** The guards that are on at a port: GuardBit. */
  bits(port: number): number {
    return this.words[this.at + port * GUARD_WORDS + W_BITS]!
  }

  /** True if a port's frames of a kind (see storm-limit.ts) are limited. */
  limits(port: number, kind: number): boolean {
    return isLimited(this.words, this.at + port * GUARD_WORDS + W_STORM, kind)
  }

  /** Counts frames against a port's limit for their kind; false: they are to be dropped. Any processor. */
  take(port: number, kind: number, frames: number, bytes: number, nowMs: number): boolean {
    return takeTokens(this.words, this.at + port * GUARD_WORDS + W_STORM, kind, frames, bytes, nowMs)
  }
}
