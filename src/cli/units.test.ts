import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes, count, duration, nanoseconds } from './units.ts'

test('counts are grouped by thousands', () => {
  assert.deepEqual([0, 999, 1000, 1234567, 2 ** 53].map(count), ['0', '999', '1 000', '1 234 567', '9 007 199 254 740 992'])
})

test('bytes have a binary unit', () => {
  assert.deepEqual([0, 1023, 1536, 200 * 2 ** 20, 4 * 2 ** 30].map(bytes), ['0 B', '1023 B', '1.5 KiB', '200 MiB', '4.0 GiB'])
})

test('durations leave out leading zeros', () => {
  assert.deepEqual([0, 59.9, 61, 3723].map(duration), ['0 s', '59 s', '1 min 01 s', '1 h 02 min 03 s'])
})

test('nanoseconds have a unit near their size', () => {
  assert.deepEqual([850, 1200, 3_400_000].map(nanoseconds), ['850 ns', '1.2 µs', '3.4 ms'])
})
