import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BlockStore, STORE_BLOCK, STORE_BLOCKS, STORE_TOTAL_BYTES } from './block-store.ts'

const HALF = STORE_BLOCK / 2
const store = (): BlockStore => new BlockStore(new ArrayBuffer(STORE_TOTAL_BYTES), 64)

test('no two that are taken overlap, each lies in its block or half, and all come back, after taking stock too', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -STORE_BLOCK / 2, max: STORE_BLOCK }), { maxLength: 600 }), (steps) => {
      const blocks = store()
      const taken: { at: number; bytes: number }[] = []
      for (const step of steps) {
        if (step === 0 || step % 97 === 0) {
          const addresses = taken.map(({ at }) => at)
          const lengths = taken.map(({ bytes }) => bytes)
          blocks.reset(addresses, lengths)
          continue
        }
        if (step < 0) {
          const [gone] = taken.splice(-step % Math.max(1, taken.length), 1)
          if (gone) blocks.give(gone.at)
          continue
        }
        const at = blocks.take(step)
        const unit = step <= HALF ? HALF : STORE_BLOCK
        assert.equal(Math.floor((at - blocks.base) / unit), Math.floor((at + step - 1 - blocks.base) / unit))
        assert.ok(at >= blocks.base && at + step <= blocks.base + blocks.bytes.length)
        assert.ok(taken.every((other) => at + step <= other.at || other.at + other.bytes <= at))
        taken.push({ at, bytes: step })
      }
      for (const { at } of taken) blocks.give(at)
      assert.equal(blocks.count, STORE_BLOCKS)
    }),
    { numRuns: 60 },
  )
})

test('payloads of up to 2 KiB find twice as many places, and none is promised that is not there', () => {
  const blocks = store()
  const taken: number[] = []
  while (blocks.hasRoom(1386)) taken.push(blocks.take(1386))
  assert.equal(taken.length, STORE_BLOCKS * 2)
  assert.equal(new Set(taken.map((at) => Math.floor((at - blocks.base) / HALF))).size, taken.length)
  assert.equal(blocks.hasRoom(1), false)
  blocks.give(taken[0]!)
  assert.equal(blocks.hasRoom(HALF), true)
  assert.equal(blocks.hasRoom(HALF + 1), false)
  assert.equal(blocks.hasRoom(STORE_BLOCK), false)
  blocks.give(taken[1]!)
  assert.equal(blocks.hasRoom(STORE_BLOCK), true)
  assert.equal(blocks.hasRoom(STORE_BLOCK + 1), false)
})

test('payloads that leave room in their blocks begin at different places of the cache', () => {
  const blocks = store()
  const places = new Set(Array.from({ length: 256 }, () => blocks.take(384) & (STORE_BLOCK - 1)))
  assert.ok(places.size > 40, `${places.size}`)
})
