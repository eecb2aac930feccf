// Rings, split and packed, through every engine: transmit chains of any shape, receive buffers of any shape, notifications.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { concat, frame, pattern, vnet } from './frames.ts'
import * as L from './layout.ts'
import { engines, type Guest, type Piece, Queue, type QueueOptions, Scene, SEAM } from './testing.ts'

const wasm = readFileSync(new URL('../../.cache/kernels.wasm', import.meta.url))
const BUFFER = 0x1_0000_1000n

interface Stage {
  scene: Scene
  guest: Guest
  queue: Queue
}

/** Writes `bytes` at `gpa` and returns the pieces that cut it at the given lengths; the rest is the last piece. */
function cut(guest: Guest, gpa: bigint, bytes: Uint8Array, lengths: readonly number[]): Piece[] {
  const pieces: Piece[] = []
  let at = 0
  for (const n of [...lengths, bytes.length - lengths.reduce((a, b) => a + b, 0)]) {
    const target = gpa + BigInt(at + pieces.length * 3) // odd gaps between pieces
    guest.write(target, bytes.subarray(at, at + n))
    pieces.push({ gpa: target, length: n })
    at += n
  }
  return pieces
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

    describe(`${ring} ring, ${engine}`, () => {
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

      test('the ring goes round many times without losing a frame', () => {
        const size = packed ? 11 : 8
        const s = stage({ size })
        const receive = new Queue(s.guest, { packed, size, at: 0x20000n })
        for (let turn = 0; turn < 40; turn++) {
          const frames = [0, 1, 2].map((i) => frame({ payload: pattern(60 + turn * 5 + i, turn) }))
          const ids = frames.map((bytes, i) =>
            s.queue.offer(cut(s.guest, BUFFER + BigInt(i * 1024), concat(vnet(), bytes), i === 1 ? [12] : [])),
          )
          const buffers = frames.map((_, i) =>
            receive.offer([{ gpa: BUFFER + 0x10000n + BigInt(i * 1024), length: 1024, write: true }]),
          )
          assert.equal(take(s), 3)
          const r = s.scene.kernels.deliver(receive.block, s.scene.pool, s.scene.list([0, 1, 2]), 3)
          assert.equal(r & L.DELIVER_COUNT, 3)
          giveBack(s, 3)
          assert.deepEqual(
            s.queue.used(),
            ids.map((id) => ({ id, length: 0 })),
          )
          assert.deepEqual(
            receive.used(),
            frames.map((bytes, i) => ({ id: buffers[i]!, length: bytes.length + 12 })),
          )
          frames.forEach((bytes, i) => {
            const got = s.guest.read(BUFFER + 0x10000n + BigInt(i * 1024), bytes.length + 13)
            assert.deepEqual(got.subarray(0, bytes.length + 12), concat(vnet(0, 0, 0, 0, 0, 0, 1), bytes))
          })
        }
      })

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

      test('a stopped or broken queue is left alone', () => {
        const s = stage()
        s.queue.offer(cut(s.guest, BUFFER, concat(vnet(), sent), []))
        for (const state of [L.QS_STOPPED, L.QS_BROKEN]) {
          s.queue.set(L.Q_STATE, state)
          s.scene.place(9, sent)
          assert.equal(take(s), 0)
          assert.equal(s.scene.kernels.deliver(s.queue.block, s.scene.pool, s.scene.list([9]), 1), 0)
          assert.equal(s.scene.kernels.arm(s.queue.block), 0)
        }
      })

      test('the guest is told when it asks for it, and arm sees what came meanwhile', () => {
        const s = stage()
        const suppress = packed ? 2n : 0n
        s.guest.set16(s.queue.driver + suppress, 1)
        s.queue.offer(cut(s.guest, BUFFER, concat(vnet(), sent), []))
        assert.equal(take(s), 1)
        assert.equal(giveBack(s, 1), 0)
        s.guest.set16(s.queue.driver + suppress, 0)
        s.queue.offer(cut(s.guest, BUFFER, concat(vnet(), sent), []))
        assert.equal(s.scene.kernels.arm(s.queue.block), 1)
        assert.equal(take(s), 1)
        assert.equal(giveBack(s, 1), 1)
        assert.equal(s.scene.kernels.arm(s.queue.block), 0)
        assert.equal(s.guest.get16(s.queue.device + suppress), 0)
        s.scene.kernels.disarm(s.queue.block)
        assert.equal(s.guest.get16(s.queue.device + suppress), 1)
      })

      test('with the event index a notification comes exactly when the event is passed', () => {
        const s = stage({ flags: L.QF_EVENT_INDEX, size: 8 })
        const event = packed ? s.queue.driver : s.queue.driver + 4n + 16n
        if (packed) s.guest.set16(s.queue.driver + 2n, 2)
        let total = 0
        const turn = (count: number): number => {
          for (let i = 0; i < count; i++) s.queue.offer(cut(s.guest, BUFFER, concat(vnet(), sent), []))
          assert.equal(take(s), count)
          total += count
          return giveBack(s, count)
        }
        // The event names an entry: a packed one by position and lap, a split one by its running index.
        const at = (index: number): number => (packed ? (index % 8) | (((index >> 3) & 1) === 0 ? 0x8000 : 0) : index)
        assert.equal(turn(2), 1, 'the first time always')
        s.guest.set16(event, at(4))
        assert.equal(turn(2), 0, 'entries 2 and 3')
        assert.equal(turn(1), 1, 'entry 4')
        assert.equal(turn(1), 0, 'entry 5')
        s.guest.set16(event, at(9))
        assert.equal(turn(3), 0, 'entries 6, 7, 8, across the end of the ring')
        assert.equal(turn(3), 1, 'entries 9, 10, 11')
        assert.equal(turn(4), 0, 'entries 12 to 15')
        assert.equal(s.scene.kernels.arm(s.queue.block), 0)
        if (packed) assert.equal(s.guest.get32(s.queue.device), (0 | 0x8000 | (2 << 16)) >>> 0)
        else assert.equal(s.guest.get16(s.queue.device + 4n + 64n), total)
        s.queue.offer(cut(s.guest, BUFFER, concat(vnet(), sent), []))
        assert.equal(s.scene.kernels.arm(s.queue.block), 1)
      })
    })
  }

