import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bitRateText, parseBitRate } from './bit-rate.ts'
import { parseStandardProperty } from './standard-properties.ts'

const read = (value: unknown) => parseStandardProperty('bandwidth', value)

test('rates are bits per second, as numbers or with a unit', () => {
  assert.deepEqual(['64kbit', '100mbit', '2.5gbit', '8000bit'].map(parseBitRate), [64_000, 1e8, 2.5e9, 8000])
  for (const text of ['', '1', '1 mbit', '-1mbit', '1Mbit', '1mbit/s', '0x1bit', '1e3bit'])
    assert.equal(parseBitRate(text), undefined, text)
  for (const text of ['64kbit', '100mbit', '2.5gbit', '999bit']) assert.equal(bitRateText(parseBitRate(text)!), text)
})

test('a bandwidth has the members of Set-VMNetworkAdapter, and reservations in Mbit/s', () => {
  assert.deepEqual(read({ maximumBandwidth: '100mbit', minimumBandwidthWeight: 5 }), {
    maximumBandwidth: 1e8,
    minimumBandwidthWeight: 5,
  })
  assert.deepEqual(read({ reservationMbps: 10 }), { minimumBandwidthAbsolute: 1e7 })
  assert.deepEqual(read({ capacityMbps: 1000, minimumBandwidthMode: 'weight' }), {
    capacity: 1e9,
    minimumBandwidthMode: 'weight',
  })
  assert.deepEqual(read({ maximumBandwidth: 0, minimumBandwidthWeight: 0 }), {})
})

test('what is no bandwidth is refused with what would be right', () => {
  assert.throws(() => read({ maximumBandwidth: '10mb' }), /maximumBandwidth: "10mb" is no rate: .*"100mbit"/)
  assert.throws(() => read({ maximumBandwidth: 1000 }), /64kbit to 400gbit/)
  assert.throws(() => read({ maximumBandwidth: 1e12 }), /is no rate/)
  assert.throws(() => read({ minimumBandwidthWeight: 101 }), /from 0 to 100/)
  assert.throws(() => read({ maximumBandwidth: '1mbit', minimumBandwidthAbsolute: '2mbit' }), /above maximumBandwidth/)
  assert.throws(() => read({ reservationMbps: 1, minimumBandwidthAbsolute: '1mbit' }), /given as reservationMbps too/)
  assert.throws(() => read({ maximum: 1 }), /no such option/)
})
