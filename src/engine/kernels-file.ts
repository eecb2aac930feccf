// The wasm kernels as the set-up builds them.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const path = fileURLToPath(new URL('../../.cache/kernels.wasm', import.meta.url))

/** Throws with what to do if they were not built. */
export function readKernels(): Uint8Array {
  try {
    return readFileSync(path)
  } catch {
    throw new Error(`the kernels are not built (${path} is missing): run "npm run setup"`)
  }
}
