// The kernels for bursts of receive rings against their twin, on slots with any contents.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  ALIKE_BYTES_SHIFT,
  ALIKE_COUNT,
  ALIKE_ONE_SENDER,
  BURST_MAX,
  HEADER_STRIDE,
  P_DESTINATION,
  P_FLAGS,
  P_HEADER_OFFSET,
  P_LENGTH,
  PF_DROPPED,
  PF_MULTICAST,
  PF_TAGGED,
  PF_VLAN_OOB,
  POOL_BYTES,
} from './layout.ts'
import { instantiateKernels } from './load.ts'
import { createQueueTwin } from './twin-queued.ts'

const POOL = 4096
const memory = new WebAssembly.Memory({ initial: Math.ceil((POOL + POOL_BYTES) / 65536), maximum: 65536, shared: true })
const kernels = instantiateKernels(readFileSync(new URL('../../.cache/kernels.wasm', import.meta.url)), memory)
const twin = createQueueTwin(memory.buffer)
const view = new DataView(memory.buffer)

interface Frame {
  readonly to: number
  readonly from: number
  readonly flags: number
  readonly offset: number
  readonly length: number
}

const plain: Frame = { to: 1, from: 1, flags: 0, offset: 16, length: 60 }

function fill(frames: readonly Frame[]): void {
  for (const [k, { to, from, flags, offset, length }] of frames.entries()) {
    view.setUint32(POOL + P_FLAGS + k * 4, flags, true)
    view.setUint32(POOL + P_LENGTH + k * 4, length, true)
    view.setUint16(POOL + P_HEADER_OFFSET + k * 2, offset, true)
    const header = POOL + k * HEADER_STRIDE + offset
    // One octet of each address differs, now one and now another.
    for (let i = 0; i < 12; i++) view.setUint8(header + i, 2)
    view.setUint8(header + (to % 6), to)
    view.setUint8(header + 6 + (from % 6), from)
  }
}

const frame: fc.Arbitrary<Frame> = fc.record({
  to: fc.constantFrom(1, 1, 1, 1, 1, 1, 3, 4, 11),
  from: fc.constantFrom(1, 1, 1, 1, 1, 3, 4, 6, 11),
  flags: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 0, PF_DROPPED, PF_MULTICAST, PF_TAGGED, PF_VLAN_OOB),
  offset: fc.constantFrom(16, 16, 16, 16, 16, 12, 18),
  length: fc.constantFrom(14, 60, 1514, 65_550),
})

test('what frames have in common is the same to the kernel and to its twin', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 9, arbitrary: fc.constant(plain) }, frame), { minLength: 1, maxLength: BURST_MAX }),
      (frames) => {
        fill(frames)
        assert.equal(kernels.alike(POOL, frames.length), twin.alike(POOL, frames.length))
      },
    ),
    { numRuns: 500 },
  )
})

test('frames are alike up to the first that is for another, tagged, or not whole, and their bytes are counted', () => {
  const burst = Array.from({ length: BURST_MAX }, () => ({ ...plain, length: 65_550 }))
  fill(burst)
  const all = BURST_MAX | ALIKE_ONE_SENDER | ((BURST_MAX * 65_550) << ALIKE_BYTES_SHIFT)
  assert.equal(kernels.alike(POOL, BURST_MAX), all)
  for (const other of [
    { to: 3 },
    { to: 4 },
    { flags: PF_DROPPED },
    { flags: PF_MULTICAST },
    { flags: PF_TAGGED },
    { offset: 18 },
  ]) {
    fill(burst.with(9, { ...plain, ...other }))
    assert.equal(kernels.alike(POOL, BURST_MAX) & ALIKE_COUNT, 9, JSON.stringify(other))
  }
  fill(burst.with(9, { ...plain, from: 3 }))
  assert.equal(kernels.alike(POOL, BURST_MAX) & (ALIKE_COUNT | ALIKE_ONE_SENDER), BURST_MAX)
})

test('one destination is given to the slots named and to no other', () => {
  for (const one of [kernels, twin]) {
    new Uint8Array(memory.buffer).fill(0xaa)
    one.aim(POOL, 3, 0x4007)
    assert.deepEqual(
      [0, 1, 2, 3].map((k) => view.getUint32(POOL + P_DESTINATION + k * 4, true)),
      [0x4007, 0x4007, 0x4007, 0xaaaaaaaa],
    )
  }
  const before = new Uint8Array(memory.buffer).slice()
  kernels.aim(POOL, BURST_MAX, 9)
  const after = new Uint8Array(memory.buffer).slice()
  new Uint8Array(memory.buffer).set(before)
  twin.aim(POOL, BURST_MAX, 9)
  assert.ok(Buffer.from(after).equals(Buffer.from(memory.buffer)))
})
