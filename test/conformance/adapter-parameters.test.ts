// What NDIS_SWITCH_NIC_PARAMETERS say of an adapter, as extensions read them: names, identifiers, addresses, indices.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { type NicParameters, NicState, Oid } from '../../src/ndis/oids.ts'
import { SwitchControlError } from '../../src/switch/control.ts'
import { whyNoTap } from '../support/machine.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'
import { ControlUnderTest, memory, script } from './control-under-test.ts'
import { macOf, portConfig } from './switch-under-test.ts'

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const uplink = (adapters: number) =>
  portConfig(9, { name: 'up', mac: null, learning: true, adapters: Array.from({ length: adapters - 1 }, () => memory) })

/** The adapters as module F1 reads them. */
async function adapters(cut: ControlUnderTest): Promise<NicParameters[]> {
  await cut.tell('F1', { do: 'query', oid: Oid.switchParameters }, { do: 'query', oid: Oid.nicArray })
  const line = await cut.line('F1', 'query 0 {"numElements"')
  return (JSON.parse(line.slice(line.indexOf('{'), line.lastIndexOf('}') + 1)) as { elements: NicParameters[] }).elements
}

const of = (nics: readonly NicParameters[], port: string, index = 0): NicParameters =>
  nics.find(({ nicFriendlyName, nicIndex }) => nicFriendlyName.split('.')[0] === port && nicIndex === index)!

const start = (t: Parameters<typeof ControlUnderTest.start>[0]) => ControlUnderTest.start(t, { extensions: [script('F1')] })

test('what is one adapter to its host, a team of the host too, is the adapter of index 1 and no other (ES-156)', async (t) => {
  const cut = await start(t)
  await cut.sut.switch.addPort(portConfig(2, { mac: null, learning: true, adapters: [] }))
  await cut.sut.until(() => cut.oids('F1', 'p2').includes('NIC_CONNECT 1'), 'the adapter')
  assert.deepEqual(
    (await adapters(cut)).filter(({ portId }) => portId === 2).map(({ nicIndex }) => nicIndex),
    [0, 1],
  )
  await cut.tell(
    'F1',
    { do: 'referenceNic', port: 2, nic: 1 },
    { do: 'dereferenceNic', port: 2, nic: 1 },
    { do: 'referenceNic', port: 2, nic: 2 },
  )
  assert.deepEqual(
    (await cut.lines('F1', 'referenceNic c')).filter((line) => line.startsWith('referenceNic')),
    ['referenceNic 0', 'referenceNic c000000d'],
  )
  await cut.sut.send(1, 0, 'out')
  assert.deepEqual(await cut.sut.receive(2, 1), ['out'])
})

test('physical adapters have the indices 1 to 32, each its own; there is no 33rd (ES-159)', async (t) => {
  const cut = await start(t)
  await assert.rejects(
    cut.sut.switch.addPort(uplink(33)),
    (error) => error instanceof SwitchControlError && /1 to 32 physical adapters, not 33/.test(error.message),
  )
  await cut.sut.switch.addPort(uplink(32))
  await cut.sut.until(() => cut.oids('F1', 'up').includes('NIC_CONNECT 32'), 'the last adapter')
  assert.deepEqual(
    (await adapters(cut)).filter(({ portId }) => portId === cut.sut.switch.portId('up')).map(({ nicIndex }) => nicIndex),
    Array.from({ length: 33 }, (_, index) => index),
  )
  const port = cut.sut.switch.portId('up')
  await cut.tell(
    'F1',
    { do: 'referenceNic', port, nic: 32 },
    { do: 'dereferenceNic', port, nic: 32 },
    { do: 'referenceNic', port, nic: 33 },
    { do: 'referencePort', port },
    { do: 'dereferencePort', port },
  )
  assert.deepEqual(
    (await cut.lines('F1', 'dereferencePort')).filter((line) => line.startsWith('referenceNic')),
    ['referenceNic 0', 'referenceNic c000000d'],
  )
})

test("with MAC spoofing the address in use is the guest's, without it the permanent one (ES-223, ES-224)", async (t) => {
  const cut = await start(t)
  const own = '02:00:00:00:0a:0a'
  const inUse = async () => of(await adapters(cut), 'p1').currentMacAddress
  await cut.sut.switch.updateNic('p1', { vmMacAddress: own })
  assert.equal(await inUse(), macOf(1))
  await cut.sut.switch.policies.add(1, { type: 'security', value: { allowMacSpoofing: true } })
  assert.equal(await inUse(), own)
  assert.ok(cut.oids('F1', 'p1').includes('NIC_UPDATED 0'), 'and extensions are told')
  await cut.sut.switch.updateNic('p1', { vmMacAddress: '02:00:00:00:0b:0b' })
  assert.equal(await inUse(), '02:00:00:00:0b:0b')
  await cut.sut.switch.policies.update(1, { type: 'security', value: { allowMacSpoofing: false } })
  assert.equal(await inUse(), macOf(1))
})

