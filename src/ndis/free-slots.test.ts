import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FreeSlots } from './free-slots.ts'

const all = (free: FreeSlots): number[] => {
  const taken: number[] = []
  for (let slot = free.take(); slot >= 0; slot = free.take()) taken.push(slot)
  return taken
}

test('every slot is taken once, in a row, and none when all are', () => {
  const free = new FreeSlots(64, 256)
  assert.equal(free.count, 192)
  assert.deepEqual(
    all(free),
    Array.from({ length: 192 }, (_, i) => 64 + i),
  )
  assert.equal(free.count, 0)
  assert.equal(free.take(), -1)
})

test('what was given back is taken again, the lowest first, before others', () => {
  const free = new FreeSlots(0, 128)
  for (let i = 0; i < 100; i++) free.take()
  for (const slot of [70, 3, 31, 32, 99, 4]) free.give(slot)
  assert.equal(free.count, 34)
  assert.deepEqual(
    Array.from({ length: 8 }, () => free.take()),
    [3, 4, 31, 32, 70, 99, 100, 101],
  )
})

test('packets that leave in the order in which they came use no more slots than are kept at a time', () => {
  const free = new FreeSlots(0, 8192)
  const kept: number[] = []
  let highest = 0
  for (let burst = 0; burst < 2000; burst++) {
    for (let i = 0; i < 48; i++) kept.push(free.take())
    highest = Math.max(highest, ...kept.slice(-48))
    if (kept.length > 960) for (const slot of kept.splice(0, 48)) free.give(slot)
  }
  assert.ok(highest < 1024, `slot ${highest} was taken`)
})

test('many are taken and given back at once as they are one by one', () => {
  const [one, many] = [new FreeSlots(32, 512), new FreeSlots(32, 512)]
  const slots = new Uint16Array(480)
  const kept: number[] = []
  for (const count of [0, 1, 31, 33, 64, 40, 64, 200]) {
    many.takeAll(slots, count)
    const taken = [...slots.subarray(0, count)]
    assert.deepEqual(
      taken,
      Array.from({ length: count }, () => one.take()),
    )
    assert.equal(many.count, one.count)
    kept.push(...taken)
    const given = kept.splice(0, kept.length >> 1).filter((slot) => slot % 3 !== 0)
    for (const slot of given) one.give(slot)
    many.giveAll(Uint16Array.from([...given, 1]), given.length)
  }
  const { count } = many
  many.takeAll(slots, count)
  assert.equal(new Set(slots.subarray(0, count)).size, count)
  assert.equal(many.take(), -1)
})

test('slots in a row are given back at once as they are one by one, wherever they begin and end', () => {
  for (const first of [32, 33, 63, 64, 95])
    for (const count of [0, 1, 31, 32, 33, 64, 97]) {
      const [one, many] = [new FreeSlots(32, 256), new FreeSlots(32, 256)]
      for (const free of [one, many]) free.takeAll(new Uint16Array(224), 200)
      for (let slot = first; slot < first + count; slot++) one.give(slot)
      many.giveSpan(first, count)
      assert.equal(many.count, one.count)
      assert.deepEqual(all(many), all(one), `${count} from ${first} on`)
    }
})
