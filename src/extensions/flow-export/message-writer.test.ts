import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MessageWriter } from './message-writer.ts'

test('numbers stand in network order, those of 64 bits too, up to 2^53', () => {
  const out = new MessageWriter(32)
  out.u8(0xab)
  out.u16(0x0102)
  out.u32(0xfffefdfc)
  out.u64(2 ** 53 - 1)
  out.u64(0x1_0000_0002)
  out.copy(Uint8Array.of(9, 8, 7, 6), 1, 2)
  out.zeros(1)
  assert.equal(
    Buffer.from(out.bytes.subarray(0, out.at)).toString('hex'),
    `ab0102fffefdfc${'001fffffffffffff'}${'0000000100000002'}080700`,
  )
  assert.equal(out.room, 32 - 26)
  out.u16At(1, 0x7777)
  out.u32At(3, 1)
  assert.equal(Buffer.from(out.bytes.subarray(0, 7)).toString('hex'), 'ab777700000001')
})
