import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Tally } from './test-tally.mjs'

test('a run ends with the skipped tests by name and reason, and the three counts', () => {
  const tally = new Tally()
  tally.passes({ name: 'two guests ping', skip: 'needs QEMU' }, 'guests', 'test/guests/ping.test.ts')
  tally.passes({ name: 'quick', skip: undefined }, 'unit', 'src/a.test.ts')
  tally.counts({ tests: 2, suites: 0, passed: 1, failed: 0, cancelled: 0, skipped: 1, todo: 0 })
  const lines = tally.report(61.25)
  assert.ok(lines.includes('  two guests ping (test/guests/ping.test.ts): needs QEMU'))
  assert.equal(lines.at(-2), 'total time 1 min 1.3 s')
  assert.equal(lines.at(-1), '1 passed, 0 failed, 1 skipped')
  assert.equal(tally.failed, false)
})

test('a failure, a cancelled test or no test at all makes the run fail', () => {
  assert.equal(new Tally().failed, true)
  const cancelled = new Tally()
  cancelled.counts({ tests: 1, suites: 0, passed: 0, failed: 0, cancelled: 1, skipped: 0, todo: 0 })
  assert.equal(cancelled.failed, true)
  const failed = new Tally()
  failed.counts({ tests: 2, suites: 1, passed: 1, failed: 1, cancelled: 0, skipped: 0, todo: 0 })
  failed.fails({ name: 'it works', details: { type: 'test' } }, 'unit', 'src/a.test.ts')
  failed.fails({ name: 'suite', details: { type: 'suite' } }, 'unit', 'src/a.test.ts')
  assert.equal(failed.failed, true)
  assert.deepEqual(failed.report(1).slice(1, 3), ['Failed:', '  it works (src/a.test.ts)'])
  assert.equal(failed.report(1).filter((line) => line.includes('suite (')).length, 0)
})

test('what passed at a second try only is counted once, and told by name', () => {
  const counts = { suites: 0, cancelled: 0, skipped: 0, todo: 0 }
  const first = new Tally()
  first.counts({ ...counts, tests: 2, passed: 1, failed: 1 })
  first.fails({ name: 'two guests ping', details: { type: 'test' } }, 'guests', 'test/guests/ping.test.ts')
  const second = new Tally()
  second.counts({ ...counts, tests: 2, passed: 2, failed: 0 })
  const tally = new Tally()
  tally.addSecondTry(first, second)
  assert.equal(tally.failed, false)
  const lines = tally.report(1)
  assert.match(lines[1], /^Failed at first and passed/)
  assert.equal(lines[2], '  two guests ping (test/guests/ping.test.ts)')
  assert.equal(lines.at(-1), '2 passed, 0 failed, 0 skipped')
})

test('what fails at both tries has failed, once', () => {
  const attempt = () => {
    const tally = new Tally()
    tally.counts({ tests: 1, suites: 0, passed: 0, failed: 1, cancelled: 0, skipped: 0, todo: 0 })
    tally.fails({ name: 'two guests ping', details: { type: 'test' } }, 'guests', 'test/guests/ping.test.ts')
    return tally
  }
  const tally = new Tally()
  tally.addSecondTry(attempt(), attempt())
  assert.equal(tally.failed, true)
  assert.deepEqual(tally.report(1).slice(1, 3), ['Failed:', '  two guests ping (test/guests/ping.test.ts)'])
  assert.equal(tally.report(1).at(-1), '0 passed, 1 failed, 0 skipped')
})

test('the files that took longest are listed, longest first; of one file nothing is said', () => {
  const tally = new Tally()
  tally.took('src/quick.test.ts', 0.25)
  assert.deepEqual(
    tally.report(1).filter((line) => line.startsWith('Slowest')),
    [],
  )
  const other = new Tally()
  other.took('test/guests/slow.test.ts', 33.33)
  tally.add(other)
  assert.deepEqual(tally.report(1).slice(1, 4), [
    'Slowest files (seconds):',
    '   33.3 test/guests/slow.test.ts',
    '    0.3 src/quick.test.ts',
  ])
})
