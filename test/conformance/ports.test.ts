import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ControlUnderTest, script } from './control-under-test.ts'
import { portConfig } from './switch-under-test.ts'

const RESOURCES = 0xc000009a

test('CS-15 a transient veto is followed by another attempt, which succeeds (ES-112, ES-113, ES-115)', async (t) => {
  const cut = await ControlUnderTest.start(t, {
    extensions: [script('F1', { replies: { PORT_CREATE: { status: RESOURCES, for: 'slow', times: 1 } } })],
  })
  await cut.sut.switch.addPort(portConfig(3, { name: 'slow' }))
  assert.deepEqual(cut.oids('F1', 'slow').slice(0, 3), ['PORT_CREATE', 'PORT_CREATE', 'NIC_CREATE 0'])
})

test('CS-24 a new name for people is one PORT_UPDATED, the same name none, and none follows a teardown (ES-121, ES-122, ES-123)', async (t) => {
  const cut = await ControlUnderTest.start(t, {
    extensions: [script('F1', { replies: { PORT_UPDATED: { status: 0xc0000001 } } })],
  })
  await cut.sut.switch.updatePort('p1', 'reception')
  await cut.sut.switch.updatePort('p1', 'reception')
  assert.equal(cut.oids('F1', 'p1').filter((oid) => oid === 'PORT_UPDATED').length, 1)
  assert.deepEqual(cut.breaches('F1'), ['ES-123'])
  const removing = cut.sut.switch.removePort('p1')
  await assert.rejects(cut.sut.switch.updatePort('p1', 'gone'), /no port "p1"/)
  await removing
  assert.equal(cut.oids('F1', 'p1').at(-1), 'PORT_DELETE')
})

test('CS-25 a port reference holds PORT_DELETE back, not PORT_TEARDOWN, until it is released (ES-127, ES-135, ES-140, ES-142)', async (t) => {
  const cut = await ControlUnderTest.start(t, { ports: 2, extensions: [script('F1')] })
  const id = cut.sut.switch.portId('p2')
  await cut.tell('F1', { do: 'referencePort', port: id })
  assert.equal(await cut.line('F1', 'referencePort'), 'referencePort 0')
  cut.sut.unplug(2)
  const removing = cut.sut.switch.removePort('p2')
  await cut.sut.until(() => cut.oids('F1', 'p2').includes('PORT_TEARDOWN'), 'the teardown')
  await sleep(50)
  assert.ok(!cut.oids('F1', 'p2').includes('PORT_DELETE'))
  await cut.tell('F1', { do: 'referencePort', port: id }, { do: 'dereferencePort', port: id })
  assert.deepEqual(
    (await cut.lines('F1', 'dereferencePort')).filter((line) => line.includes('eferencePort')),
    ['referencePort c0000001', 'dereferencePort 0'], // ES-131, ES-237: no new one
  )
  await removing
  assert.equal(cut.oids('F1', 'p2').at(-1), 'PORT_DELETE')
  await cut.tell('F1', { do: 'referencePort', port: id }, { do: 'dereferencePort', port: id })
  assert.equal(await cut.line('F1', 'referencePort'), 'referencePort c000000d') // ES-138, ES-231
  assert.deepEqual(cut.breaches('F1'), ['ES-142'], 'released what it did not hold')
})

test('a module that never releases its reference is reported, and the port goes (ES-145)', async (t) => {
  const cut = await ControlUnderTest.start(t, { ports: 2, limits: { drainMs: 30 }, extensions: [script('F1')] })
  await cut.tell('F1', { do: 'referencePort', port: 2 }, { do: 'referenceNic', port: 2 })
  await cut.line('F1', 'referenceNic')
  cut.sut.unplug(2)
  await cut.sut.switch.removePort('p2')
  assert.deepEqual(cut.breaches('F1').sort(), ['ES-145', 'ES-219'])
  assert.equal(cut.sut.switch.ports().length, 1)
})

test('references that a module leaves behind are released and reported when it is detached (ES-142)', async (t) => {
  const cut = await ControlUnderTest.start(t, { ports: 2, extensions: [script('F1')] })
  await cut.tell('F1', { do: 'referencePort', port: 2 })
  await cut.line('F1', 'referencePort')
  await cut.sut.switch.setExtension('F1', false)
  assert.deepEqual(cut.breaches('F1'), ['ES-142'])
  cut.sut.unplug(2)
  await cut.sut.switch.removePort('p2')
})
