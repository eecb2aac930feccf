import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DataHalf } from '../../test/support/data-half.ts'
import type { Kernels } from '../kernels/kernels.ts'
import {
  FRAME_MAX,
  HEADER_STRIDE,
  P_FLAGS,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_LENGTH,
  P_SEGMENT,
  P_SEGMENTS,
  PF_FOREIGN,
} from '../kernels/layout.ts'
import { testFrame } from './compliance-frames.ts'
import { FRAME_BUFFER, Gatherer, IOVEC_BYTES, PACKET_IOVECS } from './gather.ts'

describe('gathering a packet', () => {
  const half = new DataHalf()
  const { memory, context } = half
  const { pool } = context
  const iovecs = memory.allocate(PACKET_IOVECS * IOVEC_BYTES)
  const bounce = memory.allocate(FRAME_BUFFER)
  const copied: number[][] = []
  const foreign = {
    copyFrame(...args: number[]) {
      copied.push(args)
      return args[3]!
    },
  } as unknown as Kernels
  const gatherer = new Gatherer(memory, pool, foreign, bounce, FRAME_BUFFER)

  // The queue of a plan that never was: only the slot is of interest.
  const place = (frame: Buffer, segments = 1): void => {
    half.queues = [{ deliver: () => 0, close() {} } as unknown as (typeof half.queues)[number]]
    half.deliver([frame], { segments })
  }
  const set32 = (field: number, value: number): void => {
    memory.u32[(pool + field) >> 2] = value
  }
  const set16 = (field: number, value: number): void => {
    gatherer.u16[(pool + field) >> 1] = value
  }
  const gathered = (count: number): Buffer =>
    Buffer.concat(
      Array.from({ length: count }, (_, i) => {
        const at = (iovecs + i * IOVEC_BYTES) >> 2
        const address = memory.u32[at]! + memory.u32[at + 1]! * 0x1_0000_0000 - memory.base
        assert.equal(memory.u32[at + 3], 0)
        return Buffer.from(memory.u8.slice(address, address + memory.u32[at + 2]!))
      }),
    )

  for (const segments of [1, 2, 24])
    test(`its ${segments} payload segment(s) and its header add up to the frame`, () => {
      const frame = testFrame(9014, segments)
      place(frame, segments)
      const count = gatherer.gather(0, iovecs)
      assert.equal(count, segments + 1)
      assert.ok(gathered(count).equals(frame))
    })

  test('a packet whose pieces do not make up its length is refused', () => {
    const broken: (() => void)[] = [
      () => set32(P_LENGTH, FRAME_MAX + 1),
      () => set32(P_LENGTH, 100), // less than the header copy
      () => set32(P_LENGTH, 9013), // less than the segments
      () => set32(P_LENGTH, 9015), // more than the segments
      () => set32(P_SEGMENT + 4, 0xffff_fff0),
      () => set16(P_HEADER_OFFSET, HEADER_STRIDE),
      () => set16(P_HEADER_LENGTH, HEADER_STRIDE + 1),
      () => {
        memory.u8[pool + P_SEGMENTS] = 25
      },
    ]
    for (const [i, spoil] of broken.entries()) {
      place(testFrame(9014, 1), 4)
      assert.equal(gatherer.gather(0, iovecs), 5)
      spoil()
      assert.equal(gatherer.gather(0, iovecs), 0, `case ${i}`)
    }
  })

  test('payload outside linear memory is bounced, and asks for a send before the bounce area is full', () => {
    place(testFrame(40_000, 1))
    set32(P_FLAGS, PF_FOREIGN)
    gatherer.reset()
    assert.equal(gatherer.needsRoom(0), false)
    assert.equal(gatherer.gather(0, iovecs), 2)
    assert.deepEqual(copied, [[pool, 0, 128, 40_000 - 128, bounce]])
    assert.equal(gatherer.needsRoom(0), true)
    assert.equal(gatherer.gather(0, iovecs), 0)
    gatherer.reset()
    assert.equal(gatherer.gather(0, iovecs), 2)
  })
})
