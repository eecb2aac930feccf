import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { exportsOfExtension, extensionReference, writtenReference } from './write-extension-docs.mjs'

test('docs/extensions.md lists everything that an extension may import, with what it is', () => {
  const text = readFileSync(new URL('../docs/extensions.md', import.meta.url), 'utf8')
  assert.equal(
    writtenReference(text),
    extensionReference(),
    'the two differ; write it anew: node_modules/.bin/node scripts/write-extension-docs.mjs',
  )
})

test('what is listed is what the module exports when it runs, and types beside it', async () => {
  const module = await import('../src/extension.ts')
  const listed = exportsOfExtension()
  assert.deepEqual(
    listed
      .filter(({ kind }) => kind !== 'type')
      .map(({ name }) => name)
      .sort(),
    Object.keys(module).sort(),
  )
  for (const name of ['Batch', 'SwitchHandle', 'ExtensionHandlers', 'ExtensionDefinition'])
    assert.ok(
      listed.some((one) => one.name === name && one.kind === 'type'),
      name,
    )
})
