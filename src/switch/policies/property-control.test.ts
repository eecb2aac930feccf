import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Oid, type OidCompletion, type OidRequest, oidName } from '../../ndis/oids.ts'
import { NO_GUID, type PortPropertyParameters, type PropertyInfo, parsePropertyVersion } from '../../ndis/properties.ts'
import { NdisStatus } from '../../ndis/status.ts'
import { readImposed } from './imposed.ts'
import type { DefinedProperty } from './property.ts'
import { PropertyError } from './property.ts'
import { type PortPolicy, PropertyControl } from './property-control.ts'
import { SWITCH_SCOPE } from './property-store.ts'

const RATE = '0d3c1f9f-0001-4c56-9b7e-7b0b6d0e5f0c'
const UNKNOWN = '0d3c1f9f-0002-4c56-9b7e-7b0b6d0e5f0c'
const definitions: DefinedProperty[] = [
  {
    id: RATE,
    extension: 'limiter',
    name: 'rate-limit',
    version: '1.1',
    scope: 'port',
    parse(raw) {
      if (typeof raw !== 'number' || raw < 0) throw new Error(`${String(raw)} is no rate`)
      return { perSecond: raw }
    },
  },
  { id: RATE, extension: 'limiter', name: 'rate-limit', version: '2', scope: 'switch', parse: (raw) => raw },
]

// A switch with port 1, and a stack that answers as it is told.
function world(answer: (request: OidRequest) => OidCompletion = () => ({ status: NdisStatus.success })) {
  const issued: OidRequest[] = []
  const policies: PortPolicy[] = []
  let instances = 0
  const control = new PropertyControl({
    issue: async (request) => {
      issued.push(request)
      return answer(request)
    },
    inOrder: (_, work) => work(),
    portName: (id) => (id === 1 ? 'alpha' : undefined),
    isValidationPort: () => false,
    enforce: (_, policy) => void policies.push(policy),
    enforceSwitch: () => undefined,
    routingDomainsChanged: () => {},
    definitions: () => definitions,
    newInstanceId: () => `00000000-0000-0000-0000-0000000000${String(++instances).padStart(2, '0')}`,
  })
  const names = () => issued.map(({ oid }) => oidName(oid).slice(11))
  return { control, issued, policies, names }
}

const refused = (code: PropertyError['code'], status?: number) => (error: unknown) =>
  error instanceof PropertyError && error.code === code && (status === undefined || error.status === status)

test('adding, changing and deleting a property issues the OID of each, and the store follows (ES-500, ES-518)', async () => {
  const { control, issued, policies, names } = world()
  await control.add(1, { type: 'security', value: { allowMacSpoofing: true } })
  await control.update(1, { type: 'security', value: {} })
  await control.delete(1, { type: 'security' })
  assert.deepEqual(names(), ['PORT_PROPERTY_ADD', 'PORT_PROPERTY_UPDATE', 'PORT_PROPERTY_DELETE'])
  const added = issued[0]!.payload as PortPropertyParameters
  assert.equal(added.portId, 1)
  assert.equal(added.propertyId, NO_GUID)
  assert.equal(added.serializationVersion, 1)
  assert.deepEqual(issued[2]!.payload, {
    portId: 1,
    propertyType: added.propertyType,
    propertyId: NO_GUID,
    propertyInstanceId: added.propertyInstanceId,
  })
  assert.deepEqual(
    policies.map(({ security }) => security?.allowMacSpoofing),
    [true, false, undefined],
  )
  assert.deepEqual(control.list(1), [])
})

test('CS-76 a version "1.1" is 0x0101, and "1" is 0x0100 (ES-519)', async () => {
  const { control } = world()
  assert.equal((await control.add(1, { type: 'custom', id: 'rate-limit', value: 5 })).propertyVersion, 0x0101)
  assert.equal(parsePropertyVersion('1'), 0x0100)
  for (const wrong of ['', 'v1', '256', '1.256', '1.2.3', '-1']) assert.equal(parsePropertyVersion(wrong), undefined)
})

test('a custom property is found by GUID or name, checked by its definition, and handed on as parsed (ES-503)', async () => {
  const { control, issued } = world()
  const added = await control.add(1, { type: 'custom', id: 'rate-limit', value: 5 })
  assert.equal(added.propertyId, RATE)
  assert.deepEqual((issued[0]!.payload as PortPropertyParameters).property, { perSecond: 5 })
  await assert.rejects(control.add(1, { type: 'custom', id: RATE, value: -5 }), /property rate-limit: -5 is no rate/)
  await assert.rejects(
    control.add(1, { type: 'custom', id: 'no-such', value: 5 }),
    /there is no property "no-such".*defined are: rate-limit/,
  )
  assert.equal(issued.length, 1, 'what is wrong is never issued')
})