for (const engine of engines)
  describe(`ring faults, ${engine}`, () => {
    test('an available index ahead of the ring breaks a split queue', () => {
      const scene = new Scene(engine, wasm)
      const guest = scene.guest()
      for (const receiving of [false, true]) {
        const queue = new Queue(guest)
        guest.set16(queue.driver + 2n, 17)
        scene.place(1, frame())
        if (receiving) assert.equal(scene.kernels.deliver(queue.block, scene.pool, scene.list([1]), 1), 0)
        else assert.equal(scene.kernels.dequeue(queue.block, scene.pool, 0, 64), 0)
        assert.equal(queue.get(L.Q_STATE), L.QS_BROKEN)
        assert.equal(queue.get(L.Q_ERROR), L.QE_AVAILABLE_INDEX)
      }
    })

    test('a head outside the table breaks a split queue; frames before it are returned', () => {
      const scene = new Scene(engine, wasm)
      const guest = scene.guest()
      const queue = new Queue(guest)
      const sent = frame({ payload: pattern(30) })
      guest.write(BUFFER, concat(vnet(), sent))
      queue.offer([{ gpa: BUFFER, length: 12 + sent.length }])
      queue.offer([{ gpa: BUFFER, length: 12 + sent.length }])
      guest.set16(queue.driver + 4n + 2n, 16)
      assert.equal(scene.kernels.dequeue(queue.block, scene.pool, 0, 64), 1)
      assert.deepEqual(scene.frame(0), sent)
      assert.equal(queue.get(L.Q_ERROR), L.QE_HEAD)
      scene.kernels.complete(queue.block, scene.pool, 0, 1)
      assert.equal(queue.used().length, 1)
    })

    test('a split chain that loops costs that chain only', () => {
      const scene = new Scene(engine, wasm)
      const guest = scene.guest()
      const queue = new Queue(guest)
      queue.offer([{ gpa: BUFFER, length: 20, flags: L.DESC_NEXT }])
      assert.equal(scene.kernels.dequeue(queue.block, scene.pool, 0, 64), 1)
      assert.equal(scene.u8Of(L.P_REASON, 0), L.REASON_BAD_CHAIN)
      assert.equal(queue.get(L.Q_STATE), L.QS_RUNNING)
    })

    test('a packed chain longer than the ring breaks the queue', () => {
      const scene = new Scene(engine, wasm)
      const guest = scene.guest()
      for (const receiving of [false, true]) {
        const queue = new Queue(guest, { packed: true, size: 5 })
        for (let i = 0; i < 5; i++)
          guest.descriptor(
            queue.desc + BigInt(i * 16),
            BUFFER,
            20,
            L.DESC_NEXT | L.DESC_AVAILABLE | (receiving ? L.DESC_WRITE : 0),
            1,
            true,
          )
        scene.place(1, frame())
        if (receiving) assert.equal(scene.kernels.deliver(queue.block, scene.pool, scene.list([1]), 1), 0)
        else assert.equal(scene.kernels.dequeue(queue.block, scene.pool, 0, 64), 0)
        assert.equal(queue.get(L.Q_STATE), L.QS_BROKEN)
        assert.equal(queue.get(L.Q_ERROR), L.QE_PACKED_CHAIN)
      }
    })

    test('a packed chain with a fault is given back with all its elements', () => {
      const scene = new Scene(engine, wasm)
      const guest = scene.guest()
      const queue = new Queue(guest, { packed: true, size: 7 })
      const sent = frame({ payload: pattern(30) })
      guest.write(BUFFER, concat(vnet(), sent))
      const ids = [
        queue.offer([
          { gpa: 0x7_0000_0000n, length: 12 },
          { gpa: BUFFER, length: 40 },
          { gpa: BUFFER, length: 40 },
        ]),
        queue.offer([{ gpa: BUFFER, length: 12 + sent.length }]),
      ]
      assert.equal(scene.kernels.dequeue(queue.block, scene.pool, 0, 64), 2)
      assert.equal(scene.u16Of(L.P_CHAIN, 0), 3)
      scene.kernels.complete(queue.block, scene.pool, 0, 2)
      assert.deepEqual(
        queue.used(),
        ids.map((id) => ({ id, length: 0 })),
      )
    })
  })

