import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Oid } from '../../src/ndis/oids.ts'
import { ARRAY_HEADER_BYTES, PORT_PARAMETERS_BYTES, SWITCH_PARAMETERS_BYTES } from '../../src/switch/control/queries.ts'
import { ENUM_INFO_BYTES, ENUM_PARAMETERS_BYTES } from '../../src/switch/policies/enumeration.ts'
import { ControlUnderTest, script } from './control-under-test.ts'
import type { Command } from './extensions/script.ts'
import { UNKNOWN } from './policy-support.ts'
import { portConfig } from './switch-under-test.ts'

const parameters: Command = { do: 'query', oid: Oid.switchParameters }
const INVALID_LENGTH = 'c0010014'

test('CS-07 CS-09 an extension discovers the configuration by queries, which modules below forward and the miniport edge answers (ES-078, ES-090, ES-252)', async (t) => {
  const cut = await ControlUnderTest.start(t, {
    ports: 3,
    extensions: [script('F1'), script('F2', { replies: { PORT_ARRAY: { status: 0 } } }), script('X1')],
  })
  await cut.tell('F1', parameters, { do: 'query', oid: Oid.portArray }, { do: 'query', oid: Oid.nicArray })
  await cut.sut.until(() => cut.sut.log.filter(({ message }) => message.startsWith('query 0')).length === 3, 'three answers')
  const [first, ports, nics] = cut.sut.log
    .filter(({ message }) => message.startsWith('query 0'))
    .map(({ message }) => JSON.parse(message.slice(8, message.lastIndexOf('}') + 1)) as Record<string, unknown>)
  assert.deepEqual([first!.isActive, first!.numSwitchPorts], [true, 3])
  assert.deepEqual([ports!.numElements, nics!.numElements], [3, 3])
  const below = cut.sut.log.filter(({ source, message }) => source === 'extension X1' && message === 'oid PORT_ARRAY')
  assert.equal(below.length, 1, 'it went through the module below')
  assert.deepEqual(cut.breaches('F2'), ['ES-090'])
})

test('CS-08 too little room fails with INVALID_LENGTH and the bytes needed, with which it succeeds (ES-085, ES-086, ES-087)', async (t) => {
  const cut = await ControlUnderTest.start(t, { extensions: [script('F1')] })
  const needed = ARRAY_HEADER_BYTES + PORT_PARAMETERS_BYTES
  await cut.tell('F1', { ...parameters, room: SWITCH_PARAMETERS_BYTES - 1 }, parameters)
  assert.equal(await cut.line('F1', 'query c'), `query ${INVALID_LENGTH} - ${SWITCH_PARAMETERS_BYTES}`)
  await cut.tell('F1', { do: 'query', oid: Oid.portArray, room: ARRAY_HEADER_BYTES })
  assert.equal(await cut.line('F1', 'query c'), `query ${INVALID_LENGTH} - ${needed}`)
  await cut.tell('F1', { do: 'query', oid: Oid.nicArray, room: ARRAY_HEADER_BYTES })
  assert.match(await cut.line('F1', 'query c'), new RegExp(`^query ${INVALID_LENGTH} - \\d+$`))
  await cut.tell('F1', { do: 'query', oid: Oid.portArray, room: needed })
  assert.match(await cut.line('F1', 'query 0'), /"numElements":1/)
})

test('CS-06 before activation only OID_SWITCH_PARAMETERS is answered, and NetEventSwitchActivate comes once (ES-053, ES-073, ES-074, ES-075, ES-076, ES-079, ES-080, ES-081, ES-082)', async (t) => {
  const early = [Oid.nicArray, Oid.portArray, Oid.portPropertyEnum, Oid.switchPropertyEnum]
  const cut = await ControlUnderTest.start(t, {
    extensions: [
      script('F1', {
        inAttach: [parameters],
        inRestart: [parameters, ...early.map((oid) => ({ do: 'query', oid, input: { portId: 1 } }) as const)],
        activateThrows: true,
      }),
      script('F2', { inRestart: [{ do: 'query', oid: Oid.portArray }] }),
    ],
  })
  const lines = await cut.lines('F1', 'activate')
  assert.equal(lines.filter((line) => line === 'activate').length, 1)
  assert.ok(lines.some((line) => line.startsWith('query 0') && line.includes('"isActive":false')))
  assert.deepEqual(cut.breaches('F1').sort(), ['ES-053', 'ES-079', 'ES-080', 'ES-081', 'ES-082'])
  assert.deepEqual(cut.breaches('F2'), ['ES-073', 'ES-080'])
  await cut.tell('F1', { do: 'query', oid: Oid.portArray })
  assert.match(await cut.line('F1', 'query 0 {"num'), /"numElements":1/)
})

