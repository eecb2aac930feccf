import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RATE_OVER_MAX_MS, TunnelRates } from './tunnel-rates.ts'

const tunnel = (frames: number, provider = '192.0.2.2') => ({
  provider,
  counters: { sentFrames: frames, sentBytes: frames * 100, receivedFrames: 2 * frames, receivedBytes: frames * 50 },
})

test('rates are over the time since the question before, and there are none at first', () => {
  const rates = new TunnelRates()
  assert.equal(rates.read([tunnel(0)], 0).size, 0)
  const rate = rates.read([tunnel(20), tunnel(5, '192.0.2.3')], 2000)
  assert.deepEqual([...rate], [['192.0.2.2', { sentFrames: 10, sentBits: 8000, receivedFrames: 20, receivedBits: 4000 }]])
})

test('who asks often, or at the same time as others, gets rates over half a second or more', () => {
  const rates = new TunnelRates()
  for (let ms = 0; ms <= 3000; ms += 50) {
    const rate = rates.read([tunnel(ms)], ms).get('192.0.2.2')
    assert.equal(rate?.sentFrames, ms < 500 ? undefined : 1000, `${ms}`)
  }
})

test('what was asked for long ago makes no rate; counters that began anew make no wild one', () => {
  const rates = new TunnelRates()
  rates.read([tunnel(1000)], 0)
  assert.equal(rates.read([tunnel(2000)], RATE_OVER_MAX_MS + 1).size, 0)
  assert.equal(rates.read([tunnel(10)], RATE_OVER_MAX_MS + 1001).get('192.0.2.2')!.sentFrames, 10)
})
