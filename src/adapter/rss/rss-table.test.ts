import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { HASH_INFORMATION_ALL, HASH_TYPES_ALL, PUBLISHED_HASH_KEY } from './hash-types.ts'
import { RssTable, rssTableBytes } from './rss-table.ts'
import type { RssState } from './vport-rss.ts'

const WORKER = new URL('../../../test/support/rss-table-worker.ts', import.meta.url)
const LOOK_UPS = 200_000

const state = (table: readonly number[], change: Partial<RssState> = {}): RssState => ({
  enabled: true,
  hashInformation: HASH_INFORMATION_ALL,
  hashSecretKey: PUBLISHED_HASH_KEY,
  queues: 8,
  primary: 1,
  default: 2,
  table,
  ...change,
})

const tableOf = (vports: number): RssTable => new RssTable(new SharedArrayBuffer(rssTableBytes(vports)), 0, vports)

test('a VPort reads as it was set, beside others, and as nothing before and after', () => {
  const table = tableOf(3)
  assert.deepEqual([table.types(1), table.primary(1)], [0, -1])
  table.set(1, state([3, 4, 5, 6], { default: 7 }))
  assert.equal(table.types(1), HASH_TYPES_ALL)
  assert.deepEqual(
    [0, 1, 6, 0xffffffff].map((hash) => table.entry(1, hash)),
    [3, 4, 5, 6],
  )
  assert.deepEqual([table.default(1), table.primary(1), table.types(0), table.types(2)], [7, 1, 0, 0])
  table.set(1, state([3, 4], { enabled: false, primary: 0 }))
  assert.deepEqual([table.types(1), table.primary(1)], [0, 0])
  table.clear(1)
  assert.deepEqual([table.types(1), table.primary(1)], [0, -1])
})

test('a key is read once, and again when it is another', () => {
  const table = tableOf(2)
  const key = new Uint8Array(40)
  table.set(1, state([1]))
  assert.equal(table.readKey(1, key), true)
  assert.deepEqual(key, PUBLISHED_HASH_KEY)
  assert.equal(table.readKey(1, key), false)
  const generation = table.generation
  table.set(1, state([2]))
  assert.equal(table.generation, generation, 'a move of an entry makes nobody look again')
  table.clear(1)
  table.set(1, state([1], { hashSecretKey: Uint8Array.from({ length: 40 }, (_, i) => 200 + i) }))
  assert.notEqual(table.generation, generation)
  assert.equal(table.readKey(1, key), true)
  assert.equal(key[39], 239)
})

test('a processor that reads while the table changes sees no processor that was never in it (VQ-209)', async () => {
  const buffer = new SharedArrayBuffer(rssTableBytes(2))
  const results = new SharedArrayBuffer(16)
  const counts = new Int32Array(results)
  const table = new RssTable(buffer, 0, 2)
  // Processor 0 is what a word that nobody wrote would read as.
  const good = [1, 2, 3, 4, 5]
  table.set(1, state([1]))
  const worker = new Worker(WORKER, { workerData: { buffer, results, good } })
  const exited = once(worker, 'exit')
  while (Atomics.load(counts, 0) === 0) await new Promise((resolve) => setImmediate(resolve))
  for (let round = 0; Atomics.load(counts, 3) < LOOK_UPS; round++) {
    const entries = 2 ** (round % 8)
    const processors = Array.from({ length: entries }, (_, i) => good[(i + round) % good.length]!)
    table.set(1, state(processors, { enabled: round % 3 !== 0, primary: good[round % good.length]! }))
    if (round % 64 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  Atomics.store(counts, 1, 1)
  await exited
  assert.equal(Atomics.load(counts, 2), 0)
})
