import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { NIC_INITIALIZING, Oid } from '../../src/ndis/oids.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'
import { ControlUnderTest, script } from './control-under-test.ts'
import type { Command } from './extensions/script.ts'
import { portConfig } from './switch-under-test.ts'

const both = (port: number): Command[] => [
  { do: 'referencePort', port },
  { do: 'dereferencePort', port },
  { do: 'referenceNic', port },
  { do: 'dereferenceNic', port },
]

test('CS-27 references succeed in the states that allow them (ES-143, ES-177, ES-189, ES-200, ES-215, ES-231, ES-232, ES-233, ES-234, ES-235, ES-236, ES-237)', async (t) => {
  // In the order in which the module meets the OIDs of port 2; a release without a reference is a breach, and so shows a refusal.
  const at = [
    'PORT_CREATE',
    'PORT_CREATE.done',
    'NIC_CREATE',
    'NIC_CREATE.done',
    'NIC_CONNECT.done',
    'NIC_DISCONNECT',
    'NIC_DELETE.done',
    'PORT_TEARDOWN',
    'PORT_DELETE.done',
  ]
  const cut = await ControlUnderTest.start(t, {
    ports: 0,
    extensions: [script('F1', { on: Object.fromEntries(at.map((when) => [when, both(1)])) })],
  })
  await cut.sut.switch.addPort(portConfig(1))
  await cut.sut.until(() => cut.oids('F1', 'p1').includes('NIC_CONNECT 0'), 'the connection')
  await cut.sut.until(() => cut.sut.switch.ports()[0]!.connected, 'the end of the connecting')
  await cut.tell('F1', ...both(1))
  await cut.sut.switch.removePort('p1')
  const said = (): string[] =>
    cut.sut.log.map(({ message }) => message).filter((message) => /^(oid|done|reference)/.test(message))
  const isOver = (lines: readonly string[]): boolean => lines.at(-3)?.startsWith('done PORT_DELETE') === true
  await cut.sut.until(() => isOver(said()), 'what is allowed at the end')
  const results = said().map((message) =>
    message.replace(/^(reference\w+) 0$/, '$1 yes').replace(/^(reference\w+) c.*$/, '$1 no'),
  )
  const allowed = new Map<string, string>()
  let state = ''
  for (const line of results)
    if (line.startsWith('reference')) allowed.set(state, `${allowed.get(state) ?? ''}${line.includes('yes') ? '+' : '-'}`)
    else state = line.split(' ').slice(0, 2).join(' ')
  assert.equal(allowed.get('oid PORT_CREATE'), '--') // S0
  assert.equal(allowed.get('oid NIC_CREATE'), '+-') // S1
  assert.equal(allowed.get('done NIC_CREATE'), '+-') // S2
  assert.equal(allowed.get('oid PORT_UPDATED'), '++') // S3
  assert.equal(allowed.get('oid NIC_DISCONNECT'), '+-') // S4
  assert.equal(allowed.get('done NIC_DELETE'), '+-') // S5
  assert.equal(allowed.get('oid PORT_TEARDOWN'), '--') // S6
  assert.equal(allowed.get('done PORT_DELETE'), '--') // S0
})

test('CS-26 a NIC reference holds NIC_DELETE back, not NIC_DISCONNECT (ES-208, ES-213, ES-214, ES-219)', async (t) => {
  const cut = await ControlUnderTest.start(t, { ports: 2, extensions: [script('F1')] })
  await cut.tell('F1', { do: 'referenceNic', port: 2 })
  assert.equal(await cut.line('F1', 'referenceNic'), 'referenceNic 0')
  cut.sut.unplug(2)
  const removing = cut.sut.switch.removePort('p2')
  await cut.sut.until(() => cut.oids('F1', 'p2').includes('NIC_DISCONNECT 0'), 'the disconnect')
  await sleep(50)
  assert.ok(!cut.oids('F1', 'p2').includes('NIC_DELETE 0'))
  await cut.tell('F1', { do: 'dereferenceNic', port: 2 })
  await removing
  assert.deepEqual(cut.oids('F1', 'p2').slice(-3), ['NIC_DELETE 0', 'PORT_TEARDOWN', 'PORT_DELETE'])
  assert.deepEqual(cut.breaches('F1'), [])
})

