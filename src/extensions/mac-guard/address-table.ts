// The source addresses that each port may use, in memory common to all processors: written by the instance on processor 0, read per
// packet by all.
//
// The rule it must not break: a reader that meets a writer sees the old or the new addresses of a port, never a mixture. So the
// state of a port's row changes with every writing, and a look-up counts only if the state is the same after it.
const ROW_WORDS = 32 // state, and 15 addresses of two words
const STATE = 0
const FIRST = 2
const VERSION_ONE = 0x100
const KIND = 0xff
const ATTEMPTS_MAX = 10_000

/** Port ids that the table has rows for; higher ones are treated as unknown. */
export const TABLE_PORTS = 4096
export const ADDRESSES_PER_PORT = (ROW_WORDS - FIRST) >> 1
export const TABLE_BYTES = TABLE_PORTS * ROW_WORDS * 4

/** What the table says of a port and an address. */
export const UNKNOWN = 0
export const EXEMPT = 1
export const ALLOWED = 2
export const REFUSED = 3
const CHANGING = 4
const GUARDED = 16 // and the number of addresses

export class AddressTable {
  /** The address that `readFirst` found. */
  firstHigh = 0
  firstLow = 0
  private readonly words: Int32Array

  constructor(words: Int32Array) {
    this.words = words
  }

  /** UNKNOWN, EXEMPT, ALLOWED or REFUSED for an address (upper 16 and lower 32 bits) at a port. Allocates nothing. */
  check(port: number, high: number, low: number): number {
    if (port >= TABLE_PORTS) return UNKNOWN
    const { words } = this
    const row = port * ROW_WORDS
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const state = Atomics.load(words, row + STATE)
      const kind = state & KIND
      if (kind === CHANGING) continue
      if (kind < GUARDED) return kind
      const end = row + FIRST + (kind - GUARDED) * 2
      let found = REFUSED
      for (let at = row + FIRST; at < end; at += 2) if (words[at + 1] === (low | 0) && words[at] === high) found = ALLOWED
      if (Atomics.load(words, row + STATE) === state) return found
    }
    return REFUSED
  }

  /** Reads the first address of a port into `firstHigh` and `firstLow`. False if it has none, or they are being changed. */
  readFirst(port: number): boolean {
    if (port >= TABLE_PORTS) return false
    const { words } = this
    const row = port * ROW_WORDS
    const state = Atomics.load(words, row + STATE)
    if ((state & KIND) <= GUARDED) return false
    this.firstHigh = words[row + FIRST]!
    this.firstLow = words[row + FIRST + 1]! >>> 0
    return Atomics.load(words, row + STATE) === state
  }

  private write(port: number, kind: number): void {
    const at = port * ROW_WORDS + STATE
    Atomics.store(this.words, at, ((this.words[at]! & ~KIND) + VERSION_ONE) | kind)
  }

  /** Sets a port's addresses; those beyond ADDRESSES_PER_PORT are ignored. Processor 0 only. */
  guard(port: number, addresses: readonly Uint8Array[]): void {
    if (port >= TABLE_PORTS) return
    const { words } = this
    const first = port * ROW_WORDS + FIRST
    const count = Math.min(addresses.length, ADDRESSES_PER_PORT)
    this.write(port, CHANGING)
    for (let k = 0; k < count; k++) {
      const mac = addresses[k]!
      Atomics.store(words, first + k * 2, (mac[0]! << 8) | mac[1]!)
      Atomics.store(words, first + k * 2 + 1, (mac[2]! << 24) | (mac[3]! << 16) | (mac[4]! << 8) | mac[5]!)
    }
    this.write(port, GUARDED + count)
  }

  /** Sets a row without addresses: UNKNOWN or EXEMPT. Processor 0 only. */
  mark(port: number, kind: number): void {
    if (port < TABLE_PORTS) this.write(port, kind)
  }

  /** Forgets all ports. Processor 0 only. */
  clear(): void {
    for (let port = 0; port < TABLE_PORTS; port++) this.mark(port, UNKNOWN)
  }
}
