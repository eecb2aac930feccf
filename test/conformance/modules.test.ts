import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ControlUnderTest, script } from './control-under-test.ts'
import { SwitchUnderTest, use } from './switch-under-test.ts'

test('a module goes from attached over paused to running, and back before it is detached (ES-043, ES-044, ES-045, ES-046, ES-052)', async (t) => {
  const cut = await ControlUnderTest.start(t, { extensions: [script('F1')] })
  assert.equal((await cut.sut.extension('F1')).state, 'running')
  await cut.sut.switch.setExtension('F1', false)
  const lines = (await cut.lines('F1', 'detach')).filter((line) => /^(restart|pause|detach|activate)$/.test(line))
  assert.deepEqual(lines, ['restart', 'activate', 'pause', 'detach'])
  assert.equal((await cut.sut.extension('F1')).state, 'detached')
})

test('a mandatory module that does not attach or restart ends the start; an optional one is left out (ES-043, ES-048, ES-049)', async (t) => {
  for (const fault of [{ failAttach: true }, { failRestart: true }]) {
    await assert.rejects(
      ControlUnderTest.start(t, { extensions: [script('F1', fault), script('F2')] }),
      /"F1" refused to (attach: not today|restart: not now)/,
    )
    const cut = await ControlUnderTest.start(t, { extensions: [script('F1', { ...fault, required: false }), script('F2')] })
    assert.deepEqual(
      (await cut.sut.switch.extensions()).map(({ state }) => state),
      ['detached', 'running'],
    )
    assert.match((await cut.sut.extension('F1')).lastFault, /refused to/)
  }
})

test('a module that refuses to restart was paused and is detached; the stack stays as it was (ES-044, ES-049)', async (t) => {
  const cut = await ControlUnderTest.start(t, { extensions: [script('F1', { enabled: false, failRestart: true }), script('F2')] })
  await assert.rejects(cut.sut.switch.setExtension('F1', true), /refused to restart: not now/)
  assert.deepEqual(
    (await cut.sut.switch.extensions()).map(({ state, enabled }) => [state, enabled]),
    [
      ['detached', false],
      ['running', true],
    ],
  )
  assert.ok((await cut.lines('F1', 'detach')).includes('detach'))
})

test('CS-03 a reorder pauses and restarts the modules that change their place, and no other (ES-018, ES-038)', async (t) => {
  const cut = await ControlUnderTest.start(t, { extensions: [script('C1'), script('F1'), script('F2'), script('X1')] })
  await cut.sut.switch.reorderExtensions(['C1', 'F2', 'F1', 'X1'])
  const steps = (module: string): string[] =>
    cut.sut.log
      .filter(({ source, message }) => source === `extension ${module}` && /^(restart|pause|detach)$/.test(message))
      .map(({ message }) => message)
  assert.deepEqual(
    [steps('F1'), steps('F2')],
    [
      ['restart', 'pause', 'restart'],
      ['restart', 'pause', 'restart'],
    ],
  )
  assert.deepEqual([steps('C1'), steps('X1')], [['restart'], ['restart']])
})

test('a pause may take its time; the change of the stack waits for it, up to a limit (ES-045, ES-050)', async (t) => {
  const cut = await ControlUnderTest.start(t, {
    limits: { pauseMs: 200 },
    extensions: [script('F1', { pauseMs: 100 }), script('F2', { pauseMs: 60_000 })],
  })
  const before = performance.now()
  await cut.sut.switch.setExtension('F1', false)
  assert.ok(performance.now() - before >= 95)
  await cut.sut.switch.setExtension('F2', false)
  assert.ok(cut.sut.log.some(({ source, code }) => source === 'extension F2' && code === 'pause-failed'))
  assert.ok((await cut.lines('F2', 'detach')).includes('detach'))
})

test('CS-64 a module paused at its place refuses packets, takes OIDs, and works again when restarted (ES-051, ES-052, ES-054, ES-254)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [use({ name: 'F', class: 'filtering', trace: true, oids: true })] })
  await sut.switch.setExtensionPaused('F', true)
  assert.equal((await sut.extension('F')).state, 'paused')
  await sut.send(1, 2, 'x')
  await sut.until(() => (sut.drops(1).paused ?? 0) >= 1, 'the refusal')
  await sut.silence(2)
  await sut.switch.updatePort('p1', 'still heard')
  assert.deepEqual(
    sut.said().filter((line) => line.includes('oid')),
    ['F: oid PORT_UPDATED p1'],
  )
  await sut.switch.setExtensionPaused('F', false)
  await sut.send(1, 2, 'y')
  assert.deepEqual(await sut.receive(2, 1), ['y'])
  assert.equal((await sut.extension('F')).state, 'running')
})

test('what a module holds goes on when it is paused: the pause leaves it with nothing (ES-056)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [use({ name: 'F', class: 'filtering', egress: 'keep' })] })
  await sut.send(1, 2, 'x')
  await sut.silence(2)
  await sut.switch.setExtensionPaused('F', true)
  assert.deepEqual(await sut.receive(2, 1), ['x'])
})

test('CS-04 an extension is enabled on one switch and not on another, each with its own order (ES-019, ES-031, ES-032, ES-033, ES-034)', async (t) => {
  const one = await ControlUnderTest.start(t, { extensions: [script('F1'), script('F2', { enabled: false })] })
  const two = await ControlUnderTest.start(t, {
    extensions: [script('F2', { enabled: false }), script('F1', { enabled: false })],
  })
  const listed = async (cut: ControlUnderTest) =>
    (await cut.sut.switch.extensions()).map(({ name, class: kind, enabled }) => [name, kind, enabled])
  assert.deepEqual(await listed(one), [
    ['F1', 'filtering', true],
    ['F2', 'filtering', false],
  ])
  assert.deepEqual(await listed(two), [
    ['F2', 'filtering', false],
    ['F1', 'filtering', false],
  ])
  await two.sut.switch.setExtension('F2', true)
  assert.deepEqual(await listed(one), [
    ['F1', 'filtering', true],
    ['F2', 'filtering', false],
  ])
})
