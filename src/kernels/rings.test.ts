// Rings, split and packed, through every engine: round and round, notifications, faults; and guests outside linear memory.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { concat, frame, pattern, vnet } from './frames.ts'
import * as L from './layout.ts'
import { cut, engines, type Guest, Queue, type QueueOptions, Scene } from './testing.ts'

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

    describe(`ring, ${ring}, ${engine}`, () => {
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

test('guests above 2 GiB are served, and copied to from below', () => {
  for (const engine of ['wasm', 'twin'] as const)
    for (const [from, to] of [
      [0xe000_0000, 0x9000_0000],
      [0x400000, 0xfff0_0000 - 0x400000],
      [0xe000_0000, 0x400000],
      [0x4000_0000 - 0x1080, 0x8000_0000 - 0x1080], // rings across the border of two windows
    ] as const)
      for (const size of [20, 300, 1400]) {
        const scene = new Scene(engine, wasm, 65536 * 65536)
        const transmit = new Queue(scene.guest(false, from))
        const receive = new Queue(scene.guest(false, to), { packed: true })
        const sent = frame({ payload: pattern(size) })
        transmit.offer(cut(transmit.guest, BUFFER, concat(vnet(), sent), size === 300 ? [12, 130] : []))
        const id = receive.offer([{ gpa: BUFFER, length: 2048, write: true }])
        assert.equal(scene.kernels.dequeue(transmit.block, scene.pool, 0, 4), 1)
        assert.deepEqual(scene.frame(0), sent)
        assert.equal(scene.kernels.deliver(receive.block, scene.pool, scene.list([0]), 1), 1 | L.DELIVER_NOTIFY)
        assert.deepEqual(receive.guest.read(BUFFER, sent.length + 12).subarray(12), sent)
        assert.deepEqual(receive.used(), [{ id, length: sent.length + 12 }])
        assert.equal(scene.kernels.complete(transmit.block, scene.pool, 0, 1), 1)
        assert.equal(transmit.used().length, 1)
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
