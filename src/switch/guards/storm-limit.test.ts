import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { DataPathHarness, frame, type TestFrame } from '../../../test/support/data-path-harness.ts'
import { OFFLOAD_USO, VNET_GSO_UDP_L4 } from '../../kernels/layout.ts'
import type { StormBucket, StormClass } from '../../ndis/standard-properties.ts'
import { MonitorMode, PortFlag } from '../port-table.ts'
import { BROADCAST, STORM_WORDS, setStormLimits, takeTokens } from './storm-limit.ts'

const GROUP = '01:00:5e:00:00:fb'
const STRANGER = '02:00:00:00:00:99'
const times = <T>(count: number, one: T): T[] => Array.from({ length: count }, () => one)
const all: readonly StormClass[] = ['broadcast', 'multicast', 'unknownUnicast']

// Ports 1 and 2, and an uplink that unknown unicast frames go to; port 1 is limited.
function limited(stormLimit: readonly StormBucket[], shortCut = false): DataPathHarness {
  const harness = new DataPathHarness({ shortCut }).connect(2)
  harness.connectPort(3, PortFlag.external | PortFlag.learn | PortFlag.unknownUnicast)
  harness.ports.setGuards(1, { dhcpGuard: false, routerGuard: false, stormLimit })
  return harness
}

// How many of `count` frames port 3 gets.
function count(harness: DataPathHarness, frames: readonly (TestFrame | Uint8Array)[]): number {
  const before = harness.sink(3).frames.length
  harness.send(1, ...frames)
  return harness.sink(3).frames.length - before
}

for (const shortCut of [false, true])
  describe(`the storm limit, ${shortCut ? 'with' : 'without'} the short cut`, () => {
    for (const [kind, to] of [
      ['broadcast', 0xff],
      ['multicast', GROUP],
      ['unknownUnicast', STRANGER],
    ] as const)
      test(`lets ${kind} frames through at their rate, and nothing else is limited`, () => {
        const harness = limited([{ classes: [kind], packetsPerSecond: 10 }], shortCut)
        harness.nowMs = 5000
        assert.equal(count(harness, times(30, frame(to, 1, 'x'))), 10, 'a second of the rate at once')
        assert.deepEqual(harness.drops(1), { 'storm-limit': 20 })
        harness.nowMs += 200
        assert.equal(count(harness, times(30, frame(to, 1, 'x'))), 2)
        harness.nowMs += 99
        assert.equal(count(harness, [frame(to, 1, 'x')]), 0)
        harness.nowMs += 1
        assert.equal(count(harness, [frame(to, 1, 'x')]), 1)
        harness.nowMs += 3_600_000
        assert.equal(count(harness, times(30, frame(to, 1, 'x'))), 10, 'an hour saves no more than a second')
        for (const other of [0xff, GROUP, STRANGER].filter((one) => one !== to))
          assert.equal(count(harness, times(30, frame(other, 1, 'x'))), 30)
        harness.send(1, ...times(30, frame(2, 1, 'known')))
        assert.equal(harness.got(2).filter((text) => text === 'known').length, 30)
      })

    test('is of a port: others send what they like', () => {
      const harness = limited([{ classes: all, packetsPerSecond: 1 }], shortCut)
      harness.send(2, ...times(20, frame(0xff, 2, 'x')), ...times(20, frame(STRANGER, 2, 'x')))
      assert.equal(harness.sink(3).frames.length, 40)
    })

    test('in one number is for all three kinds together', () => {
      const harness = limited([{ classes: all, packetsPerSecond: 6 }], shortCut)
      const mixed = [0xff, GROUP, STRANGER].map((to) => frame(to, 1, 'x'))
      assert.equal(count(harness, times(4, mixed).flat()), 6)
    })
  })

test('with a forwarding extension, unicast frames that it gives several destinations count as unknown ones', () => {
  const harness = limited([{ classes: ['unknownUnicast'], packetsPerSecond: 10 }])
  harness.install([
    { class: 'forwarding' },
    () => ({
      ingress(batch) {
        for (let i = 0; i < batch.length; i++)
          for (const port of batch.u8(i, 5) === 2 ? [2] : [2, 3]) batch.addDestination(i, port)
      },
    }),
  ])
  assert.equal(count(harness, times(30, frame(STRANGER, 1, 'x'))), 10)
  assert.deepEqual(harness.drops(1), { 'storm-limit': 20 })
  harness.sink(2).frames.length = 0
  harness.send(1, ...times(30, frame(2, 1, 'x')))
  assert.equal(harness.sink(2).frames.length, 30, 'one destination: the extension knows the address')
  assert.equal(count(harness, times(30, frame(0xff, 1, 'x'))), 30, 'broadcast frames are another kind')
})