test('a vetoed addition, change or deletion leaves the stored properties as they were (ES-507, ES-508, ES-517)', async () => {
  let veto = false
  const { control, policies } = world(() => ({
    status: veto ? NdisStatus.dataNotAccepted : NdisStatus.success,
    by: 'guard',
  }))
  await control.add(1, { type: 'vlan', value: { mode: 'access', accessVlanId: 10 } })
  const before = control.list(1)
  veto = true
  const vetoed = refused('PROPERTY_VETOED', NdisStatus.dataNotAccepted)
  await assert.rejects(control.add(1, { type: 'security', value: {} }), vetoed)
  await assert.rejects(control.update(1, { type: 'vlan', value: { mode: 'access', accessVlanId: 20 } }), vetoed)
  await assert.rejects(control.delete(1, { type: 'vlan' }), /extension "guard" refused property vlan of port "alpha"/)
  assert.equal(control.list(1), before)
  assert.equal(policies.length, 1)
})

test('instances of one custom property stand beside each other and are told apart (ES-506)', async () => {
  const { control } = world()
  const a = await control.add(1, { type: 'custom', id: RATE, value: 1 })
  const b = await control.add(1, { type: 'custom', id: RATE, value: 2 })
  assert.notEqual(a.propertyInstanceId, b.propertyInstanceId)
  await assert.rejects(control.update(1, { type: 'custom', id: RATE, value: 3 }), /several properties .*: say which instance/)
  await control.update(1, { type: 'custom', id: RATE, instance: b.propertyInstanceId, value: 3 })
  assert.deepEqual(
    control.list(1).map(({ value }) => value),
    [1, 3],
  )
  await assert.rejects(
    control.add(1, { type: 'custom', id: RATE, instance: a.propertyInstanceId, value: 1 }),
    refused('PROPERTY_EXISTS'),
  )
})

test('CS-75 a change for another instance or version ends with INVALID_PARAMETER (ES-506, ES-551)', async () => {
  const { control, names } = world()
  await control.add(SWITCH_SCOPE, { type: 'custom', id: RATE, value: 1 })
  const mismatch = refused('NO_SUCH_PROPERTY', NdisStatus.invalidParameter)
  await assert.rejects(control.update(SWITCH_SCOPE, { type: 'custom', id: RATE, instance: UNKNOWN, value: 2 }), mismatch)
  await assert.rejects(control.update(SWITCH_SCOPE, { type: 'custom', id: RATE, version: '3', value: 2 }), mismatch)
  await assert.rejects(control.delete(SWITCH_SCOPE, { type: 'custom', id: RATE, instance: UNKNOWN }), mismatch)
  assert.deepEqual(names(), ['PROPERTY_ADD'])
})

test('a switch has custom properties only, with OIDs of their own (ES-547, ES-548)', async () => {
  const { control, names } = world()
  await assert.rejects(
    control.add(SWITCH_SCOPE, { type: 'vlan', value: {} }),
    refused('BAD_PROPERTY', NdisStatus.invalidParameter),
  )
  await control.add(SWITCH_SCOPE, { type: 'custom', id: UNKNOWN, value: 'anything' })
  await control.update(SWITCH_SCOPE, { type: 'custom', id: UNKNOWN, value: 'other' })
  await control.delete(SWITCH_SCOPE, { type: 'custom', id: UNKNOWN })
  assert.deepEqual(names(), ['PROPERTY_ADD', 'PROPERTY_UPDATE', 'PROPERTY_DELETE'])
})

test('minimums of more than the capacity are refused, and so is a capacity below what ports reserved (ES-524)', async () => {
  const { control, names } = world()
  const resources = refused('PROPERTY_VETOED', NdisStatus.resources)
  await control.add(SWITCH_SCOPE, { type: 'bandwidth', value: { capacity: '1gbit' } })
  await assert.rejects(control.add(1, { type: 'bandwidth', value: { minimumBandwidthAbsolute: '1001mbit' } }), resources)
  await control.add(1, { type: 'bandwidth', value: { minimumBandwidthAbsolute: '600mbit' } })
  await assert.rejects(control.update(1, { type: 'bandwidth', value: { minimumBandwidthAbsolute: '1001mbit' } }), resources)
  const before = names().length
  await assert.rejects(control.update(SWITCH_SCOPE, { type: 'bandwidth', value: { capacity: '599mbit' } }), resources)
  assert.equal(names().length, before, 'no module heard of it')
  await control.update(SWITCH_SCOPE, { type: 'bandwidth', value: { capacity: '600mbit' } })
})

