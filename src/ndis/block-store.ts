// Memory for the payload of packets that outlive a turn or that extensions made: blocks of 4 KiB.
//
// The rule it must not break: a block is free or taken, never both; a guest reaches none of them; nothing is allocated.

const BLOCK_SHIFT = 12
const LINE_SHIFT = 6
const LINE_SPREAD = 29 // blocks that follow each other begin far apart

/** Bytes of a block. */
export const STORE_BLOCK = 1 << BLOCK_SHIFT
export const STORE_BLOCKS = 2048
/** Bytes to reserve for a store, whose memory is aligned within them. */
export const STORE_TOTAL_BYTES = STORE_BLOCK + STORE_BLOCKS * STORE_BLOCK

/** Blocks that a payload of `bytes` takes. */
export const blocksOf = (bytes: number): number => (bytes + STORE_BLOCK - 1) >> BLOCK_SHIFT

/** Fields are ordinary ones: they are read per packet. */
export class BlockStore {
  /** Linear address of the first block. */
  readonly base: number
  readonly bytes: Uint8Array
  private readonly free = new Uint16Array(STORE_BLOCKS)
  /** Free blocks. */
  count = 0

  /** Blocks from linear address `from` on, where STORE_TOTAL_BYTES are reserved. */
  constructor(buffer: ArrayBufferLike, from: number) {
    this.base = Math.ceil(from / STORE_BLOCK) * STORE_BLOCK
    this.bytes = new Uint8Array(buffer, this.base, STORE_BLOCKS * STORE_BLOCK)
    for (let block = STORE_BLOCKS - 1; block >= 0; block--) this.free[this.count++] = block
  }

  /** Linear address of room for `bytes`, 1 to STORE_BLOCK, in a block that is free no more. Call only while one is. */
  take(bytes: number): number {
    const at = this.peek(0, bytes)
    this.count--
    return at
  }

  /**
   * What `take` would return after `ahead` others. All blocks begin at the same place of the cache: what leaves room in its block stands
   * somewhere in it, or a few hundred packets would drive each other out.
   */
  peek(ahead: number, bytes: number): number {
    const block = this.free[this.count - 1 - ahead]!
    const places = ((STORE_BLOCK - bytes) >> LINE_SHIFT) + 1
    return this.base + (block << BLOCK_SHIFT) + (((block * LINE_SPREAD) % places) << LINE_SHIFT)
  }

  /** Gives back the block that `address` lies in. */
  give(address: number): void {
    this.free[this.count++] = (address - this.base) >> BLOCK_SHIFT
  }
}
