import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodePackedBase, isRingSize, PACKED_START, packedBase, RING_SIZE_MAX, ringParts } from './ring-layout.ts'

test('a split ring has a power of two of entries, a packed one any number up to 32768', () => {
  for (const size of [1, 2, 256, 1024, 32768]) assert.ok(isRingSize(size, false) && isRingSize(size, true), `${size}`)
  for (const size of [3, 1000, 32767]) assert.ok(!isRingSize(size, false) && isRingSize(size, true), `${size}`)
  for (const size of [0, 32769, 65536, 0xffff_ffff]) assert.ok(!isRingSize(size, false) && !isRingSize(size, true), `${size}`)
})

test('the parts of a ring have the sizes of the specification', () => {
  assert.deepEqual(ringParts(256, false, false), {
    descriptors: { bytes: 4096, alignment: 16 },
    driver: { bytes: 516, alignment: 2 },
    device: { bytes: 2052, alignment: 4 },
  })
  assert.equal(ringParts(256, false, true).driver.bytes, 518)
  assert.equal(ringParts(256, false, true).device.bytes, 2054)
  assert.deepEqual(ringParts(300, true, true).device, { bytes: 4, alignment: 4 })
})

test('a packed position survives the journey through a vring base', () => {
  const position = fc.record(
    { index: fc.integer({ min: 0, max: RING_SIZE_MAX - 1 }), wrap: fc.constantFrom(0 as const, 1 as const) },
    { noNullPrototype: true },
  )
  fc.assert(
    fc.property(position, (used) => {
      assert.deepEqual(packedBase(encodePackedBase(used, used)), used)
    }),
  )
  assert.deepEqual(packedBase(PACKED_START), { index: 0, wrap: 1 })
})

test('what was taken and not given back is taken again: work resumes at the used position', () => {
  assert.deepEqual(packedBase(encodePackedBase({ index: 9, wrap: 1 }, { index: 4, wrap: 1 })), { index: 4, wrap: 1 })
})

test('a front-end that knows only the available position is understood', () => {
  assert.deepEqual(packedBase(0x8000), { index: 0, wrap: 1 })
  assert.deepEqual(packedBase(0x0007), { index: 7, wrap: 0 })
})