test('a module attached to an active switch gets no activation and queries at once, in its first restart (ES-078, ES-097)', async (t) => {
  const cut = await ControlUnderTest.start(t, {
    extensions: [script('F1', { enabled: false, inRestart: [parameters, { do: 'query', oid: Oid.portArray }] })],
  })
  await cut.sut.switch.setExtension('F1', true)
  const lines = await cut.lines('F1', 'query 0 {"num')
  assert.ok(lines.some((line) => line.includes('"isActive":true')))
  assert.ok(!lines.includes('activate'))
  assert.ok(!lines.some((line) => line.startsWith('oid ')), 'nothing is replayed')
})

test('CS-20 an extension may not issue what only the switch issues (ES-120, ES-124, ES-134, ES-139, ES-186, ES-192, ES-196, ES-207, ES-212, ES-252, ES-501)', async (t) => {
  const cut = await ControlUnderTest.start(t, { extensions: [script('F1'), script('X1')] })
  const forbidden = [
    Oid.portCreate,
    Oid.portUpdated,
    Oid.portTeardown,
    Oid.portDelete,
    Oid.nicCreate,
    Oid.nicConnect,
    Oid.nicUpdated,
    Oid.nicDisconnect,
    Oid.nicDelete,
    Oid.portPropertyAdd,
    0x00010106,
  ]
  await cut.tell(
    'F1',
    ...forbidden.map((oid): Command => ({ do: 'request', request: { oid, type: 'set', payload: { portId: 1 } } })),
  )
  await cut.sut.until(
    () => cut.sut.log.filter(({ message }) => message.startsWith('request ')).length === forbidden.length,
    'all refusals',
  )
  assert.ok(cut.sut.log.every(({ message }) => !message.startsWith('request 0')))
  assert.deepEqual(cut.breaches('F1'), [
    'ES-120',
    'ES-124',
    'ES-134',
    'ES-139',
    'ES-186',
    'ES-192',
    'ES-196',
    'ES-207',
    'ES-212',
    'ES-501',
    'ES-252',
  ])
  assert.equal(cut.sut.switch.ports().length, 1)
  assert.ok(cut.sut.switch.ports()[0]!.connected)
})

test('an enumeration of port properties needs a reference, also while the port is torn down (CS-28, ES-141, ES-144, ES-130)', async (t) => {
  const enumerate: Command = {
    do: 'query',
    oid: Oid.portPropertyEnum,
    input: { portId: 2, propertyType: 2, propertyId: '', serializationVersion: 1 },
  }
  const cut = await ControlUnderTest.start(t, {
    ports: 2,
    extensions: [script('F1', { on: { PORT_TEARDOWN: [enumerate, { do: 'dereferencePort', port: 2 }] } })],
  })
  await cut.tell('F1', parameters, enumerate)
  assert.match(await cut.line('F1', 'query c'), /^query c0000001/)
  assert.deepEqual(cut.breaches('F1'), ['ES-141'])
  await cut.tell('F1', { do: 'referencePort', port: 2 })
  await cut.line('F1', 'referencePort 0')
  cut.sut.unplug(2)
  await cut.sut.switch.removePort('p2')
  assert.match(await cut.line('F1', 'query'), /^query 0/)
  assert.equal(cut.oids('F1', 'p2').at(-1), 'PORT_DELETE')
})

test('a request that a module keeps goes on without it after the limit, and the module is reported; others wait no longer (ES-246, ES-249)', async (t) => {
  const cut = await ControlUnderTest.start(t, {
    limits: { oidMs: 100 },
    extensions: [script('F1', { replies: { PORT_CREATE: { never: true, for: 'p3' } } }), script('F2')],
  })
  await cut.sut.switch.addPort(portConfig(3))
  assert.deepEqual(cut.breaches('F1'), ['ES-249'])
  assert.equal(cut.oids('F2', 'p3')[0], 'PORT_CREATE')
})

