import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ExtensionDefinition } from '../extension.ts'
import { inBoxExtensionNames, inBoxExtensionUrl } from './catalog.ts'

test('every in-box extension can be imported under its name, with an identity of its own', async () => {
  const ids = new Set<string>()
  for (const name of inBoxExtensionNames) {
    const { default: definition } = (await import(inBoxExtensionUrl(name)!)) as { default: ExtensionDefinition }
    assert.equal(definition.name, name)
    assert.match(definition.id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
    assert.ok(definition.description)
    ids.add(definition.id)
  }
  assert.equal(ids.size, inBoxExtensionNames.length)
})

test('a name that is none has no module', () => {
  for (const name of ['captur', 'constructor', '']) assert.equal(inBoxExtensionUrl(name), undefined)
})
