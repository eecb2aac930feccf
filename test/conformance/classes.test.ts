// What makes an extension one, and the switch's own forwarding without any.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { ExtensionEntry } from '../../src/engine/extension-manager.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'
import { frame, SwitchUnderTest, use } from './switch-under-test.ts'

const entry = (name: string, file: string, options: unknown = {}): ExtensionEntry => ({
  name,
  file,
  enabled: true,
  onFailure: 'open',
  options,
})

// An extension that only says of which class it is, and what it is given.
function written(extensionClass: string): ExtensionEntry {
  const file = join(temporaryDirectory(), 'written.mjs')
  writeFileSync(
    file,
    `export default { id: '0a6f9d52-1c55-4f5e-8a3f-6f1b2c3d4e60', name: 'written', version: '1.0.0', class: '${extensionClass}',
      attach(sw) {
        sw.log(['referencePort', 'dereferencePort', 'referenceNic', 'dereferenceNic', 'originate', 'setSource', 'send', 'forward', 'release']
          .filter((name) => typeof sw[name] !== 'function').join() || 'all handlers')
        return {}
      } }`,
  )
  return entry('written', file)
}

test('an extension declares itself capturing, filtering or forwarding, and is nothing else (ES-021, ES-022, ES-023)', async (t) => {
  for (const extensionClass of ['capturing', 'filtering', 'forwarding']) {
    const sut = await SwitchUnderTest.start(t, { extensions: [written(extensionClass)] })
    assert.equal((await sut.extension('written')).class, extensionClass)
  }
  await assert.rejects(
    SwitchUnderTest.start(t, { extensions: [written('monitoring')] }),
    /is not capturing, filtering or forwarding/,
  )
})

test('a module in a switch stack gets the handlers of its switch (ES-025)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [written('filtering')] })
  assert.ok(sut.log.some(({ message }) => message === 'all handlers'))
})

test('nothing stands below the forwarding extension (ES-013, ES-018)', async (t) => {
  const [X, F] = [use({ name: 'X', class: 'forwarding', to: [2] }), use({ name: 'F', class: 'filtering' })]
  await assert.rejects(SwitchUnderTest.start(t, { extensions: [X, F] }), /the order is capturing, filtering, forwarding/)
  const sut = await SwitchUnderTest.start(t, { extensions: [F, X] })
  await assert.rejects(sut.switch.reorderExtensions(['X', 'F']), /the order is capturing, filtering, forwarding/)
})

test('a packet that one module made is good for nothing to another (ES-064, ES-409)', async (t) => {
  const file = fileURLToPath(new URL('./extensions/handle-thief.ts', import.meta.url))
  const sut = await SwitchUnderTest.start(t, {
    extensions: [entry('owner', file, { role: 'owner' }), entry('thief', file, { role: 'thief' })],
  })
  await sut.send(1, 2, 'x')
  assert.deepEqual(await sut.receive(2, 1), ['x'])
  const refused = Array(4).fill('NDIS_STATUS_INVALID_PARAMETER').join(' ')
  await sut.until(() => sut.log.some(({ message }) => message === 'NDIS_STATUS_SUCCESS'), 'the owner to release it')
  assert.ok(sut.said().includes(`thief: ${refused}`))
})

test('CS-37 without a forwarding extension unicast goes to its port, broadcast to all others, nothing back (ES-331, ES-332)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { ports: 3 })
  await sut.send(1, 2, 'unicast')
  await sut.send(1, 0, 'broadcast')
  assert.deepEqual(await sut.receive(2, 2), ['unicast', 'broadcast'])
  assert.deepEqual(await sut.receive(3, 1), ['broadcast'])
  await sut.silence(1)
})

test('CS-66 a port without MAC spoofing sends from its own address only (ES-223, ES-525)', async (t) => {
  const sut = await SwitchUnderTest.start(t)
  sut.peer(1).send(frame(2, 9, 'forged'))
  await sut.send(1, 2, 'own')
  assert.deepEqual(await sut.receive(2, 1), ['own'])
  assert.deepEqual(sut.drops(1), { 'mac-spoofing': 1 })
})
