import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness, frame } from '../../../test/support/data-path-harness.ts'
import { BandwidthCounter } from './bandwidth-table.ts'
import { DeliveryLimits } from './delivery-limits.ts'

const DEPTH = 2 * 65_562

function limited(): DataPathHarness {
  const harness = new DataPathHarness({ spareBytes: 0 }).connect(3)
  harness.delivery.limits = new DeliveryLimits(harness.ports.bandwidth, harness.pool, () => harness.nowMs)
  return harness
}
const long = (text: string): Buffer => Buffer.concat([frame(2, 1, text.padEnd(46)), Buffer.alloc(1440)])

test('frames to a port beyond what it may get are dropped with a reason, the others stay in order', () => {
  for (const shortCut of [false, true]) {
    DataPathHarness.shortCut = shortCut
    const harness = limited()
    DataPathHarness.shortCut = false
    harness.ports.bandwidth.set(2, { maximumReceiveBandwidth: 1_000_000 })
    const sent = Array.from({ length: 100 }, (_, i) => long(`number ${i}`))
    for (let i = 0; i < sent.length; i += 10) harness.send(1, ...sent.slice(i, i + 10))
    const fit = Math.ceil(DEPTH / 1500)
    assert.equal(harness.sink(2).frames.length, fit)
    assert.deepEqual(
      harness.sink(2).frames.map((bytes) => Number(bytes.toString('latin1', 21, 25))),
      Array.from({ length: fit }, (_, i) => i),
    )
    assert.deepEqual(harness.drops(2), { 'bandwidth-limit': 100 - fit })
    assert.deepEqual([harness.portCounter(2, 'sentFrames'), harness.portCounter(2, 'sentBytes')], [fit, fit * 1500])
    harness.nowMs += 24 // 3000 bytes
    harness.send(1, long('a'), long('b'), long('c'), long('d'))
    assert.equal(harness.sink(2).frames.length, fit + 2)
  }
})

test('other ports get all, also copies of frames that a limited one does not get', () => {
  const harness = limited()
  harness.ports.bandwidth.set(2, { maximumReceiveBandwidth: 64_000 })
  for (let i = 0; i < 200; i++) harness.send(1, Buffer.concat([frame(0xff, 1), Buffer.alloc(1440)]))
  assert.equal(harness.sink(3).frames.length, 200)
  assert.equal(harness.sink(2).frames.length, Math.ceil(DEPTH / 1500))
})

test('what goes out through the uplink is charged to the port that it came from', () => {
  const harness = limited()
  harness.ports.bandwidth.setUplink(2, 0)
  harness.ports.bandwidth.set(2, { maximumBandwidth: 1_000_000_000 })
  harness.send(1, frame(2, 1), frame(2, 1), frame(3, 1))
  harness.send(3, frame(2, 3))
  const counted = (port: number): number => harness.ports.bandwidth.counted(port, BandwidthCounter.uplink)
  assert.deepEqual([counted(1), counted(2), counted(3)], [120, 0, 60])
  assert.equal(harness.sink(2).frames.length, 3)
})

test('a port that is deleted leaves no limit and no counter behind', () => {
  const harness = limited()
  harness.ports.bandwidth.set(2, { maximumReceiveBandwidth: 64_000 })
  harness.ports.clear(2)
  assert.equal(harness.ports.bandwidth.isOn, false)
})
