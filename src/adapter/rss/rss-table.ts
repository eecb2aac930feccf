// What the receive side must know of RSS of each VPort, in shared memory: written by the control thread when the miniport carries a request
// out, read by every processor for every packet, without a lock.
//
// The rule it must not break: whatever a reader sees while a change is being written is a processor that the VPort had or gets: an entry
// moves by one store, a table grows before its mask does, and a VPort is switched on when everything else of it is there.
import { HASH_FUNCTION_MASK } from './hash-types.ts'
import { HASH_KEY_BYTES } from './toeplitz.ts'
import { type RssState, TABLE_ENTRIES_MAX } from './vport-rss.ts'

// V8 folds a module's own constants into the code: these are per packet.
const HEADER_WORDS = 16
const GENERATION = 0
const ENCAPSULATION = 1
const VERSION = 2
// Words of an entry. The mode holds the enabled hash types, and ENABLED.
const MODE = 0
const MASK = 1
const DEFAULT = 2
const PRIMARY = 3
const KEY = 4
const MODERATION = 14
const ENTRIES = 16
const VPORT_WORDS: number = ENTRIES + TABLE_ENTRIES_MAX
const KEY_WORDS: number = HASH_KEY_BYTES >> 2
/** In the mode: RSS is on. The bits of the hash types begin above it. */
const ENABLED = 1
const TYPES: number = ~HASH_FUNCTION_MASK

export const rssTableBytes = (vports: number): number => (HEADER_WORDS + vports * VPORT_WORDS) * 4

/** The table. Fields are ordinary ones: they are read per packet. */
export class RssTable {
  readonly vports: number
  private readonly words: Int32Array

  /** Views the table at byte offset `at` of `buffer`, zeroed by the caller. `vports`: 0 for an adapter without RSS on VPorts. */
  constructor(buffer: ArrayBufferLike, at: number, vports: number) {
    this.vports = vports
    this.words = new Int32Array(buffer, at, rssTableBytes(vports) >> 2)
  }

  // ---- for processors -------------------------------------------------------------------------------------------------------

  /** Changes whenever more than a table entry or a processor does. */
  get generation(): number {
    return Atomics.load(this.words, GENERATION)
  }

  /** Changes whenever anything of any VPort does, after it did. */
  get version(): number {
    return Atomics.load(this.words, VERSION)
  }

  /** True while task offload of encapsulated packets is on (VQ-159). */
  get encapsulation(): boolean {
    return this.words[ENCAPSULATION] !== 0
  }

  /** Hash types that are enabled on a VPort; 0 = RSS is off: its primary processor serves. */
  types(vport: number): number {
    const mode = this.words[HEADER_WORDS + vport * VPORT_WORDS + MODE]!
    return (mode & ENABLED) === 0 ? 0 : mode & TYPES
  }

  /** The processor of a packet with this hash (VQ-205). */
  entry(vport: number, hash: number): number {
    const at = HEADER_WORDS + vport * VPORT_WORDS
    return this.words[at + ENTRIES + (hash & this.words[at + MASK]!)]!
  }

  /** Entries of a VPort's table: a power of two. */
  entries(vport: number): number {
    return this.words[HEADER_WORDS + vport * VPORT_WORDS + MASK]! + 1
  }

  /** The processor of packets without a hash, while RSS is on (VQ-208). */
  default(vport: number): number {
    return this.words[HEADER_WORDS + vport * VPORT_WORDS + DEFAULT]!
  }

  /** The processor of all packets, while RSS is off (VQ-214); -1: any will do. */
  primary(vport: number): number {
    return this.words[HEADER_WORDS + vport * VPORT_WORDS + PRIMARY]! - 1
  }

  /** Microseconds that the wake-up of a processor with packets of the VPort may be put off. */
  moderationUs(vport: number): number {
    return this.words[HEADER_WORDS + vport * VPORT_WORDS + MODERATION]!
  }

  /** Copies the key of a VPort to `key`, 40 bytes. Returns false, with `key` as it was, if it is this one. */
  readKey(vport: number, key: Uint8Array): boolean {
    const at = HEADER_WORDS + vport * VPORT_WORDS + KEY
    let same = true
    for (let i = 0; same && i < HASH_KEY_BYTES; i++) same = key[i] === this.keyByte(at, i)
    if (same) return false
    for (let i = 0; i < HASH_KEY_BYTES; i++) key[i] = this.keyByte(at, i)
    return true
  }

  private keyByte(at: number, i: number): number {
    return (this.words[at + (i >> 2)]! >>> ((i & 3) << 3)) & 0xff
  }

  // ---- for the control thread -----------------------------------------------------------------------------------------------

  /** Writes what steers a VPort, step by step as the rule above asks. */
  set(vport: number, state: RssState): void {
    const { words } = this
    const at = HEADER_WORDS + vport * VPORT_WORDS
    const mask = state.table.length - 1
    const mode = state.enabled ? (state.hashInformation & TYPES) | ENABLED : 0
    const announced = words[at + MODE] !== mode || words[at + MASK] !== mask
    this.setKey(at + KEY, state.hashSecretKey)
    if (mask < words[at + MASK]!) Atomics.store(words, at + MASK, mask)
    for (const [i, processor] of state.table.entries()) this.store(at + ENTRIES + i, processor)
    this.store(at + MASK, mask)
    this.store(at + DEFAULT, state.default)
    this.store(at + PRIMARY, state.primary + 1)
    this.store(at + MODE, mode)
    if (announced) Atomics.add(words, GENERATION, 1)
    Atomics.add(words, VERSION, 1)
  }

  setModerationUs(vport: number, moderationUs: number): void {
    this.store(HEADER_WORDS + vport * VPORT_WORDS + MODERATION, moderationUs)
  }

  /** Forgets a VPort that is gone. */
  clear(vport: number): void {
    const at = HEADER_WORDS + vport * VPORT_WORDS
    this.store(at + MODE, 0)
    this.store(at + PRIMARY, 0)
    this.store(at + MODERATION, 0)
    Atomics.add(this.words, GENERATION, 1)
  }

  /** Forgets all VPorts; nothing is on. */
  reset(): void {
    this.setEncapsulation(false)
    for (let vport = 0; vport < this.vports; vport++) this.clear(vport)
  }

  setEncapsulation(on: boolean): void {
    this.store(ENCAPSULATION, on ? 1 : 0)
  }

  // The key of a VPort whose RSS was ever on stays (VQ-196): nobody reads it while it is written.
  private setKey(at: number, key: Uint8Array): void {
    for (let w = 0; w < KEY_WORDS; w++) {
      const i = w << 2
      this.store(at + w, key[i]! | (key[i + 1]! << 8) | (key[i + 2]! << 16) | (key[i + 3]! << 24))
    }
  }

  private store(at: number, value: number): void {
    if (this.words[at] !== value) Atomics.store(this.words, at, value)
  }
}
