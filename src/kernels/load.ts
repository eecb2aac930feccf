// Instantiates the wasm burst kernels over the process's linear memory. Reading the file is the caller's job: this folder is pure.
import type {
  ClassifyKernels,
  ConnectionKernels,
  CopyKernels,
  DirectKernels,
  FrameRingKernels,
  Kernels,
  QueueKernels,
  SwitchingKernels,
  TunnelKernels,
} from './kernels.ts'

const FUNCTIONS = [
  'dequeue',
  'complete',
  'deliver',
  'arm',
  'disarm',
  'parse',
  'checksum',
  'segment',
  'copyFrame',
  'copyPackets',
  'copyDestination',
  'describeRun',
  'takeRun',
  'clearSpan',
  'admit',
  'forward',
  'sort',
  'form',
  'unform',
  'direct',
  'alike',
  'aim',
  'assign',
  'aimEach',
  'takeFrames',
  'giveFrames',
  'classify',
  'fillKeys',
  'follow',
  'claim',
  'encapsulate',
  'decapsulate',
  'strays',
] as const

/** All that the module has. */
export type AllKernels = Kernels &
  CopyKernels &
  SwitchingKernels &
  DirectKernels &
  QueueKernels &
  FrameRingKernels &
  ClassifyKernels &
  ConnectionKernels &
  TunnelKernels

/** The wasm module is not the one that this source tree builds. */
export class KernelsError extends Error {
  readonly code = 'VMS_KERNELS'
}

/**
 * Kernels from the bytes of kernels.wasm over `memory` (shared, at most 65536 pages). Each thread makes its own instance: what a
 * kernel notes down between calls belongs to the instance. Throws KernelsError if the module does not export them all.
 */
export function instantiateKernels(bytes: Uint8Array, memory: WebAssembly.Memory): AllKernels {
  let exports: Record<string, unknown>
  try {
    exports = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } }).exports
  } catch (cause) {
    throw new KernelsError('the wasm kernels can\'t be loaded: run "npm run build:kernels" again', { cause })
  }
  const missing = FUNCTIONS.filter((name) => typeof exports[name] !== 'function')
  if (missing.length > 0)
    throw new KernelsError(
      `the wasm kernels lack ${missing.join(', ')}: they are older than the source; run "npm run build:kernels"`,
    )
  return exports as unknown as AllKernels
}
