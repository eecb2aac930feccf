import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakeHost } from '../manage/control/fake-host.ts'
import { bandwidthChange, bandwidthText, changeBandwidth, limitText } from './commands/bandwidth.ts'

const none = { maximum: null, maximumReceive: null, minimum: null, weight: null, pacedBytes: 0, waitedSeconds: 0, uplinkBytes: 0 }

test('options of the command line are members of the bandwidth property, rates with or without a unit', () => {
  assert.equal(bandwidthChange({}), undefined)
  assert.deepEqual(
    bandwidthChange({ maximumBandwidth: '100mbit', maximumReceiveBandwidth: '1000000', minimumBandwidthWeight: 3 }),
    {
      maximumBandwidth: '100mbit',
      maximumReceiveBandwidth: 1_000_000,
      minimumBandwidthWeight: 3,
    },
  )
})

test('a change keeps the other members, and takes a property away of which nothing is left', async () => {
  const calls: unknown[] = []
  const hostWith = (value: unknown): Parameters<typeof changeBandwidth>[0] => ({
    ...fakeHost(),
    properties: () => (value === undefined ? [] : [{ type: 'bandwidth', value }]) as never,
    addProperty: (change) => calls.push({ add: change }) as never,
    setProperty: (change) => calls.push({ set: change }) as never,
    removeProperty: (filter) => calls.push({ remove: filter }) as never,
  })
  const named = { type: 'bandwidth', port: 'a' }
  await changeBandwidth(hostWith(undefined), 'a', { maximumBandwidth: '1mbit' })
  await changeBandwidth(hostWith({ maximumBandwidth: '1mbit' }), 'a', { minimumBandwidthWeight: 5 })
  await changeBandwidth(hostWith({ maximumBandwidth: '1mbit' }), 'a', { maximumBandwidth: 0 })
  assert.deepEqual(calls, [
    { add: { ...named, value: { maximumBandwidth: '1mbit' } } },
    { set: { ...named, value: { maximumBandwidth: '1mbit', minimumBandwidthWeight: 5 } } },
    { remove: named },
  ])
})

test('limits are shown in few words', () => {
  assert.equal(limitText({ bandwidth: none }), '')
  assert.equal(bandwidthText({ bandwidth: none }), 'no limit')
  const bandwidth = { ...none, maximum: 1e8, minimum: 2.5e9, weight: 10, waitedSeconds: 1.25 }
  assert.equal(bandwidthText({ bandwidth }), '≤100mbit, ≥2.5gbit, weight 10, waited 1.3 s')
})
