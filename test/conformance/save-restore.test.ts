import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NdisStatus } from '../../src/ndis/status.ts'
import { PropertyError } from '../../src/switch/policies/property.ts'
import { SaveError } from '../../src/switch/save-restore/save-control.ts'
import { readSavedSwitch, writeSavedSwitch } from '../../src/switch/save-restore/saved-switch.ts'
import { about, policy } from './policy-support.ts'
import { portConfig, SwitchUnderTest } from './switch-under-test.ts'

const OTHER = '0d3c1f9f-000a-4c56-9b7e-7b0b6d0e5fff'
const OIDS = /: (NIC|PORT)_/
const text = (data: Uint8Array): string => new TextDecoder().decode(data)

test('CS-78 a save asks until the miniport edge answers and keeps each block with its owner (ES-459, ES-465, ES-469, ES-470, ES-471, ES-473, ES-478)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    ports: 1,
    extensions: [
      policy({ name: 'E1', class: 'filtering', blocks: ['a', 'b'] }),
      policy({ name: 'E2', class: 'filtering', owner: OTHER, blocks: ['c'] }),
    ],
  })
  const [port] = (await sut.switch.moves.save()).ports
  assert.deepEqual(
    port!.blocks.map(({ extensionId, saveData }) => [extensionId.slice(-4), text(saveData)]),
    [
      ['5f02', 'a'],
      ['5f02', 'b'],
      ['5fff', 'c'],
    ],
  )
  assert.deepEqual(about(sut.said(), OIDS), [
    'E1: NIC_SAVE 1',
    'E1: NIC_SAVE 1',
    'E1: NIC_SAVE 1',
    'E2: NIC_SAVE 1',
    'E1: NIC_SAVE 1',
    'E2: NIC_SAVE 1',
    'E1: NIC_SAVE_COMPLETE 1',
    'E2: NIC_SAVE_COMPLETE 1',
  ])
  assert.ok(sut.switch.ports()[0]!.connected, 'a save tears nothing down')
})

test('CS-79 an extension whose data is larger than the buffer gets a larger one (ES-467, ES-468)', async (t) => {
  const large = 'x'.repeat(10_000)
  const sut = await SwitchUnderTest.start(t, {
    ports: 1,
    extensions: [policy({ name: 'E', class: 'capturing', blocks: [large] })],
  })
  const [port] = (await sut.switch.moves.save()).ports
  assert.equal(text(port!.blocks[0]!.saveData), large)
  assert.equal((await sut.extension('E')).breaches, 0)
})

test('CS-80 what was saved is written, read, and restored to another port id: properties, counters, addresses, run-time data (ES-479, ES-481, ES-482, ES-483, ES-488, ES-489)', async (t) => {
  const extensions = [
    policy({ name: 'E1', class: 'filtering', blocks: ['a', 'b'] }),
    policy({ name: 'E2', class: 'filtering', owner: OTHER, blocks: ['c'] }),
  ]
  const source = await SwitchUnderTest.start(t, { ports: 3, extensions })
  await source.switch.policies.add(3, { type: 'security', value: { allowMacSpoofing: true } })
  await source.send(3, 1, 'x', 'y')
  await source.receive(1, 2)
  const saved = readSavedSwitch(writeSavedSwitch(await source.switch.moves.save('p3')))

  const target = await SwitchUnderTest.start(t, { ports: 1, extensions })
  const port = saved.ports[0]!
  const restored = await target.switch.moves.restore(port, portConfig(3))
  const id = target.switch.portId('p3')
  assert.equal(id, 2)
  if (restored.data === 'waiting') {
    // The last of the lines below.
    const last = ({ source, message }: { source: string; message: string }) =>
      source === 'extension E2' && message.includes('NIC_RESTORE_COMPLETE')
    await target.heard(last, 'the restore')
  }
  assert.deepEqual(about(target.said(), /(PROPERTY_ADD|RESTORE)/), [
    'E1: PORT_PROPERTY_ADD 2 type 2 version 256',
    'E2: PORT_PROPERTY_ADD 2 type 2 version 256',
    'E1: NIC_RESTORE 2 a',
    'E1: NIC_RESTORE 2 b',
    'E1: NIC_RESTORE 2 not mine',
    'E2: NIC_RESTORE 2 c',
    'E1: NIC_RESTORE_COMPLETE 2',
    'E2: NIC_RESTORE_COMPLETE 2',
  ])
  assert.equal(target.switch.ports()[1]!.counters.receivedFrames, 2)
  assert.deepEqual(target.switch.policies.list(2)[0]!.value, { allowMacSpoofing: true })
})

test('learned addresses are saved with their age and known again after the restore', async (t) => {
  const learning = { mac: null, learning: true } as const
  const source = await SwitchUnderTest.start(t, { ports: 1 })
  await source.switch.addPort(portConfig(2, learning))
  await source.until(() => source.switch.ports()[1]!.connected, 'port 2 to be connected')
  await source.send(2, 1, 'hello')
  await source.receive(1, 1)
  const [port] = (await source.switch.moves.save('p2')).ports
  assert.deepEqual(
    port!.addresses.map(({ mac, vlan }) => [mac, vlan]),
    [['02:00:00:00:00:02', 0]],
  )
  const target = await SwitchUnderTest.start(t, { ports: 1 })
  await target.switch.moves.restore(port!, portConfig(2, learning))
  assert.ok(target.switch.fdb().some(({ mac, port: name }) => mac === '02:00:00:00:00:02' && name === 'p2'))
})

