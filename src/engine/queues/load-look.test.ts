import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LoadLook } from './load-look.ts'
import type { QueuedPort } from './queued-port.ts'
import { chooseMove, RESTING_LOOKS } from './rebalancing.ts'

const NS_PER_MS = 1e6
const LOOK_MS = 10_000

const portOf = (id: number, given: Partial<QueuedPort> = {}): QueuedPort => ({
  id,
  name: `vm${id}`,
  vm: `vm${id}`,
  mac: `02:00:00:00:00:0${id}`,
  weight: 1,
  vlan: 0,
  given: null,
  reason: null,
  pinned: false,
  resting: 0,
  framesBefore: 0,
  ...given,
})

/** Two processors and their queues, in a time of their own. */
class Bench {
  readonly look = new LoadLook()
  readonly ports = [portOf(1), portOf(2), portOf(3)]
  readonly processorOf = [0, 0, 1]
  readonly #busyNs = [5e12, 7e12]
  readonly #frames = [1000, 1000, 1000]
  #nowMs = 1e6

  constructor() {
    this.take([0, 0], [0, 0, 0])
  }

  /** `busy`: part of the time since the last look; `frames`: that came since. */
  take(busy: readonly number[], frames: readonly number[]) {
    this.#nowMs += LOOK_MS
    for (const [p, part] of busy.entries()) this.#busyNs[p]! += part * LOOK_MS * NS_PER_MS
    for (const [q, count] of frames.entries()) this.#frames[q]! += count
    const queues = this.ports.map((port, i) => ({
      port,
      queue: port.id,
      processor: this.processorOf[i]!,
      frames: this.#frames[i]!,
    }))
    return this.look.take(this.#nowMs, [...this.#busyNs], [0, 1], queues)
  }

  /** What the rule does after such a time. */
  step(busy: readonly number[], frames: readonly number[]): number | undefined {
    const { loads, queues } = this.take(busy, frames)
    const move = chooseMove(loads, queues)
    if (move === undefined) return undefined
    this.processorOf[move.queue - 1] = move.to
    this.ports[move.queue - 1]!.resting = RESTING_LOOKS
    return move.queue
  }
}

test('a look tells what was done since the look before it, of each processor and of each queue', () => {
  const bench = new Bench()
  const { loads, queues } = bench.take([0.5, 0.05], [300, 200, 100])
  assert.deepEqual(loads, [
    { processor: 0, busy: 0.5 },
    { processor: 1, busy: 0.05 },
  ])
  assert.deepEqual(queues, [
    { queue: 1, processor: 0, frames: 300, mayMove: true },
    { queue: 2, processor: 0, frames: 200, mayMove: true },
    { queue: 3, processor: 1, frames: 100, mayMove: true },
  ])
  const after = bench.take([0.25, 0.05], [0, 7, 0])
  assert.equal(after.loads[0]!.busy, 0.25)
  assert.deepEqual(
    after.queues.map(({ frames }) => frames),
    [0, 7, 0],
  )
})

test('a processor counts as busy for the whole time at most', () => {
  assert.equal(new Bench().take([1.5, 0], [1, 1, 1]).loads[0]!.busy, 1)
})

test('a queue moves where processors lie more than 0.2 apart, and not where they lie closer', () => {
  assert.equal(new Bench().step([0.29, 0.1], [500, 500, 10]), undefined)
  assert.equal(new Bench().step([0.31, 0.1], [500, 500, 10]), 1)
})

test('a queue that has moved stays for three looks, whatever the load is, and may go at the fourth', () => {
  const bench = new Bench()
  assert.equal(bench.step([0.9, 0.1], [300, 300, 0]), 1)
  assert.deepEqual(bench.processorOf, [1, 0, 1])
  // Its new processor is the busier one from now on; of its two queues the other has no frames.
  for (let look = 0; look < RESTING_LOOKS; look++) assert.equal(bench.step([0.1, 0.9], [500, 50, 0]), undefined)
  assert.equal(bench.step([0.1, 0.9], [500, 50, 501]), 1)
})

test('a queue whose processor an operator chose stays', () => {
  const bench = new Bench()
  bench.ports[0]!.pinned = true
  assert.equal(bench.step([0.9, 0.1], [500, 500, 10]), 2)
})
