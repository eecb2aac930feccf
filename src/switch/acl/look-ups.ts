// Looks keys of a burst up in a program of rules: by the kernel where the program lies in linear memory, else by its twin. Allocates nothing.
import * as layout from '../../kernels/classify-layout.ts'
import type { ClassifyKernels, ConnectionKernels } from '../../kernels/kernels.ts'
import { classifyAll } from '../../kernels/twin-classify.ts'
import type { ConnectionTable } from '../conntrack/connection-table.ts'
import { FLOW_KEY_WORDS } from './flow-key.ts'
import { ownBlock, type Program, type ProgramKernel } from './program.ts'

const { CL_CHOSEN, CL_KEYS, CL_KINDS, CL_RANKS, CL_SLOTS, CLASSIFY_MAX, KEY_BYTES, KIND_LEFT } = layout

const KEY_STRIDE = KEY_BYTES >> 2

/** One processor's. Fields are ordinary ones: they are read per packet. */
export class LookUps {
  /** By position in a burst: the key to be looked up, which the caller fills, and the rank that was found. */
  readonly keys: readonly Uint32Array[]
  readonly ranks: Int32Array
  /** Positions to be looked up, each once, which the caller fills. */
  readonly chosen: Uint8Array
  /** Packets of the pool, which the caller fills, and KIND_* of their keys. */
  readonly slots: Uint16Array
  readonly kinds: Uint8Array
  private readonly kernels: (ClassifyKernels & ConnectionKernels) | undefined
  private readonly block: number
  private readonly allKeys: Uint32Array

  constructor(kernel: ProgramKernel | undefined) {
    this.kernels = kernel?.kernels
    this.block = kernel?.block ?? 0
    const buffer = kernel?.buffer ?? ownBlock()
    this.allKeys = new Uint32Array(buffer, this.block + CL_KEYS, CLASSIFY_MAX * KEY_STRIDE)
    this.keys = Array.from({ length: CLASSIFY_MAX }, (_, i) =>
      this.allKeys.subarray(i * KEY_STRIDE, i * KEY_STRIDE + FLOW_KEY_WORDS),
    )
    this.ranks = new Int32Array(buffer, this.block + CL_RANKS, CLASSIFY_MAX)
    this.chosen = new Uint8Array(buffer, this.block + CL_CHOSEN, CLASSIFY_MAX)
    this.slots = new Uint16Array(buffer, this.block + CL_SLOTS, CLASSIFY_MAX)
    this.kinds = new Uint8Array(buffer, this.block + CL_KINDS, CLASSIFY_MAX)
  }

  /**
   * Makes the keys of simple packets among the first `count` positions of `chosen`, as fillKeys of ClassifyKernels does: returns the kinds that
   * there are. Without the kernel all are left.
   */
  fillKeys(pool: number, count: number, port: number, isolation: number, inbound: boolean): number {
    if (this.kernels !== undefined) return this.kernels.fillKeys(pool, this.block, count, port, isolation, inbound ? 1 : 0)
    for (let n = 0; n < count; n++) this.kinds[this.chosen[n]!] = KIND_LEFT
    return 1 << KIND_LEFT
  }

  /**
   * Lets the packets of the first `count` positions of `chosen`, whose keys are made, go on that are plainly of connections, as follow of
   * ConnectionKernels does. Returns how many are left, which `chosen` names then: without the kernel all.
   */
  follow(pool: number, count: number, table: ConnectionTable, inbound: boolean): number {
    const { at, store, tick } = table
    if (at === 0 || this.kernels === undefined) return count
    return this.kernels.follow(pool, this.block, count, at, at + store.indexBytes, store.connections, tick, inbound ? 1 : 0)
  }

  /** Finds the ranks of the first `count` positions of `chosen`. */
  classify({ words, at }: Program, count: number): void {
    if (at !== 0 && this.kernels !== undefined) this.kernels.classify(at, this.block, count)
    else classifyAll(words, this.allKeys, this.chosen, count, this.ranks)
  }
}
