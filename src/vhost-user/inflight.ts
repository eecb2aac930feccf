// The in-flight region of GET_INFLIGHT_FD and SET_INFLIGHT_FD: memory that outlives the back-end, from which its successor learns
// what was taken and not given back. We give buffers back in the order we took them, so the used position says it all: no
// descriptor is ever marked as in flight, and a successor resumes at that position.
//
// The rule it must not break: the region reads as the specification defines it, so that another back-end may be the successor.
import type { SharedMemory } from '../linux/shared-memory.ts'
import type { PackedPosition } from '../virtio/ring-layout.ts'
import { SharedFile } from './shared-file.ts'

const VERSION = 1
const ALIGNMENT = 64
const SPLIT = { header: 16, entry: 16, usedIndex: 14 } as const
const PACKED = {
  header: 32,
  entry: 32,
  freeHead: 12,
  oldFreeHead: 14,
  usedIndex: 16,
  oldUsedIndex: 18,
  wrap: 20,
  oldWrap: 21,
} as const
const VERSION_AT = 8
const COUNT_AT = 10
const NEXT_AT = 2

/** Bytes of the region for `queues` queues of `size` entries. */
export const inflightBytes = (queues: number, size: number, packed: boolean): number => queues * queueBytes(size, packed)

function queueBytes(size: number, packed: boolean): number {
  const { header, entry } = packed ? PACKED : SPLIT
  return Math.ceil((header + entry * size) / ALIGNMENT) * ALIGNMENT
}

/** A mapped in-flight region. */
export class InflightRegion {
  readonly queues: number
  readonly #size: number
  readonly #packed: boolean
  readonly #file: SharedFile
  readonly #memory: SharedMemory

  /** Maps the region; the descriptor stays the caller's. Throws RefusedError or SystemCallError. */
  constructor(memory: SharedMemory, fd: number, offset: bigint, queues: number, size: number, packed: boolean) {
    this.#file = new SharedFile(memory, fd, inflightBytes(queues, size, packed), offset, 'in-flight region')
    this.#memory = memory
    this.queues = queues
    this.#size = size
    this.#packed = packed
  }

  /** Linear address of the part of queue `index`, 0 if the region has none for it. */
  addressOf(index: number): number {
    return index < this.queues ? this.#file.at + index * queueBytes(this.#size, this.#packed) : 0
  }

  /** Makes the part of queue `index` one of a ring that stands at its start. */
  initialize(index: number): void {
    const view = this.#view(index)
    if (!view) return
    new Uint8Array(view.buffer, view.byteOffset, view.byteLength).fill(0)
    view.setUint16(VERSION_AT, VERSION, true)
    view.setUint16(COUNT_AT, this.#size, true)
    if (!this.#packed) return
    view.setUint8(PACKED.wrap, 1)
    view.setUint8(PACKED.oldWrap, 1)
    for (let i = 0; i < this.#size; i++) view.setUint16(PACKED.header + i * PACKED.entry + NEXT_AT, i + 1, true)
  }

  /** Where the last back-end stood in packed queue `index`; null if the part was never used, or doesn't make sense. */
  packedPosition(index: number): PackedPosition | null {
    const view = this.#view(index)
    if (!view || !this.#packed || view.getUint16(VERSION_AT, true) !== VERSION) return null
    const position = view.getUint16(PACKED.oldUsedIndex, true)
    return position < this.#size ? { index: position, wrap: view.getUint8(PACKED.oldWrap) & 1 ? 1 : 0 } : null
  }

  release(): void {
    this.#file.release()
  }

  #view(index: number): DataView | null {
    const at = this.addressOf(index)
    return at === 0 ? null : new DataView(this.#memory.buffer, at, queueBytes(this.#size, this.#packed))
  }
}

/**
 * Records in the part of a queue how far buffers have been given back. `bytes` and `words` view that part from its start.
 * Allocates nothing.
 */
export function recordUsed(words: Uint16Array, bytes: Uint8Array, packed: boolean, used: number, wrap: number): void {
  if (!packed) {
    words[SPLIT.usedIndex >> 1] = used
    return
  }
  words[PACKED.usedIndex >> 1] = used
  words[PACKED.oldUsedIndex >> 1] = used
  bytes[PACKED.wrap] = wrap
  bytes[PACKED.oldWrap] = wrap
}

/** Bytes at the start of a queue's part that `recordUsed` writes. */
export const INFLIGHT_HEADER_BYTES = PACKED.header
