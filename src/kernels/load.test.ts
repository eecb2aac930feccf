// Loading the wasm kernels: the module exports the kernels and nothing else, and says what to do when it doesn't.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { instantiateKernels, KernelsError } from './load.ts'

const wasm = readFileSync(new URL('../../.cache/kernels.wasm', import.meta.url))
const memory = (): WebAssembly.Memory => new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true })

test('the module exports exactly the kernels and leaves the memory as it was', () => {
  const own = memory()
  const kernels = instantiateKernels(wasm, own)
  const names = [
    'admit',
    'aim',
    'aimEach',
    'alike',
    'arm',
    'assign',
    'checksum',
    'claim',
    'classify',
    'clearSpan',
    'complete',
    'copyDestination',
    'copyFrame',
    'copyPackets',
    'decapsulate',
    'deliver',
    'dequeue',
    'describeRun',
    'direct',
    'disarm',
    'encapsulate',
    'fillKeys',
    'follow',
    'form',
    'forward',
    'giveFrames',
    'parse',
    'segment',
    'sort',
    'strays',
    'takeFrames',
    'takeRun',
    'unform',
  ]
  assert.deepEqual(Object.keys(kernels).sort(), names)
  assert.ok(new Uint8Array(own.buffer).every((byte) => byte === 0))
})

test('a damaged or foreign module is refused with what to do', () => {
  for (const bytes of [new Uint8Array(), wasm.subarray(0, 100), Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)])
    assert.throws(
      () => instantiateKernels(bytes, memory()),
      (error) => error instanceof KernelsError && error.code === 'VMS_KERNELS' && error.message.includes('npm run build:kernels'),
    )
})
