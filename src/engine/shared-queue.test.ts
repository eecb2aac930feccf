import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { EndpointQueue } from '../endpoints/endpoint.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import { SharedQueue } from './shared-queue.ts'

const ROUNDS = 2000

test('two processors never work on a queue at once', async () => {
  const words = new Int32Array(new SharedArrayBuffer(64)) // 0: lock, 1: inside, 2: clashes, 3: calls, 4: ready
  const source = `
    import { workerData } from 'node:worker_threads'
    const { SharedQueue } = await import(workerData.module)
    const words = new Int32Array(workerData.buffer)
    const work = () => {
      if (Atomics.add(words, 1, 1) !== 0) Atomics.add(words, 2, 1)
      for (let i = 0; i < 200; i++) Atomics.load(words, 5)
      words[3] = words[3] + 1
      Atomics.sub(words, 1, 1)
      return 1
    }
    const queue = new SharedQueue({ offloads: 0, refusal: 0, receive: work, deliver: work }, words, 0)
    Atomics.add(words, 4, 1)
    while (Atomics.load(words, 4) < 2);
    for (let round = 0; round < ${ROUNDS}; round++) if (round % 2 === 0) queue.deliver(0, 1); else queue.receive(0, 1)
  `
  const workers = [0, 1].map(
    () =>
      new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
        workerData: { buffer: words.buffer, module: new URL('./shared-queue.ts', import.meta.url).href },
      }),
  )
  await Promise.all(workers.map((worker) => new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject))))
  assert.deepEqual([words[0], words[1], words[2], words[3]], [0, 0, 0, 2 * ROUNDS])
})

test('what the queue says passes through, and the lock is free afterwards', () => {
  const words = new Int32Array(new SharedArrayBuffer(64))
  const calls: string[] = []
  const inner: EndpointQueue = {
    offloads: 5,
    refusal: DropReason.linkDown,
    receive: (first, max) => calls.push(`receive ${first} ${max} ${words[0]}`),
    complete: (first, count) => void calls.push(`complete ${first} ${count}`),
    deliver: (list, count) => calls.push(`deliver ${list} ${count} ${words[0]}`),
    arm: () => calls.push('arm') > 0,
    disarm: () => void calls.push('disarm'),
    close: () => void calls.push('close'),
  }
  const queue = new SharedQueue(inner, words, 0)
  const epoll = null as never
  queue.receive(1, 2)
  queue.complete(1, 2)
  queue.deliver(3, 4)
  queue.arm(epoll)
  queue.disarm(epoll)
  queue.close(epoll)
  assert.deepEqual(calls, ['receive 1 2 1', 'complete 1 2', 'deliver 3 4 1', 'arm', 'disarm', 'close'])
  assert.deepEqual([queue.offloads, queue.refusal, words[0]], [5, DropReason.linkDown, 0])
})
