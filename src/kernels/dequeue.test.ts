// Dequeue: transmit chains of any shape become slots, through every engine; those that can't be read cost themselves only.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { concat, frame, pattern, vnet } from './frames.ts'
import * as L from './layout.ts'
import { cut, engines, type Guest, type Piece, Queue, type QueueOptions, Scene, SEAM } from './testing.ts'

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
    const giveBack = ({ scene, queue }: Stage, count: number, first = 0): number =>
      scene.kernels.complete(queue.block, scene.pool, first, count)
    const sent = frame({ payload: pattern(400) })

    describe(`dequeue, ${ring}, ${engine}`, () => {
      test('a frame in one descriptor arrives whole, parsed, and is given back', () => {
        const s = stage()
        const id = s.queue.offer(cut(s.guest, BUFFER, concat(vnet(), sent), []))
        assert.equal(take(s, 5), 1)
        assert.deepEqual(s.scene.frame(5), sent)
        assert.equal(s.scene.u16Of(L.P_HEADER_LENGTH, 5), 128)
        assert.equal(s.scene.u16Of(L.P_HEADER_OFFSET, 5), L.HEADER_START)
        assert.equal(s.scene.u8Of(L.P_SEGMENTS, 5), 1)
        assert.equal(s.scene.u16Of(L.P_SOURCE_PORT, 5), 7)
        assert.equal(s.scene.u16Of(L.P_DESTINATION_L4, 5), 80)
        assert.equal(s.scene.u32Of(L.P_FLAGS, 5) & L.PF_IPV4, L.PF_IPV4)
        assert.deepEqual(s.queue.used(), [])
        assert.equal(giveBack(s, 1, 5), 1)
        assert.deepEqual(s.queue.used(), [{ id, length: 0 }])
        assert.equal(take(s), 0)
      })

      test('any layout of descriptors gives the same frame', () => {
        const bytes = concat(vnet(), sent)
        for (const lengths of [
          [12],
          [12, 14],
          [5],
          [5, 3, 40],
          [12, 128],
          [12, 127, 2],
          [0, 12, 0],
          [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
        ]) {
          const s = stage()
          s.queue.offer(cut(s.guest, BUFFER, bytes, lengths))
          assert.equal(take(s), 1)
          assert.equal(s.scene.u32Of(L.P_FLAGS, 0) & L.PF_DROPPED, 0, `lengths ${lengths}`)
          assert.deepEqual(s.scene.frame(0), sent, `lengths ${lengths}`)
        }
      })

      test('an indirect table is read where it was negotiated and refused where it was not', () => {
        for (const negotiated of [true, false]) {
          const s = stage({ flags: negotiated ? L.QF_INDIRECT : 0 })
          s.queue.offer(cut(s.guest, BUFFER, concat(vnet(), sent), [12, 30, 100]), 0x8004n)
          assert.equal(take(s), 1)
          if (negotiated) assert.deepEqual(s.scene.frame(0), sent)
          else assert.equal(s.scene.u8Of(L.P_REASON, 0), L.REASON_BAD_CHAIN)
          assert.equal(s.queue.get(L.Q_BAD_CHAIN), negotiated ? 0 : 1)
          giveBack(s, 1)
          assert.equal(s.queue.used().length, 1)
        }
      })

      test('frames and indirect tables that cross two regions arrive whole', () => {
        const s = stage({ flags: L.QF_INDIRECT })
        const bytes = concat(vnet(), sent)
        for (const before of [6n, 50n, 139n, 140n, 300n]) {
          s.guest.write(SEAM - before, bytes)
          s.queue.offer([{ gpa: SEAM - before, length: bytes.length }])
          assert.equal(take(s), 1)
          assert.deepEqual(s.scene.frame(0), sent, `crossing at ${before}`)
          giveBack(s, 1)
        }
        s.queue.offer(cut(s.guest, BUFFER, bytes, [12, 30]), SEAM - 16n)
        assert.equal(take(s), 1)
        assert.deepEqual(s.scene.frame(0), sent)
      })

      test('a chain that can not be read costs that chain only', () => {
        const good = concat(vnet(), sent)
        const bad: Piece[][] = [
          [{ gpa: 0x7_0000_0000n, length: 100 }],
          [{ gpa: 0xfff00n, length: 0x1000 }],
          [
            { gpa: BUFFER, length: 12 },
            { gpa: BUFFER, length: 100, write: true },
          ],
          [{ gpa: BUFFER, length: 5 }],
          [{ gpa: BUFFER, length: 0 }],
          [{ gpa: BUFFER, length: 24, flags: L.DESC_INDIRECT }],
          [{ gpa: 0xffff_ffff_ffff_fff0n, length: 64 }],
        ]
        for (const pieces of bad) {
          const s = stage({ flags: L.QF_INDIRECT })
          s.queue.offer(pieces)
          s.queue.offer(cut(s.guest, BUFFER, good, []))
          assert.equal(take(s), 2)
          assert.equal(s.scene.u32Of(L.P_FLAGS, 0), L.PF_DROPPED)
          assert.equal(s.scene.u8Of(L.P_REASON, 0), L.REASON_BAD_CHAIN)
          assert.equal(s.scene.u32Of(L.P_LENGTH, 0), 0)
          assert.equal(s.queue.get(L.Q_BAD_CHAIN), 1)
          assert.deepEqual(s.scene.frame(1), sent)
          giveBack(s, 2)
          assert.equal(s.queue.used().length, 2)
          assert.equal(s.queue.get(L.Q_STATE), L.QS_RUNNING)
        }
      })

      test('24 payload segments are taken, one more is refused', () => {
        for (const [segments, reason] of [
          [24, L.REASON_NONE],
          [25, L.REASON_BAD_CHAIN],
        ] as const) {
          const s = stage({ size: 64 })
          s.queue.offer(cut(s.guest, BUFFER, concat(vnet(), sent), [12, 128, ...new Array(segments - 1).fill(2)]))
          assert.equal(take(s), 1)
          assert.equal(s.scene.u8Of(L.P_REASON, 0), reason)
          if (reason === L.REASON_NONE) assert.deepEqual(s.scene.frame(0), sent)
        }
      })

      test('64 descriptors make a chain, one more is refused, and an indirect table that loops ends', () => {
        for (const [empty, reason] of [
          [62, L.REASON_NONE],
          [63, L.REASON_BAD_CHAIN],
        ] as const)
          for (const table of [undefined, 0x8000n]) {
            const s = stage({ size: 128, flags: L.QF_INDIRECT })
            const lengths = [12, ...new Array(table === undefined ? empty : empty - 1).fill(0)]
            s.queue.offer(cut(s.guest, BUFFER, concat(vnet(), sent), lengths), table)
            assert.equal(take(s), 1)
            assert.equal(s.scene.u8Of(L.P_REASON, 0), reason, `${empty} empty descriptors`)
          }
        const s = stage({ flags: L.QF_INDIRECT })
        s.queue.offer(
          [
            { gpa: BUFFER, length: 0, flags: L.DESC_NEXT },
            { gpa: BUFFER, length: 0, flags: L.DESC_NEXT },
          ],
          0x8000n,
        )
        s.guest.set16(0x8000n + 16n + 14n, 0) // back to the first
        assert.equal(take(s), 1)
        assert.equal(s.scene.u8Of(L.P_REASON, 0), L.REASON_BAD_CHAIN)
      })

      test('runts and oversized frames are dropped with their reason', () => {
        const s = stage()
        s.queue.offer([{ gpa: BUFFER, length: 12 + 13 }])
        s.queue.offer([
          { gpa: BUFFER, length: 12 },
          { gpa: BUFFER, length: 13 },
        ])
        s.queue.offer([{ gpa: BUFFER, length: 12 + L.FRAME_MAX + 1 }])
        s.queue.offer([{ gpa: BUFFER, length: 0xffff_ffff }])
        s.queue.offer([{ gpa: BUFFER, length: 12 + L.FRAME_MAX }])
        assert.equal(take(s), 5)
        const reasons = [0, 1, 2, 3, 4].map((slot) => s.scene.u8Of(L.P_REASON, slot))
        assert.deepEqual(reasons, [L.REASON_RUNT, L.REASON_RUNT, L.REASON_OVERSIZE, L.REASON_OVERSIZE, L.REASON_NONE])
      })
    })
  }
