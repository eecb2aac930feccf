// The in-box extension impairment under the contract: it holds, copies, changes and drops more than any other.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import type { ExtensionEntry } from '../../src/engine/extension-manager.ts'
import { IMPAIRMENT_PROPERTY } from '../../src/extensions/impairment/index.ts'
import { parseImpairmentOptions } from '../../src/extensions/impairment/options.ts'
import { verifyExtension } from '../../src/lab/verify/verify-extension.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'
import { SwitchUnderTest } from './switch-under-test.ts'

const file = fileURLToPath(new URL('../../src/extensions/impairment/index.ts', import.meta.url))
const entry: ExtensionEntry = { name: 'impairment', file, enabled: true, onFailure: 'closed', options: {} }
const property = (value: unknown) => ({ type: 'custom', id: IMPAIRMENT_PROPERTY, value }) as const

test('impairment keeps the contract under verification, with everything turned on', async () => {
  const all = { delay: 3, jitter: 2, loss: 5, duplicate: 10, reorder: 10, rate: '50mbit', limit: 200 }
  const options = {
    file,
    shown: 'impairment',
    options: { seed: 5, rules: [{ direction: 'both', ...all }] },
    seed: 3,
    steps: 80,
    seconds: 20,
    directory: temporaryDirectory(),
  }
  const { breaches, faults } = await verifyExtension(options)
  assert.deepEqual([breaches, faults], [[], []])
})

test('a port gets its line by a property, and a change, a disabled module and a deletion lose nothing (ES-056, ES-505)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { verify: true, ports: 3, extensions: [entry] })
  await sut.switch.policies.add(2, property({ delay: '300ms' }))
  await sut.send(1, 2, 'late', 'later')
  await sut.send(1, 3, 'now')
  assert.deepEqual(await sut.receive(3, 1), ['now'])
  assert.deepEqual(sut.take(2), [])
  assert.deepEqual(await sut.receive(2, 2), ['late', 'later'])
  await sut.switch.policies.update(2, property({ delay: '60s' }))
  await sut.send(1, 2, 'x', 'y')
  for (let held = 0; held !== 4; held = (await sut.extension('impairment')).counters.delayed!) await sleep(5)
  await sut.switch.policies.update(2, property({ state: 'down' }))
  await sut.switch.setExtension('impairment', false)
  assert.deepEqual(await sut.receive(2, 2), ['x', 'y'])
  await sut.switch.setExtension('impairment', true)
  await sut.send(1, 2, 'lost')
  await sut.until(() => sut.drops(2)['impairment-link-down'] === 1, 'the drop: the property is older than the module')
  await sut.switch.policies.delete(2, { type: 'custom', id: IMPAIRMENT_PROPERTY })
  await sut.send(1, 2, 'again')
  assert.deepEqual(await sut.receive(2, 1), ['again'])
  await assert.rejects(sut.switch.policies.add(2, property({ delay: 'long' })), /delay: "long" is not a time/)
})

test('the options of the example are options of the extension', () => {
  const text = readFileSync(new URL('../../examples/impairment.yaml', import.meta.url), 'utf8')
  const { switch: config } = parse(text) as { switch: { extensions: { options: unknown }[] } }
  assert.equal(parseImpairmentOptions(config.extensions[0]!.options).rules.length, 2)
})
