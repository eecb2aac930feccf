import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { ExtensionEntry } from '../../src/engine/extension-manager.ts'
import { SwitchUnderTest, use } from './switch-under-test.ts'

const bad = (name: string): ExtensionEntry => ({
  name,
  file: fileURLToPath(new URL(`./extensions/bad-${name}.ts`, import.meta.url)),
  enabled: true,
  onFailure: 'open',
  options: {},
})

const breaches = (sut: SwitchUnderTest): string[] => [
  ...new Set(sut.log.filter(({ code }) => /^ES-\d/.test(code)).map(({ source, code }) => `${source} ${code}`)),
]

test('CS-33 CS-34 in checking mode each breach of a capturing extension is told by rule, module and packet (ES-306, ES-307, ES-308, ES-309, ES-310, ES-383)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { verify: true, extensions: [bad('capturing')] })
  await sut.send(1, 2, 'x')
  assert.deepEqual(await sut.receive(2, 1), ['x'])
  const rules = ['ES-306', 'ES-307', 'ES-308', 'ES-309', 'ES-310']
  await sut.until(() => breaches(sut).length >= rules.length, 'the reports')
  assert.deepEqual(
    breaches(sut).sort(),
    rules.map((rule) => `extension capturing ${rule}`),
  )
  for (const { code, message } of sut.log.filter(({ source }) => source === 'extension capturing'))
    assert.match(message, new RegExp(`^${code}.*\\[in (in|e)gress, packet \\d+`))
})

test('without checking mode the first breach alone is told, and with it modules that keep the contract cause no report', async (t) => {
  const off = await SwitchUnderTest.start(t, { extensions: [bad('capturing')] })
  await off.send(1, 2, 'x')
  await off.receive(2, 1)
  assert.equal(breaches(off).length, 1)
  const clean = await SwitchUnderTest.start(t, {
    verify: true,
    extensions: [
      use({ name: 'C', class: 'capturing', trace: true }),
      use({ name: 'F', class: 'filtering', match: 'd', ingress: 'drop' }),
    ],
  })
  await clean.send(1, 2, 'a', 'd', 'b')
  assert.deepEqual(await clean.receive(2, 2), ['a', 'b'])
  assert.deepEqual(breaches(clean), [])
})
