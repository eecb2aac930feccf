// Memory for the payload of packets that outlive a turn or that extensions made: blocks of 4 KiB, and halves of them for what fits into one.
//
// The rule it must not break: a block or half is free or taken, never both; a guest reaches none of them; nothing is allocated.

const BLOCK_SHIFT = 12
const LINE_SHIFT = 6
const LINE_SPREAD = 29 // blocks that follow each other begin far apart
const HALF_SHIFT = BLOCK_SHIFT - 1
const HALF = 1 << HALF_SHIFT
const WHOLE = 0
const CUT = 4

/** Bytes of a block. */
export const STORE_BLOCK = 1 << BLOCK_SHIFT
export const STORE_BLOCKS = 2048
/** Bytes to reserve for a store, whose memory is aligned within them. */
export const STORE_TOTAL_BYTES = STORE_BLOCK + STORE_BLOCKS * STORE_BLOCK

/** Blocks that a payload of `bytes` takes. */
export const blocksOf = (bytes: number): number => (bytes + STORE_BLOCK - 1) >> BLOCK_SHIFT

// Where in a block, of which `room` bytes are left over, something begins.
const spread = (block: number, room: number): number => ((block * LINE_SPREAD) % ((room >> LINE_SHIFT) + 1)) << LINE_SHIFT

/** Fields are ordinary ones: they are read per packet. */
export class BlockStore {
  /** Linear address of the first block. */
  readonly base: number
  readonly bytes: Uint8Array
  private readonly wholes = new Uint16Array(STORE_BLOCKS)
  /** Free blocks, besides halves. */
  count = 0
  // Free halves, by number, and where each stands in that list.
  private readonly halves = new Uint16Array(STORE_BLOCKS * 2)
  private readonly places = new Uint16Array(STORE_BLOCKS * 2)
  private halfCount = 0
  // Of each block: WHOLE, or CUT and a bit for each half that is free.
  private readonly states = new Uint8Array(STORE_BLOCKS)

  /** Blocks from linear address `from` on, where STORE_TOTAL_BYTES are reserved. */
  constructor(buffer: ArrayBufferLike, from: number) {
    this.base = Math.ceil(from / STORE_BLOCK) * STORE_BLOCK
    this.bytes = new Uint8Array(buffer, this.base, STORE_BLOCKS * STORE_BLOCK)
    for (let block = STORE_BLOCKS - 1; block >= 0; block--) this.wholes[this.count++] = block
  }

  /** Takes stock: `addresses[i]` and `lengths[i]` say what is taken, everything else is free. */
  reset(addresses: readonly number[], lengths: readonly number[]): void {
    const halves = new Uint8Array(STORE_BLOCKS * 2)
    const areCut = new Uint8Array(STORE_BLOCKS)
    for (const [i, address] of addresses.entries()) {
      const half = (address - this.base) >> HALF_SHIFT
      const isHalf = ((address - this.base) & (HALF - 1)) + lengths[i]! <= HALF
      halves[half] = 1
      if (isHalf) areCut[half >> 1] = 1
      else halves.fill(1, half & ~1, (half & ~1) + 2)
    }
    this.count = 0
    this.halfCount = 0
    for (let block = STORE_BLOCKS - 1; block >= 0; block--) {
      const free = [block << 1, (block << 1) | 1].filter((half) => halves[half] === 0)
      this.states[block] = areCut[block] === 0 ? WHOLE : CUT
      if (free.length === 2) this.wholes[this.count++] = block
      else for (const half of free) this.giveHalf(half)
    }
  }

  /** True if a payload of `bytes` finds room. */
  hasRoom(bytes: number): boolean {
    const rest = bytes & (STORE_BLOCK - 1)
    const blocks = (bytes >> BLOCK_SHIFT) + (rest > HALF || (rest !== 0 && this.halfCount === 0) ? 1 : 0)
    return blocks <= this.count
  }

  /**
   * Linear address of room for `bytes`, 1 to STORE_BLOCK, that is free no more. Call only while there is room. All blocks begin at the same
   * place of the cache: what leaves room in its block stands somewhere in it, or a few hundred packets would drive each other out.
   */
  take(bytes: number): number {
    if (bytes <= HALF) return this.takeHalf(bytes)
    const block = this.wholes[--this.count]!
    return this.base + (block << BLOCK_SHIFT) + spread(block, STORE_BLOCK - bytes)
  }

  private takeHalf(bytes: number): number {
    let half: number
    if (this.halfCount === 0) {
      const block = this.wholes[--this.count]!
      half = block << 1
      this.states[block] = CUT
      this.giveHalf(half + 1)
    } else {
      half = this.halves[--this.halfCount]!
      this.states[half >> 1] = this.states[half >> 1]! & ~(1 << (half & 1))
    }
    return this.base + (half << HALF_SHIFT) + spread(half, HALF - bytes)
  }

  private giveHalf(half: number): void {
    this.states[half >> 1] = this.states[half >> 1]! | (1 << (half & 1))
    this.places[half] = this.halfCount
    this.halves[this.halfCount++] = half
  }

  /** Gives back the block or half that `address` lies in. */
  give(address: number): void {
    const block = (address - this.base) >> BLOCK_SHIFT
    if (this.states[block] === WHOLE) {
      this.wholes[this.count++] = block
      return
    }
    const half = (address - this.base) >> HALF_SHIFT
    const other = half ^ 1
    if ((this.states[block]! & (1 << (other & 1))) === 0) {
      this.giveHalf(half)
      return
    }
    // The two are a block again.
    const last = this.halves[--this.halfCount]!
    const place = this.places[other]!
    this.halves[place] = last
    this.places[last] = place
    this.states[block] = WHOLE
    this.wholes[this.count++] = block
  }
}
