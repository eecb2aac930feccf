// The dirty log: every guest page that delivery and completion write is marked, and nothing else.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { concat, frame, pattern, vnet } from './frames.ts'
import * as L from './layout.ts'
import { engines, Queue, type QueueOptions, Scene, SEAM, SPARE } from './testing.ts'

const wasm = readFileSync(new URL('../../.cache/kernels.wasm', import.meta.url))
const HIGH = 0x1_0000_1000n
const LOG_BYTES = 0x42000 // reaches beyond 8 GiB of guest memory

for (const engine of engines)
  for (const packed of [false, true])
    describe(`dirty log, ${packed ? 'packed' : 'split'}, ${engine}`, () => {
      const stage = (options: QueueOptions = {}): { scene: Scene; queue: Queue; pages: () => number[] } => {
        const scene = new Scene(engine, wasm)
        const queue = new Queue(scene.guest(), { packed, ...options })
        queue.set(L.Q_LOG, SPARE)
        queue.set(L.Q_LOG_SIZE, LOG_BYTES)
        queue.set(L.Q_LOG_RING, 1)
        queue.set(L.Q_LOG_RING_LOW, Number(queue.device))
        const pages = (): number[] => {
          const marked: number[] = []
          for (let byte = 0; byte < LOG_BYTES; byte++) {
            const bits = scene.u8[SPARE + byte]!
            for (let bit = 0; bit < 8; bit++) if (bits & (1 << bit)) marked.push(byte * 8 + bit)
          }
          return marked
        }
        return { scene, queue, pages }
      }
      const page = (gpa: bigint): number => Number(gpa >> 12n)
      const ring = (queue: Queue): number => page(packed ? queue.desc : queue.device)

      test('a delivered frame marks the pages of its bytes and of the ring', () => {
        const { scene, queue, pages } = stage()
        scene.place(0, frame({ payload: pattern(5000) }))
        queue.offer([
          { gpa: HIGH + 4000n, length: 12, write: true },
          { gpa: SEAM - 100n, length: 0x3000, write: true },
        ])
        assert.equal(scene.kernels.deliver(queue.block, scene.pool, scene.list([0]), 1) & L.DELIVER_COUNT, 1)
        const last = SEAM - 100n + 5042n - 1n
        const expected = [ring(queue), page(HIGH), page(SEAM - 100n), page(SEAM), page(last)]
        assert.deepEqual(
          pages(),
          [...new Set(expected)].sort((a, b) => a - b),
        )
      })

      test('completion marks the ring alone, and only if that is asked for', () => {
        for (const asked of [1, 0]) {
          const { scene, queue, pages } = stage()
          queue.set(L.Q_LOG_RING, asked)
          const bytes = concat(vnet(), frame({ payload: pattern(100) }))
          queue.guest.write(HIGH, bytes)
          queue.offer([{ gpa: HIGH, length: bytes.length }])
          assert.equal(scene.kernels.dequeue(queue.block, scene.pool, 0, 4), 1)
          assert.deepEqual(pages(), [])
          scene.kernels.complete(queue.block, scene.pool, 0, 1)
          assert.deepEqual(pages(), asked ? [ring(queue)] : [])
        }
      })

      test('arming and disarming mark the device part', () => {
        const { scene, queue, pages } = stage()
        scene.kernels.arm(queue.block)
        scene.kernels.disarm(queue.block)
        assert.deepEqual(pages(), [page(queue.device)])
      })

      test('pages beyond the log are not marked, and nothing is written there', () => {
        const { scene, queue } = stage()
        queue.set(L.Q_LOG_SIZE, 1)
        scene.place(0, frame({ payload: pattern(100) }))
        queue.offer([{ gpa: HIGH, length: 2048, write: true }])
        assert.equal(scene.kernels.deliver(queue.block, scene.pool, scene.list([0]), 1) & L.DELIVER_COUNT, 1)
        assert.ok(scene.u8.subarray(SPARE + 1, SPARE + LOG_BYTES).every((byte) => byte === 0))
      })
    })
