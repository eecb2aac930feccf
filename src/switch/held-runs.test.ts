import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DataPathHarness, frame } from '../../test/support/data-path-harness.ts'
import type { Batch, PacketHandle } from '../extension.ts'
import { NdisStatus } from '../ndis/status.ts'
import { ProcessorCounter } from './counters.ts'

const PORTS = [1, 2, 3] as const

// A switch with one module that holds what `hold` says, in one direction.
function world(direction: 'ingress' | 'egress', hold: (batch: Batch) => void, shortCut = false) {
  const harness = new DataPathHarness({ shortCut }).connect(PORTS.length)
  const [module] = harness.install(() => ({ [direction]: hold }))
  return { harness, handle: module!.handle, pins: () => PORTS.map((port) => harness.ports.pins(port)) }
}

for (const shortCut of [false, true])
  test(`packets of one source and destination are held under one handle and go on together, in order (ES-351), ${shortCut ? 'with' : 'without'} short cuts`, () => {
    let held: PacketHandle = 0
    const { harness, handle, pins } = world(
      'egress',
      (batch) => {
        if (held === 0) held = batch.holdRun(1, 4)
      },
      shortCut,
    )
    const { freeSlots, freeBlocks } = harness.pool
    const long = 'L'.repeat(5000)
    harness.send(
      1,
      frame(2, 1, 'a'),
      frame(2, 1, 'b'),
      { bytes: frame(2, 1, long), segments: 3 },
      frame(2, 1, 'c'),
      frame(2, 1, 'd'),
    )
    assert.notEqual(held, 0)
    assert.deepEqual(harness.got(2), ['a', 'd'])
    assert.deepEqual(pins(), [3, 3, 0])
    assert.equal(harness.injections.heldCount(), 3)
    harness.scribble()
    harness.send(1, frame(2, 1, 'e'))
    assert.equal(handle.forward(held), NdisStatus.success)
    assert.equal(handle.forward(held), NdisStatus.invalidParameter)
    harness.dataPath.flushInjections()
    assert.deepEqual(harness.got(2), ['a', 'd', 'e', 'b', long, 'c'])
    assert.deepEqual(pins(), [0, 0, 0])
    assert.equal(harness.counters.readProcessor(ProcessorCounter.held), 3)
    assert.deepEqual([harness.pool.freeSlots, harness.pool.freeBlocks], [freeSlots, freeBlocks])
  })

test('runs that wait in a row leave in one burst, and go on past modules below, as far as a burst has room', () => {
  const held: PacketHandle[] = []
  const harness = new DataPathHarness().connect(3)
  const bursts: number[] = []
  const [module] = harness.install(
    () => ({ ingress: (batch) => void held.push(batch.holdRun(0, batch.length)) }),
    () => ({ ingress: (batch) => void bursts.push(batch.length) }),
  )
  const burst = (port: number, to: number, count: number): void =>
    harness.send(port, ...Array.from({ length: count }, (_, i) => frame(to, port, `${port}.${i}`)))
  burst(1, 2, 30)
  burst(1, 2, 30)
  burst(3, 2, 4)
  burst(1, 2, 10)
  assert.equal(module!.handle.forwardAll(held, held.length), NdisStatus.success)
  while (harness.dataPath.flushInjections());
  assert.deepEqual(bursts, [64, 10])
  const row = (port: number, count: number): string[] => Array.from({ length: count }, (_, i) => `${port}.${i}`)
  assert.deepEqual(harness.got(2), [...row(1, 30), ...row(1, 30), ...row(3, 4), ...row(1, 10)])
})

test('what differs in destination, was dropped, or is none is no run, and stays in the batch (ES-093)', () => {
  const handles: PacketHandle[] = []
  const { harness } = world('egress', (batch) => {
    handles.push(batch.holdRun(0, 2), batch.holdRun(1, 3), batch.holdRun(-1, 2), batch.holdRun(1, 9), batch.holdRun(2, 2))
    batch.drop(4, 'x')
    handles.push(batch.holdRun(3, 5), batch.holdRun(0, 1), batch.holdRun(0, 1))
  })
  harness.send(1, frame(2, 1, 'a'), frame(3, 1, 'b'), frame(0xff, 1, 'c'), frame(2, 1, 'd'), frame(2, 1, 'e'))
  assert.deepEqual(
    handles.map((handle) => handle !== 0),
    [false, false, false, false, false, false, true, false],
  )
  assert.deepEqual(harness.got(2), ['c', 'd'])
  assert.deepEqual(harness.got(3), ['b', 'c'])
})

