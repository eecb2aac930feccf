// When the switch saves what extensions keep of connections, besides when it is told to.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NdisStatus } from '../../src/ndis/status.ts'
import { about, policy } from './policy-support.ts'
import { portConfig, SwitchUnderTest, use } from './switch-under-test.ts'

const OIDS = /: NIC_/
const stop = (sut: SwitchUnderTest, port: string): Promise<void> => sut.switch.endpoint(port).close()
const connected = (sut: SwitchUnderTest, port: string): boolean => sut.switch.ports().find(({ name }) => name === port)!.connected
const until = (sut: SwitchUnderTest, port: string, state: boolean): Promise<void> =>
  sut.until(() => connected(sut, port) === state, `${port} to be ${state ? 'connected' : 'disconnected'}`)

test('a guest that stops is saved before NIC_DISCONNECT, and has its data back when it comes again (ES-458)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [policy({ name: 'E', class: 'filtering', blocks: ['a', 'b'] })] })
  await stop(sut, 'p1')
  await until(sut, 'p1', false)
  await sut.heard(({ message }) => message.startsWith('NIC_DISCONNECT 1'), 'the disconnect')
  assert.deepEqual(about(sut.said(), OIDS), [
    'E: NIC_SAVE 1',
    'E: NIC_SAVE 1',
    'E: NIC_SAVE 1',
    'E: NIC_SAVE_COMPLETE 1',
    'E: NIC_DISCONNECT 1',
  ])
  const saved = (await sut.switch.moves.save('p1')).ports[0]!
  assert.deepEqual(
    saved.blocks.map(({ saveData }) => new TextDecoder().decode(saveData)),
    ['a', 'b'],
    'a save of the switch has it too',
  )
  assert.deepEqual(about(sut.said(), OIDS), [], 'without asking again: the connection is gone')
  await sut.switch.endpoint('p1').open()
  await until(sut, 'p1', true)
  await sut.until(() => sut.log.some(({ message }) => message === 'NIC_RESTORE_COMPLETE 1'), 'the restore')
  assert.deepEqual(about(sut.said(), OIDS), [
    'E: NIC_DELETE 1',
    'E: NIC_CREATE 1',
    'E: NIC_CONNECT 1',
    'E: NIC_RESTORE 1 a',
    'E: NIC_RESTORE 1 b',
    'E: NIC_RESTORE_COMPLETE 1',
  ])
})

test('a save is run when a guest stops, when the switch is saved, and when a port moves; not for adapters of the host (ES-458)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { type: 'external', extensions: [policy({ name: 'E', class: 'filtering' })] })
  const saves = (): string[] => about(sut.said(), /: NIC_SAVE /)
  await sut.switch.addPort(portConfig(3, { name: 'host', managementOS: true }))
  await sut.switch.addPort(portConfig(4, { name: 'up', mac: null, learning: true, adapters: [] }))
  await until(sut, 'host', true)
  await until(sut, 'up', true)
  sut.said()
  await sut.switch.moves.save()
  assert.deepEqual(
    saves(),
    [1, 2, 3, 4].map((port) => `E: NIC_SAVE ${port}`),
  )
  for (const port of ['host', 'up', 'p2']) {
    await stop(sut, port)
    await until(sut, port, false)
  }
  assert.deepEqual(saves(), ['E: NIC_SAVE 2'])
  await sut.switch.moves.hold('p1')
  await stop(sut, 'p1')
  assert.deepEqual(saves(), [], 'its connection stays until it is handed over')
  await sut.switch.moves.handOver('p1')
  assert.deepEqual(saves(), ['E: NIC_SAVE 1'])
})

test('a save that an extension fails keeps no guest from stopping, and is told (ES-458)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [use({ name: 'F', class: 'filtering', veto: { NIC_SAVE: NdisStatus.failure } })],
  })
  await stop(sut, 'p1')
  await until(sut, 'p1', false)
  await sut.heard(
    ({ source, code, message }) => source === 'port p1' && code === 'save-failed' && message.includes('NDIS_STATUS_FAILURE'),
    'the event',
  )
  await sut.switch.endpoint('p1').open()
  await until(sut, 'p1', true)
  await sut.send(1, 2, 'goes on')
  assert.deepEqual(await sut.receive(2, 1), ['goes on'])
})
