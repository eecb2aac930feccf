import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { MAC, wireFrame } from '../../../test/support/adapter-harness.ts'
import { QueueHarness } from '../../../test/support/queue-harness.ts'
import { PACKETS_OUT_MAX } from './queue-memory.ts'

const WORKER = fileURLToPath(new URL('../../../test/support/queue-worker.ts', import.meta.url))

test('whatever is appended, taken and returned in whatever order, packets leave whole and in order, and all memory comes back', async () => {
  const h = await QueueHarness.start()
  const { queue } = await h.running(MAC.a, { processorAffinity: [1], numSuggestedReceiveBuffers: 1 })
  const reader = h.paths[1]!.reader(queue)
  const steps = fc.array(
    fc.oneof(
      fc.record({
        act: fc.constant('receive' as const),
        lengths: fc.array(fc.integer({ min: 60, max: 9000 }), { maxLength: 20 }),
      }),
      fc.record({ act: fc.constant('take' as const), count: fc.integer({ min: 1, max: 64 }) }),
      fc.record({ act: fc.constant('return' as const), order: fc.array(fc.nat(1000), { maxLength: 40 }) }),
    ),
    { maxLength: 40 },
  )
  let sent = 0
  await fc.assert(
    fc.asyncProperty(steps, async (given) => {
      const waiting: number[] = []
      const slots: number[] = []
      let free = Array.from({ length: 512 }, (_, i) => i + 256)
      for (const step of given) {
        if (step.act === 'receive') {
          const before = h.drops(queue)['receive-ring-full'] ?? 0
          const numbers = step.lengths.map(() => sent++)
          h.receive(0, ...step.lengths.map((length, i) => frameOf(numbers[i]!, length)))
          waiting.push(...numbers.slice(0, numbers.length - ((h.drops(queue)['receive-ring-full'] ?? 0) - before)))
        } else if (step.act === 'take') {
          const first = free[0]!
          const taken = reader.receive(first, Math.min(step.count, free.length))
          assert.ok(taken <= waiting.length && reader.out <= PACKETS_OUT_MAX)
          for (let i = 0; i < taken; i++) {
            const bytes = h.bytesOf(1, first + i)
            assert.deepEqual(bytes, frameOf(waiting.shift()!, bytes.length))
            slots.push(first + i)
          }
          free = free.slice(taken)
        } else
          for (const pick of step.order) {
            if (slots.length === 0) break
            const [slot] = slots.splice(pick % slots.length, 1)
            reader.complete(slot!, 1)
          }
      }
      reader.completeAll()
      for (let taken = 1; taken > 0; ) {
        taken = reader.receive(0, 64)
        for (let slot = 0; slot < taken; slot++)
          assert.deepEqual(h.bytesOf(1, slot), frameOf(waiting.shift()!, h.bytesOf(1, slot).length))
        reader.complete(0, taken)
      }
      assert.equal(waiting.length, 0)
      assert.ok(h.tables.queues.isEmpty(queue))
      assert.equal(reader.out, 0)
    }),
    { numRuns: 40 },
  )
})

// The frame of a number and length.
const frameOf = (number: number, length: number): Buffer => {
  const bytes = Buffer.alloc(length, number & 255)
  bytes.set(wireFrame(MAC.a, MAC.peer, '').subarray(0, 14))
  bytes.writeUInt32BE(number, 14)
  return bytes
}

test('a processor that is not the queue’s, or comes while another reads, gets nothing', async () => {
  const h = await QueueHarness.start()
  const { queue } = await h.running(MAC.a, { processorAffinity: [1] })
  h.receive(0, wireFrame(MAC.a, MAC.peer, 'x'), wireFrame(MAC.a, MAC.peer, 'y'))
  assert.equal(h.paths[2]!.reader(queue).receive(0, 8), 0)
  assert.equal(h.paths[1]!.reader(queue).receive(0, 1), 1)
  await h.setParameters(queue, { flags: 0x20000, processorAffinity: [2] })
  assert.equal(h.paths[2]!.reader(queue).receive(0, 8), 0)
  h.paths[1]!.reader(queue).complete(0, 1)
  assert.equal(h.paths[1]!.reader(queue).receive(0, 8), 0)
  assert.equal(h.paths[2]!.reader(queue).receive(0, 8), 1)
})

test('threads that append and read at a time, and a queue that changes its processor meanwhile, lose and reorder nothing', async () => {
  const h = await QueueHarness.start()
  const { queue } = await h.running(MAC.a, { processorAffinity: [1] })
  const frames = 6000
  const results = new SharedArrayBuffer(frames * 4 + 64)
  const workers = [0, 1, 2].map(
    (processor) => new Worker(WORKER, { workerData: { ...h.shared(), processor, frames, results, queue, mac: MAC.a } }),
  )
  try {
    const ends = Promise.all(
      workers.map((worker) => new Promise((resolve, reject) => worker.on('exit', resolve).on('error', reject))),
    )
    const state = new Int32Array(results, 0, 16)
    let move = 0
    while (Atomics.load(state, 0) < frames) {
      await new Promise((resolve) => setTimeout(resolve, 2))
      const processor = (move++ & 1) + 1
      assert.equal(await h.setParameters(queue, { flags: 0x20000, processorAffinity: [processor] }), 0)
    }
    await ends
    assert.deepEqual(
      [...new Int32Array(results, 64)],
      Array.from({ length: frames }, (_, i) => i),
    )
    assert.ok(h.tables.queues.isEmpty(queue))
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
})
