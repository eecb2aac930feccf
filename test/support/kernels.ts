// The kernels over a test's memory: wasm for linear memory, the TypeScript twin for any.
import { readFileSync } from 'node:fs'
import { WindowSet } from '../../src/engine/windows.ts'
import type { Kernels } from '../../src/kernels/kernels.ts'
import { type AllKernels, instantiateKernels } from '../../src/kernels/load.ts'
import { createTwin } from '../../src/kernels/twin.ts'
import type { SharedMemory } from '../../src/linux/shared-memory.ts'

const WASM = new URL('../../.cache/kernels.wasm', import.meta.url)

/** Both sets of kernels, and the windows of memory outside that the second one sees. Throws if the wasm module was not built. */
export function makeKernels(memory: SharedMemory): { linear: AllKernels; any: Kernels; windows: WindowSet } {
  const windows = new WindowSet(memory)
  return { linear: instantiateKernels(readKernels(), memory.memory), any: createTwin(windows), windows }
}

/** The wasm module as it was built. Throws if it was not. */
export function readKernels(): Uint8Array {
  try {
    return readFileSync(WASM)
  } catch (cause) {
    throw new Error('the wasm kernels are not built: run "npm run build:kernels"', { cause })
  }
}
