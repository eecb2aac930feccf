import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness } from '../../test/support/data-path-harness.ts'
import type { EndpointQueue } from '../endpoints/endpoint.ts'
import { RingPace } from '../switch/bandwidth/port-pacer.ts'
import { PacedRings, type PacedSource } from './paced-rings.ts'

const LONG = 65_549

/** A ring that always has frames. */
class FullRing implements EndpointQueue {
  readonly offloads = 0
  readonly refusal = 0
  bytes = LONG
  taken = 0
  readonly #harness: DataPathHarness

  constructor(harness: DataPathHarness) {
    this.#harness = harness
  }

  receive(first: number, max: number): number {
    const { pool } = this.#harness
    for (let slot = first; slot < first + max; slot++) {
      pool.length[slot] = this.bytes
      pool.needs[slot] = 0
    }
    this.taken += max
    return max
  }

  complete(): void {}

  deliver(): number {
    return 0
  }

  arm(): boolean {
    return true
  }

  disarm(): void {}

  close(): void {}
}

function world(t: { after(work: () => void): void }) {
  const harness = new DataPathHarness().connect(2)
  const source = (port: number): PacedSource & { queue: FullRing } => ({
    queue: new FullRing(harness),
    pace: new RingPace(port, 0),
    nicIndex: 0,
  })
  const table = harness.ports.bandwidth
  // The data path is told of what was taken, and no more: the frames have no bytes.
  const dataPath = { turn: (queue: FullRing) => queue.receive(0, 64) } as never
  const paced = new PacedRings<PacedSource>({ table, pool: harness.pool, dataPath, nowMs: () => harness.nowMs })
  t.after(() => paced.close())
  return { harness, table, paced, limited: source(1), free: source(2) }
}

test('a ring that has to wait is not listened to, and is called when its time has come', (t) => {
  const { harness, table, paced, limited, free } = world(t)
  assert.equal(paced.concerns(limited), false)
  table.set(1, { maximumBandwidth: 100_000_000 })
  assert.deepEqual([paced.concerns(limited), paced.concerns(free)], [true, false])
  for (let i = 0; i < 100; i++) paced.turn(limited)
  const burst = limited.queue.taken
  assert.ok(burst >= 4 && burst <= 6, `${burst} frames of what the bucket holds`)
  assert.deepEqual([paced.leaves(limited), paced.leaves(free)], [true, false])
  assert.equal(paced.next(), undefined)
  const called: unknown[] = []
  paced.woken((source) => called.push(source))
  assert.equal(called.length, 0)
  harness.nowMs += 20
  assert.equal(paced.setTimer(), false, 'its time has come')
  paced.woken((source) => called.push(source))
  assert.deepEqual(called, [limited])
  assert.equal(paced.next(), limited)
  assert.equal(paced.next(), undefined)
  assert.ok(paced.turn(limited) > 0)
})

test('a limit that is taken away or raised ends the wait at once', (t) => {
  const { table, paced, limited } = world(t)
  table.set(1, { maximumBandwidth: 64_000 })
  for (let i = 0; i < 100; i++) paced.turn(limited)
  assert.equal(paced.leaves(limited), true)
  table.set(1, undefined)
  assert.equal(paced.next(), limited)
  assert.equal(paced.concerns(limited), false)
})

test('short frames are sent in bursts though their tokens come in one by one, and no fewer of them', (t) => {
  const { harness, table, paced, limited } = world(t)
  limited.queue.bytes = 60
  table.set(1, { maximumBandwidth: 1_000_000_000 })
  for (let i = 0; i < 2000; i++) paced.turn(limited) // what the bucket holds
  const before = limited.queue.taken
  let bursts = 0
  for (let us = 0; us < 20_000; us++) {
    harness.nowMs += 0.001
    if (paced.turn(limited) > 0) bursts++
  }
  const frames = limited.queue.taken - before
  const due = (20_000 * 125) / 60
  assert.ok(Math.abs(frames - due) < due * 0.02, `${frames} frames, ${due} due`)
  assert.ok(frames / bursts > 24, `${frames} frames in ${bursts} bursts`)
})

test('what is left from before a wake is forgotten when all are listened to anew', (t) => {
  const { table, paced, limited } = world(t)
  table.set(1, { maximumBandwidth: 64_000 })
  for (let i = 0; i < 100; i++) paced.turn(limited)
  paced.leaves(limited)
  paced.begin()
  assert.equal(paced.setTimer(), true)
  table.set(1, undefined)
  assert.equal(paced.next(), undefined)
})