test('CS-23 what changes of a connected adapter is one NIC_UPDATED, of another none (ES-193, ES-194, ES-195, ES-191)', async (t) => {
  const cut = await ControlUnderTest.start(t, {
    extensions: [script('F1', { replies: { NIC_UPDATED: { status: 0xc0000001 } } })],
  })
  await cut.sut.switch.updateNic('p1', { nicFriendlyName: 'new', mtu: 1400 })
  await cut.sut.switch.updateNic('p1', { mtu: 1400 })
  assert.deepEqual(
    cut.oids('F1', 'p1').filter((oid) => oid.startsWith('NIC_UPDATED')),
    ['NIC_UPDATED 0'],
  )
  assert.deepEqual(cut.breaches('F1'), ['ES-195'])
})

test('CS-22 only the MTU of an adapter that is being initialised may be reduced (ES-170, ES-171, ES-172, ES-173)', async (t) => {
  assert.equal(NIC_INITIALIZING, 1)
  const cut = await ControlUnderTest.start(t, {
    extensions: [script('X1', { replies: { NIC_CREATE: { mtu: 9000, for: 'more' } } })],
  })
  await cut.sut.switch.addPort(portConfig(3, { name: 'more' }))
  assert.deepEqual(cut.breaches('X1'), ['ES-172'])
  // A memory endpoint is an emulated adapter: NIC_INITIALIZING is for synthetic ones.
  const less = await ControlUnderTest.start(t, {
    extensions: [script('X1', { replies: { NIC_CREATE: { mtu: 1450, for: 'less' } } })],
  })
  await less.sut.switch.addPort(portConfig(3, { name: 'less' }))
  assert.deepEqual(less.breaches('X1'), ['ES-171'])
  await less.tell('X1', { do: 'query', oid: Oid.switchParameters }, { do: 'query', oid: Oid.nicArray })
  await less.sut.heard(
    ({ message }) => message.startsWith('query 0') && message.includes('"mtu":1500') && !message.includes('1450'),
    'the MTU as it was',
  )
})

test('CS-22 an extension reserves room for encapsulation when a synthetic adapter comes for the first time (ES-171, ES-173)', async (t) => {
  const cut = await ControlUnderTest.start(t, {
    extensions: [script('X1', { replies: { NIC_CREATE: { mtu: 1450, for: 'guest' } } })],
  })
  const endpoint = {
    kind: 'vhost-user',
    path: join(temporaryDirectory(), 'guest.sock'),
    mode: 'server',
    queuePairs: 1,
    mtu: 1500,
    requireSeals: false,
  } as const
  await cut.sut.switch.addPort(portConfig(3, { name: 'guest', endpoint }))
  await cut.tell('X1', { do: 'query', oid: Oid.switchParameters }, { do: 'query', oid: Oid.nicArray })
  await cut.sut.heard(({ message }) => message.startsWith('query 0') && message.includes('"mtu":1450'), 'the reduced MTU')
  assert.deepEqual(cut.breaches('X1'), [])
  assert.equal((cut.sut.switch.endpoint('guest').describe() as { mtu?: number }).mtu ?? 1450, 1450)
})

test('the structures of a request cannot be changed by who receives it (ES-108, ES-170, ES-247)', async (t) => {
  const cut = await ControlUnderTest.start(t, {
    extensions: [script('F1', { replies: { PORT_CREATE: { modify: true }, NIC_CREATE: { modify: true } } }), script('F2')],
  })
  await cut.sut.switch.addPort(portConfig(3))
  assert.deepEqual(cut.oids('F2', 'forged'), [])
  assert.deepEqual(cut.oids('F2', 'p3').slice(0, 2), ['PORT_CREATE', 'NIC_CREATE 0'])
  assert.ok(cut.sut.log.some(({ code, source }) => code === 'oid-failed' && source === 'extension F1'))
})
