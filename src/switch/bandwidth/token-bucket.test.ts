import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BUCKET_WORDS, bytesPerUs, fillBucket, inflow, startBucket, takeFromBucket } from './token-bucket.ts'

const bucket = (): Int32Array => new Int32Array(new SharedArrayBuffer(BUCKET_WORDS * 4))
const rates = fc.integer({ min: 64_000, max: 400_000_000_000 }).map(bytesPerUs)

test('what flows in is the same to the byte, however often somebody looks', () => {
  const looks = fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 200 })
  fc.assert(
    fc.property(rates, looks, fc.integer({ min: 0, max: 2 ** 45 }), (rate, steps, start) => {
      const words = bucket()
      startBucket(words, 0, 0, start)
      let now = start
      let taken = 0
      for (const step of steps) {
        now += step
        const tokens = fillBucket(words, 0, rate, 0x7fffffff, now + 0.7)
        takeFromBucket(words, 0, tokens)
        taken += tokens
      }
      assert.equal(taken, inflow(rate, now, now - start))
      assert.ok(Math.abs(taken - (now - start) * rate) <= 2 + (now * rate) / 2 ** 51) // what numbers can tell apart
    }),
  )
})

test('looks within one microsecond bring nothing', () => {
  const words = bucket()
  const rate = bytesPerUs(10_000_000) // 1.25 bytes per microsecond
  startBucket(words, 0, 0, 1000)
  for (let look = 0; look < 1000; look++) fillBucket(words, 0, rate, 1000, 1001 + look / 1000)
  assert.equal(fillBucket(words, 0, rate, 1000, 1001.999), inflow(rate, 1001, 1))
})

test('a bucket holds its depth at the most, and pays a debt first', () => {
  const words = bucket()
  startBucket(words, 0, 5000, 0)
  assert.equal(fillBucket(words, 0, 1, 5000, 900_000), 5000)
  takeFromBucket(words, 0, 9000)
  assert.equal(fillBucket(words, 0, 1, 5000, 901_000), -3000)
  assert.equal(fillBucket(words, 0, 1, 5000, 904_500), 500)
  assert.equal(fillBucket(words, 0, 1, 5000, 900_000), 500) // another processor's look, a little behind
})

test('after a silence in which the clock goes round the bucket is full', () => {
  const words = bucket()
  startBucket(words, 0, 100, 0)
  takeFromBucket(words, 0, 100)
  assert.equal(fillBucket(words, 0, 1, 5000, 3_000_000_000), 5000)
})

test('thousands of hours bring what they should', () => {
  const words = bucket()
  const rate = bytesPerUs(10_000_000_000)
  const hours = 10_000 * 3600 * 1e6
  startBucket(words, 0, 0, hours)
  let taken = 0
  for (let ms = 1; ms <= 1000; ms++) {
    const tokens = fillBucket(words, 0, rate, 0x7fffffff, hours + ms * 1000)
    takeFromBucket(words, 0, tokens)
    taken += tokens
  }
  assert.ok(Math.abs(taken - 1.25e9) < 100)
})
