import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { OWN_PLACE, POOL_SLOTS } from '../kernels/layout.ts'
import { BlockStore, blocksOf, STORE_BLOCK, STORE_BLOCKS, STORE_TOTAL_BYTES } from './block-store.ts'

const buffer = new ArrayBuffer(STORE_TOTAL_BYTES)
const store = (): BlockStore => new BlockStore(buffer, 64)

test('no two blocks that are taken overlap, and all come back, after taking stock too', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -STORE_BLOCK, max: STORE_BLOCK }), { maxLength: 600 }), (steps) => {
      const blocks = store()
      const taken: { at: number; bytes: number }[] = []
      for (const step of steps) {
        if (step === 0 || step % 97 === 0) {
          blocks.reset(taken.map(({ at }) => at))
          assert.equal(blocks.count, STORE_BLOCKS - taken.length)
          continue
        }
        if (step < 0) {
          const [gone] = taken.splice(-step % Math.max(1, taken.length), 1)
          if (gone) blocks.give(gone.at)
          continue
        }
        const bytes = Math.max(step, OWN_PLACE + 1)
        const at = blocks.take(bytes)
        assert.equal(Math.floor((at - blocks.base) / STORE_BLOCK), Math.floor((at + bytes - 1 - blocks.base) / STORE_BLOCK))
        assert.ok(at >= blocks.base + POOL_SLOTS * OWN_PLACE && at + bytes <= blocks.base + blocks.bytes.length)
        assert.ok(taken.every((other) => at + bytes <= other.at || other.at + other.bytes <= at))
        taken.push({ at, bytes })
      }
      for (const { at } of taken) blocks.give(at)
      assert.equal(blocks.count, STORE_BLOCKS)
    }),
    { numRuns: 60 },
  )
})

test('what a slot keeps in its own place lies there, whatever its length, takes no block and gives none back', () => {
  const blocks = store()
  for (const slot of [0, 1, 255, 256, POOL_SLOTS - 1])
    for (const bytes of [1, 63, 64, 384, 1386, OWN_PLACE - 1, OWN_PLACE]) {
      const at = blocks.own(slot, bytes) - blocks.base
      assert.ok(at >= slot * OWN_PLACE && at + bytes <= (slot + 1) * OWN_PLACE, `${slot} ${bytes}`)
      blocks.give(at + blocks.base)
      assert.equal(blocks.count, STORE_BLOCKS)
    }
})

test('a payload takes blocks for what is beyond the place of its slot, and none is promised that is not there', () => {
  const wanted = [1, OWN_PLACE, OWN_PLACE + 1, STORE_BLOCK, STORE_BLOCK + OWN_PLACE, STORE_BLOCK + OWN_PLACE + 1, 65434]
  assert.deepEqual(wanted.map(blocksOf), [0, 0, 1, 1, 1, 2, 16])
  const blocks = store()
  let count = 0
  for (; blocks.hasRoom(OWN_PLACE + 1); count++) blocks.take(OWN_PLACE + 1)
  assert.equal(count, STORE_BLOCKS)
  assert.equal(blocks.hasRoom(OWN_PLACE), true)
})

test('payloads that leave room in their places begin at different places of the cache', () => {
  const blocks = store()
  const places = new Set(Array.from({ length: 256 }, (_, slot) => blocks.own(slot, 384) & (OWN_PLACE - 1)))
  assert.ok(places.size > 20, `${places.size}`)
  const others = new Set(Array.from({ length: 256 }, () => blocks.take(2100) & (STORE_BLOCK - 1)))
  assert.ok(others.size > 20, `${others.size}`)
})
