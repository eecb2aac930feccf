import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Timers } from './timers.ts'

function bench() {
  const clock = { nowMs: 0 }
  const failures: [string, unknown][] = []
  const timers = new Timers(
    () => clock.nowMs,
    (owner, error) => failures.push([owner, error]),
  )
  const runAt = (ms: number): void => {
    clock.nowMs = ms
    timers.run()
  }
  return { timers, failures, runAt }
}

test('a timer fires every interval, not earlier, and stops when told', () => {
  const { timers, runAt } = bench()
  let fired = 0
  const stop = timers.every(10, () => fired++, 'm')
  for (let ms = 0; ms < 100; ms++) runAt(ms)
  assert.equal(fired, 9)
  stop()
  for (let ms = 100; ms < 200; ms++) runAt(ms)
  assert.equal(fired, 9)
})

test('a timer that was late does not make up for what it missed', () => {
  const { timers, runAt } = bench()
  let fired = 0
  timers.every(10, () => fired++, 'm')
  runAt(1000)
  runAt(1001)
  runAt(1002)
  assert.ok(fired <= 2, `${fired} calls`)
})

test('a timer that throws is stopped and reported with its owner; others go on', () => {
  const { timers, failures, runAt } = bench()
  let others = 0
  timers.every(
    10,
    () => {
      throw new Error('boom')
    },
    'bad',
  )
  timers.every(10, () => others++, 'good')
  for (let ms = 0; ms <= 50; ms++) runAt(ms)
  assert.deepEqual(
    failures.map(([owner, error]) => [owner, (error as Error).message]),
    [['bad', 'boom']],
  )
  assert.equal(others, 5)
})

test('a timer may stop itself, stop another, and start a new one', () => {
  const { timers, runAt } = bench()
  const calls: string[] = []
  const stops: (() => void)[] = []
  stops.push(
    timers.every(
      10,
      () => {
        calls.push('first')
        for (const stop of stops) stop()
        timers.every(5, () => calls.push('new'), 'm')
      },
      'm',
    ),
  )
  stops.push(timers.every(10, () => calls.push('second'), 'm'))
  for (let ms = 0; ms <= 20; ms++) runAt(ms)
  assert.deepEqual(calls, ['first', 'new', 'new'])
})

test('intervals below 1 ms, and those that are no numbers, are 1 ms: the processor never spins on them', () => {
  for (const interval of [0, -5, 0.1, Number.NaN]) {
    const { timers, runAt } = bench()
    let fired = 0
    timers.every(interval, () => fired++, 'm')
    for (let tenths = 0; tenths <= 50; tenths++) runAt(tenths / 10)
    assert.equal(fired, 5, `${interval}`)
    assert.ok(timers.untilNextMs() >= 0 && timers.untilNextMs() <= 1)
  }
})

test('the time until the next timer is rounded up, and long without one', () => {
  const { timers, runAt } = bench()
  assert.ok(timers.untilNextMs() > 100_000)
  const stop = timers.every(10, () => {}, 'm')
  runAt(0.5)
  assert.equal(timers.untilNextMs(), 10)
  runAt(50)
  stop()
  runAt(51)
  runAt(100)
  assert.ok(timers.untilNextMs() > 100_000)
})

test('an exact timer calls back once, when its time has come, and again only when it is set again', () => {
  const { timers, runAt } = bench()
  let fired = 0
  const { timer } = timers.exact(() => fired++, 'm')
  runAt(5)
  assert.equal(fired, 0)
  timer.at(5.25)
  assert.equal(timers.untilExactMs(), 0.25)
  runAt(5.2)
  assert.equal(timers.runExact(), false)
  runAt(5.25)
  runAt(9)
  assert.equal(fired, 1)
  assert.equal(timers.untilExactMs(), Number.POSITIVE_INFINITY)
  timer.at(10)
  timer.at(20)
  runAt(15)
  assert.equal(fired, 1)
  timer.stop()
  runAt(25)
  assert.equal(fired, 1)
})

test('an exact timer may set itself in its callback; one that throws or was ended does not call back any more', () => {
  const { timers, failures, runAt } = bench()
  const calls: string[] = []
  const self = timers.exact(() => {
    calls.push('self')
    self.timer.at(20)
  }, 'self')
  const bad = timers.exact(() => {
    throw new Error('boom')
  }, 'bad')
  const ended = timers.exact(() => calls.push('ended'), 'ended')
  for (const { timer } of [self, bad, ended]) timer.at(10)
  ended.end()
  runAt(10)
  bad.timer.at(15)
  ended.timer.at(15)
  runAt(15)
  runAt(20)
  assert.deepEqual(calls, ['self', 'self'])
  assert.deepEqual(
    failures.map(([owner]) => owner),
    ['bad'],
  )
})
