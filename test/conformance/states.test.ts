import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { NicState, NicType, Oid, PortState, PortType } from '../../src/ndis/oids.ts'
import { SwitchControlError } from '../../src/switch/control.ts'
import { PropertyError } from '../../src/switch/policies/property.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'
import { ControlUnderTest, type ScriptUse, script } from './control-under-test.ts'
import type { Command } from './extensions/script.ts'
import { frame, portConfig, use } from './switch-under-test.ts'

// What is allowed in each state of a port and its connection (spec 3.2), to the switch and to extensions. Port 2 has a guest behind a
// socket, which comes and goes: without it the connection is created, with it connected, after it disconnected.

const GUEST = 2
const ENCAPSULATED = 0xff123456
const security = { type: 'security', value: { virtualSubnetId: 9 } } as const
const noPort = (error: unknown) => error instanceof PropertyError && error.code === 'NO_SUCH_PORT'

async function guestPort(t: TestContext, options: ScriptUse = {}) {
  const path = join(temporaryDirectory(), 'guest.sock')
  const cut = await ControlUnderTest.start(t, { extensions: [script('F1'), script('X1', options)] })
  const config = portConfig(GUEST, { name: 'guest', endpoint: { kind: 'stream', path, mode: 'server' } })
  let socket: Socket | undefined
  const connected = () => cut.sut.switch.ports().find(({ name }) => name === 'guest')!.connected
  t.after(() => socket?.destroy())
  return {
    cut,
    config,
    running: cut.sut.switch,
    oids: () => cut.oids('F1', 'guest'),
    come: async () => {
      socket = connect(path)
      await cut.sut.until(connected, 'the guest')
    },
    go: async () => {
      const seen = cut.oids('F1', 'guest').filter((oid) => oid.startsWith('NIC_DISCONNECT')).length
      socket!.destroy()
      await cut.sut.until(
        () => cut.oids('F1', 'guest').filter((oid) => oid.startsWith('NIC_DISCONNECT')).length > seen,
        'the disconnect',
      )
    },
    /** Sends a frame as the guest. */
    send: (text: string) => {
      const bytes = frame(1, GUEST, text)
      const length = Buffer.alloc(4)
      length.writeUInt32BE(bytes.length)
      socket!.write(Buffer.concat([length, bytes]))
    },
  }
}