test('the twin serves foreign and linear guests in any mix', () => {
  for (const [from, to] of [
    [true, false],
    [false, true],
    [true, true],
    [false, false],
  ] as const)
    for (const size of [20, 300, 1400, 9000])
      for (const lengths of [[], [12, 150], [12, 150, 7]]) {
        const scene = new Scene('twin', wasm)
        const source = scene.guest(from)
        const target = scene.guest(to)
        const transmit = new Queue(source)
        const receive = new Queue(target)
        const sent = frame({ payload: pattern(size) })
        const bytes = concat(vnet(), sent)
        transmit.offer(cut(source, BUFFER, bytes, size > 200 ? lengths : []))
        receive.offer([{ gpa: BUFFER, length: 16384, write: true }])
        assert.equal(scene.kernels.dequeue(transmit.block, scene.pool, 0, 4), 1)
        assert.equal((scene.u32Of(L.P_FLAGS, 0) & L.PF_FOREIGN) !== 0, from)
        assert.deepEqual(scene.frame(0), sent)
        assert.equal(scene.kernels.deliver(receive.block, scene.pool, scene.list([0]), 1) & L.DELIVER_COUNT, 1)
        assert.deepEqual(target.read(BUFFER, sent.length + 12).subarray(12), sent)
      }
})

test('the wasm kernels refuse foreign queues and foreign packets', () => {
  const scene = new Scene('wasm', wasm)
  const guest = scene.guest()
  const queue = new Queue(guest)
  queue.offer([{ gpa: BUFFER, length: 2048, write: true }])
  scene.place(0, frame({ payload: pattern(300) }))
  scene.view.setUint32(scene.pool + L.P_FLAGS, L.PF_FOREIGN, true)
  assert.equal(scene.kernels.deliver(queue.block, scene.pool, scene.list([0]), 1), 0)
  assert.equal(queue.get(L.Q_BAD_BUFFER), 1)
  assert.deepEqual(queue.used(), [])
  queue.set(L.Q_FLAGS, L.QF_FOREIGN)
  assert.equal(scene.kernels.dequeue(queue.block, scene.pool, 0, 4), 0)
})
