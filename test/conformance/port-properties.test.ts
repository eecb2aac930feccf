import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { NdisStatus } from '../../src/ndis/status.ts'
import { PropertyError } from '../../src/switch/policies/property.ts'
import { about, policy, RATE, UNKNOWN } from './policy-support.ts'
import { frame, portConfig, SwitchUnderTest } from './switch-under-test.ts'

const vetoed = (status: number) => (error: unknown) =>
  error instanceof PropertyError && error.code === 'PROPERTY_VETOED' && error.status === status
const values = (sut: SwitchUnderTest, port: number) => sut.switch.policies.list(port).map(({ value }) => value)
const PROPERTY = /PROPERTY/

test('CS-72 a standard property goes through the stack, completes at the miniport edge and is enumerated (ES-500, ES-511, ES-514, ES-516)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [policy({ name: 'F', class: 'filtering' }), policy({ name: 'X', class: 'forwarding' })],
  })
  await sut.switch.policies.add(1, { type: 'security', value: { allowMacSpoofing: true } })
  assert.deepEqual(about(sut.said(), PROPERTY), [
    'F: PORT_PROPERTY_ADD 1 type 2 version 256',
    'X: PORT_PROPERTY_ADD 1 type 2 version 256',
  ])
  assert.deepEqual(values(sut, 1), [{ allowMacSpoofing: true }])
})

test('CS-73 a forwarding extension completes the custom property that it manages; an unknown one reaches the miniport edge (ES-504, ES-505, ES-513, ES-514)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [policy({ name: 'F', class: 'filtering' }), policy({ name: 'X', class: 'forwarding', manages: RATE })],
  })
  await sut.switch.policies.add(1, { type: 'custom', id: 'rate-limit', value: 'fast' })
  await sut.switch.policies.add(1, { type: 'custom', id: UNKNOWN, value: 'anything' })
  assert.deepEqual(values(sut, 1), ['fast', 'anything'])
  assert.deepEqual(about(sut.said(), PROPERTY), [
    'F: PORT_PROPERTY_ADD 1 type 1 version 257 fast',
    'X: PORT_PROPERTY_ADD 1 type 1 version 257 fast',
    'F: PORT_PROPERTY_ADD 1 type 1 version 256 anything',
    'X: PORT_PROPERTY_ADD 1 type 1 version 256 anything',
  ])
  assert.equal((await sut.extension('X')).breaches, 0)
})

test('CS-74 a filtering extension vetoes a bad value of its property; the old value stays (ES-507, ES-508)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [
      policy({ name: 'above', class: 'filtering' }),
      policy({ name: 'F', class: 'filtering', refuse: { value: 'bad', status: NdisStatus.dataNotAccepted } }),
      policy({ name: 'below', class: 'filtering' }),
    ],
  })
  await sut.switch.policies.add(1, { type: 'custom', id: RATE, value: 'good' })
  sut.said()
  await assert.rejects(
    sut.switch.policies.update(1, { type: 'custom', id: RATE, value: 'bad' }),
    (error) => vetoed(NdisStatus.dataNotAccepted)(error) && /extension "F" refused/.test((error as Error).message),
  )
  assert.deepEqual(values(sut, 1), ['good'])
  assert.deepEqual(about(sut.said(), PROPERTY), [
    'above: PORT_PROPERTY_UPDATE 1 type 1 version 257 bad',
    'F: PORT_PROPERTY_UPDATE 1 type 1 version 257 bad',
    'above: PORT_PROPERTY_UPDATE 1 failed c000021b',
  ])
  await sut.switch.policies.update(1, { type: 'custom', id: RATE, value: 'better' })
  assert.deepEqual(values(sut, 1), ['better'])
})

test('CS-71 a VLAN property that the forwarding extension does not enforce is refused and not stored (ES-499, ES-508, ES-510, ES-517)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [policy({ name: 'X', class: 'forwarding', refuse: { type: 3, status: NdisStatus.dataNotAccepted } })],
  })
  const vlan = { type: 'vlan', value: { mode: 'access', accessVlanId: 10 } } as const
  await assert.rejects(sut.switch.policies.add(1, vlan), vetoed(NdisStatus.dataNotAccepted))
  assert.deepEqual(values(sut, 1), [])
  await assert.rejects(sut.switch.addPort(portConfig(3, { properties: [vlan] })), vetoed(NdisStatus.dataNotAccepted))
  assert.equal(sut.switch.ports().length, 2, 'a port whose policy is refused does not come to be')
})

test('a capturing or filtering extension that completes a property with success is reported, and the request goes on (ES-509, ES-512)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [
      policy({ name: 'C', class: 'capturing', completes: true }),
      policy({ name: 'F', class: 'filtering', completes: true }),
      policy({ name: 'below', class: 'filtering' }),
    ],
  })
  await sut.switch.policies.add(1, { type: 'custom', id: UNKNOWN, value: 'x' })
  assert.deepEqual(about(sut.said(), /^below: PORT_PROPERTY/), ['below: PORT_PROPERTY_ADD 1 type 1 version 256 x'])
  assert.ok(sut.log.some(({ source, code }) => source === 'extension C' && code === 'ES-250'))
  assert.ok(sut.log.some(({ source, code }) => source === 'extension F' && code === 'ES-512'))
})

