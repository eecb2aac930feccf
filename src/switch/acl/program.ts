// Compiled lists of rules, as plans of ports name them.
import { CLASSIFY_BYTES } from '../../kernels/classify-layout.ts'
import type { ClassifyKernels, ConnectionKernels } from '../../kernels/kernels.ts'

/** Rules as compileRules makes them, in memory that threads share. */
export interface Program {
  /** Empty on the way to another thread, if it lies in linear memory: views of that can't be sent. */
  readonly words: Int32Array
  /** Its linear address, where the kernel reaches it; 0: it lies elsewhere, and is looked up by the kernel's twin. */
  readonly at: number
  /** Of its words. */
  readonly length: number
}

const NO_WORDS = new Int32Array(0)

/** A program in memory of its own. */
export function inOwnMemory(words: Int32Array): Program {
  const shared = new Int32Array(new SharedArrayBuffer(words.byteLength))
  shared.set(words)
  return { words: shared, at: 0, length: words.length }
}

/** A program put into linear memory `buffer` at `at`, a multiple of 64. */
export function inLinearMemory(words: Int32Array, buffer: ArrayBufferLike, at: number): Program {
  const placed = new Int32Array(buffer, at, words.length)
  placed.set(words)
  return { words: placed, at, length: words.length }
}

/** The same program, as it can be sent to another thread. */
export const toSend = (program: Program): Program => (program.at === 0 ? program : { ...program, words: NO_WORDS })

/** A program that was sent, where linear memory is `buffer`. */
export const received = (program: Program, buffer: ArrayBufferLike): Program =>
  program.at === 0 ? program : { ...program, words: new Int32Array(buffer, program.at, program.length) }

/** What one processor looks programs up with. */
export interface ProgramKernel {
  readonly kernels: ClassifyKernels & ConnectionKernels
  readonly buffer: ArrayBufferLike
  /** Linear address of CLASSIFY_BYTES. */
  readonly block: number
}

/** Memory for a block where there is no kernel. */
export const ownBlock = (): SharedArrayBuffer => new SharedArrayBuffer(CLASSIFY_BYTES)
