// The multicast groups that VFs asked for: group address → set of VPorts, in shared memory, open addressing with bounded probes. One
// control thread writes, all processors read.
//
// The rule it must not break: what one VF asks for never takes more than its share (VF_GROUPS_MAX), and a full table refuses.
import { macKey } from '../switch/mac-table.ts'
import { VPORTS_MAX } from './vport-table.ts'

/** Groups that one VF may be a member of. */
export const VF_GROUPS_MAX = 32

const HEADER_WORDS = 16
const ENTRY_WORDS = 8
const MEMBERS = 2
const MEMBER_WORDS = VPORTS_MAX >> 5
const PROBES = 16
const VALID = 1 << 30
const HASH_HIGH = 0x9e3779b1 | 0
const HASH_MIX = 0x85ebca6b | 0

export const groupTableBytes = (entries: number): number => (HEADER_WORDS + entries * ENTRY_WORDS) * 4

/** Fields are ordinary ones: look-ups run per packet. */
export class GroupTable {
  private readonly words: Int32Array
  private readonly mask: number

  /** Views the table at byte offset `at` of `buffer`, zeroed by the caller. `entries` is a power of two. */
  constructor(buffer: ArrayBufferLike, at: number, entries: number) {
    if (entries < 16 || (entries & (entries - 1)) !== 0)
      throw new RangeError(`a group table has a power of two of entries from 16, not ${entries}`)
    this.words = new Int32Array(buffer, at, groupTableBytes(entries) >> 2)
    this.mask = entries - 1
  }

  private start(low: number, high: number): number {
    const mixed = low ^ Math.imul(high, HASH_HIGH)
    return Math.imul(mixed ^ (mixed >>> 15), HASH_MIX) >>> 8
  }

  /** The group's entry for `isMember`, or -1: nobody asked for it. Allocates nothing. */
  find(low: number, high: number): number {
    const { words, mask } = this
    const key = high | VALID
    let i = this.start(low, high)
    for (let probe = 0; probe < PROBES; probe++, i++) {
      const at = HEADER_WORDS + ((i & mask) << 3)
      if (words[at + 1] === key && words[at] === low) return at
    }
    return -1
  }

  /** True if the VPort is a member of the group at `entry` (from `find`). */
  isMember(entry: number, vport: number): boolean {
    return entry >= 0 && ((this.words[entry + MEMBERS + (vport >> 5)]! >>> (vport & 31)) & 1) !== 0
  }

  /** Control thread: makes a VPort a member. Returns false if the group's probes are all taken. */
  add(mac: string, vport: number): boolean {
    const { low, high } = macKey(mac)
    const { words } = this
    let at = this.find(low, high)
    if (at < 0) {
      at = this.freeEntry(low, high)
      if (at < 0) return false
      words[at] = low
      words.fill(0, at + MEMBERS, at + MEMBERS + MEMBER_WORDS)
      Atomics.store(words, at + 1, high | VALID)
    }
    Atomics.or(words, at + MEMBERS + (vport >> 5), 1 << (vport & 31))
    return true
  }

  private freeEntry(low: number, high: number): number {
    let i = this.start(low, high)
    for (let probe = 0; probe < PROBES; probe++, i++) {
      const at = HEADER_WORDS + ((i & this.mask) << 3)
      if (this.words[at + 1] === 0) return at
    }
    return -1
  }

  /** Control thread: ends a membership; the last one frees the entry. */
  remove(mac: string, vport: number): void {
    const { low, high } = macKey(mac)
    const at = this.find(low, high)
    if (at < 0) return
    const { words } = this
    Atomics.and(words, at + MEMBERS + (vport >> 5), ~(1 << (vport & 31)))
    for (let i = 0; i < MEMBER_WORDS; i++) if (words[at + MEMBERS + i] !== 0) return
    Atomics.store(words, at + 1, 0)
  }
}
