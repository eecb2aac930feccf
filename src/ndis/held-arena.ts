// Room for the destination arrays of packets that outlive a turn (held ones, clones, originated ones): blocks of powers of two, each
// size with a list of free ones that is threaded through the blocks themselves.
//
// The rule it must not break: nothing is allocated on the heap; a block is given back with the size it was taken for.

const SMALLEST_LOG = 3
const NONE = 0xffffffff

/** Fields are ordinary ones: packets that are held take and give blocks. */
export class HeldArena {
  private readonly entries: Uint32Array
  private readonly first: number
  private readonly end: number
  private readonly free = new Uint32Array(32).fill(NONE)
  private next: number

  /** Serves `count` entries of `entries` from index `first` on. */
  constructor(entries: Uint32Array, first: number, count: number) {
    this.entries = entries
    this.first = first
    this.next = first
    this.end = first + count
  }

  private log(room: number): number {
    return room <= 1 << SMALLEST_LOG ? SMALLEST_LOG : 32 - Math.clz32(room - 1)
  }

  /** Index of a block of at least `room` (1…65536) entries, or -1. */
  take(room: number): number {
    const log = this.log(room)
    const found = this.free[log]!
    if (found !== NONE) {
      this.free[log] = this.entries[found]!
      return found
    }
    const size = 2 ** log
    if (this.next + size > this.end) return -1
    const at = this.next
    this.next += size
    return at
  }

  /** Gives back the block at `at` that was taken for `room` entries. */
  give(at: number, room: number): void {
    if (at < this.first || at >= this.end) return
    const log = this.log(room)
    this.entries[at] = this.free[log]!
    this.free[log] = at
  }

  /** True if a block taken for `room` entries has room for `wanted`. */
  fits(room: number, wanted: number): boolean {
    return this.log(room) === this.log(wanted)
  }
}
