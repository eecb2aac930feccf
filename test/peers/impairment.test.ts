// Impairment between two network namespaces, whose kernels send and time what is impaired: ICMP of both families. Needs root.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { IMPAIRMENT_PROPERTY } from '../../src/extensions/impairment/index.ts'
import { BUSYBOX, inBox, tapWorld, whyNoWorld } from '../support/tap-world.ts'

const skip = whyNoWorld()
const ADDRESSES = ['10.81.0.2', 'fd00:81::2'] as const
/** What comes, comes within this time; what does not is waited for a second. */
const PATIENCE_S = 10

test('a port is delayed, slowed down, doubled, cut off for one family, taken down, and well again, as its property says', {
  skip,
  timeout: 90_000,
}, async (t) => {
  const guests = { p1: '02:00:00:00:81:01', p2: '02:00:00:00:81:02' }
  const world = await tapWorld(t, [inBox('impairment', {})], guests, { processors: 1 })
  for (const [i, guest] of [world.guests.p1!, world.guests.p2!].entries()) {
    guest.ip('address', 'add', `10.81.0.${i + 1}/24`, 'dev', guest.device)
    guest.ip('-6', 'address', 'add', `fd00:81::${i + 1}/64`, 'dev', guest.device, 'nodad')
  }
  const ping = (address: string, seconds: number, ...more: readonly string[]): string => {
    const { status, output } = world.in('p1', BUSYBOX, 'ping', '-W', String(seconds), ...more, address)
    return status === 0 ? output : ''
  }
  const answered = (seconds: number): string[] => ADDRESSES.filter((address) => ping(address, seconds, '-c', '1') !== '')
  const fastest = (...more: readonly string[]): number[] =>
    ADDRESSES.map((address) => Number(/min\/avg\/max = ([\d.]+)/.exec(ping(address, PATIENCE_S, '-c', '1', ...more))?.[1]))
  for (let tries = 0; tries < 100 && answered(1).length < ADDRESSES.length; tries++) await sleep(100)
  assert.deepEqual(answered(PATIENCE_S), ADDRESSES)

  const { policies } = world.vmswitch
  const port = world.vmswitch.portId('p2')
  const property = (value: object) => ({ type: 'custom', id: IMPAIRMENT_PROPERTY, value }) as const
  await policies.add(port, property({ delay: '60ms' }))
  for (const ms of fastest()) assert.ok(ms >= 60, `a delay of 60 ms took ${ms} ms`)

  await policies.update(port, property({ rate: '80kbit' })) // 1042 bytes and more take 104 ms
  for (const ms of fastest('-s', '1000')) assert.ok(ms >= 104, `1000 bytes at 80 kbit/s took ${ms} ms`)

  await policies.update(port, property({ duplicate: '100%' }))
  for (const address of ADDRESSES) assert.match(ping(address, PATIENCE_S, '-c', '2'), /DUP!/)

  await policies.update(port, property({ match: 'ip6', loss: '100%' }))
  assert.equal(ping(ADDRESSES[1], 1, '-c', '1'), '', 'IPv6 is lost')
  assert.notEqual(ping(ADDRESSES[0], PATIENCE_S, '-c', '1'), '', 'IPv4 is not')

  await policies.update(port, property({ state: 'down', direction: 'both' }))
  assert.deepEqual(answered(1), [])

  await policies.delete(port, { type: 'custom', id: IMPAIRMENT_PROPERTY })
  assert.deepEqual(answered(PATIENCE_S), ADDRESSES)
})
