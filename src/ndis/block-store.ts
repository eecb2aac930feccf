// Memory for the payload of packets that outlive a turn or that extensions made: a place of 2 KiB for each slot, which needs no looking for, and
// blocks of 4 KiB for what does not fit there.
//
// The rule it must not break: a block is free or taken, never both; a guest reaches none of this; nothing is allocated.
import * as layout from '../kernels/layout.ts'

// V8 folds constants of a module, not imported ones.
const { OWN_PLACE, PLACE_SPREAD, POOL_SLOTS } = layout
const BLOCK_SHIFT = 12
const OWN_SHIFT = 31 - Math.clz32(OWN_PLACE)
const LINE_SHIFT = 6
const BYTE = 0xff
const BYTE_SHIFT = 8
const OWN_BYTES = POOL_SLOTS * OWN_PLACE

/** Bytes of a block. */
export const STORE_BLOCK = 1 << BLOCK_SHIFT
export const STORE_BLOCKS = 2048
/** Bytes to reserve for a store, whose memory is aligned within them. */
export const STORE_TOTAL_BYTES = STORE_BLOCK + OWN_BYTES + STORE_BLOCKS * STORE_BLOCK

/** Stretches that a payload of `bytes` is kept in: all but the last are as long as a block. */
export const stretchesOf = (bytes: number): number => (bytes + STORE_BLOCK - 1) >> BLOCK_SHIFT

/** Blocks that it takes: a last stretch that fits into the slot's own place stands there. */
export const blocksOf = (bytes: number): number => (bytes + STORE_BLOCK - OWN_PLACE - 1) >> BLOCK_SHIFT

// Where in the place of a slot or a block, of which `room` bytes are left over, something begins: all of them begin at the same place of the
// cache, and a few hundred packets would drive each other out.
const spread = (number: number, room: number): number =>
  ((((number * PLACE_SPREAD) & BYTE) * ((room >> LINE_SHIFT) + 1)) >> BYTE_SHIFT) << LINE_SHIFT

/** Fields are ordinary ones: they are read per packet. */
export class BlockStore {
  /** Linear address of the first slot's place. */
  readonly base: number
  readonly bytes: Uint8Array
  private readonly firstBlock: number
  private readonly free = new Uint16Array(STORE_BLOCKS)
  /** Free blocks. */
  count = 0

  /** A store from linear address `from` on, where STORE_TOTAL_BYTES are reserved. */
  constructor(buffer: ArrayBufferLike, from: number) {
    this.base = Math.ceil(from / STORE_BLOCK) * STORE_BLOCK
    this.bytes = new Uint8Array(buffer, this.base, OWN_BYTES + STORE_BLOCKS * STORE_BLOCK)
    this.firstBlock = this.base + OWN_BYTES
    for (let block = STORE_BLOCKS - 1; block >= 0; block--) this.free[this.count++] = block
  }

  /** Takes stock: the blocks that `addresses` lie in are taken, all others are free. */
  reset(addresses: readonly number[]): void {
    const taken = new Uint8Array(STORE_BLOCKS)
    for (const address of addresses) if (address >= this.firstBlock) taken[(address - this.firstBlock) >> BLOCK_SHIFT] = 1
    this.count = 0
    for (let block = STORE_BLOCKS - 1; block >= 0; block--) if (taken[block] === 0) this.free[this.count++] = block
  }

  /** True if a payload of `bytes` finds room. */
  hasRoom(bytes: number): boolean {
    return blocksOf(bytes) <= this.count
  }

  /** Linear address of room for `bytes`, 1 to STORE_BLOCK, of the payload of `slot`. Call only while there is room. */
  place(slot: number, bytes: number): number {
    return bytes <= OWN_PLACE ? this.own(slot, bytes) : this.take(bytes)
  }

  /** Linear address of room for `bytes`, 1 to OWN_PLACE, in the place of `slot`. The kernels that copy packets know it, too. */
  own(slot: number, bytes: number): number {
    return this.base + (slot << OWN_SHIFT) + spread(slot, OWN_PLACE - bytes)
  }

  /** Linear address of room for `bytes`, OWN_PLACE + 1 to STORE_BLOCK, in a block that is free no more. Call only while there is room. */
  take(bytes: number): number {
    const block = this.free[--this.count]!
    return this.firstBlock + (block << BLOCK_SHIFT) + spread(block, STORE_BLOCK - bytes)
  }

  /** Gives back the block that `address` lies in; the place of a slot is always the slot's. */
  give(address: number): void {
    if (address >= this.firstBlock) this.free[this.count++] = (address - this.firstBlock) >> BLOCK_SHIFT
  }
}