test('with teaming the address in use is the one that failed over, or the permanent one; without it none fails over (ES-223, ES-225)', async (t) => {
  const cut = await start(t)
  const inUse = async () => of(await adapters(cut), 'p1').currentMacAddress
  await cut.sut.switch.updateNic('p1', { currentMacAddress: macOf(2) })
  assert.equal(await inUse(), macOf(1), 'no teaming, no failover')
  await cut.sut.switch.policies.add(1, { type: 'security', value: { allowTeaming: true } })
  assert.equal(await inUse(), macOf(1))
  await cut.sut.switch.updateNic('p1', { currentMacAddress: macOf(2) })
  assert.equal(await inUse(), macOf(2))
  await cut.sut.switch.updateNic('p1', { mtu: 1400 })
  assert.equal(await inUse(), macOf(2), 'what else is updated leaves it')
  await cut.sut.switch.policies.update(1, { type: 'security', value: { allowTeaming: false } })
  assert.equal(await inUse(), macOf(1))
})

test('NetCfgInstanceId belongs to adapters of the host, from when they are initialised (ES-228)', async (t) => {
  const cut = await start(t)
  await cut.sut.switch.addPort(uplink(2))
  await cut.sut.switch.addPort(portConfig(8, { name: 'host', managementOS: true }))
  await cut.sut.switch.addPort(portConfig(7, { name: 'late' }))
  await cut.sut.until(() => cut.oids('F1', 'host').includes('NIC_CONNECT 0'), 'the host')
  await cut.sut.until(() => cut.oids('F1', 'up').includes('NIC_CONNECT 2'), 'both physical adapters')
  const nics = await adapters(cut)
  const ids = [of(nics, 'up'), of(nics, 'up', 1), of(nics, 'up', 2), of(nics, 'host')].map((nic) => nic.netCfgInstanceId)
  for (const id of ids) assert.match(id, GUID)
  assert.equal(new Set(ids).size, ids.length)
  for (const vm of ['p1', 'late']) assert.equal(of(nics, vm).netCfgInstanceId, '')
  await cut.sut.switch.updateNic('p1', { netCfgInstanceId: ids[0]! })
  assert.equal(of(await adapters(cut), 'p1').netCfgInstanceId, '')
  // A host adapter whose other end is not there yet: created and not initialised.
  const early = await start(t)
  const path = join(temporaryDirectory(), 'host.sock')
  await early.sut.switch.addPort(
    portConfig(8, { name: 'host', managementOS: true, endpoint: { kind: 'stream', path, mode: 'server' } }),
  )
  const waiting = of(await adapters(early), 'host')
  assert.deepEqual([waiting.nicState, waiting.netCfgInstanceId], [NicState.created, ''])
})

test('NicName is the device of an adapter of the host, and of a VM the name that management gave it (ES-230)', {
  skip: whyNoTap() ?? false,
}, async (t) => {
  const cut = await start(t)
  const tap = (name: string) => ({ kind: 'tap', interface: name, mtu: 1500, queues: 1 }) as const
  const names = [0, 1, 2].map((i) => `vmsw${process.pid % 100000}t${i}`)
  await cut.sut.switch.addPort(portConfig(8, { name: 'host', managementOS: true, endpoint: tap(names[0]!) }))
  await cut.sut.switch.addPort(
    portConfig(9, { name: 'up', mac: null, learning: true, endpoint: tap(names[1]!), adapters: [tap(names[2]!)] }),
  )
  const nics = await adapters(cut)
  const nameOf = (port: string, index: number): string =>
    nics.find(({ portId, nicIndex }) => portId === cut.sut.switch.portId(port) && nicIndex === index)!.nicName
  assert.deepEqual(
    [nameOf('host', 0), nameOf('up', 0), nameOf('up', 1), nameOf('up', 2), nameOf('p1', 0)],
    [names[0], names[1], names[1], names[2], 'p1'],
  )
})

test('NumaNodeId belongs to adapters of VMs (ES-229)', async (t) => {
  const cut = await start(t)
  await cut.sut.switch.addPort(uplink(1))
  await cut.sut.switch.addPort(portConfig(8, { name: 'host', managementOS: true }))
  for (const port of ['p1', 'up', 'host']) await cut.sut.switch.updateNic(port, { numaNodeId: 1 })
  const nics = await adapters(cut)
  assert.deepEqual(
    ['p1', 'up', 'host'].map((port) => of(nics, port).numaNodeId),
    [1, 0, 0],
  )
})
