import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CorrelatedDelay, CorrelatedEvent, type Distribution, distributions, hashOf, RandomSource } from './random.ts'

const N = 40_000

test('a seed gives the same numbers again, another seed others', () => {
  const take = (seed: number): number[] => {
    const source = new RandomSource(seed)
    return Array.from({ length: 20 }, () => source.uniform())
  }
  assert.deepEqual(take(7), take(7))
  assert.notDeepEqual(take(7), take(8))
  assert.notEqual(hashOf(1, 'a 0 0'), hashOf(1, 'b 0 0'))
})

test('an event happens as often as it should, with and without correlation, and correlation makes runs', () => {
  for (const correlation of [0, 0.25, 0.75]) {
    const source = new RandomSource(42)
    const event = new CorrelatedEvent()
    let happened = 0
    let again = 0
    let last = false
    for (let i = 0; i < N; i++) {
      const now = event.happens(source, 0.1, correlation)
      if (now) happened++
      if (now && last) again++
      last = now
    }
    assert.ok(Math.abs(happened / N - 0.1) < 0.015, `${happened}`)
    assert.ok(Math.abs(again / happened - (0.1 + correlation * 0.9)) < 0.03, `${again} of ${happened}`)
  }
  assert.equal(new CorrelatedEvent().happens(new RandomSource(1), 0, 0.9), false)
})

test('delays have the mean and the spread that were asked for, in every distribution', () => {
  const spread: Record<Distribution, number> = { uniform: 2 / Math.sqrt(3), normal: 2, pareto: 2, paretonormal: 2 }
  for (const distribution of distributions) {
    const source = new RandomSource(3)
    const delays = new CorrelatedDelay()
    const all = Array.from({ length: N }, () => delays.next(source, 100, 2, distribution, 0))
    const mean = all.reduce((sum, delay) => sum + delay, 0) / N
    const deviation = Math.sqrt(all.reduce((sum, delay) => sum + (delay - mean) ** 2, 0) / N)
    assert.ok(Math.abs(mean - 100) < 0.1, `${distribution}: mean ${mean}`)
    assert.ok(Math.abs(deviation - spread[distribution]) < 0.5, `${distribution}: deviation ${deviation}`)
    if (distribution === 'uniform') assert.ok(all.every((delay) => delay >= 98 && delay <= 102))
  }
  assert.ok(new CorrelatedDelay().next(new RandomSource(1), 1, 0, 'normal', 0) === 1)
})

test('a delay that hangs together with the one before is near to it', () => {
  const near = (correlation: number): number => {
    const source = new RandomSource(5)
    const delays = new CorrelatedDelay()
    let last = delays.next(source, 50, 5, 'normal', correlation)
    let sum = 0
    for (let i = 0; i < 4000; i++) {
      const delay = delays.next(source, 50, 5, 'normal', correlation)
      sum += Math.abs(delay - last)
      last = delay
    }
    return sum / 4000
  }
  assert.ok(near(0.9) < near(0) / 2)
})
