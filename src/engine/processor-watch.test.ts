import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Counters, countersBytes, ProcessorCounter } from '../switch/counters.ts'
import { INTERRUPT_MS, ProcessorWatch, STUCK_MS } from './processor-watch.ts'

const LOOK_MS = 250

function watched(interrupts = true) {
  const counters = new Counters(new SharedArrayBuffer(countersBytes(1)), 0, 1)
  const log: string[] = []
  const did: string[] = []
  let now = 0
  let ranMs = 0
  let state: 'runs' | 'sleeps' | 'waits' = 'runs'
  const watch = new ProcessorWatch({
    processors: [
      {
        counters,
        threadTime: () => ({ ranMs, asleep: state === 'sleeps' }),
        interrupt: async () => {
          did.push('interrupt')
          return interrupts
        },
        goOn: async (place, seconds) => {
          did.push(`go on without ${place} after ${seconds} s`)
        },
      },
    ],
    nameOf: (place) => (place === 2 ? 'slow' : place === -7 ? 'ticks' : undefined),
    log: ({ source, code, message }) => log.push(`${source} ${code}: ${message}`),
    nowMs: () => now,
  })
  return {
    counters,
    log,
    did,
    /** Looks as often as the control thread does for so long. */
    pass: async (ms: number) => {
      for (const end = now + ms; now < end; ) {
        now += LOOK_MS
        if (state === 'runs') ranMs += LOOK_MS
        watch.look()
        await Promise.resolve()
      }
    },
    /** The control thread does nothing for so long. */
    stall: (ms: number) => {
      now += ms
      watch.look()
    },
    /** What the processor's thread does from now on. */
    becomes: (next: typeof state) => {
      state = next
    },
    turn: () => counters.processor(ProcessorCounter.turns, 9),
  }
}

test('an extension that a processor is in for a second is named, and when it returns that is told', async () => {
  const { counters, log, did, pass, turn } = watched()
  turn()
  await pass(LOOK_MS)
  counters.inside = 2
  await pass(STUCK_MS - LOOK_MS)
  assert.deepEqual(log, [])
  await pass(LOOK_MS)
  assert.equal(log.length, 1)
  assert.match(
    log[0]!,
    /^extension slow extension-stuck: its handler of packets does not return: processor 0 has not turned for 1 s/,
  )
  await pass(1000)
  turn()
  await pass(LOOK_MS)
  assert.match(log[1]!, /^extension slow extension-stuck-ended: processor 0 goes on, after 2.3 s/)
  assert.deepEqual(did, [])
})

test('after five seconds it is interrupted once, and its processor goes on without it', async () => {
  const { counters, log, did, pass, turn } = watched()
  counters.inside = -7
  turn()
  await pass(INTERRUPT_MS + LOOK_MS)
  assert.match(log[0]!, /^extension ticks extension-stuck: a timer of its does not return/)
  assert.deepEqual(did, ['interrupt', 'go on without -7 after 5 s'])
  counters.inside = 0
  turn()
  await pass(2 * INTERRUPT_MS)
  assert.match(log[1]!, /^extension ticks extension-stuck-ended: processor 0 goes on without it: it was interrupted after 5 s/)
})

test('nothing is interrupted that the processor could not go on without, and what can not be is tried once', async () => {
  const borrowed = watched()
  borrowed.turn()
  borrowed.counters.inside = 2
  borrowed.counters.borrowed = true
  await borrowed.pass(4 * INTERRUPT_MS)
  assert.deepEqual([borrowed.log.length, borrowed.did.length], [1, 0])
  const nowhere = watched()
  nowhere.turn()
  await nowhere.pass(4 * INTERRUPT_MS)
  assert.match(nowhere.log.join(), /^switch processor-stuck: processor 0 has not turned for 5 s/)
  assert.deepEqual([nowhere.log.length, nowhere.did.length], [1, 0])
  const refused = watched(false)
  refused.turn()
  refused.counters.inside = 2
  await refused.pass(4 * INTERRUPT_MS)
  assert.deepEqual([refused.log.length, refused.did.length], [1, 1])
})

test('a processor that the machine does not let run is nobody’s fault, whatever it is in', async () => {
  const { counters, log, did, pass, becomes, turn } = watched()
  turn()
  counters.inside = 2
  becomes('waits')
  await pass(10 * INTERRUPT_MS)
  assert.deepEqual(log, [])
  becomes('runs')
  await pass(STUCK_MS - LOOK_MS)
  assert.deepEqual(log, [])
  await pass(LOOK_MS)
  assert.match(log[0]!, /^extension slow extension-stuck: .* has not turned for 50.8 s/)
  becomes('waits')
  await pass(10 * INTERRUPT_MS)
  assert.deepEqual(did, [])
  becomes('runs')
  await pass(INTERRUPT_MS - STUCK_MS)
  assert.equal(did[0], 'interrupt')
})

test('a handler that sleeps counts as one that runs: it does not return either', async () => {
  const { counters, did, pass, becomes, turn } = watched()
  turn()
  counters.inside = 2
  becomes('sleeps')
  await pass(INTERRUPT_MS + LOOK_MS)
  assert.equal(did[0], 'interrupt')
})

test('a pause of the whole process is nobody’s fault', async () => {
  const { counters, log, pass, stall, turn } = watched()
  turn()
  counters.inside = 2
  await pass(LOOK_MS)
  stall(60_000)
  await pass(STUCK_MS - 2 * LOOK_MS)
  assert.deepEqual(log, [])
})
