// Shared memory for receive buffers: NdisAllocateSharedMemory and NdisFreeSharedMemory over a region of host memory that all processors
// see. The miniport does not know what serves its request (VQ-144); no memory of a guest ever does (VQ-143).
//
// The rule it must not break: two blocks never share a byte, and a block that is freed twice, or was never allocated, is refused.
import { NdisStatus } from '../../ndis/status.ts'
import { SharedMemoryUsage } from './queue-words.ts'

/** A cache line: blocks don't share one. */
const ALIGNMENT = 64

/** NDIS_SHARED_MEMORY_PARAMETERS */
export interface SharedMemoryParameters {
  readonly queueId: number
  /** Zero: the memory is a queue's (VQ-136). */
  readonly vPortId: number
  readonly usage: number
  /** Bytes. */
  readonly length: number
  /** In one piece; else it may come as a list of several (VQ-137). */
  readonly contiguous: boolean
}

/** An element of a SCATTER_GATHER_LIST: linear address and bytes. */
export interface SharedMemoryPiece {
  readonly address: number
  readonly length: number
}

export interface SharedMemoryBlock {
  /** What receive indications quote. */
  readonly sharedMemoryHandle: number
  /** What frees it. */
  readonly allocationHandle: number
  /** Linear address of the first byte. */
  readonly virtualAddress: number
  readonly scatterGatherList: readonly SharedMemoryPiece[]
}

export interface SharedMemoryOutcome {
  readonly status: NdisStatus
  readonly block?: SharedMemoryBlock
}

export interface SharedMemoryProvider {
  /** SUCCESS with a block, RESOURCES, INVALID_PARAMETER or FAILURE (VQ-138, VQ-139). */
  allocate(parameters: SharedMemoryParameters): SharedMemoryOutcome
  /** Takes a block back. Throws RangeError for one that is not allocated. */
  free(allocationHandle: number): void
}

interface Piece {
  start: number
  end: number
}

/** First fit over one region. Control thread only. */
export class RegionSharedMemory implements SharedMemoryProvider {
  readonly #free: Piece[]
  readonly #blocks = new Map<number, Piece>()
  #next = 1
  #registered = false

  /** Serves `length` bytes at linear address `start`. */
  constructor(start: number, length: number) {
    const first = Math.ceil(start / ALIGNMENT) * ALIGNMENT
    this.#free = [{ start: first, end: start + length }]
  }

  /** NdisMRegisterScatterGatherDma: before it there is no memory (VQ-140). */
  register(): void {
    this.#registered = true
  }

  /** Blocks that are allocated. */
  get blocks(): number {
    return this.#blocks.size
  }

  allocate({ queueId, vPortId, usage, length }: SharedMemoryParameters): SharedMemoryOutcome {
    if (!this.#registered) return { status: NdisStatus.failure } // VQ-140
    const whole = [queueId, vPortId, length].every((value) => Number.isInteger(value) && value >= 0)
    const known = usage === SharedMemoryUsage.receive || usage === SharedMemoryUsage.xmit || usage === SharedMemoryUsage.other
    if (!whole || !known || vPortId !== 0 || length === 0) return { status: NdisStatus.invalidParameter } // VQ-136
    const bytes = Math.ceil(length / ALIGNMENT) * ALIGNMENT
    const piece = this.#free.find(({ start, end }) => end - start >= bytes)
    if (!piece) return { status: NdisStatus.resources }
    const block = { start: piece.start, end: piece.start + bytes }
    piece.start += bytes
    const handle = this.#next++
    this.#blocks.set(handle, block)
    return {
      status: NdisStatus.success,
      block: {
        sharedMemoryHandle: handle,
        allocationHandle: handle,
        virtualAddress: block.start,
        scatterGatherList: [{ address: block.start, length }],
      },
    }
  }

  free(allocationHandle: number): void {
    const block = this.#blocks.get(allocationHandle)
    if (!block) throw new RangeError(`shared memory ${allocationHandle} is not allocated`) // VQ-142
    this.#blocks.delete(allocationHandle)
    this.#free.push(block)
    this.#free.sort((a, b) => a.start - b.start)
    for (let i = this.#free.length - 1; i > 0; i--) {
      const below = this.#free[i - 1]!
      if (below.end !== this.#free[i]!.start) continue
      below.end = this.#free[i]!.end
      this.#free.splice(i, 1)
    }
  }
}
