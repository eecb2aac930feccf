import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Polled, PollOrder, QUIET_ROUNDS, SERVED_MAX } from './poll-order.ts'

interface Fake extends Polled {
  readonly name: number
  frames: number
  looks: number
}

function order(count: number, passes = 0): { readonly order: PollOrder<Fake>; readonly queues: Fake[] } {
  const made = new PollOrder<Fake>((queue) => {
    queue.looks++
    const taken = queue.frames
    queue.frames = 0
    return taken
  })
  const queues = Array.from({ length: count }, (_, name) => ({ name, passes, skip: 0, backOff: 0, frames: 0, looks: 0 }))
  for (const queue of queues) made.add(queue)
  return { order: made, queues }
}

test('a queue with frames is looked at in every round, however many others are idle', () => {
  const { order: rounds, queues } = order(64)
  for (let round = 0; round < 1000; round++) {
    queues[7]!.frames = 5
    assert.equal(rounds.round(), 1)
  }
  assert.equal(queues[7]!.looks, 1000)
})

test('idle queues are looked at a few at a time, each within a bounded number of rounds', () => {
  const { order: rounds, queues } = order(64)
  for (let round = 0; round < 200; round++) rounds.round() // all are quiet now
  const before = queues.map(({ looks }) => looks)
  for (let round = 0; round < QUIET_ROUNDS; round++) rounds.round()
  assert.deepEqual(
    queues.map(({ looks }, i) => looks - before[i]!),
    queues.map(() => 1),
  )
})

test('where a look is a system call, quiet queues are passed over', () => {
  const { order: rounds, queues } = order(1, 3)
  for (let round = 0; round < 200; round++) rounds.round()
  const before = queues[0]!.looks
  for (let round = 0; round < 40; round++) rounds.round()
  assert.equal(queues[0]!.looks - before, 10)
})

test('after a wake all are looked at in the next round', () => {
  const { order: rounds, queues } = order(20)
  for (let round = 0; round < 200; round++) rounds.round()
  rounds.wake()
  const before = queues.map(({ looks }) => looks)
  rounds.round()
  assert.ok(queues.every(({ looks }, i) => looks === before[i]! + 1))
})

test('a round serves a bounded number of busy queues, and those after it have their turn in the next ones, as have quiet ones', () => {
  for (const busy of [SERVED_MAX, SERVED_MAX + 1, 10 * SERVED_MAX]) {
    const { order: rounds, queues } = order(busy + 4)
    for (let round = 0; round < 200; round++) rounds.round() // all are quiet now
    rounds.wake()
    const rest = queues.slice(busy)
    for (let round = 0; round < 20 * Math.ceil(busy / SERVED_MAX); round++) {
      for (const queue of queues.slice(0, busy)) queue.frames = 1
      assert.ok(rounds.round() <= 2 * SERVED_MAX)
    }
    const looks = queues.map((queue) => queue.looks)
    for (const queue of rest) queue.frames = 1
    for (let round = 0; round < 2 * QUIET_ROUNDS * Math.ceil(busy / SERVED_MAX); round++) {
      for (const queue of queues.slice(0, busy)) queue.frames = 1
      rounds.round()
    }
    const turns = queues.slice(0, busy).map((queue, i) => queue.looks - looks[i]!)
    assert.ok(Math.max(...turns) - Math.min(...turns) <= 1, 'all busy ones have the same')
    assert.ok(rest.every(({ frames }) => frames === 0))
  }
})

test('a queue that was taken out is not looked at any more', () => {
  const { order: rounds, queues } = order(8)
  for (let round = 0; round < 100; round++) rounds.round()
  rounds.remove(({ name }) => name < 4)
  const before = queues.map(({ looks }) => looks)
  for (let round = 0; round < 100; round++) rounds.round()
  assert.deepEqual(
    queues.map(({ looks }, i) => looks > before[i]!),
    [false, false, false, false, true, true, true, true],
  )
  assert.equal(rounds.all.length, 4)
})

test('whatever comes and goes, frames are found within a bounded number of rounds', () => {
  const step = fc.record({ queue: fc.nat(19), rounds: fc.nat(60) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { order: rounds, queues } = order(20)
      for (const { queue, rounds: idle } of steps) {
        for (let n = 0; n < idle; n++) rounds.round()
        queues[queue]!.frames = 1
        for (let n = 0; n <= 2 * QUIET_ROUNDS; n++) rounds.round()
        assert.equal(queues[queue]!.frames, 0)
      }
    }),
  )
})

test('a queue that is promoted is looked at in the next round, however quiet it was', () => {
  const looks: string[] = []
  const order = new PollOrder<Polled & { readonly name: string }>(({ name }) => {
    looks.push(name)
    return 0
  })
  const queues = ['a', 'b', 'c'].map((name) => ({ name, passes: 3, skip: 0, backOff: 0 }))
  for (const queue of queues) order.add(queue)
  for (let i = 0; i < 200; i++) order.round()
  looks.length = 0
  order.promote(queues[1]!)
  order.round()
  assert.equal(looks[0], 'b')
  order.promote(queues[1]!) // of one that is among the busy it changes nothing else
  for (let i = 0; i < 200; i++) order.round()
  assert.deepEqual([...new Set(looks)].sort(), ['a', 'b', 'c'])
})
