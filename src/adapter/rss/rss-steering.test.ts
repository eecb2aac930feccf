import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness } from '../../../test/support/data-path-harness.ts'
import { flowFrame } from '../../../test/support/rss-harness.ts'
import { HASH_INFORMATION_ALL, PUBLISHED_HASH_KEY } from './hash-types.ts'
import { RSS_LIST_BYTES, RssSteering } from './rss-steering.ts'
import { RssTable, rssTableBytes } from './rss-table.ts'
import type { RssState } from './vport-rss.ts'

const FRAMES = 64

/** A steering of processor 0 over a burst of flows, and what went where. */
function steering(table: readonly number[]) {
  const data = new DataPathHarness({ spareBytes: RSS_LIST_BYTES * 2 })
  const rss = new RssTable(new SharedArrayBuffer(rssTableBytes(4)), 0, 4)
  const state: RssState = {
    enabled: true,
    hashInformation: HASH_INFORMATION_ALL,
    hashSecretKey: PUBLISHED_HASH_KEY,
    queues: 8,
    primary: 0,
    default: 0,
    table,
  }
  rss.set(1, state)
  for (let slot = 0; slot < FRAMES; slot++) data.fill(slot, 0, flowFrame(slot))
  data.kernels.parse(data.pool.base, 0, FRAMES)
  const list = data.spare + RSS_LIST_BYTES
  new Uint16Array(data.buffer, list, FRAMES).set(Array.from({ length: FRAMES }, (_, slot) => slot))
  const object = new RssSteering({ processor: 0 }, { buffer: data.buffer, pool: data.pool, table: rss, list: data.spare })
  const calls: { processor: number; slots: number[]; list: number }[] = []
  const take = (processor: number, at: number, count: number): number => {
    calls.push({ processor, slots: [...new Uint16Array(data.buffer, at, count)], list: at })
    return count
  }
  const outlet = { here: (at: number, count: number) => take(0, at, count), handOver: take }
  return { data, rss, state, list, calls, receive: (vport = 1) => object.receive(vport, list, FRAMES, outlet) }
}

test('each processor gets one call per burst, with its packets in their order', () => {
  const { calls, receive, data } = steering([0, 1, 2, 3])
  assert.equal(receive(), FRAMES)
  assert.deepEqual(calls.map(({ processor }) => processor).sort(), [0, 1, 2, 3])
  for (const { slots, processor } of calls) {
    assert.deepEqual(
      slots,
      [...slots].sort((a, b) => a - b),
    )
    assert.ok(slots.every((slot) => (data.pool.hashValue[slot]! & 3) === processor))
  }
  assert.equal(
    calls.reduce((sum, { slots }) => sum + slots.length, 0),
    FRAMES,
  )
})

test('a burst that is all of one processor goes on in the list that it came in', () => {
  const { calls, receive, list } = steering([5, 5])
  assert.equal(receive(), FRAMES)
  assert.deepEqual(
    calls.map(({ processor, list: at }) => [processor, at]),
    [[5, list]],
  )
})

test('a VPort that nobody set up is served here, without hashes', () => {
  const { calls, receive, data } = steering([5])
  data.pool.hashInfo.fill(99)
  assert.equal(receive(2), FRAMES)
  assert.deepEqual(
    calls.map(({ processor }) => processor),
    [0],
  )
  assert.deepEqual([...data.pool.hashInfo.subarray(0, FRAMES)], new Array(FRAMES).fill(0))
  assert.equal(data.pool.receiveQueue[3], 2)
})

test('a VPort made anew is hashed under its new key', () => {
  const { rss, state, receive, data } = steering([0])
  receive()
  const before = data.pool.hashValue[0]
  rss.clear(1)
  rss.set(1, { ...state, hashSecretKey: Uint8Array.from({ length: 40 }, (_, i) => i) })
  receive()
  assert.notEqual(data.pool.hashValue[0], before)
  rss.set(2, state)
  receive(2)
  assert.equal(data.pool.hashValue[0], before)
})
