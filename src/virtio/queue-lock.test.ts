import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { Q_LOCK } from '../kernels/layout.ts'
import { lockQueue, tryLockQueue, unlockQueue } from './queue-lock.ts'

const QUEUE = 256
const lockModule = new URL('./queue-lock.ts', import.meta.url).href

const shared = () => new Int32Array(new SharedArrayBuffer(4096))

test('a held lock can be taken neither by trying nor by waiting, a free one at once', () => {
  const i32 = shared()
  assert.ok(tryLockQueue(i32, QUEUE))
  assert.equal(i32[(QUEUE + Q_LOCK) >> 2], 1)
  assert.ok(!tryLockQueue(i32, QUEUE))
  assert.ok(!lockQueue(i32, QUEUE, 5))
  unlockQueue(i32, QUEUE)
  assert.ok(lockQueue(i32, QUEUE, 5))
})

test('threads that count under the lock lose no count', async () => {
  const i32 = shared()
  const rounds = 20_000
  const source = `
    const { workerData } = require('node:worker_threads')
    import(workerData.lockModule).then(({ lockQueue, unlockQueue }) => {
      for (let i = 0; i < workerData.rounds; i++) {
        if (!lockQueue(workerData.i32, ${QUEUE})) throw new Error('no lock')
        workerData.i32[1000]++
        unlockQueue(workerData.i32, ${QUEUE})
      }
    })`
  const workers = [1, 2].map(() => new Worker(source, { eval: true, workerData: { i32, rounds, lockModule } }))
  await Promise.all(workers.map((worker) => new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject))))
  assert.equal(i32[1000], 2 * rounds)
})
