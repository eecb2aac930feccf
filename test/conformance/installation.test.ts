import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ControlUnderTest, script } from './control-under-test.ts'
import { SwitchUnderTest, use } from './switch-under-test.ts'

test('what is installed last stands nearest to the protocol edge, within its class (ES-017)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [] })
  const install = (name: string, extensionClass: 'capturing' | 'filtering' | 'forwarding', enabled = true) =>
    sut.switch.installExtension(use({ name, class: extensionClass, trace: true, enabled, ...(name === 'X' ? { to: [2] } : {}) }))
  await install('X', 'forwarding')
  await install('F1', 'filtering')
  await install('C1', 'capturing')
  await install('F2', 'filtering')
  await install('C2', 'capturing')
  sut.said()
  await sut.send(1, 2, 'x')
  await sut.receive(2, 1)
  assert.deepEqual(
    sut.said().map((line) => line.split(' ')[0]!.replace(':', '')),
    ['C2', 'C1', 'F2', 'F1', 'X', 'X', 'F1', 'F2', 'C1', 'C2'],
  )
})

test('an extension is installed disabled and sees nothing until it is enabled; uninstalled it is gone (ES-017, ES-031, ES-032)', async (t) => {
  const cut = await ControlUnderTest.start(t, { extensions: [script('F1')] })
  const { switch: running } = cut.sut
  const listed = async () => (await running.extensions()).map(({ name, enabled, state }) => `${name} ${enabled} ${state}`)
  await running.installExtension(script('F2', { enabled: false }))
  assert.deepEqual(await listed(), ['F2 false detached', 'F1 true running'])
  await running.updatePort('p1', 'unseen')
  assert.deepEqual(cut.oids('F2', 'p1'), [])
  await running.setExtension('F2', true)
  await running.updatePort('p1', 'seen')
  assert.deepEqual(cut.oids('F2', 'p1'), ['PORT_UPDATED'])
  await assert.rejects(running.installExtension(script('F2')), /already has an extension "F2"/)
  await running.uninstallExtension('F2')
  assert.deepEqual(await listed(), ['F1 true running'])
  assert.ok((await cut.lines('F2', 'detach')).includes('detach'))
  await running.installExtension(script('F2'))
  assert.deepEqual(await listed(), ['F2 true running', 'F1 true running'])
})

test('an extension that can’t be installed leaves the switch as it was (ES-014, ES-048)', async (t) => {
  const cut = await ControlUnderTest.start(t, { extensions: [script('X1')] })
  const { switch: running } = cut.sut
  await assert.rejects(running.installExtension(script('X2')), /at most one forwarding extension/)
  await assert.rejects(running.installExtension(script('F1', { failAttach: true })), /refused to attach: not today/)
  await assert.rejects(running.installExtension({ ...script('F1'), file: '/nowhere.ts' }), /nowhere/)
  await running.installExtension(script('F1', { failAttach: true, required: false }))
  assert.deepEqual(
    (await running.extensions()).map(({ name, state }) => [name, state]),
    [
      ['F1', 'detached'],
      ['X1', 'running'],
    ],
  )
  await running.uninstallExtension('F1')
  await running.setExtension('X1', false)
  await running.installExtension(script('X2'))
})