test('CS-81 an orphaned block succeeds with an event; an owner that fails fails the restore (ES-485, ES-486, ES-487)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { ports: 1, extensions: [policy({ name: 'E', class: 'filtering', blocks: ['a'] })] })
  const [port] = (await sut.switch.moves.save()).ports
  const orphan = { ...port!.blocks[0]!, extensionId: OTHER }
  assert.deepEqual(await sut.switch.moves.restore({ ...port!, blocks: [orphan, port!.blocks[0]!] }, undefined), {
    name: 'p1',
    data: 'restored',
    orphans: 1,
    withoutVf: null,
  })
  assert.ok(
    sut.log.some(
      ({ source, code, message }) => source === 'port p1' && code === 'orphaned-data' && /5fff.* for port 1/.test(message),
    ),
  )
  const failing = await SwitchUnderTest.start(t, {
    ports: 1,
    extensions: [policy({ name: 'E', class: 'filtering', blocks: ['a'], failRestore: true })],
  })
  await assert.rejects(
    failing.switch.moves.restore(port!, undefined),
    (error) => error instanceof SaveError && error.code === 'RESTORE_FAILED' && /extension "E"/.test(error.message),
  )
  assert.equal(about(failing.said(), /RESTORE_COMPLETE/).length, 1)
})

test('CS-82 a migration verifies policies on a validation port first, then saves, deletes and connects in order (ES-146, ES-148, ES-491, ES-492, ES-493, ES-494, ES-495)', async (t) => {
  const refuse = { type: 2, validationOnly: true, status: NdisStatus.dataNotAccepted }
  const E = { name: 'E', class: 'filtering', blocks: ['state'] } as const
  const source = await SwitchUnderTest.start(t, { ports: 2, extensions: [policy(E)] })
  await source.switch.policies.add(2, { type: 'security', value: {} })
  await source.send(1, 2, 'x')
  await source.receive(2, 1)

  const strict = await SwitchUnderTest.start(t, { ports: 1, extensions: [policy({ ...E, refuse })] })
  const [described] = (await source.switch.moves.save('p2')).ports
  const config = portConfig(2, { properties: described!.properties })
  await assert.rejects(strict.switch.moves.prepare(config), PropertyError)
  assert.equal(strict.switch.ports().length, 1)
  assert.deepEqual(about(strict.said(), OIDS), [
    'E: PORT_CREATE 2',
    'E: PORT_PROPERTY_ADD 2 type 2 version 256',
    'E: PORT_TEARDOWN 2',
    'E: PORT_DELETE 2',
  ])
  assert.ok(source.switch.ports()[1]!.connected, 'the source is as it was')

  const target = await SwitchUnderTest.start(t, { ports: 1, extensions: [policy(E)] })
  source.said()
  await source.switch.moves.hold('p2')
  await target.switch.moves.prepare(config)
  assert.deepEqual(about(target.said(), OIDS), [
    'E: PORT_CREATE 2',
    'E: PORT_PROPERTY_ADD 2 type 2 version 256',
    'E: PORT_TEARDOWN 2',
    'E: PORT_DELETE 2',
    'E: PORT_CREATE 3',
    'E: PORT_PROPERTY_ADD 3 type 2 version 256',
  ])
  source.unplug(2)
  const saved = await source.switch.moves.handOver('p2')
  assert.deepEqual(
    about(source.said(), OIDS).map((line) => line.split(' ')[1]),
    ['NIC_SAVE', 'NIC_SAVE', 'NIC_SAVE_COMPLETE', 'NIC_DISCONNECT', 'NIC_DELETE', 'PORT_TEARDOWN', 'PORT_DELETE'],
  )
  await target.switch.moves.takeOver(saved.ports[0]!)
  assert.deepEqual(about(target.said(), OIDS), [
    'E: NIC_CREATE 3',
    'E: NIC_CONNECT 3',
    'E: NIC_RESTORE 3 state',
    'E: NIC_RESTORE_COMPLETE 3',
  ])
  assert.equal(target.switch.ports()[1]!.counters.sentFrames, 1)
  await target.send(1, 2, 'here now')
  assert.deepEqual(await target.receive(2, 1), ['here now'])
})

test('a migration that is abandoned leaves the port where it was', async (t) => {
  const source = await SwitchUnderTest.start(t)
  const target = await SwitchUnderTest.start(t, { ports: 1 })
  await source.switch.moves.hold('p2')
  await assert.rejects(source.switch.moves.hold('p2'), { code: 'WRONG_STATE' })
  await target.switch.moves.prepare(portConfig(2))
  await target.switch.moves.abandon('p2')
  await source.switch.moves.abandon('p2')
  assert.equal(target.switch.ports().length, 1)
  await assert.rejects(source.switch.moves.handOver('p2'), { code: 'WRONG_STATE' })
  await source.send(1, 2, 'still here')
  assert.deepEqual(await source.receive(2, 1), ['still here'])
})

