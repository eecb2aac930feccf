import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness, frame } from '../../test/support/data-path-harness.ts'
import { ARENA_ENTRIES, HEADER_COPY, PF_DROPPED, PF_ORIGINATED, PF_OWNED, PF_SAFE, SEGMENTS_MAX } from '../kernels/layout.ts'
import { STORE_BLOCK, STORE_BLOCKS } from './block-store.ts'
import { copyPacket } from './packet-copies.ts'
import { HELD_FIRST, HELD_SLOTS } from './pool.ts'

test('a copy holds all bytes, across blocks and segments, and survives the original', () => {
  const { pool, fill, bytesOf, kernels } = bench()
  for (const length of [14, 60, HEADER_COPY, HEADER_COPY + 1, HEADER_COPY + STORE_BLOCK, HEADER_COPY + STORE_BLOCK + 1, 65562]) {
    const bytes = Buffer.alloc(length, 'abcdefg')
    fill(0, 3, { bytes, segments: 5 })
    kernels.parse(pool.base, 0, 1)
    const copy = copyPacket(pool, 0)
    assert.ok(copy >= HELD_FIRST)
    fill(0, 3, { bytes: Buffer.alloc(length, 'X'), segments: 2 })
    assert.deepEqual(bytesOf(copy), bytes)
    assert.equal(pool.sourcePort[copy], 3)
    assert.equal(pool.segments[copy], Math.ceil(Math.max(0, length - HEADER_COPY) / STORE_BLOCK))
    pool.give(copy)
  }
  assert.equal(pool.freeSlots, HELD_SLOTS)
  assert.equal(pool.freeBlocks, STORE_BLOCKS)
})

test('a copy is safe and original, not dropped, and has no destinations (ES-380, ES-386)', () => {
  const { pool, fill } = bench()
  fill(0, 1, frame(2, 1, 'x'))
  pool.flags[0] = pool.flags[0]! | PF_DROPPED
  pool.destination[0] = 5
  pool.destinationCount[0] = 1
  const copy = copyPacket(pool, 0)
  assert.equal(pool.flags[copy]! & (PF_OWNED | PF_SAFE | PF_ORIGINATED | PF_DROPPED), PF_OWNED | PF_SAFE | PF_ORIGINATED)
  assert.equal(pool.destinationCount[copy], 0)
})

test('without slots take returns -1, and everything comes back', () => {
  const { pool } = bench()
  const taken: number[] = []
  for (let slot = pool.take(60, 60); slot >= 0; slot = pool.take(60, 60)) taken.push(slot)
  assert.equal(taken.length, HELD_SLOTS)
  assert.equal(new Set(taken).size, HELD_SLOTS)
  assert.ok(taken.every((slot) => slot >= HELD_FIRST && slot < HELD_FIRST + HELD_SLOTS))
  for (const slot of taken) pool.give(slot)
  assert.equal(pool.freeSlots, HELD_SLOTS)
})

test('without blocks take returns -1 and takes nothing', () => {
  const { pool } = bench()
  const large = HEADER_COPY + 16 * STORE_BLOCK
  const taken: number[] = []
  for (let slot = pool.take(large, HEADER_COPY); slot >= 0; slot = pool.take(large, HEADER_COPY)) taken.push(slot)
  assert.equal(taken.length, STORE_BLOCKS / 16)
  assert.equal(pool.freeSlots, HELD_SLOTS - taken.length)
  assert.equal(pool.freeBlocks, 0)
  assert.ok(pool.take(60, 60) >= 0, 'a packet that fits the header area needs no block')
  assert.equal(pool.take(HEADER_COPY + (SEGMENTS_MAX + 1) * STORE_BLOCK, HEADER_COPY), -1)
  const blocks = taken.flatMap((slot) => Array.from({ length: 16 }, (_, i) => pool.segment[(slot * SEGMENTS_MAX + i) << 1]))
  assert.equal(new Set(blocks).size, STORE_BLOCKS)
})

test('giving a slot back makes its handle stale', () => {
  const { pool } = bench()
  const slot = pool.take(60, 60)
  const before = pool.generation[slot]!
  pool.give(slot)
  assert.notEqual(pool.generation[slot], before)
})

test('destinations keep their entries when they grow, until the arena is full (ES-416, ES-417)', () => {
  const { pool } = bench()
  pool.destination[0] = 7
  pool.destinationCount[0] = 1
  pool.destinationRoom[0] = 0
  assert.equal(pool.growDestinations(0, 8), true)
  assert.equal(pool.arena[pool.destinationOffset[0]!], 7)
  for (let k = 1; k < 8; k++) pool.arena[pool.destinationOffset[0]! + k] = 7 + k
  pool.destinationCount[0] = 8
  pool.growDestinations(1, 100) // somebody else's entries lie between
  assert.equal(pool.growDestinations(0, 16), true)
  assert.deepEqual(
    [...pool.arena.subarray(pool.destinationOffset[0]!, pool.destinationOffset[0]! + 8)],
    [7, 8, 9, 10, 11, 12, 13, 14],
  )
  const before = pool.destinationOffset[0]
  assert.equal(pool.growDestinations(0, ARENA_ENTRIES), false)
  assert.equal(pool.destinationOffset[0], before)
  assert.equal(pool.destinationRoom[0], 16)
})

test('copyHeader copies from any offset to any place, and not beyond the copied header', () => {
  const { pool, fill } = bench()
  const bytes = Buffer.from(Array.from({ length: 200 }, (_, i) => i))
  fill(0, 1, bytes)
  for (const from of [0, 1, 3, 4, 14, 127])
    for (const length of [0, 1, 3, 4, 7, 60, 500]) {
      const target = new Uint8Array(600)
      const copied = pool.copyHeader(0, from, length, target, 5)
      assert.equal(copied, Math.min(length, HEADER_COPY - from))
      assert.deepEqual(Buffer.from(target.subarray(5, 5 + copied)), bytes.subarray(from, from + copied))
      assert.equal(target[5 + copied], 0)
    }
})

function bench() {
  const harness = new DataPathHarness()
  return {
    pool: harness.pool,
    kernels: harness.kernels,
    fill: harness.fill.bind(harness),
    bytesOf: harness.bytesOf.bind(harness),
  }
}