test('a run that is given up counts each of its packets as dropped for the reason given', () => {
  let held: PacketHandle = 0
  const { harness, handle, pins } = world('ingress', (batch) => {
    held = batch.holdRun(0, batch.length)
  })
  const { freeSlots } = harness.pool
  harness.send(1, frame(2, 1, 'a'), frame(2, 1, 'b'), frame(2, 1, 'c'))
  assert.equal(handle.release(held, 'late'), NdisStatus.success)
  assert.equal(handle.release(held, 'late'), NdisStatus.invalidParameter)
  assert.deepEqual(harness.drops(1), { late: 3 })
  assert.deepEqual(pins(), [0, 0, 0])
  assert.equal(harness.pool.freeSlots, freeSlots)
})

test('a capturing extension holds no run (ES-306)', () => {
  const harness = new DataPathHarness().connect(2)
  let held = -1
  harness.install([
    { class: 'capturing' },
    () => ({
      ingress(batch) {
        held = batch.holdRun(0, 2)
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'a'), frame(2, 1, 'b'))
  assert.equal(held, 0)
  assert.deepEqual(harness.got(2), ['a', 'b'])
})

test('runs of a port that goes, of a module that fails and of one that leaves go on or are counted, whole (ES-208, ES-420)', () => {
  for (const end of ['port', 'failed closed', 'failed open', 'left'] as const) {
    const { harness, pins } = world('egress', (batch) => void batch.holdRun(0, batch.length))
    const { injections, pool } = harness
    const { freeSlots } = pool
    harness.send(1, frame(2, 1, 'a'), frame(2, 1, 'b'))
    harness.send(1, frame(3, 1, 'c'), frame(3, 1, 'd'))
    const lost: number[] = []
    if (end === 'port') assert.deepEqual([...injections.surrenderPort(2, () => true, 1)], [[0, 2]])
    else if (end === 'left')
      injections.remap(
        () => -1,
        () => -1,
      )
    else injections.surrender(0, end === 'failed open', (slot) => lost.push(slot))
    while (harness.dataPath.flushInjections());
    assert.equal(lost.length, end === 'failed closed' ? 4 : 0)
    assert.deepEqual(harness.got(2), end === 'failed closed' ? [] : ['a', 'b'], end)
    const left = end === 'port' ? 2 : 0
    assert.equal(injections.heldCount(), left, end)
    assert.deepEqual(pins(), [left, 0, left], end)
    assert.equal(pool.freeSlots, freeSlots - left, end)
  }
})

test('held as runs, together or alone, packets have the same fate, and nothing is left of them', () => {
  const ways = ['run', 'all', 'each'] as const
  const handles = new Float64Array(64)
  fc.assert(
    fc.property(
      fc.constantFrom('ingress', 'egress') as fc.Arbitrary<'ingress' | 'egress'>,
      fc.array(
        fc.record({
          frames: fc.array(fc.record({ to: fc.constantFrom(2, 2, 2, 3, 0xff), bytes: fc.constantFrom(1, 20, 300, 3000) }), {
            minLength: 1,
            maxLength: 12,
          }),
          cut: fc.nat(12),
          forward: fc.boolean(),
        }),
        { maxLength: 8 },
      ),
      (direction, bursts) => {
        const fates = ways.map((way) => {
          let cut = 0
          const kept: number[] = []
          const { harness, handle, pins } = world(direction, (batch) => {
            const first = Math.min(cut, batch.length)
            const run = way === 'run' ? batch.holdRun(first, batch.length) : 0
            if (run !== 0) kept.push(run)
            else if (way === 'each') for (let i = first; i < batch.length; i++) kept.push(batch.hold(i))
            else {
              const positions = Array.from({ length: batch.length - first }, (_, n) => first + n)
              batch.holdAll(positions, positions.length, handles)
              for (const [n] of positions.entries()) kept.push(handles[n]!)
            }
          })
          const { freeSlots, freeBlocks } = harness.pool
          for (const burst of bursts) {
            cut = burst.cut
            harness.send(1, ...burst.frames.map(({ to, bytes }, i) => frame(to, 1, String(i).padEnd(bytes, '.'))))
            if (!burst.forward) continue
            handle.forwardAll(kept, kept.length)
            kept.length = 0
          }
          for (const one of kept) handle.forward(one)
          while (harness.dataPath.flushInjections());
          assert.deepEqual(pins(), [0, 0, 0])
          assert.deepEqual([harness.pool.freeSlots, harness.pool.freeBlocks], [freeSlots, freeBlocks])
          return PORTS.map((port) => harness.got(port))
        })
        assert.deepEqual(fates[0], fates[2])
        assert.deepEqual(fates[1], fates[2])
      },
    ),
    { numRuns: 60 },
  )
})
