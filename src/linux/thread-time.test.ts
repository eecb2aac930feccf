import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sys } from './libc.ts'
import { parseThreadStat, threadTime } from './thread-time.ts'

test('a line of the kernel tells the time a thread ran and whether it sleeps, whatever its name', () => {
  const line = (name: string, state: string): string =>
    `7 (${name}) ${state} 1 7 7 0 -1 4194368 1 2 3 4 250 17 0 0 20 0 11 0 99 1`
  assert.deepEqual(parseThreadStat(line('node', 'R')), { ranMs: 2670, asleep: false })
  assert.deepEqual(parseThreadStat(line('a) S 1 (b', 'S')), { ranMs: 2670, asleep: true })
  assert.deepEqual(parseThreadStat(line('node', 'D')), { ranMs: 2670, asleep: false })
  assert.equal(parseThreadStat('7 (node) S 1'), null)
})

test('a thread that computes runs, and one that does not exist has no time', () => {
  const before = threadTime(sys.gettid())!
  for (const end = process.cpuUsage().user + 50_000; process.cpuUsage().user < end; );
  const after = threadTime(sys.gettid())!
  assert.ok(after.ranMs > before.ranMs)
  assert.equal(after.asleep, false)
  assert.equal(threadTime(0x7fff_fff0), null)
})
