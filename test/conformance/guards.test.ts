import assert from 'node:assert/strict'
import { test } from 'node:test'
import { IPV6, icmp, ipv4, ipv6, udp } from '../support/guard-frames.ts'
import { about, policy } from './policy-support.ts'
import { SwitchUnderTest } from './switch-under-test.ts'

const offer = ipv4({}, udp(67, 68, 2))
const discover = ipv4({ source: '0.0.0.0' }, udp(68, 67, 1))
const advertisement = ipv6({}, IPV6.icmp, icmp(134))

test('guards of a port are set, changed and taken away without a word to extensions, and are in force from the next frame on (ES-253, ES-496, ES-335)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [policy({ name: 'F', class: 'filtering' })] })
  const { policies } = sut.switch
  const send = (...frames: Buffer[]): void => {
    for (const bytes of frames) assert.ok(sut.peer(1).send(bytes))
  }
  await policies.add(1, { type: 'bandwidth', value: { reservationMbps: 10 } })
  await policies.add(1, { type: 'protection', value: { dhcpGuard: true } })
  send(offer, advertisement, discover)
  await sut.receive(2, 2)
  assert.deepEqual(sut.drops(1), { 'dhcp-guard': 1 })
  await policies.update(1, { type: 'protection', value: { routerGuard: true } })
  send(offer, advertisement, discover)
  await sut.receive(2, 2)
  assert.deepEqual(sut.drops(1), { 'dhcp-guard': 1, 'router-guard': 1 })
  await policies.delete(1, { type: 'protection' })
  send(offer, advertisement, discover)
  await sut.receive(2, 3)
  assert.deepEqual(sut.drops(1), { 'dhcp-guard': 1, 'router-guard': 1 })
  assert.deepEqual(
    policies.list(1).map(({ type }) => type),
    ['bandwidth'],
    'the other built-in policy stays',
  )
  assert.deepEqual(about(sut.said(), /PROPERTY/), [])
})

test('a port has one protection, and the switch has none', async (t) => {
  const sut = await SwitchUnderTest.start(t)
  const protection = { type: 'protection', value: { dhcpGuard: true } } as const
  await sut.switch.policies.add(1, protection)
  await assert.rejects(sut.switch.policies.add(1, protection), /there is a property protection already/)
  await assert.rejects(sut.switch.policies.add(undefined, protection), /a switch has custom properties only/)
})
