// A burst of plain frames for several queues, which a kernel gives to their queues by the addresses that were decided lately.
//
// The rule it must not break: between two bursts no queue has frames; nothing is allocated.
import type { QueueKernels } from '../../kernels/kernels.ts'
import * as layout from '../../kernels/layout.ts'
import type { QueueClassifier } from './queue-classifier.ts'

const { BURST_MAX, QB_BYTES, QB_FRAMES, QB_TOUCHED, QB_TOUCHED_COUNT, QUEUE_IDS } = layout

/** Fields are ordinary ones: they are read per burst. */
export class MixedBurst {
  /** Linear address of the kernel's block. */
  readonly block: number
  /** Queues that the burst has frames of: the first `count`. */
  readonly touched: Uint16Array
  /** Of each queue. */
  readonly frames: Uint32Array
  readonly bytes: Uint32Array
  private readonly touchedCount: Uint32Array

  /** `block`: linear address of QUEUE_BLOCK_BYTES. */
  constructor(buffer: ArrayBufferLike, block: number) {
    this.block = block
    this.touched = new Uint16Array(buffer, block + QB_TOUCHED, BURST_MAX)
    this.frames = new Uint32Array(buffer, block + QB_FRAMES, QUEUE_IDS)
    this.bytes = new Uint32Array(buffer, block + QB_BYTES, QUEUE_IDS)
    this.touchedCount = new Uint32Array(buffer, block + QB_TOUCHED_COUNT, 1)
  }

  get count(): number {
    return this.touchedCount[0]!
  }

  /** Slots 0…taken-1 get their queues. Returns false, with no queue touched, if a frame is not plain or is not received. */
  assign(kernels: QueueKernels, pool: number, taken: number, classifier: QueueClassifier): boolean {
    classifier.follow()
    if (classifier.looksInside) return false
    let last = -1
    for (let at = 0; ; ) {
      at = kernels.assign(pool, at, taken, this.block)
      if (at === taken) return true
      if (at === last) break
      last = at
      classifier.classify(at, 1) // an address that was not seen lately is known now
    }
    this.clear()
    return false
  }

  /** Forgets the burst. */
  clear(): void {
    const { count, touched, frames, bytes } = this
    for (let i = 0; i < count; i++) {
      frames[touched[i]!] = 0
      bytes[touched[i]!] = 0
    }
    this.touchedCount[0] = 0
  }
}