/** What an extension is granted about port 2 now: "p" its requests about the port, "n" about the connection, "s" and "d" packets from and to it. */
async function granted(cut: ControlUnderTest): Promise<string> {
  await cut.tell(
    'X1',
    { do: 'query', oid: Oid.switchParameters },
    { do: 'referencePort', port: GUEST },
    { do: 'query', oid: Oid.portPropertyEnum, input: { portId: GUEST, propertyType: 2, serializationVersion: 1 } },
    { do: 'referenceNic', port: GUEST },
    { do: 'pretend', port: GUEST },
    { do: 'direct', port: GUEST },
    { do: 'dereferenceNic', port: GUEST },
    { do: 'dereferencePort', port: GUEST },
  )
  const lines = await cut.lines('X1', 'dereferencePort')
  if (!lines.some((line) => /^query (c|.*numProp)/.test(line))) lines.push(...(await cut.lines('X1', 'query ')))
  const right = { p: /^query 0 \{"numProp/, n: /^referenceNic 0/, s: /^pretend 0/, d: /^direct 0/ }
  return Object.entries(right)
    .filter(([, pattern]) => lines.some((line) => pattern.test(line)))
    .map(([letter]) => letter)
    .join('')
}

/** Whether the switch itself may issue requests about the port, and about the connection. */
async function switchMay(running: ControlUnderTest['sut']['switch']): Promise<string> {
  const tried = async (work: () => Promise<unknown>): Promise<boolean> =>
    work().then(
      () => true,
      () => false,
    )
  const port = await tried(async () => {
    await running.policies.add(GUEST, security)
    await running.policies.delete(GUEST, { type: 'security' })
  })
  const nic = await tried(() => running.nicRequest({ oid: 0x01010208, type: 'set', payload: {} }, 'guest'))
  return `${port ? 'p' : ''}${nic ? 'n' : ''}`
}

test('without a port nothing is allowed: no request about it, no packet from or to it (ES-100, ES-138, ES-238)', async (t) => {
  const { cut, config, running, oids } = await guestPort(t)
  const nothing = async (): Promise<void> => {
    assert.equal(await granted(cut), '')
    await assert.rejects(running.policies.add(GUEST, security), noPort)
    await assert.rejects(running.updateNic('guest', { mtu: 1400 }), { code: 'NO_SUCH_PORT' })
    await assert.rejects(running.nicRequest({ oid: ENCAPSULATED, type: 'set', payload: {} }, 'guest'), { code: 'NO_SUCH_PORT' })
    await assert.rejects(running.moves.plug('guest'), { code: 'NO_SUCH_PORT' })
  }
  await nothing()
  assert.deepEqual(oids(), [])
  await running.addPort(config)
  await running.removePort('guest')
  assert.deepEqual(oids(), ['PORT_CREATE', 'NIC_CREATE 0', 'NIC_DELETE 0', 'PORT_TEARDOWN', 'PORT_DELETE'])
  await nothing()
  assert.equal(oids().length, 5)
})

test('CS-30 on a port without a connection only requests about the port are allowed; it goes as it came (ES-102, ES-118, ES-126, ES-239)', async (t) => {
  const { cut, config, running, oids } = await guestPort(t)
  await running.moves.prepare(config)
  const id = running.portId('guest')
  assert.equal(id, GUEST + 1, 'the validation port was 2')
  const before = oids().length
  const of = { do: 'query', oid: Oid.portPropertyEnum, input: { portId: id, propertyType: 2, serializationVersion: 1 } } as const
  await cut.tell('X1', { do: 'referencePort', port: id }, { do: 'query', oid: Oid.switchParameters }, of)
  await cut.line('X1', 'query 0 {"numProp')
  await cut.tell('X1', { do: 'referenceNic', port: id }, { do: 'pretend', port: id }, { do: 'direct', port: id })
  const lines = await cut.lines('X1', 'direct')
  const tried = lines.filter((line) => /^(referenceNic|pretend|direct)/.test(line))
  assert.deepEqual(tried, ['referenceNic c000000d', 'pretend c000000d', 'direct 1'])
  await cut.tell('X1', { do: 'dereferencePort', port: id })
  await running.policies.add(id, security)
  await assert.rejects(running.nicRequest({ oid: 0x01010208, type: 'set', payload: {} }, 'guest'), { code: 'WRONG_STATE' })
  await running.updateNic('guest', { mtu: 1400 })
  await running.moves.abandon('guest')
  assert.deepEqual(
    oids()
      .slice(before)
      .filter((oid) => !oid.startsWith('PORT_PROP')),
    ['PORT_TEARDOWN', 'PORT_DELETE'],
  )
})

test('a connection that is created is the switch’s alone: extensions may ask about its port, but not use it (ES-119, ES-240)', async (t) => {
  const { cut, config, running, oids, come } = await guestPort(t)
  await running.addPort(config)
  assert.equal(await granted(cut), 'p')
  assert.equal(await switchMay(running), 'p')
  assert.deepEqual(oids(), ['PORT_CREATE', 'NIC_CREATE 0'])
  await come()
  assert.deepEqual(oids(), ['PORT_CREATE', 'NIC_CREATE 0', 'NIC_CONNECT 0'], 'a request of the switch about the connection')
})

test('a connection is no destination before its NIC_CONNECT has completed (ES-119, ES-189)', async (t) => {
  const direct: Command[] = [{ do: 'direct', port: GUEST }]
  const { cut, config, running, come } = await guestPort(t, { on: { NIC_CONNECT: direct, 'NIC_CONNECT.done': direct } })
  await running.addPort(config)
  await come()
  await cut.tell('X1', ...direct)
  const lines = (await cut.lines('X1', 'direct 0')).filter((line) =>
    /^(oid NIC_CONNECT guest|done NIC_CONNECT guest|direct)/.test(line),
  )
  assert.deepEqual(lines.slice(-5), ['oid NIC_CONNECT guest/0', 'direct 1', 'done NIC_CONNECT guest/0 0', 'direct 1', 'direct 0'])
})

test('a connected connection is for the switch and for extensions, in every way (ES-241)', async (t) => {
  const { cut, config, running, come, send, oids } = await guestPort(t)
  await running.addPort(config)
  await come()
  assert.equal(await granted(cut), 'pnsd')
  assert.equal(await switchMay(running), 'pn')
  await running.updateNic('guest', { mtu: 1400 })
  assert.equal(oids().at(-1), 'NIC_UPDATED 0')
  await running.setExtension('X1', false)
  send('hello')
  assert.deepEqual(await cut.sut.receive(1, 1), ['hello'])
})

test('of a disconnected connection what was under way goes on, and nothing new begins (ES-242)', async (t) => {
  const path = join(temporaryDirectory(), 'guest.sock')
  const cut = await ControlUnderTest.start(t, {
    extensions: [
      script('C1'),
      use({ name: 'H', class: 'filtering', ingress: 'hold', delayMs: 100 }),
      script('X1', { enabled: false }),
    ],
  })
  const { switch: running } = cut.sut
  await running.addPort(portConfig(GUEST, { name: 'guest', endpoint: { kind: 'stream', path, mode: 'server' } }))
  const socket = connect(path)
  await cut.sut.until(() => running.ports()[1]!.connected, 'the guest')
  const bytes = frame(1, GUEST, 'pending')
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  socket.end(Buffer.concat([length, bytes]))
  await cut.sut.until(() => cut.oids('C1', 'guest').includes('NIC_DISCONNECT 0'), 'the disconnect')
  assert.deepEqual(await cut.sut.receive(1, 1), ['pending'], 'it was held when its sender went')
  await running.setExtension('X1', true)
  assert.equal(await granted(cut), 'p')
  assert.equal(await switchMay(running), 'p')
  assert.ok(!cut.oids('C1', 'guest').includes('NIC_DELETE 0'))
  await running.removePort('guest')
  assert.deepEqual(cut.oids('C1', 'guest').slice(-3), ['NIC_DELETE 0', 'PORT_TEARDOWN', 'PORT_DELETE'])
})

test('CS-29 a port whose connection was deleted takes requests about itself, and another connection (ES-103, ES-243)', async (t) => {
  const { cut, config, running, come, send, oids } = await guestPort(t)
  await running.addPort(config)
  await come()
  await running.moves.unplug('guest')
  assert.deepEqual(oids().slice(-2), ['NIC_DISCONNECT 0', 'NIC_DELETE 0'])
  assert.equal(await granted(cut), 'p')
  assert.equal(await switchMay(running), 'p')
  send('from nowhere')
  await cut.sut.until(
    () => cut.sut.switch.drops().some(({ port, reasons }) => port === 'guest' && reasons['source-not-connected'] === 1),
    'the drop',
  )
  await assert.rejects(running.moves.unplug('guest'), { code: 'WRONG_STATE' })
  const before = oids().length
  await running.moves.plug('guest')
  await cut.sut.until(() => running.ports()[1]!.connected, 'the connection')
  assert.deepEqual(
    oids()
      .slice(before)
      .filter((oid) => !oid.startsWith('PORT_PROP')),
    ['NIC_CREATE 0', 'NIC_CONNECT 0'],
  )
  await assert.rejects(running.moves.plug('guest'), { code: 'WRONG_STATE' })
  assert.equal(await granted(cut), 'pnsd')
})

test('a guest that comes back gets a new connection on the same port (ES-103, ES-240, ES-242)', async (t) => {
  const { config, running, come, go, oids } = await guestPort(t)
  await running.addPort(config)
  await come()
  await go()
  await come()
  assert.deepEqual(oids().slice(2), ['NIC_CONNECT 0', 'NIC_DISCONNECT 0', 'NIC_DELETE 0', 'NIC_CREATE 0', 'NIC_CONNECT 0'])
})

test('a port that is torn down is no more for extensions; what a reference holds is finished first (ES-131, ES-132, ES-138, ES-244)', async (t) => {
  const enumeration: Command = {
    do: 'query',
    oid: Oid.portPropertyEnum,
    input: { portId: GUEST, propertyType: 2, serializationVersion: 1 },
  }
  const cut = await ControlUnderTest.start(t, {
    ports: 2,
    verify: true,
    extensions: [
      script('F1', {
        on: { PORT_TEARDOWN: [enumeration], 'PORT_DELETE.done': [{ do: 'referencePort', port: GUEST }, enumeration] },
      }),
      script('X1', { replies: { PORT_PROPERTY_ENUM: { status: 0, modify: true } } }),
    ],
  })
  const { switch: running } = cut.sut
  await running.policies.add(GUEST, security)
  await cut.tell('F1', { do: 'query', oid: Oid.switchParameters }, { do: 'referencePort', port: GUEST })
  await cut.line('F1', 'referencePort 0')
  cut.sut.unplug(GUEST)
  const removing = running.removePort('p2')
  assert.match(await cut.line('F1', 'query 0 {"num'), /"virtualSubnetId":9/, 'a module below could not change or complete it')
  assert.ok(cut.breaches('X1').includes('ES-096'))
  await cut.sut.until(() => cut.oids('X1', 'p2').includes('PORT_TEARDOWN'), 'the teardown')
  await sleep(20)
  assert.ok(!cut.oids('X1', 'p2').includes('PORT_DELETE'), 'the switch waits for the reference')
  await assert.rejects(running.policies.add(GUEST, { type: 'vlan', value: { mode: 'access', accessVlanId: 1 } }), noPort)
  assert.equal(await granted(cut), '')
  assert.ok(cut.breaches('X1').includes('ES-131'), cut.breaches('X1').join())
  await cut.tell('F1', { do: 'dereferencePort', port: GUEST })
  await removing
  assert.equal(cut.oids('X1', 'p2').at(-1), 'PORT_DELETE')
  const after = await cut.lines('F1', 'query c')
  assert.ok(
    after.some((line) => line.startsWith('referencePort c')),
    after.join(),
  )
  assert.equal(await granted(cut), '')
})

test('the type of a port stays from its creation to its end, whatever becomes of its name and connection (ES-105)', async (t) => {
  const { cut, config, running, come } = await guestPort(t, {
    shows: ['PORT_CREATE', 'PORT_UPDATED', 'PORT_TEARDOWN', 'PORT_DELETE', 'NIC_CONNECT', 'NIC_DELETE'],
  })
  await running.addPort(config)
  await come()
  await running.updatePort('guest', 'called otherwise')
  await running.moves.unplug('guest')
  await running.removePort('guest')
  const types = ['PORT_CREATE', 'PORT_UPDATED', 'PORT_TEARDOWN', 'PORT_DELETE'].flatMap((oid) =>
    cut.payloads('X1', oid).filter(({ portName }) => portName === 'guest'),
  )
  assert.deepEqual(
    types.map(({ portType, portState }) => [portType, portState]),
    [
      [PortType.emulated, PortState.created],
      [PortType.emulated, PortState.created],
      [PortType.emulated, PortState.teardown],
      [PortType.emulated, PortState.deleted],
    ],
  )
  const states = ['NIC_CONNECT', 'NIC_DELETE']
    .flatMap((oid) => cut.payloads('X1', oid))
    .filter(({ nicName }) => nicName === 'guest')
  assert.deepEqual(
    states.map(({ nicType, nicState }) => [nicType, nicState]),
    [
      [NicType.emulated, NicState.connected],
      [NicType.emulated, NicState.deleted],
    ],
  )
})

test('a connection is created on a port that was created, never on one that was refused (ES-100)', async (t) => {
  const cut = await ControlUnderTest.start(t, {
    extensions: [script('C1'), script('F1', { replies: { PORT_CREATE: { status: 0xc000021b, for: 'bad' } } }), script('X1')],
  })
  await assert.rejects(cut.sut.switch.addPort(portConfig(3, { name: 'bad' })), SwitchControlError)
  assert.deepEqual(cut.oids('C1', 'bad'), ['PORT_CREATE'])
  await cut.sut.switch.addPort(portConfig(3))
  const lines = cut.sut.log.filter(({ source }) => source === 'extension C1').map(({ message }) => message)
  assert.ok(lines.indexOf('done PORT_CREATE p3 0') < lines.indexOf('oid NIC_CREATE p3/0'))
  assert.ok(lines.includes('done PORT_CREATE p3 0'))
})
