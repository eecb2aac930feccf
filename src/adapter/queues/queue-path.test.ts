import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MAC, wireFrame } from '../../../test/support/adapter-harness.ts'
import { QueueHarness } from '../../../test/support/queue-harness.ts'
import { queueStatistics } from './queue-statistics.ts'

const BURSTS = 20
const oneFrame = fc.record({
  to: fc.constantFrom(MAC.a, MAC.a, MAC.a, MAC.b, MAC.c, '01:00:5e:00:00:09'),
  from: fc.constantFrom(MAC.peer, MAC.peer, '02:00:00:00:00:42'),
  tag: fc.constantFrom(-1, -1, -1, -1, 0, 5),
})
const bursts = fc.array(
  fc.oneof(
    fc.array(oneFrame, { minLength: 1, maxLength: 64 }),
    fc.tuple(oneFrame, fc.integer({ min: 1, max: 64 })).map(([frame, count]) => Array.from({ length: count }, () => frame)),
  ),
  { minLength: 1, maxLength: BURSTS },
)

/** An adapter with a queue that processor 0 serves, and one that processor 1 serves. */
async function start(takesWhole: boolean): Promise<{ harness: QueueHarness; queues: readonly number[] }> {
  const harness = await QueueHarness.start({ bursts: takesWhole })
  const near = await harness.running(MAC.a)
  const far = await harness.running(MAC.b, { processorAffinity: [1] })
  return { harness, queues: [0, near.queue, far.queue] }
}

test('a burst that is taken whole has the fate of its packets taken one by one (VQ-104, VQ-105, VQ-108)', async () => {
  const [whole, single] = [await start(true), await start(false)]
  fc.assert(
    fc.property(bursts, (all) => {
      const seen = [whole, single].map(({ harness, queues }) => {
        for (const burst of all) {
          harness.receive(0, ...burst.map(({ to, from, tag }, i) => wireFrame(to, from, `n${i}`, ...(tag < 0 ? [] : [tag]))))
          harness.serve(1)
        }
        return {
          indications: harness.got(),
          statistics: queues.map((queue) => queueStatistics(harness.counters, queue)),
          wakes: harness.wakes.splice(0),
        }
      })
      assert.deepEqual(seen[0], seen[1])
    }),
    { numRuns: 60 },
  )
})

test('a burst to one address is told to come from one sender only if it does', async () => {
  const { harness } = await start(true)
  const send = (...from: string[]): boolean => {
    harness.receive(0, ...from.map((sender) => wireFrame(MAC.a, sender, 'x')))
    return harness.paths[0]!.oneSender
  }
  assert.equal(send(MAC.peer, MAC.peer), true)
  assert.equal(send(MAC.peer, '02:00:00:00:00:42'), false)
})
