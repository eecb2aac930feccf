import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TimingWheel, WHEEL_TICKS_MAX } from './wheel.ts'

test('a wheel gives what a sorted list gives, whatever is put in and however time goes on', () => {
  const step = fc.record({
    put: fc.array(fc.oneof(fc.nat(300), fc.nat(70_000), fc.nat(WHEEL_TICKS_MAX)), { maxLength: 8 }),
    pass: fc.oneof(fc.nat(3), fc.nat(400), fc.nat(80_000), fc.nat(WHEEL_TICKS_MAX)),
  })
  fc.assert(
    fc.property(fc.nat(2 ** 31), fc.array(step, { maxLength: 40 }), (start, steps) => {
      const wheel = new TimingWheel(512)
      let waiting: { entry: number; tick: number }[] = []
      let now = start
      let next = 0
      for (const { put, pass } of steps) {
        for (const ahead of put) {
          wheel.add(next, now + ahead, now)
          waiting.push({ entry: next++, tick: now + ahead })
        }
        assert.equal(wheel.count, waiting.length)
        assert.ok(waiting.length === 0 || wheel.nextTick() <= Math.min(...waiting.map(({ tick }) => tick)))
        now += pass
        const out: number[] = []
        wheel.advance(now, (entry) => out.push(entry))
        const due = waiting
          .filter(({ tick }) => tick <= now)
          .sort((one, other) => one.tick - other.tick || one.entry - other.entry)
        waiting = waiting.filter(({ tick }) => tick > now)
        assert.deepEqual(
          out,
          due.map(({ entry }) => entry),
        )
      }
      const rest: number[] = []
      wheel.drain((entry) => rest.push(entry))
      assert.equal(rest.length, waiting.length)
      assert.equal(wheel.nextTick(), Number.POSITIVE_INFINITY)
    }),
    { numRuns: 300 },
  )
})

test('what is due already comes out with the next look, and an entry may be put in again', () => {
  const wheel = new TimingWheel(4)
  const out: number[] = []
  wheel.add(1, 10, 100)
  wheel.advance(100, (entry) => out.push(entry))
  wheel.add(1, 103, 100)
  wheel.add(2, 102, 100)
  wheel.advance(101, (entry) => out.push(entry))
  assert.deepEqual(out, [1])
  wheel.advance(110, (entry) => out.push(entry))
  assert.deepEqual(out, [1, 2, 1])
})
