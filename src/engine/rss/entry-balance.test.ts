import assert from 'node:assert/strict'
import { test } from 'node:test'
import { balance, FRAMES_MIN, MOVES_MAX, SHARE_GAP_MIN } from './entry-balance.ts'

const always = () => true
const ENTRIES = 64

function sharesAfter(table: readonly number[], frames: readonly number[], pairs: number, mayMove = always): number[] {
  const now = [...table]
  for (const { entry, from, to } of balance(table, frames, pairs, mayMove)) {
    assert.equal(now[entry], from)
    now[entry] = to
  }
  const total = frames.reduce((sum, each) => sum + each)
  return Array.from({ length: pairs }, (_, pair) => now.reduce((sum, at, i) => sum + (at === pair ? frames[i]! / total : 0), 0))
}

const spread = (values: readonly number[]): number => Math.max(...values) - Math.min(...values)

test('load that lies on one queue pair is spread, in several looks if it takes many entries', () => {
  const frames = new Array<number>(ENTRIES).fill(100)
  let table: readonly number[] = frames.map(() => 0)
  for (let look = 0; look < 5; look++) {
    const moves = balance(table, frames, 4, always)
    assert.ok(moves.length <= MOVES_MAX)
    for (const { entry, to } of moves) table = table.with(entry, to)
  }
  assert.ok(spread(sharesAfter(table, frames, 4)) < SHARE_GAP_MIN)
  assert.deepEqual(balance(table, frames, 4, always), [], 'another look at the same load moves nothing')
})

test('one flow that is nearly all of the load stays, and the others make room for it', () => {
  const frames = [9000, 100, 100, 100, 100, 100]
  const table = [0, 0, 0, 0, 0, 0]
  const moves = balance(table, frames, 2, always)
  assert.deepEqual(new Set(moves.map(({ entry }) => entry)), new Set([1, 2, 3, 4, 5]))
  let now: readonly number[] = table
  for (const { entry, to } of moves) now = now.with(entry, to)
  assert.deepEqual(balance(now, frames, 2, always), [])
})

test('little load, a small gap, and entries that have just moved change nothing', () => {
  assert.deepEqual(balance([0, 0], [FRAMES_MIN - 1, 0], 2, always), [])
  assert.deepEqual(balance([0, 0, 1, 1], [1000, 300, 1000, 0], 2, always), [])
  assert.deepEqual(
    balance([0, 0], [1000, 1000], 2, () => false),
    [],
  )
})
