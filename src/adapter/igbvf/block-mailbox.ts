// Configuration blocks over the 82576's mailbox: the guest reads and writes blocks of up to 128 bytes in pieces of 52, and is told once,
// after it asked to be, which blocks changed. A read is taken whole from the PF with its first piece; a write is handed to the PF with
// its last one.
//
// The rule it must not break: the guest is hostile: a piece that does not continue what was begun is refused, and nothing of it reaches
// the PF; no transfer is longer than 128 bytes (SR-289).
import type { VfBlocks } from './owner.ts'
import { BLOCK_DATA_WORD, BLOCK_PIECE_BYTES, VF_AWAIT_BLOCKS, VF_READ_BLOCK, VF_WRITE_BLOCK } from './registers.ts'

export const BLOCK_BYTES_MAX = 128
const LENGTH_MASK = 0xff
const OFFSET_SHIFT = 8
const RESERVED_SHIFT = 16

export const isBlockMessage = (type: number): boolean =>
  type === VF_READ_BLOCK || type === VF_WRITE_BLOCK || type === VF_AWAIT_BLOCKS

export class BlockMailbox {
  readonly #blocks: VfBlocks
  /** A mask came that the guest waits for: the mailbox hands it on as soon as it is free. */
  readonly #arrived: () => void
  readonly #data = new Uint8Array(BLOCK_BYTES_MAX)
  /** What the pieces so far belong to: 0 = nothing. */
  #kind = 0
  #blockId = 0
  #length = 0
  #done = 0
  #asked = false
  #mask = 0n
  /** Counts resets: what the PF answers to an earlier life is dropped. */
  #life = 0

  constructor(blocks: VfBlocks, arrived: () => void) {
    this.#blocks = blocks
    this.#arrived = arrived
  }

  /** Blocks that the guest has to be told of, 0n = none. */
  get mask(): bigint {
    return this.#mask
  }

  /** The guest was told. */
  told(): void {
    this.#mask = 0n
  }

  /** The function was reset: transfers and waits are over. */
  reset(): void {
    this.#kind = 0
    this.#mask = 0n
    this.#life++
    if (this.#asked) this.#blocks.endWait()
    this.#asked = false
  }

  /** Carries a message out; data of the answer goes into `words`, a copy of the mailbox's. False: refused. */
  serve(type: number, words: Uint32Array): boolean | Promise<boolean> {
    if (type === VF_AWAIT_BLOCKS) return this.#await()
    const length = words[2]! & LENGTH_MASK
    const offset = (words[2]! >>> OFFSET_SHIFT) & LENGTH_MASK
    const fits = length >= 1 && length <= BLOCK_BYTES_MAX && offset < length && offset % BLOCK_PIECE_BYTES === 0
    const begins = offset === 0
    const continues = this.#kind === type && this.#blockId === words[1] && this.#length === length && this.#done === offset
    if (!fits || words[2]! >>> RESERVED_SHIFT !== 0 || !(begins || continues)) {
      this.#kind = 0
      return false
    }
    if (begins) {
      this.#kind = type
      this.#blockId = words[1]!
      this.#length = length
    }
    this.#done = Math.min(length, offset + BLOCK_PIECE_BYTES)
    const piece = new Uint8Array(words.buffer, words.byteOffset + 4 * BLOCK_DATA_WORD, BLOCK_PIECE_BYTES)
    return type === VF_READ_BLOCK ? this.#read(offset, piece) : this.#write(offset, piece)
  }

  #read(offset: number, piece: Uint8Array): boolean | Promise<boolean> {
    const give = (): boolean => {
      piece.fill(0)
      piece.set(this.#data.subarray(offset, this.#done))
      return true
    }
    if (offset !== 0) return give()
    return this.#inThisLife(this.#blocks.read(this.#blockId, this.#length), (data) => {
      if (data?.length !== this.#length) {
        this.#kind = 0
        return false
      }
      this.#data.set(data)
      return give()
    })
  }

  #write(offset: number, piece: Uint8Array): boolean | Promise<boolean> {
    this.#data.set(piece.subarray(0, this.#done - offset), offset)
    if (this.#done < this.#length) return true
    this.#kind = 0
    return this.#inThisLife(this.#blocks.write(this.#blockId, this.#data.slice(0, this.#length)), (written) => written)
  }

  // A failure of the owner is a refusal like any other (SR-287).
  async #inThisLife<T>(answer: Promise<T>, use: (value: T) => boolean): Promise<boolean> {
    const life = this.#life
    const value = await answer.catch(() => undefined)
    return life === this.#life && value !== undefined && use(value)
  }

  // IOCTL_VPCI_INVALIDATE_BLOCK: one at a time waits (spec 3.13).
  #await(): boolean {
    if (this.#asked) return true
    this.#asked = true
    const life = this.#life
    this.#blocks.invalidated().then(
      (mask) => {
        if (life !== this.#life) return
        this.#asked = false
        this.#mask |= mask // SR-291
        if (mask !== 0n) this.#arrived()
      },
      () => {
        if (life === this.#life) this.#asked = false
      },
    )
    return true
  }
}
