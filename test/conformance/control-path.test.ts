import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NdisStatus } from '../../src/ndis/status.ts'
import { SwitchControlError } from '../../src/switch/control.ts'
import { portConfig, SwitchUnderTest, use } from './switch-under-test.ts'

// OIDs that an extension logged for ports of a name.
const oids = (lines: string[], extension: string, port: string): string[] =>
  lines.filter((line) => line.startsWith(`${extension}: oid `) && line.endsWith(` ${port}`)).map((line) => line.split(' ')[2]!)

test('CS-10 a connection starts with PORT_CREATE, NIC_CREATE, NIC_CONNECT and stops with four more, in order (ES-107, ES-166, ES-167, ES-187, ES-245)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [use({ name: 'R', class: 'capturing', oids: true })] })
  await sut.switch.addPort(portConfig(3))
  await sut.until(() => sut.switch.ports()[2]!.connected, 'port 3 to be connected')
  await sut.send(3, 1, 'hello')
  await sut.receive(1, 1)
  sut.unplug(3)
  await sut.switch.removePort('p3')
  assert.deepEqual(oids(sut.said(), 'R', 'p3'), [
    'PORT_CREATE',
    'NIC_CREATE',
    'NIC_CONNECT',
    'NIC_DISCONNECT',
    'NIC_DELETE',
    'PORT_TEARDOWN',
    'PORT_DELETE',
  ])
})

test('CS-13 CS-14 a vetoed port does not exist; extensions below the veto never saw it, those above see it fail (ES-109, ES-111, ES-116)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [
      use({ name: 'above', class: 'filtering', oids: true }),
      use({ name: 'veto', class: 'filtering', veto: { PORT_CREATE: NdisStatus.dataNotAccepted } }),
      use({ name: 'below', class: 'filtering', oids: true }),
    ],
  })
  await assert.rejects(
    sut.switch.addPort(portConfig(3, { name: 'bad' })),
    (error) => error instanceof SwitchControlError && error.code === 'VETOED' && error.status === NdisStatus.dataNotAccepted,
  )
  const lines = sut.said()
  assert.deepEqual(lines, ['above: oid PORT_CREATE bad', 'above: done PORT_CREATE c000021b'])
  assert.deepEqual(
    sut.switch.ports().map(({ name }) => name),
    ['p1', 'p2'],
  )
  await sut.switch.addPort(portConfig(3)) // others are not affected
})

test('a connection that is vetoed, at every attempt, takes its port with it (ES-110, ES-179, ES-181, ES-183)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [
      use({ name: 'R', class: 'filtering', oids: true }),
      use({ name: 'X', class: 'forwarding', veto: { NIC_CREATE: NdisStatus.resources } }),
    ],
  })
  await assert.rejects(sut.switch.addPort(portConfig(3, { name: 'bad' })), SwitchControlError)
  assert.deepEqual(
    oids(sut.said(), 'R', 'bad'),
    ['PORT_CREATE', 'NIC_CREATE', 'NIC_CREATE', 'NIC_CREATE', 'PORT_TEARDOWN', 'PORT_DELETE'], // AMB-42
  )
  assert.equal(sut.switch.ports().length, 2)
})

test("CS-17 a capturing extension can't veto (ES-250)", async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [
      use({ name: 'C', class: 'capturing', veto: { PORT_CREATE: NdisStatus.dataNotAccepted } }),
      use({ name: 'below', class: 'filtering', oids: true }),
    ],
  })
  await sut.switch.addPort(portConfig(3, { name: 'bad' }))
  assert.ok(oids(sut.said(), 'below', 'bad').includes('PORT_CREATE'))
  assert.equal((await sut.extension('C')).breaches, 1)
  assert.ok(sut.log.some(({ source, code }) => source === 'extension C' && code === 'ES-250'))
})