test('the properties of a port come between PORT_CREATE and NIC_CREATE, and go with it (ES-149, ES-500)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [policy({ name: 'F', class: 'filtering' })] })
  await sut.switch.addPort(portConfig(3, { properties: [{ type: 'security', value: {} }] }))
  await sut.until(() => sut.switch.ports()[2]!.connected, 'port 3 to be connected')
  await sut.switch.policies.delete(3, { type: 'security' })
  assert.deepEqual(
    sut.said().map((line) => line.split(' ')[1]),
    ['PORT_CREATE', 'PORT_PROPERTY_ADD', 'NIC_CREATE', 'NIC_CONNECT', 'PORT_PROPERTY_DELETE'],
  )
  await sut.switch.policies.add(3, { type: 'security', value: {} })
  await sut.switch.removePort('p3')
  assert.deepEqual(values(sut, 3), [])
})

test('AllowMacSpoofing of the security property decides about foreign sources, from the next frame on (ES-525, ES-526)', async (t) => {
  const sut = await SwitchUnderTest.start(t)
  const foreign = (text: string): void => assert.ok(sut.peer(1).send(frame(2, 9, text)))
  foreign('refused')
  await sut.until(() => sut.drops(1)['mac-spoofing'] === 1, 'the drop')
  await sut.switch.policies.add(1, { type: 'security', value: { allowMacSpoofing: true } })
  foreign('allowed')
  assert.deepEqual(await sut.receive(2, 1), ['allowed'])
  await sut.switch.policies.update(1, { type: 'security', value: {} })
  foreign('refused again')
  await sut.until(() => sut.drops(1)['mac-spoofing'] === 2, 'the drop')
  await sut.switch.policies.update(1, { type: 'security', value: { allowMacSpoofing: true } })
  await sut.switch.policies.delete(1, { type: 'security' })
  foreign('refused as configured')
  await sut.until(() => sut.drops(1)['mac-spoofing'] === 3, 'the drop')
})

test('CS-69 ports of one access VLAN reach each other, those of another do not (ES-531)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { ports: 3 })
  const access = (vlan: number) => ({ type: 'vlan', value: { mode: 'access', accessVlanId: vlan } }) as const
  await sut.switch.policies.add(1, access(10))
  await sut.switch.policies.add(2, access(10))
  await sut.switch.policies.add(3, access(20))
  await sut.send(1, 0, 'to all')
  assert.deepEqual(await sut.receive(2, 1), ['to all'])
  await sut.silence(3)
  await sut.switch.policies.update(3, access(10))
  await sut.send(1, 0, 'to more')
  assert.deepEqual(await sut.receive(3, 1), ['to more'])
})

test('CS-07 an extension enumerates the properties of a port, of the type that it asks for (ES-090, ES-097, ES-516)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [policy({ name: 'F', class: 'filtering', enumerates: true })] })
  await sut.switch.policies.add(1, { type: 'vlan', value: { mode: 'access', accessVlanId: 10 } })
  await sut.heard(({ message }) => message === 'enumerated 0 []', 'an enumeration without a result')
  await sut.switch.policies.add(1, { type: 'security', value: { virtualSubnetId: 5001 } })
  await sut.heard(({ message }) => /^enumerated 1 \[\{.*"virtualSubnetId":5001/.test(message), 'the property')
})

test('the learning forwarder of the box refuses VLAN properties, which it does not enforce, and takes others (ES-498, ES-499)', async (t) => {
  const file = fileURLToPath(new URL('../../src/extensions/learning-forward/index.ts', import.meta.url))
  const sut = await SwitchUnderTest.start(t, {
    extensions: [{ name: 'learning-forward', file, enabled: true, onFailure: 'closed', options: {} }],
  })
  await assert.rejects(
    sut.switch.policies.add(1, { type: 'vlan', value: { mode: 'access', accessVlanId: 10 } }),
    vetoed(NdisStatus.dataNotAccepted),
  )
  await sut.switch.policies.add(1, { type: 'security', value: {} })
})

test('built-in policies and unknown types are no properties: extensions never see them (ES-496, ES-497)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [policy({ name: 'F', class: 'filtering' })] })
  await assert.rejects(
    sut.switch.policies.add(1, { type: 'security', value: { enableDhcpGuard: true } }),
    /there is no such option/,
  )
  await assert.rejects(sut.switch.policies.add(1, { type: 'vlan', value: { mode: 'hybrid' } }), PropertyError)
  assert.deepEqual(about(sut.said(), PROPERTY), [])
})
