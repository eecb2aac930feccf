import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FrameSplitter, lengthPrefixed } from './stream-link.ts'

test('frames come out whole and in order however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 0, maxLength: 200 }), { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 20 }),
      (frames, cuts) => {
        const stream = Buffer.concat(frames.map(lengthPrefixed))
        const splitter = new FrameSplitter()
        const got: string[] = []
        for (let at = 0, i = 0; at < stream.length; i++) {
          const piece = Buffer.from(stream.subarray(at, at + cuts[i % cuts.length]))
          splitter.push(piece, (frame) => got.push(frame.toString('hex')))
          at += piece.length
        }
        assert.deepEqual(
          got,
          frames.map((frame) => Buffer.from(frame).toString('hex')),
        )
      },
    ),
    { seed: 20_26 },
  )
})

test('a length that no frame has is an error, not an allocation', () => {
  assert.throws(() => new FrameSplitter().push(Buffer.from('ffffffff00', 'hex'), () => {}), RangeError)
})