test('CS-16 completing a creation with success is a breach, and the creation goes on (ES-114, ES-182)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [
      use({ name: 'F', class: 'filtering', veto: { PORT_CREATE: NdisStatus.success, NIC_CREATE: NdisStatus.success } }),
      use({ name: 'below', class: 'filtering', oids: true }),
    ],
  })
  await sut.switch.addPort(portConfig(3, { name: 'bad' }))
  assert.deepEqual(oids(sut.said(), 'below', 'bad').slice(0, 2), ['PORT_CREATE', 'NIC_CREATE'])
  assert.equal((await sut.extension('F')).breaches, 2)
})

test('CS-19 what must be forwarded is, whatever an extension answers, and the transition happens (ES-123, ES-127, ES-136, ES-188, ES-197, ES-210, ES-248)', async (t) => {
  const never = { NIC_CONNECT: 1, NIC_DISCONNECT: 1, NIC_DELETE: 1, PORT_TEARDOWN: 1, PORT_DELETE: 1 }
  const veto = Object.fromEntries(Object.keys(never).map((name) => [name, NdisStatus.failure]))
  const sut = await SwitchUnderTest.start(t, {
    extensions: [use({ name: 'F', class: 'filtering', veto }), use({ name: 'below', class: 'filtering', oids: true })],
  })
  const before = (await sut.extension('F')).breaches
  sut.unplug(2)
  await sut.switch.removePort('p2')
  assert.deepEqual(oids(sut.said(), 'below', 'p2'), ['NIC_DISCONNECT', 'NIC_DELETE', 'PORT_TEARDOWN', 'PORT_DELETE'])
  assert.equal(before, 2, 'NIC_CONNECT of two ports')
  assert.equal((await sut.extension('F')).breaches, 6)
  assert.equal(sut.switch.ports().length, 1)
})

test('an extension that throws on every OID vetoes nothing and stays', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [use({ name: 'F', class: 'filtering', throwIn: 'oid' })] })
  await sut.switch.addPort(portConfig(3))
  await sut.send(1, 2, 'x')
  assert.deepEqual(await sut.receive(2, 1), ['x'])
  assert.ok(sut.log.some(({ code, message }) => code === 'oid-failed' && message.includes('boom in oid')))
  assert.equal((await sut.extension('F')).state, 'running')
})

test('port names are unique; a removed one may be made again, under another id (ES-104)', async (t) => {
  const sut = await SwitchUnderTest.start(t)
  await assert.rejects(sut.switch.addPort(portConfig(2)), /already has a port "p2"/)
  const before = sut.switch.portId('p2')
  await sut.switch.removePort('p2')
  await sut.switch.addPort(portConfig(2))
  assert.notEqual(sut.switch.portId('p2'), before)
  await sut.until(() => sut.switch.ports().every((port) => port.connected), 'the port to be connected')
  await sut.send(1, 2, 'again')
  assert.deepEqual(await sut.receive(2, 1), ['again'])
})

test("a removed port's frames are dropped at the others, its address is forgotten, its counters start anew (ES-129, ES-137, ES-211)", async (t) => {
  const sut = await SwitchUnderTest.start(t, { ports: 3 })
  await sut.send(2, 1, 'x')
  await sut.receive(1, 1)
  sut.unplug(2)
  await sut.switch.removePort('p2')
  await sut.send(1, 2, 'nobody there')
  await sut.until(() => sut.drops(1)['no-destination'] === 1, 'the drop')
  assert.ok(sut.switch.fdb().every((entry) => entry.port !== 'p2'))
  await sut.switch.addPort(portConfig(2))
  assert.equal(sut.switch.ports().find(({ name }) => name === 'p2')!.counters.receivedFrames, 0)
})

test('a link taken down stops a port in both directions, without OIDs, and comes back', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [use({ name: 'R', class: 'capturing', oids: true })] })
  sut.said()
  await sut.switch.setLink('p2', false)
  await sut.send(1, 2, 'x')
  await sut.send(2, 1, 'y')
  await sut.until(
    () => sut.drops(2)['source-not-connected'] === 1 && sut.drops(2)['destination-not-connected'] === 1,
    'both drops',
  )
  await sut.silence(1, 2)
  await sut.switch.setLink('p2', true)
  await sut.send(1, 2, 'z')
  assert.deepEqual(await sut.receive(2, 1), ['z'])
  assert.deepEqual(sut.said(), [])
})
