// The in-box extension flow-export under the contract: it looks at every packet when it is done, and changes none.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { parseFlowExportOptions } from '../../src/extensions/flow-export/options.ts'
import { verifyExtension } from '../../src/lab/verify/verify-extension.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'

const file = fileURLToPath(new URL('../../src/extensions/flow-export/index.ts', import.meta.url))

test('flow-export keeps the contract under verification, with everything turned on and a table that is too small', async () => {
  const collectors = ['127.0.0.1:9', '[::1]:9']
  const ipfix = { collectors, flows: 16, direction: 'both', idleTimeout: 1, activeTimeout: 1, templateInterval: 1 }
  const options = {
    file,
    shown: 'flow-export',
    options: { ipfix, sflow: { collectors, agent: '127.0.0.1', sampling: 2, counterInterval: 1 } },
    seed: 3,
    steps: 60,
    seconds: 15,
    directory: temporaryDirectory(),
  }
  const { breaches, faults } = await verifyExtension(options)
  assert.deepEqual([breaches, faults], [[], []])
})

test('the options of the example are options of the extension', () => {
  const text = readFileSync(new URL('../../examples/flow-export.yaml', import.meta.url), 'utf8')
  const { switch: config } = parse(text) as { switch: { extensions: { options: unknown }[] } }
  assert.equal(parseFlowExportOptions(config.extensions[0]!.options).sflow?.sampling, 100)
})
