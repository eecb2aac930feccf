import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { ExtensionEntry } from '../../src/engine/extension-manager.ts'
import { type InnerStatusIndication, type NicStatusIndication, StatusIndication } from '../../src/ndis/oids.ts'
import { ControlUnderTest, script } from './control-under-test.ts'
import type { Command } from './extensions/script.ts'
import { portConfig } from './switch-under-test.ts'

const MEDIA = 0x4001000b
const REMOVE_VF: InnerStatusIndication = { statusCode: StatusIndication.switchPortRemoveVf, statusBuffer: null }
const indicate = (given: Partial<NicStatusIndication>): Command => ({
  do: 'indicate',
  indication: {
    sourcePortId: 0,
    sourceNicIndex: 0,
    destinationPortId: 0,
    destinationNicIndex: 0,
    statusIndication: { statusCode: MEDIA, statusBuffer: 'up' },
    ...given,
  },
})

async function external(t: TestContext, extensions: readonly ExtensionEntry[]) {
  const arrived: string[] = []
  const removed: string[] = []
  const cut = await ControlUnderTest.start(t, {
    extensions,
    edge: {
      statusIndicated: ({ statusCode, statusBuffer }) => arrived.push(`${statusCode.toString(16)} ${String(statusBuffer)}`),
      vfRemoved: (port, nic) => removed.push(`${port}/${nic}`),
    },
  })
  await cut.sut.switch.addPort(portConfig(2, { name: 'up', mac: null, learning: true, adapters: [] }))
  await cut.sut.until(() => cut.sut.switch.ports()[1]!.connected, 'the external connection')
  return { cut, arrived, removed }
}

const report = (cut: ControlUnderTest): Promise<void> => cut.sut.switch.adapterStatus({ statusCode: MEDIA, statusBuffer: 'up' })

test('CS-86 a status of an adapter is wrapped, seen by every extension from the bottom up, and unwrapped (ES-281, ES-282, ES-283, ES-287, ES-288)', async (t) => {
  const { cut, arrived } = await external(t, [script('C1'), script('F1'), script('X1')])
  await report(cut)
  const seen = cut.sut.log.filter(({ message }) => message.startsWith('status'))
  assert.deepEqual(
    seen.map(({ source }) => source),
    ['extension X1', 'extension F1', 'extension C1'],
  )
  for (const { message } of seen) assert.equal(message, 'status 4001000b 2/0 to 0/0 up')
  assert.deepEqual(arrived, ['4001000b up'])
})

test('CS-86 only a forwarding extension changes or ends an indication (ES-284, ES-285, ES-293)', async (t) => {
  const { cut, arrived } = await external(t, [
    script('C1', { status: 'discard' }),
    script('F1', { status: 'change' }),
    script('X1', { status: 'change' }),
  ])
  await report(cut)
  assert.deepEqual(arrived, ['4001000b changed'])
  assert.deepEqual([cut.breaches('C1'), cut.breaches('F1'), cut.breaches('X1')], [['ES-284'], ['ES-285'], []])
  const ended = await external(t, [script('F1'), script('X1', { status: 'discard' })])
  await report(ended.cut)
  assert.deepEqual(ended.arrived, [])
  assert.ok(!ended.cut.sut.log.some(({ source, message }) => source === 'extension F1' && message.startsWith('status')))
})

test('a changed indication still names the external port, and the extensions (ES-287, ES-288)', async (t) => {
  const { cut, arrived } = await external(t, [script('X1', { status: 'redirect' })])
  await report(cut)
  assert.deepEqual([arrived, cut.breaches('X1')], [['4001000b up'], ['ES-288']])
})

test('a forwarding extension originates indications under a reference, for the modules above it; no other class does (ES-286, ES-289, ES-291, ES-292)', async (t) => {
  const { cut, arrived } = await external(t, [script('F1'), script('X1')])
  await cut.tell('F1', indicate({ sourcePortId: 2 }))
  assert.equal(await cut.line('F1', 'indicate'), 'indicate c00000bb')
  await cut.tell(
    'X1',
    indicate({ sourcePortId: 2 }),
    { do: 'referenceNic', port: 2 },
    indicate({ sourcePortId: 2 }),
    indicate({ sourcePortId: 1 }),
    indicate({ sourcePortId: 2, destinationPortId: 1 }),
    { do: 'dereferenceNic', port: 2 },
  )
  assert.deepEqual(
    (await cut.lines('X1', 'dereferenceNic')).filter((line) => line.startsWith('indicate')),
    ['indicate c0000001', 'indicate 0', 'indicate c000000d', 'indicate c000000d'],
  )
  assert.deepEqual(cut.breaches('X1'), ['ES-291', 'ES-289', 'ES-289'])
  await cut.sut.until(() => arrived.length === 1, 'the indication')
  assert.equal(await cut.line('F1', 'status'), 'status 4001000b 2/0 to 0/0 up')
})

test('REMOVE_VF names a referenced connection, has no buffer, and brings its traffic back to the port (ES-290, ES-294, ES-295, ES-296, ES-297, ES-298, ES-299)', async (t) => {
  const { cut, removed } = await external(t, [script('F1'), script('X1')])
  await cut.sut.switch.updateNic('p1', { vfAssigned: true })
  const remove = { destinationPortId: 1, statusIndication: REMOVE_VF }
  await cut.tell(
    'X1',
    indicate(remove),
    { do: 'referenceNic', port: 1 },
    indicate({ ...remove, statusIndication: { ...REMOVE_VF, statusBuffer: 'x' } }),
    indicate({ ...remove, sourcePortId: 2 }),
    indicate(remove),
    { do: 'dereferenceNic', port: 1 },
  )
  await cut.line('X1', 'dereferenceNic')
  await cut.sut.until(() => removed.length === 1, 'the removal')
  assert.deepEqual(removed, ['1/0'])
  assert.deepEqual(cut.breaches('X1'), ['ES-294', 'ES-296', 'ES-296'])
  const updates = (): number => cut.oids('F1', 'p1').filter((oid) => oid === 'NIC_UPDATED 0').length
  await cut.sut.until(() => updates() === 2, 'NIC_UPDATED with VFAssigned FALSE')
})
