import assert from 'node:assert/strict'
import { test } from 'node:test'
import vm from 'node:vm'
import { DataPathHarness, frame } from '../../test/support/data-path-harness.ts'
import type { Batch, PacketHandle } from '../extension.ts'

const ROUNDS = 24
const PACKETS = 20
const burst = (): Uint8Array[] =>
  Array.from({ length: PACKETS }, (_, i) => frame(i % 5 === 0 ? 0xff : 2, 1, String(i).padEnd(i % 3 === 0 ? 900 : 3, '.')))

test('a module that is interrupted anywhere, in what it holds, clones, sends and drops too, leaves nothing behind', () => {
  const places = new Set<number>()
  for (let round = 0; round < ROUNDS; round++) {
    const harness = new DataPathHarness().connect(3)
    const direction = round % 2 === 0 ? 'ingress' : 'egress'
    const many = new Float64Array(PACKETS)
    const handles: PacketHandle[] = []
    let turns = 0
    let isStuck = true
    const [module] = harness.install(() => ({
      [direction](batch: Batch) {
        const { handle } = module!
        const dropped = batch.slots.slice(0, batch.length)
        for (; isStuck; turns++) {
          for (let i = 0; i < batch.length; i++) handles.push(batch.clone(i, direction === 'egress'))
          handles.push(batch.hold(0), batch.holdRun(1, 3), handle.originate(frame(2, 1, 'o'.repeat(300))))
          batch.holdAll([5, 6, 7], 3, many)
          handles.push(...many.subarray(0, 3))
          batch.drop(8, 'x')
          for (const one of handles.splice(0)) if (one !== 0) handle.release(one)
          // What was taken out of the batch is in it again: the next turn finds the same.
          for (const slot of dropped) batch.pool.flags[slot] = batch.pool.flags[slot]! & ~1
        }
      },
    }))
    const { freeSlots, freeBlocks } = harness.pool
    const context = vm.createContext({ send: () => harness.send(1, ...burst()) })
    assert.throws(() => vm.runInContext('send()', context, { timeout: 20 + (round % 17) }), {
      code: 'ERR_SCRIPT_EXECUTION_TIMEOUT',
    })
    isStuck = false
    if (turns === 0) continue // a slow machine: it did not get as far as the module
    places.add(freeSlots - harness.pool.freeSlots)
    harness.dataPath.interrupted(true)
    harness.dataPath.completionFailed(0, new Error('it was interrupted'))
    while (harness.dataPath.flushInjections());
    assert.deepEqual([harness.pool.freeSlots, harness.pool.freeBlocks], [freeSlots, freeBlocks], `after ${turns} turns`)
    assert.deepEqual(
      [1, 2, 3].map((port) => harness.ports.pins(port)),
      [0, 0, 0],
    )
  }
  assert.ok(places.size !== 1, 'it was interrupted at one place each time')
})

test('what other modules hold stays theirs when one is interrupted, and goes on whole (ES-351)', () => {
  const harness = new DataPathHarness().connect(3)
  const held: PacketHandle[] = []
  let isStuck = false
  const [holder] = harness.install(
    () => ({
      egress(batch) {
        if (isStuck) return
        held.push(batch.holdRun(0, 2), batch.hold(2), batch.hold(3))
      },
    }),
    () => ({
      ingress(batch) {
        for (; isStuck; ) batch.hold(0)
      },
    }),
  )
  const { freeSlots, freeBlocks } = harness.pool
  const long = 'L'.repeat(3000)
  harness.send(1, frame(2, 1, long), frame(2, 1, 'b'), frame(0xff, 1, 'c'.repeat(500)), frame(3, 1, 'd'))
  const pins = (): number[] => [1, 2, 3].map((port) => harness.ports.pins(port))
  const before = [harness.pool.freeSlots, harness.pool.freeBlocks, ...pins()]
  isStuck = true
  const context = vm.createContext({ send: () => harness.send(1, frame(2, 1, 'x'.repeat(400))) })
  assert.throws(() => vm.runInContext('send()', context, { timeout: 200 }), { code: 'ERR_SCRIPT_EXECUTION_TIMEOUT' })
  harness.dataPath.interrupted(true)
  harness.dataPath.completionFailed(1, new Error('it was interrupted'))
  harness.dataPath.flushInjections() // what the module held itself goes on
  isStuck = false
  assert.deepEqual([harness.pool.freeSlots, harness.pool.freeBlocks, ...pins()], before)
  holder!.handle.forwardAll(held, held.length)
  while (harness.dataPath.flushInjections());
  assert.deepEqual(harness.got(2).slice(-3), [long, 'b', 'c'.repeat(500)])
  assert.deepEqual(harness.got(3), ['c'.repeat(500), 'd'])
  assert.deepEqual([harness.pool.freeSlots, harness.pool.freeBlocks, ...pins()], [freeSlots, freeBlocks, 0, 0, 0])
})