test('a port that is not there has no properties, and one that goes takes its own along', async () => {
  const { control } = world()
  await assert.rejects(control.add(2, { type: 'security', value: {} }), refused('NO_SUCH_PORT'))
  await control.add(1, { type: 'security', value: {} })
  await assert.rejects(control.add(1, { type: 'security', value: {} }), refused('PROPERTY_EXISTS'))
  control.forget(1)
  assert.deepEqual(control.list(1), [])
})

test('an enumeration returns what matches type and id, if there is room (ES-094, ES-095, ES-097, ES-098)', async () => {
  const { control } = world()
  await control.add(1, { type: 'security', value: {} })
  await control.add(1, { type: 'custom', id: RATE, value: 7 })
  await control.add(1, { type: 'custom', id: UNKNOWN, value: 'x' })
  const ask = (payload: object, room?: number) =>
    control.answer({
      oid: Oid.portPropertyEnum,
      type: 'method',
      payload: { portId: 1, ...payload },
      ...(room === undefined ? {} : { room }),
    })!
  const custom = ask({ propertyType: 1, propertyId: RATE }).output as { numProperties: number; properties: PropertyInfo[] }
  assert.equal(custom.numProperties, 1)
  assert.deepEqual(custom.properties[0]!.property, { perSecond: 7 })
  assert.equal((ask({ propertyType: 2, propertyId: RATE }).output as { numProperties: number }).numProperties, 1)
  assert.deepEqual(ask({ propertyType: 3 }).output, { numProperties: 0, properties: [] })
  const short = ask({ propertyType: 1, propertyId: RATE }, 50)
  assert.equal(short.status, NdisStatus.invalidLength)
  assert.equal(ask({ propertyType: 1, propertyId: RATE }, short.bytesNeeded).status, NdisStatus.success)
  assert.equal(ask({ portId: 0, propertyType: 1 }).status, NdisStatus.failure) // ES-089
  assert.equal(control.answer({ oid: Oid.portCreate, type: 'set', payload: {} }), undefined)
})

test('CS-77 a feature status query grows its buffer as asked, and one that nobody answers fails (ES-556, ES-557, ES-559, ES-562)', async () => {
  const data = new Uint8Array(6000).fill(7)
  const { control, issued } = world(({ payload }) => {
    const { featureStatusId, bufferLength } = payload as { featureStatusId: string; bufferLength: number }
    if (featureStatusId !== RATE) return { status: NdisStatus.success }
    if (bufferLength < data.length) return { status: NdisStatus.invalidLength, bytesNeeded: data.length }
    return { status: NdisStatus.success, output: { featureStatusVersion: 0x0102, data } }
  })
  assert.deepEqual(await control.featureStatus(1, RATE), { id: RATE, version: 0x0102, data })
  assert.deepEqual(
    issued.map(({ oid, type, payload }) => [oid, type, (payload as { portId: number }).portId]),
    [
      [Oid.portFeatureStatusQuery, 'method', 1],
      [Oid.portFeatureStatusQuery, 'method', 1],
    ],
  )
  assert.equal((issued[0]!.payload as { featureStatusType: number }).featureStatusType, 1)
  await assert.rejects(control.featureStatus(SWITCH_SCOPE, UNKNOWN), refused('NO_SUCH_FEATURE', NdisStatus.notSupported))
  assert.equal(issued.at(-1)!.oid, Oid.switchFeatureStatusQuery)
  await assert.rejects(control.featureStatus(2, RATE), refused('NO_SUCH_PORT'))
  await assert.rejects(control.featureStatus(1, 'x'), refused('BAD_PROPERTY'))
})

test('what a network imposes is in force beside the properties of a port, which stay as they were written', async () => {
  const { control, policies, names } = world()
  await control.add(1, { type: 'bandwidth', value: { maximumBandwidth: '1gbit' } })
  const limit = { type: 'bandwidth', value: { maximumBandwidth: '10mbit' } } as const
  control.impose([readImposed({ name: 'all', port: 'alpha', properties: [limit] })])
  await control.enforceAgain(1)
  assert.equal(policies.at(-1)?.bandwidth?.maximumBandwidth, 10e6)
  await control.update(1, { type: 'bandwidth', value: { maximumBandwidth: '2gbit' } })
  assert.equal(policies.at(-1)?.bandwidth?.maximumBandwidth, 10e6, 'a change of its own loosens nothing')
  await control.delete(1, { type: 'bandwidth' })
  assert.equal(policies.at(-1)?.bandwidth?.maximumBandwidth, 10e6)
  assert.deepEqual(control.list(1), [])
  assert.deepEqual(
    control.imposedOn(1).map(({ name }) => name),
    ['all'],
  )
  control.impose([])
  await control.enforceAgain(1)
  assert.equal(policies.at(-1)?.bandwidth, undefined)
  await control.enforceAgain(2) // gone
  assert.deepEqual(names(), [])
})
