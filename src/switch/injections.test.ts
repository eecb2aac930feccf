import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness, frame } from '../../test/support/data-path-harness.ts'
import { copyPacket } from '../ndis/packet-copies.ts'
import type { Injections } from './injections.ts'

// Injections over a pool with one packet in slot 0 and its destinations.
function bench(destinations: number[] = []) {
  const { pool, injections } = fresh()
  const put = (given: number[]): void => {
    pool.destinationRoom[0] = 0
    pool.destinationCount[0] = 0
    pool.arenaUsed = 0
    if (given.length > 1) pool.growDestinations(0, given.length)
    for (const [k, entry] of given.entries())
      if (given.length === 1) pool.destination[0] = entry
      else pool.arena[pool.destinationOffset[0]! + k] = entry
    pool.destinationCount[0] = given.length
  }
  put(destinations)
  const take = (ingress: boolean, module: number): number => {
    const slot = copyPacket(pool, 0)
    injections.own(slot, 0, ingress, module)
    return slot
  }
  return { pool, injections, take, put }
}

function fresh() {
  const harness = new DataPathHarness()
  harness.fill(0, 1, frame(2, 1, 'x'))
  return harness
}

const sent = (injections: Injections): [number, number, boolean][] => {
  const found: [number, number, boolean][] = []
  const slots = new Uint16Array(64)
  while (injections.pending > 0) {
    const count = injections.next(slots)
    for (const slot of slots.subarray(0, count)) found.push([slot, injections.module, injections.ingress])
  }
  return found
}

test('packets are sent in the order in which they were given', () => {
  const { injections, take } = bench()
  const slots = [take(true, 0), take(true, 1), take(true, 2)]
  for (const i of [2, 0, 1]) injections.enqueue(slots[i]!)
  assert.deepEqual(
    sent(injections).map(([slot]) => slot),
    [slots[2], slots[0], slots[1]],
  )
})

test('the queue goes round its end', () => {
  const { pool, injections, take } = bench()
  for (let round = 0; round < 10; round++) {
    const slots = Array.from({ length: 300 }, () => take(true, round))
    for (const slot of slots) injections.enqueue(slot)
    const out = sent(injections)
    assert.deepEqual(
      out.map(([slot, module]) => [slot, module]),
      slots.map((slot) => [slot, round]),
    )
    for (const slot of slots) pool.give(slot)
  }
})

test('destinations of a packet held on egress come back, however many (ES-351)', () => {
  for (const destinations of [[7], [7, 8], [7, 8 | (1 << 24), 9]]) {
    const { pool, injections, take, put } = bench(destinations)
    const slot = take(false, 0)
    put([1, 2, 3, 4]) // others use the slot and the arena meanwhile
    injections.enqueue(slot)
    injections.next(new Uint16Array(64))
    pool.arenaUsed = 0
    assert.equal(pool.destinationCount[slot], destinations.length)
    const entries = destinations.map((_, k) =>
      pool.destinationRoom[slot] === 0 ? pool.destination[slot] : pool.arena[pool.destinationOffset[slot]! + k],
    )
    assert.deepEqual(entries, destinations)
  }
})

test('when the stack is reordered, packets and their handles follow their modules', () => {
  const { injections, take } = bench()
  const held = take(true, 0)
  const queued = take(true, 1)
  injections.enqueue(queued)
  injections.remap(
    (old) => 1 - old,
    () => -1,
  )
  const handle = injections.own(take(true, 1), -1, true, 1)
  assert.ok(injections.resolve(handle, 1) > 0)
  injections.enqueue(held)
  assert.deepEqual(sent(injections), [
    [queued, 0, true],
    [held, 1, true],
  ])
})

test('what a module that leaves held goes on from its place, in the order it was taken; its own packets are freed', () => {
  const { pool, injections, take } = bench([5])
  const free = pool.freeSlots
  const own = take(true, 1)
  injections.own(own, -1, true, 1)
  pool.give(take(true, 9)) // makes the order of slots another than the order of packets
  const onIngress = take(true, 1)
  const onEgress = take(false, 1)
  const queued = take(false, 1)
  injections.enqueue(queued)
  // Stack [0, 1, 2] becomes [0, 2]: module 2 is at position 1 now.
  injections.remap(
    (old) => (old === 1 ? -1 : old === 2 ? 1 : old),
    (old) => old - 1,
  )
  // Ingress goes on below module 0. Egress starts just below it, so that module 0 sees it next.
  assert.deepEqual(sent(injections), [
    [queued, 1, false],
    [onIngress, 0, true],
    [onEgress, 1, false],
  ])
  assert.equal(free - pool.freeSlots, 3, 'the unsent packet was freed')
})

test('a held packet of a module that leaves the top of the stack goes through all others, or is done', () => {
  const { injections, take } = bench([5])
  const down = take(true, 0)
  const up = take(false, 0)
  injections.remap(
    () => -1,
    () => -1,
  )
  assert.deepEqual(sent(injections), [
    [down, -1, true],
    [up, 0, false],
  ])
})
