import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { CountersReport } from '../manage/host.ts'
import { pictureOf } from './commands/top.ts'
import { ratesOf } from './rates.ts'

const zero = {
  receivedFrames: 0,
  receivedBytes: 0,
  sentFrames: 0,
  sentBytes: 0,
  receivedDropped: 0,
  sendDropped: 0,
  receivedMulticast: 0,
  floodedFrames: 0,
}
const report = (second: number, ports: CountersReport['ports'], busyNs: number): CountersReport => ({
  takenAt: new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString(),
  ports,
  extensions: [],
  processors: [{ id: 0, latencyNs: { p50: 1, p99: 2, p999: 3 }, counters: { busyNs } }],
})

const before = report(
  0,
  [
    { name: 'a', counters: { ...zero, receivedFrames: 100, sendDropped: 50 } },
    { name: 'gone', counters: zero },
  ],
  0,
)
const after = report(
  2,
  [
    { name: 'idle', counters: zero },
    { name: 'a', counters: { ...zero, receivedFrames: 300, receivedBytes: 1000, sendDropped: 10 } },
  ],
  1e9,
)

describe('rates', () => {
  test('are per second, of what both readings have, the busiest port first', () => {
    const rates = ratesOf(before, after)
    assert.deepEqual(
      rates.ports.map(({ name, receivedFrames, receivedBits }) => [name, receivedFrames, receivedBits]),
      [
        ['a', 100, 4000],
        ['idle', 0, 0],
      ],
    )
    assert.deepEqual([rates.receivedFrames, rates.busy], [100, [0.5]])
  })

  test('count from 0 where a counter began anew', () => {
    assert.equal(ratesOf(before, after).ports[0]?.dropped, 5)
  })

  test('are shown as a picture with as many ports as fit', () => {
    const lines = pictureOf({ name: 'lab0', latency: '2 ns', rates: ratesOf(before, after), rows: 1, width: 80 })
    assert.deepEqual(lines.slice(0, 2), [
      'lab0: 100 frames/s in, 0 out, 5 dropped; 2 ports',
      'processors: busy 50 %; 99 % of bursts within 2 ns',
    ])
    assert.match(lines[4] ?? '', /^a +100 +4 000 +0 +0 +5$/)
    assert.equal(lines.length, 5)
  })
})
