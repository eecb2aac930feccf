import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Oid } from '../../src/ndis/oids.ts'
import { SwitchControlError } from '../../src/switch/control.ts'
import { ControlUnderTest, memory, script } from './control-under-test.ts'
import { portConfig } from './switch-under-test.ts'

const refused = (work: Promise<unknown>): Promise<void> =>
  assert.rejects(work, (error) => error instanceof SwitchControlError && error.code === 'WRONG_TYPE')
const uplink = (name: string, members = 1) =>
  portConfig(9, { name, mac: null, learning: true, adapters: Array.from({ length: members - 1 }, () => memory) })
const host = (name: string) => portConfig(8, { name, managementOS: true })

test('a switch takes one external and one internal connection and refuses a second of each (ES-001, ES-002, ES-003)', async (t) => {
  const { sut } = await ControlUnderTest.start(t)
  await sut.switch.addPort(uplink('up'))
  await refused(sut.switch.addPort(uplink('up2')))
  await sut.switch.addPort(host('host'))
  await refused(sut.switch.addPort(host('host2')))
  assert.deepEqual(
    sut.switch.ports().map(({ name }) => name),
    ['p1', 'up', 'host'],
  )
  await sut.switch.removePort('up')
  await sut.switch.addPort(uplink('up2')) // at most one at a time
})

test('an internal switch has no external connection, a private one neither (ES-004, ES-005)', async (t) => {
  const internal = await ControlUnderTest.start(t, { type: 'internal' })
  await refused(internal.sut.switch.addPort(uplink('up')))
  await internal.sut.switch.addPort(host('host'))
  const closed = await ControlUnderTest.start(t, { type: 'private' })
  await refused(closed.sut.switch.addPort(uplink('up')))
  await refused(closed.sut.switch.addPort(host('host')))
})

test('CS-11 an external team starts and stops in order, each adapter with its own OIDs (ES-157, ES-158, ES-161, ES-163, ES-165, ES-168)', async (t) => {
  const cut = await ControlUnderTest.start(t, { extensions: [script('C1')] })
  await cut.sut.switch.addPort(uplink('up', 2))
  await cut.sut.until(() => cut.oids('C1', 'up').length >= 7, 'both adapters to be connected')
  await cut.sut.switch.removePort('up')
  const [create, ...rest] = cut.oids('C1', 'up')
  assert.equal(create, 'PORT_CREATE')
  const up = rest.slice(0, 6)
  assert.deepEqual(up, ['NIC_CREATE 0', 'NIC_CREATE 1', 'NIC_CREATE 2', 'NIC_CONNECT 0', 'NIC_CONNECT 1', 'NIC_CONNECT 2'])
  const down = rest.slice(6)
  const at = (line: string): number => down.indexOf(line)
  for (const line of ['NIC_DISCONNECT 1', 'NIC_DISCONNECT 2', 'NIC_DELETE 1', 'NIC_DELETE 2'])
    assert.ok(at(line) >= 0 && at(line) < at('NIC_DISCONNECT 0'), `${line} in ${down.join(', ')}`)
  assert.ok(at('NIC_DISCONNECT 1') < at('NIC_DELETE 1') && at('NIC_DISCONNECT 2') < at('NIC_DELETE 2'))
  assert.deepEqual(down.slice(-4), ['NIC_DISCONNECT 0', 'NIC_DELETE 0', 'PORT_TEARDOWN', 'PORT_DELETE'])
})

test('a single adapter has index 1, the connection above it index 0; both are listed with their types (ES-154, ES-155, ES-160, ES-222, ES-226, ES-227)', async (t) => {
  const cut = await ControlUnderTest.start(t, {
    extensions: [
      script('F1', {
        on: {
          'NIC_CONNECT.done': [
            { do: 'query', oid: Oid.switchParameters },
            { do: 'query', oid: Oid.nicArray },
          ],
        },
      }),
    ],
  })
  await cut.sut.switch.addPort(uplink('up'))
  await cut.sut.until(() => cut.oids('F1', 'up').includes('NIC_CONNECT 1'), 'adapter 1')
  await cut.tell('F1', { do: 'query', oid: Oid.switchParameters }, { do: 'query', oid: Oid.nicArray })
  await cut.sut.until(
    () => cut.sut.log.some(({ message }) => message.startsWith('query 0') && message.includes('"nicIndex":1')),
    'the array',
  )
  const line = cut.sut.log
    .map(({ message }) => message)
    .filter((message) => message.includes('"nicIndex":1'))
    .at(-1)!
  const { elements } = JSON.parse(line.slice(line.indexOf('{'), line.lastIndexOf('}') + 1)) as {
    elements: Record<string, unknown>[]
  }
  const own = elements.filter(({ nicName }) => nicName === 'up')
  assert.deepEqual(
    own.map(({ nicIndex }) => nicIndex),
    [0, 1],
  )
  for (const nic of own) assert.deepEqual([nic.nicType, nic.vmMacAddress, nic.vfAssigned, nic.vmName], [0, '', false, ''])
})

test('CS-12 the external connection carries traffic once a physical adapter is connected (ES-164)', async (t) => {
  const cut = await ControlUnderTest.start(t, {
    limits: { oidMs: 400 },
    extensions: [script('F1', { replies: { NIC_CONNECT: { pending: true, nicIndex: 1 } } })],
  })
  const { sut } = cut
  await sut.switch.addPort(portConfig(2, { mac: null, learning: true, adapters: [] }))
  await sut.until(() => cut.oids('F1', 'p2').includes('NIC_CONNECT 1'), 'the second connect')
  await sut.send(1, 0, 'too early')
  await sut.silence(2)
  assert.equal(sut.switch.ports()[1]!.connected, false)
  await sut.until(() => sut.switch.ports()[1]!.connected, 'the external connection')
  await sut.send(1, 0, 'now')
  assert.deepEqual(await sut.receive(2, 1), ['now'])
})

test('CS-18 a veto of index 0 takes the external port away, one of index 1 is a breach without effect (ES-179, ES-180)', async (t) => {
  const cut = await ControlUnderTest.start(t, {
    extensions: [script('X1', { replies: { NIC_CREATE: { status: 0xc000021b, nicIndex: 1 } } })],
  })
  await cut.sut.switch.addPort(uplink('up'))
  assert.deepEqual(cut.breaches('X1'), ['ES-180'])
  const other = await ControlUnderTest.start(t, {
    extensions: [script('X1', { replies: { NIC_CREATE: { status: 0xc000021b, nicIndex: 0, for: 'up' } } })],
  })
  await assert.rejects(other.sut.switch.addPort(uplink('up')), /vetoed the connection of port "up"/)
  assert.equal(other.sut.switch.ports().length, 1)
})