test('CS-65 a change of the stack waits for a pending request, which survives it; a second completion is a breach (ES-057, ES-059, ES-060)', async (t) => {
  const cut = await ControlUnderTest.start(t, {
    extensions: [
      script('F1', { replies: { NIC_CREATE: { pending: true, for: 'p3' } }, answerAfterMs: 300, answerTimes: 2 }),
      script('F2'),
    ],
  })
  const adding = cut.sut.switch.addPort(portConfig(3))
  await cut.sut.until(() => cut.oids('F1', 'p3').includes('NIC_CREATE 0'), 'the pending request')
  let changed = false
  const changing = cut.sut.switch.reorderExtensions(['F2', 'F1']).then(() => {
    changed = true
  })
  await cut.sut.switch.extensions()
  assert.equal(changed, false)
  assert.ok(!cut.oids('F2', 'p3').includes('NIC_CREATE 0'))
  await Promise.all([adding, changing])
  const lines = await cut.lines('F1', 'pause')
  assert.ok(lines.indexOf('done NIC_CREATE p3/0 0') < lines.indexOf('pause'), lines.join(', '))
  assert.ok(lines.includes('done NIC_CREATE p3/0 0'))
  assert.ok(cut.oids('F2', 'p3').includes('NIC_CREATE 0'))
  assert.deepEqual(cut.breaches('F1'), ['ES-057'])
})

test('a module that was paused at its place restarts when the pending request is complete, not before (ES-059)', async (t) => {
  const cut = await ControlUnderTest.start(t, {
    extensions: [script('F1', { replies: { NIC_CREATE: { pending: true, for: 'p3' } }, answerAfterMs: 100 }), script('F2')],
  })
  await cut.sut.switch.setExtensionPaused('F2', true)
  await cut.lines('F2', 'pause')
  const adding = cut.sut.switch.addPort(portConfig(3))
  await cut.sut.until(() => cut.oids('F1', 'p3').includes('NIC_CREATE 0'), 'the pending request')
  await Promise.all([cut.sut.switch.setExtensionPaused('F2', false), adding])
  const lines = await cut.lines('F2', 'restart')
  assert.ok(lines.indexOf('done NIC_CREATE p3/0 0') < lines.indexOf('restart'), lines.join(', '))
  assert.ok(lines.includes('done NIC_CREATE p3/0 0'))
})

test('an enumeration of switch properties needs no reference, and fails with INVALID_LENGTH and the bytes needed where they have no room (ES-088, ES-099)', async (t) => {
  const cut = await ControlUnderTest.start(t, { extensions: [script('F1')] })
  await cut.sut.switch.policies.add(undefined, { type: 'custom', id: UNKNOWN, value: 'twelve bytes' })
  const enumerate = (room?: number): Command => ({
    do: 'query',
    oid: Oid.switchPropertyEnum,
    input: { propertyType: 1, propertyId: UNKNOWN, serializationVersion: 1 },
    ...(room === undefined ? {} : { room }),
  })
  const needed = ENUM_PARAMETERS_BYTES + ENUM_INFO_BYTES + 16
  await cut.tell('F1', parameters, enumerate(needed - 1))
  assert.equal(await cut.line('F1', 'query c'), `query ${INVALID_LENGTH} - ${needed}`)
  await cut.tell('F1', enumerate(needed))
  assert.match(await cut.line('F1', 'query 0 {"numP'), /"numProperties":1.*"twelve bytes"/)
  assert.deepEqual(cut.breaches('F1'), [])
})

test('a query that fails for another reason than its length fails with NDIS_STATUS_FAILURE (ES-089)', async (t) => {
  const cut = await ControlUnderTest.start(t, {
    extensions: [script('F1')],
  })
  const wrong = [{ propertyType: 'security' }, { propertyId: UNKNOWN }, 'nonsense', undefined]
  for (const input of wrong) {
    await cut.tell('F1', parameters, { do: 'query', oid: Oid.switchPropertyEnum, input })
    const answer = await cut.line('F1', 'query c')
    assert.equal(answer, 'query c0000001 - -', JSON.stringify(input))
  }
})

test('a module forwards the enumerations of one above it: what it completes is answered by the miniport edge all the same (ES-096)', async (t) => {
  const forged = { status: 0 }
  const cut = await ControlUnderTest.start(t, {
    extensions: [script('F1'), script('X1', { replies: { PROPERTY_ENUM: forged, PORT_PROPERTY_ENUM: forged } })],
  })
  await cut.sut.switch.policies.add(1, { type: 'security', value: { virtualSubnetId: 7 } })
  await cut.tell(
    'F1',
    parameters,
    { do: 'referencePort', port: 1 },
    { do: 'query', oid: Oid.portPropertyEnum, input: { portId: 1, propertyType: 2, serializationVersion: 1 } },
    { do: 'query', oid: Oid.switchPropertyEnum, input: { propertyType: 1, propertyId: UNKNOWN, serializationVersion: 1 } },
    { do: 'dereferencePort', port: 1 },
  )
  await cut.line('F1', 'query 0 {"numProperties":1')
  await cut.sut.heard(({ message }) => message.startsWith('query 0 {"numProperties":0'), 'the second enumeration')
  assert.deepEqual(cut.breaches('X1'), ['ES-096', 'ES-096'])
})
