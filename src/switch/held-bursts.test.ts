import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness, frame } from '../../test/support/data-path-harness.ts'
import { NdisStatus } from '../ndis/status.ts'
import { ProcessorCounter } from './counters.ts'

const SLOTS = 64

test('packets of a batch are held together and go on together, in order, as if each had been held alone (ES-351)', () => {
  const harness = new DataPathHarness().connect(3)
  const handles = new Float64Array(SLOTS)
  let held = 0
  const [module] = harness.install(() => ({
    ingress(batch) {
      held = batch.holdAll([0, 2, 3], 3, handles)
      assert.equal(batch.isDropped(2), true)
    },
  }))
  const long = 'd'.repeat(300)
  harness.send(1, frame(2, 1, 'a'), frame(2, 1, 'b'), frame(0xff, 1, 'c'), { bytes: frame(2, 1, long), segments: 3 })
  assert.equal(held, 3)
  assert.deepEqual(harness.got(2), ['b'])
  assert.equal(module!.handle.forwardAll(handles, 3), NdisStatus.success)
  harness.dataPath.flushInjections()
  assert.deepEqual(harness.got(2), ['b', 'a', 'c', long])
  assert.deepEqual(harness.got(3), ['c'])
  assert.equal(harness.counters.readProcessor(ProcessorCounter.held), 3)
  assert.equal(module!.handle.forward(handles[0]!), NdisStatus.invalidParameter)
})

test('on egress packets that are held together keep their destinations, excluded ones too, over other bursts', () => {
  const harness = new DataPathHarness().connect(4)
  const handles = new Float64Array(SLOTS)
  let count = 0
  const [module] = harness.install(() => ({
    egress(batch) {
      if (count !== 0) return
      batch.exclude(1, 0, 'x')
      count = batch.holdAll([0, 1, 2], 3, handles)
    },
  }))
  harness.send(1, frame(2, 1, 'one'), frame(0xff, 1, 'all'), frame(3, 1, 'three'))
  assert.equal(count, 3)
  harness.send(1, frame(0xff, 1, 'between'))
  module!.handle.forwardAll(handles, 3)
  harness.dataPath.flushInjections()
  assert.deepEqual(
    [2, 3, 4].map((port) => harness.got(port)),
    [
      ['between', 'one'],
      ['between', 'all', 'three'],
      ['between', 'all'],
    ],
  )
})

test('what packets that are held together name is pinned, and given up once (ES-208, ES-420)', () => {
  const harness = new DataPathHarness().connect(3)
  const handles = new Float64Array(SLOTS)
  const [module] = harness.install(() => ({
    egress: (batch) => void batch.holdAll([0, 1, 2, 3], 4, handles),
  }))
  harness.send(1, frame(2, 1, 'a'), frame(2, 1, 'b'), frame(0xff, 1, 'c'), frame(2, 1, 'd'))
  const pins = (): number[] => [1, 2, 3].map((port) => harness.ports.pins(port))
  assert.deepEqual(pins(), [4, 4, 1])
  module!.handle.release(handles[1]!)
  assert.deepEqual(pins(), [3, 3, 1])
  module!.handle.forwardAll(Float64Array.of(handles[0]!, handles[2]!, handles[3]!), 3)
  harness.dataPath.flushInjections()
  assert.deepEqual(pins(), [0, 0, 0])
})

test('a position twice, one that is dropped and one that is none get no handle; a handle that is none is passed over (ES-093, ES-443)', () => {
  const harness = new DataPathHarness().connect(2)
  const handles = new Float64Array(SLOTS)
  const [module] = harness.install(() => ({
    ingress(batch) {
      batch.drop(1, 'x')
      assert.equal(batch.holdAll([0, 0, 1, 7], 4, handles), 1)
    },
  }))
  harness.send(1, frame(2, 1, 'a'), frame(2, 1, 'b'), frame(2, 1, 'c'))
  assert.deepEqual(
    [...handles.subarray(0, 4)].map((handle) => handle !== 0),
    [true, false, false, false],
  )
  assert.equal(module!.handle.forwardAll([12345, handles[0]!], 2), NdisStatus.invalidParameter)
  harness.dataPath.flushInjections()
  assert.deepEqual(harness.got(2), ['c', 'a'])
})

test('packets that find no room go on, the others are held', () => {
  const harness = new DataPathHarness().connect(2)
  const all: number[] = []
  const handles = new Float64Array(SLOTS)
  const [module] = harness.install(() => ({
    ingress(batch) {
      const positions = Array.from({ length: batch.length }, (_, i) => i)
      batch.holdAll(positions, batch.length, handles)
      for (let i = 0; i < batch.length; i++) if (handles[i] !== 0) all.push(handles[i]!)
    },
  }))
  const { freeSlots } = harness.pool
  const burst = Array.from({ length: SLOTS }, () => frame(2, 1, 'x'))
  for (let sent = 0; sent <= freeSlots; sent += SLOTS) harness.send(1, ...burst)
  assert.equal(all.length, freeSlots)
  assert.equal(harness.got(2).length, SLOTS * (Math.floor(freeSlots / SLOTS) + 1) - freeSlots)
  module!.handle.forwardAll(all, all.length)
  while (harness.dataPath.flushInjections());
  assert.equal(harness.pool.freeSlots, freeSlots)
  assert.equal(harness.ports.pins(1), 0)
})

test('a capturing extension holds nothing (ES-306)', () => {
  const harness = new DataPathHarness().connect(2)
  const handles = new Float64Array(SLOTS)
  harness.install([{ class: 'capturing' }, () => ({ ingress: (batch) => void batch.holdAll([0], 1, handles) })])
  harness.send(1, frame(2, 1, 'a'))
  assert.deepEqual(harness.got(2), ['a'])
  assert.equal(handles[0], 0)
})
