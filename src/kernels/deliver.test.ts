// Deliver: packets of any shape into receive buffers of any shape, through every engine, to the byte and not one beyond.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { concat, frame, pattern, vnet } from './frames.ts'
import * as L from './layout.ts'
import { cut, engines, type Guest, type Piece, Queue, type QueueOptions, Scene } from './testing.ts'

const wasm = readFileSync(new URL('../../.cache/kernels.wasm', import.meta.url))
const BUFFER = 0x1_0000_1000n

interface Stage {
  readonly scene: Scene
  readonly guest: Guest
  readonly queue: Queue
}

for (const engine of engines)
  for (const packed of [false, true]) {
    const ring = packed ? 'packed' : 'split'
    const stage = (options: QueueOptions = {}): Stage => {
      const scene = new Scene(engine, wasm)
      const guest = scene.guest()
      return { scene, guest, queue: new Queue(guest, { packed, ...options }) }
    }
    const take = ({ scene, queue }: Stage, first = 0, max = 64): number =>
      scene.kernels.dequeue(queue.block, scene.pool, first, max)
    const sent = frame({ payload: pattern(400) })

    describe(`deliver, ${ring}, ${engine}`, () => {
      test('delivery writes exactly the frame, into buffers of any shape', () => {
        for (const length of [14, 60, 127, 128, 129, 300, 1514, 4000])
          for (const shape of [[4096], [12, 4096], [5, 7, 1, 4096], [100, 0, 100, 4096]])
            for (const table of [undefined, 0x9000n]) {
              const s = stage({ flags: L.QF_INDIRECT })
              const bytes = frame({ payload: pattern(Math.max(0, length - 42)) }).subarray(0, length)
              s.scene.place(3, bytes, 100)
              let at = BUFFER
              const pieces: Piece[] = shape.map((n) => {
                const piece = { gpa: at, length: n, write: true }
                at += BigInt(n + 1)
                return piece
              })
              s.guest.write(BUFFER, new Uint8Array(5000).fill(0xee))
              const id = s.queue.offer(pieces, table)
              const r = s.scene.kernels.deliver(s.queue.block, s.scene.pool, s.scene.list([3]), 1)
              assert.equal(r, 1 | L.DELIVER_NOTIFY)
              assert.deepEqual(s.queue.used(), [{ id, length: length + 12 }])
              const want = concat(vnet(0, 0, 0, 0, 0, 0, 1), bytes)
              let done = 0
              for (const piece of pieces) {
                const n = Math.min(piece.length, want.length - done)
                const got = s.guest.read(piece.gpa, piece.length + 1)
                assert.deepEqual(got.subarray(0, n), want.subarray(done, done + n))
                assert.ok(
                  got.subarray(n).every((byte) => byte === 0xee),
                  `bytes beyond ${n} untouched`,
                )
                done += n
              }
            }
      })

      test('a packet with several segments and a long header is delivered whole', () => {
        const s = stage()
        s.queue.offer([{ gpa: BUFFER + 0x8000n, length: 4096, write: true }])
        const transmit = new Queue(s.guest, { packed, at: 0x20000n })
        transmit.offer(cut(s.guest, BUFFER, concat(vnet(), sent), [12, 130, 7, 50]))
        assert.equal(s.scene.kernels.dequeue(transmit.block, s.scene.pool, 0, 8), 1)
        assert.ok(s.scene.u8Of(L.P_SEGMENTS, 0) > 1)
        assert.equal(s.scene.kernels.deliver(s.queue.block, s.scene.pool, s.scene.list([0]), 1) & L.DELIVER_COUNT, 1)
        assert.deepEqual(s.guest.read(BUFFER + 0x8000n, sent.length + 12).subarray(12), sent)
        const long = frame({ payload: pattern(1000) })
        s.scene.place(9, long, 0, 256)
        s.queue.offer([{ gpa: BUFFER + 0x8000n, length: 4096, write: true }])
        assert.equal(s.scene.kernels.deliver(s.queue.block, s.scene.pool, s.scene.list([9]), 1) & L.DELIVER_COUNT, 1)
        assert.deepEqual(s.guest.read(BUFFER + 0x8000n, long.length + 12).subarray(12), long)
      })

      test('what was checked is what is sent: a guest that changes its header afterwards changes nothing', () => {
        const s = stage()
        const receive = new Queue(s.guest, { packed, at: 0x20000n })
        s.queue.offer(cut(s.guest, BUFFER, concat(vnet(), sent), []))
        receive.offer([{ gpa: BUFFER + 0x8000n, length: 4096, write: true }])
        assert.equal(take(s), 1)
        s.guest.write(BUFFER + 12n, new Uint8Array(128).fill(0xff))
        s.scene.kernels.deliver(receive.block, s.scene.pool, s.scene.list([0]), 1)
        assert.deepEqual(s.guest.read(BUFFER + 0x8000n, sent.length + 12).subarray(12), sent)
      })

      test('without buffers the rest is counted and nothing is published', () => {
        const s = stage()
        const id = s.queue.offer([{ gpa: BUFFER, length: 2048, write: true }])
        for (const slot of [0, 1, 2]) s.scene.place(slot, sent)
        const r = s.scene.kernels.deliver(s.queue.block, s.scene.pool, s.scene.list([0, 1, 2]), 3)
        assert.equal(r & L.DELIVER_COUNT, 1)
        assert.equal(s.queue.get(L.Q_NO_BUFFER), 2)
        assert.deepEqual(s.queue.used(), [{ id, length: sent.length + 12 }])
        assert.equal(s.scene.kernels.deliver(s.queue.block, s.scene.pool, s.scene.list([0, 1]), 2), 0)
        assert.equal(s.queue.get(L.Q_NO_BUFFER), 4)
      })

      test('a short buffer is not consumed; the next packet that fits takes it', () => {
        const s = stage()
        const id = s.queue.offer([{ gpa: BUFFER, length: 100, write: true }])
        s.scene.place(0, sent)
        s.scene.place(1, frame({ payload: pattern(20) }))
        const r = s.scene.kernels.deliver(s.queue.block, s.scene.pool, s.scene.list([0, 1]), 2)
        assert.equal(r & L.DELIVER_COUNT, 1)
        assert.equal(s.queue.get(L.Q_TOO_BIG), 1)
        assert.deepEqual(s.queue.used(), [{ id, length: 62 + 12 }])
      })

      test('a bad buffer is given back empty and the next packet goes on', () => {
        for (const piece of [
          { gpa: 0x7_0000_0000n, length: 2048, write: true },
          { gpa: BUFFER, length: 2048 },
          { gpa: BUFFER, length: 32, flags: L.DESC_INDIRECT | L.DESC_WRITE },
        ]) {
          const s = stage()
          const bad = s.queue.offer([piece])
          const good = s.queue.offer([{ gpa: BUFFER, length: 2048, write: true }])
          s.scene.place(0, sent)
          s.scene.place(1, sent)
          const r = s.scene.kernels.deliver(s.queue.block, s.scene.pool, s.scene.list([0, 1]), 2)
          assert.equal(r & L.DELIVER_COUNT, 1)
          assert.equal(s.queue.get(L.Q_BAD_BUFFER), 1)
          assert.deepEqual(s.queue.used(), [
            { id: bad, length: 0 },
            { id: good, length: sent.length + 12 },
          ])
        }
      })

      test('mergeable buffers take a long frame together, or not at all', () => {
        const s = stage({ flags: L.QF_MERGEABLE })
        const long = frame({ payload: pattern(3000) })
        s.scene.place(0, long)
        const offer = (i: number): number => s.queue.offer([{ gpa: BUFFER + BigInt(i * 2048), length: 1024, write: true }])
        const ids = [offer(0), offer(1)]
        let r = s.scene.kernels.deliver(s.queue.block, s.scene.pool, s.scene.list([0]), 1)
        assert.equal(r, 0)
        assert.equal(s.queue.get(L.Q_NO_BUFFER), 1)
        assert.deepEqual(s.queue.used(), [])
        ids.push(offer(2))
        r = s.scene.kernels.deliver(s.queue.block, s.scene.pool, s.scene.list([0]), 1)
        assert.equal(r & L.DELIVER_COUNT, 1)
        assert.deepEqual(s.queue.used(), [
          { id: ids[0]!, length: 1024 },
          { id: ids[1]!, length: 1024 },
          { id: ids[2]!, length: long.length + 12 - 2048 },
        ])
        const got = concat(...[0, 1, 2].map((i) => s.guest.read(BUFFER + BigInt(i * 2048), 1024)))
        assert.deepEqual(got.subarray(0, long.length + 12), concat(vnet(0, 0, 0, 0, 0, 0, 3), long))
      })

      test('buffers that were looked at in vain are found again, across the end of the ring', () => {
        const s = stage({ flags: L.QF_MERGEABLE, size: packed ? 3 : 4 })
        const long = frame({ payload: pattern(1500) })
        s.scene.place(0, frame())
        s.scene.place(1, long)
        const offer = (i: number): number => s.queue.offer([{ gpa: BUFFER + BigInt(i * 1024), length: 700, write: true }])
        for (let turn = 0; turn < 7; turn++) {
          offer(0)
          assert.equal(s.scene.kernels.deliver(s.queue.block, s.scene.pool, s.scene.list([0]), 1) & L.DELIVER_COUNT, 1)
          const ids = [offer(0), offer(1)]
          s.queue.used()
          assert.equal(s.scene.kernels.deliver(s.queue.block, s.scene.pool, s.scene.list([1]), 1), 0)
          ids.push(offer(2))
          assert.equal(s.scene.kernels.deliver(s.queue.block, s.scene.pool, s.scene.list([1]), 1) & L.DELIVER_COUNT, 1)
          assert.deepEqual(
            s.queue.used().map(({ id }) => id),
            ids,
          )
        }
      })

      test('a bad buffer among mergeable ones gives all of them back empty', () => {
        const s = stage({ flags: L.QF_MERGEABLE })
        s.scene.place(0, frame({ payload: pattern(3000) }))
        const ids = [
          s.queue.offer([{ gpa: BUFFER, length: 1024, write: true }]),
          s.queue.offer([{ gpa: 0x7_0000_0000n, length: 1024, write: true }]),
        ]
        assert.equal(s.scene.kernels.deliver(s.queue.block, s.scene.pool, s.scene.list([0]), 1) & L.DELIVER_COUNT, 0)
        assert.equal(s.queue.get(L.Q_BAD_BUFFER), 2)
        assert.deepEqual(
          s.queue.used(),
          ids.map((id) => ({ id, length: 0 })),
        )
      })
    })
  }