test('a second save of a connection starts when the first is complete (ES-474, ES-490)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { ports: 1, extensions: [policy({ name: 'E', class: 'filtering', blocks: ['a'] })] })
  const [first, second] = await Promise.all([sut.switch.moves.save(), sut.switch.moves.save()])
  assert.equal(first.ports[0]!.blocks.length, 1)
  assert.equal(second.ports[0]!.blocks.length, 1)
  const once = ['E: NIC_SAVE 1', 'E: NIC_SAVE 1', 'E: NIC_SAVE_COMPLETE 1']
  assert.deepEqual(about(sut.said(), OIDS), [...once, ...once])
  sut.said()
  await Promise.all([sut.switch.moves.restore(first.ports[0]!, undefined), sut.switch.moves.restore(second.ports[0]!, undefined)])
  const restored = ['E: NIC_RESTORE 1 a', 'E: NIC_RESTORE_COMPLETE 1']
  assert.deepEqual(about(sut.said(), OIDS), [...restored, ...restored])
})

for (const [badBlock, rule] of [
  ['owner', 'ES-465'],
  ['class', 'ES-466'],
  ['size', 'ES-477'],
] as const)
  test(`a block without what it needs, or too large, is a breach of the extension that saved it: ${badBlock} (${rule})`, async (t) => {
    const sut = await SwitchUnderTest.start(t, {
      ports: 1,
      extensions: [
        policy({ name: 'bad', class: 'filtering', blocks: ['a'], badBlock }),
        policy({ name: 'good', class: 'filtering', owner: OTHER, blocks: ['b'] }),
      ],
    })
    const [port] = (await sut.switch.moves.save()).ports
    assert.deepEqual(
      port!.blocks.map(({ saveData }) => text(saveData)),
      ['b'],
    )
    assert.ok(sut.log.some(({ source, code }) => source === 'extension bad' && code === rule))
  })

test('what extensions get of a save, restore or property is not theirs to change (ES-462, ES-463, ES-472, ES-480, ES-502, ES-549)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    ports: 1,
    extensions: [
      policy({ name: 'T', class: 'filtering', tampers: true }),
      policy({ name: 'E', class: 'filtering', blocks: ['a'] }),
    ],
  })
  await sut.switch.policies.add(1, { type: 'security', value: {} })
  const [port] = (await sut.switch.moves.save()).ports
  await sut.switch.moves.restore(port!, undefined)
  const lines = sut.said()
  assert.deepEqual(about(lines, /changed/), [])
  assert.deepEqual(about(lines, /^E: (NIC|PORT)_/), [
    'E: PORT_PROPERTY_ADD 1 type 2 version 256',
    'E: NIC_SAVE 1',
    'E: NIC_SAVE 1',
    'E: NIC_SAVE_COMPLETE 1',
    'E: NIC_RESTORE 1 a',
    'E: NIC_RESTORE_COMPLETE 1',
  ])
})

test('a restore that an extension refuses leaves the switch as it was: ports, properties, counters (ES-486, ES-508)', async (t) => {
  const source = await SwitchUnderTest.start(t, {
    ports: 3,
    extensions: [policy({ name: 'E', class: 'filtering', blocks: ['a'] })],
  })
  await source.switch.policies.add(undefined, { type: 'custom', id: OTHER, value: 'of the source' })
  await source.switch.policies.add(1, { type: 'security', value: { allowMacSpoofing: true } })
  await source.switch.policies.add(3, { type: 'custom', id: OTHER, value: 'bad' })
  await source.send(1, 2, 'counted')
  await source.receive(2, 1)
  const saved = await source.switch.moves.save()
  const refusing = async (options: object): Promise<void> => {
    const target = await SwitchUnderTest.start(t, {
      ports: 1,
      extensions: [policy({ name: 'E', class: 'filtering', blocks: ['a'], ...options })],
    })
    const { policies, moves } = target.switch
    await policies.add(undefined, { type: 'custom', id: OTHER, value: 'of the target' })
    await policies.add(1, { type: 'security', value: { virtualSubnetId: 4 } })
    const state = () => ({
      ports: target.switch.ports().map(({ name, counters }) => [name, counters.receivedFrames]),
      ofSwitch: policies.list(undefined).map(({ value }) => value),
      ofPort: policies.list(1).map(({ value }) => value),
    })
    const before = state()
    const fresh = new Map([2, 3].map((port) => [`p${port}`, portConfig(port)]))
    await assert.rejects(moves.restoreAll(saved, fresh))
    assert.deepEqual(state(), before)
    await target.switch.addPort(portConfig(2)) // its name is free
  }
  await refusing({ refuse: { value: 'bad', status: NdisStatus.dataNotAccepted } })
  await refusing({ failRestore: true })
})
