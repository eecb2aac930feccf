import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { ExtensionEntry } from '../../src/engine/extension-manager.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { PropertyError } from '../../src/switch/policies/property.ts'
import { ControlUnderTest, script } from './control-under-test.ts'
import { type ReservationOptions, UNITS } from './extensions/reservation.ts'
import { portConfig } from './switch-under-test.ts'

const reservation = (options: ReservationOptions): ExtensionEntry => ({
  name: 'R',
  file: fileURLToPath(new URL('./extensions/reservation.ts', import.meta.url)),
  enabled: true,
  onFailure: 'open',
  options,
})
const wanting = (port: number, units: unknown) => portConfig(port, { properties: [{ type: 'custom', id: UNITS, value: units }] })
const refused = (status: number) => (error: unknown) => error instanceof PropertyError && error.status === status
const said = (cut: ControlUnderTest): string[] =>
  cut.sut.log.filter(({ source, code }) => source === 'extension R' && code === 'log').map(({ message }) => message)

test('CS-83 a validation port takes nothing and is not refused for want of it; the operational port is (ES-150, ES-151, ES-152, ES-153)', async (t) => {
  const cut = await ControlUnderTest.start(t, { extensions: [script('C1'), reservation({ units: 1 })] })
  const { switch: running } = cut.sut
  await running.moves.validate(wanting(3, 1))
  await running.moves.validate(wanting(4, 1))
  await running.addPort(wanting(2, 1))
  assert.deepEqual(said(cut), ['validation 1 of 1', 'validation 1 of 1', 'operational 1 of 1'], 'the unit was still there')
  await running.moves.validate(wanting(5, 1))
  await assert.rejects(running.addPort(wanting(3, 1)), refused(NdisStatus.resources))
  assert.deepEqual(said(cut).slice(3), ['validation 1 of 0', 'operational 1 of 0 refused'])
  await assert.rejects(running.moves.validate(wanting(6, 'one')), refused(NdisStatus.dataNotAccepted))
  await assert.rejects(running.moves.validate(wanting(6, 9)), refused(NdisStatus.dataNotAccepted))
  assert.deepEqual(
    cut.oids('C1', 'p6*').slice(-2),
    ['PORT_TEARDOWN', 'PORT_DELETE'],
    'what is wrong in itself is refused at once',
  )
  await running.removePort('p2')
  await running.addPort(wanting(3, 1))
  assert.deepEqual(cut.breaches('R'), [])
})

test('an extension that fails a validation port for want of resources is reported, and the settings count as checked (ES-151)', async (t) => {
  const cut = await ControlUnderTest.start(t, {
    extensions: [
      reservation({ units: 0, hasty: true }),
      script('F1', { replies: { PORT_CREATE: { status: NdisStatus.resources, for: '*' } } }),
    ],
  })
  const { switch: running } = cut.sut
  await running.moves.validate(wanting(2, 1))
  assert.deepEqual(said(cut), ['validation 1 of 0 refused'])
  assert.deepEqual([cut.breaches('R'), cut.breaches('F1')], [['ES-151'], ['ES-151']])
  await assert.rejects(running.addPort(wanting(2, 1)), refused(NdisStatus.resources))
})

test('when the VM is powered on the operational port takes the place of the validation port (ES-146, ES-147, ES-148, ES-149)', async (t) => {
  const cut = await ControlUnderTest.start(t, {
    extensions: [script('C1', { shows: ['PORT_CREATE', 'PORT_DELETE', 'PORT_PROPERTY_ADD'] })],
  })
  const { switch: running } = cut.sut
  await running.moves.validate(wanting(2, 1))
  assert.equal(running.ports().length, 1, 'it is no port to use')
  await running.addPort(wanting(2, 1))
  const created = cut
    .payloads('C1', 'PORT_CREATE')
    .map(({ portId, portName, isValidationPort }) => [portId, portName, isValidationPort])
  assert.deepEqual(created, [
    [1, 'p1', false],
    [2, 'p2*', true],
    [3, 'p2', false],
  ])
  assert.deepEqual(
    cut.payloads('C1', 'PORT_DELETE').map(({ portId }) => portId),
    [2],
  )
  assert.deepEqual(
    cut.payloads('C1', 'PORT_PROPERTY_ADD').map(({ portId }) => portId),
    [2, 3],
  )
  const order = cut.sut.log.map(({ message }) => message).filter((message) => /^done PORT_(CREATE|DELETE) p2/.test(message))
  assert.deepEqual(order, ['done PORT_CREATE p2* 0', 'done PORT_DELETE p2* 0', 'done PORT_CREATE p2 0'])
  assert.ok(!cut.oids('C1', 'p2*').some((oid) => oid.startsWith('NIC_')), 'a validation port never has an adapter')
  await running.removePort('p2')
  await running.moves.validate(wanting(2, 1)) // the VM is stopped
  await running.moves.endValidation('p2')
  assert.deepEqual(cut.oids('C1', 'p2*').slice(-2), ['PORT_TEARDOWN', 'PORT_DELETE'])
})

test('a reservation of bandwidth on a validation port leaves the switch what it has; extensions hear nothing of bandwidth (ES-253, ES-524)', async (t) => {
  const cut = await ControlUnderTest.start(t, { extensions: [script('F1')] })
  const { switch: running } = cut.sut
  const { policies } = running
  const reserving = (port: number, reservationMbps: number) =>
    portConfig(port, { properties: [{ type: 'bandwidth', value: { reservationMbps } }] })
  assert.equal(policies.properties.bandwidth.availableMbps, Number.POSITIVE_INFINITY)
  await policies.add(undefined, { type: 'bandwidth', value: { capacityMbps: 1000 } })
  await running.moves.validate(reserving(2, 800))
  await running.moves.validate(reserving(3, 800))
  assert.deepEqual(policies.properties.bandwidth, { capacityMbps: 1000, reservedMbps: 0, availableMbps: 1000 })
  await running.addPort(reserving(2, 800))
  assert.equal(policies.properties.bandwidth.availableMbps, 200)
  await assert.rejects(running.addPort(reserving(3, 800)), /can't reserve 800 Mbit\/s: the switch has 200 of 1000 left/)
  await assert.rejects(running.moves.validate(reserving(4, 2000)), /can't reserve 2000/, 'no switch of this size ever could')
  await assert.rejects(policies.update(undefined, { type: 'bandwidth', value: { capacityMbps: 700 } }), /reserved 800/)
  await policies.update(running.portId('p2'), { type: 'bandwidth', value: { reservationMbps: 200 } })
  await running.addPort(reserving(3, 800))
  await running.removePort('p3')
  assert.equal(policies.properties.bandwidth.availableMbps, 800)
  await assert.rejects(policies.add(1, { type: 'bandwidth', value: { capacityMbps: 1 } }), /capacity is for a switch/)
  const heard = cut.sut.log.filter(({ source, message }) => source === 'extension F1' && message.includes('PROPERTY'))
  assert.deepEqual(heard, [])
})