test('a frame above the limit is not mirrored, one within it is', () => {
  const harness = limited([{ classes: all, packetsPerSecond: 3 }])
  harness.connectPort(4)
  harness.ports.setMonitor(1, MonitorMode.source)
  harness.ports.setMonitor(4, MonitorMode.destination)
  harness.send(1, ...times(10, frame(STRANGER, 1, 'x')))
  assert.equal(harness.sink(4).frames.length, 3)
})

test('a limit in bits counts the bits of frames', () => {
  const harness = limited([{ classes: ['broadcast'], kilobitsPerSecond: 20_000 }])
  const long = Buffer.concat([frame(0xff, 1), Buffer.alloc(940)]) // 8000 bits
  const got = Array.from({ length: 10 }, () => count(harness, times(64, long))).reduce((sum, one) => sum + one, 0)
  assert.equal(got, 250, 'a tenth of a second at once')
  harness.nowMs += 4
  assert.equal(count(harness, times(64, long)), 10)
})

test('a frame that is to be segmented counts as its segments', () => {
  const harness = limited([{ classes: ['multicast'], packetsPerSecond: 10 }])
  const vnet = Uint8Array.from([0, VNET_GSO_UDP_L4, 0, 0, 100, 0])
  const long = { bytes: Buffer.concat([frame(GROUP, 1), Buffer.alloc(440)]), needs: OFFLOAD_USO, vnet } // 5 segments
  const before = harness.drops(1)['storm-limit'] ?? 0
  harness.send(1, ...times(4, long))
  assert.equal((harness.drops(1)['storm-limit'] ?? 0) - before, 2)
})

test('a limit that is taken away limits no more, and the short cut is taken again', () => {
  const harness = limited([{ classes: all, packetsPerSecond: 1 }], true)
  assert.equal(count(harness, times(5, frame(STRANGER, 1, 'x'))), 1)
  harness.ports.setGuards(1, undefined)
  assert.equal(count(harness, times(5, frame(STRANGER, 1, 'x'))), 5)
})

test('a bucket never gives more than its depth and its rate, nor does it lose what flows in, at any times', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.array(fc.tuple(fc.integer({ min: 0, max: 3000 }), fc.integer({ min: 1, max: 50 })), { maxLength: 100 }),
      (rate, looks) => {
        const words = new Int32Array(new SharedArrayBuffer(STORM_WORDS * 4))
        setStormLimits(words, 0, [{ classes: all, packetsPerSecond: rate }])
        let now = 2 ** 31 - 20_000 // the clock goes round on the way
        let tokens = rate * 1000
        takeTokens(words, 0, BROADCAST, 0, 0, now)
        for (const [passed, frames] of looks) {
          now += passed
          tokens = Math.min(rate * 1000, tokens + passed * rate)
          const expected = tokens >= frames * 1000
          if (expected) tokens -= frames * 1000
          assert.equal(takeTokens(words, 0, BROADCAST, frames, 60, now), expected)
        }
      },
    ),
  )
})

test('a bucket is full again after a silence of half the time that the clock takes to go round', () => {
  const words = new Int32Array(STORM_WORDS)
  setStormLimits(words, 0, [{ classes: all, packetsPerSecond: 1000 }])
  assert.ok(takeTokens(words, 0, BROADCAST, 1000, 60, 5000))
  assert.ok(takeTokens(words, 0, BROADCAST, 1000, 60, 5000 + 2 ** 31 + 10_000))
})

test('a processor whose look at the clock is a little late takes nothing away', () => {
  const words = new Int32Array(STORM_WORDS)
  setStormLimits(words, 0, [{ classes: all, packetsPerSecond: 1000 }])
  assert.ok(takeTokens(words, 0, BROADCAST, 1000, 60, 5000))
  assert.ok(!takeTokens(words, 0, BROADCAST, 1, 60, 4998))
  assert.ok(takeTokens(words, 0, BROADCAST, 1, 60, 5001))
  assert.ok(!takeTokens(words, 0, BROADCAST, 1, 60, 5001))
})
