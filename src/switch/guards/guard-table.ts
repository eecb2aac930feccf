// What the guards of each port are told, in shared memory: written by the control thread when a port's protection changes, read by every
// processor. It is a part of the port table, whose generation tells processors of a change.
//
// The rule it must not break: a port without protection has nothing but zeros here.

/** Guards of a port, as bits. */
export const GuardBit = {
  dhcp: 1,
  router: 2,
} as const

const W_BITS = 0
const GUARD_WORDS = 1

/** What the guards of a port do. */
export interface GuardEntry {
  /** DHCP server messages from the port are dropped. */
  readonly dhcpGuard: boolean
  /** Router advertisements and redirects from the port are dropped. */
  readonly routerGuard: boolean
}

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
  set(port: number, entry: GuardEntry | undefined): void {
    const at = this.at + port * GUARD_WORDS
    this.words[at + W_BITS] = (entry?.dhcpGuard ? GuardBit.dhcp : 0) | (entry?.routerGuard ? GuardBit.router : 0)
  }

  /** The guards that are on at a port: GuardBit. */
  bits(port: number): number {
    return this.words[this.at + port * GUARD_WORDS + W_BITS]!
  }
}
