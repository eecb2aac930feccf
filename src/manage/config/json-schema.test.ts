import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { jsonSchema, jsonSchemaText } from './json-schema.ts'

test('the published JSON Schema is the one that the configuration has', () => {
  const published = readFileSync(new URL('../../../docs/vmswitch.schema.json', import.meta.url), 'utf8')
  assert.ok(published === jsonSchemaText(), 'the two differ; write it anew: npx node scripts/write-schema.mjs')
})

test('the JSON Schema refuses unknown keys and asks only for what has no default', () => {
  const schema = jsonSchema() as {
    additionalProperties: unknown
    required: unknown
    properties: { switch: { required: unknown } }
  }
  assert.equal(schema.additionalProperties, false)
  assert.deepEqual(schema.required, ['switch'])
  assert.deepEqual(schema.properties.switch.required, ['name'])
})

test('every key of the JSON Schema is described', () => {
  const undescribed: string[] = []
  const visit = (node: unknown, path: string): void => {
    if (typeof node !== 'object' || node === null) return
    const { properties, items, oneOf } = node as Record<string, unknown>
    for (const [key, value] of Object.entries((properties ?? {}) as Record<string, Record<string, unknown>>)) {
      if (!('description' in value) && !('const' in value)) undescribed.push(`${path}.${key}`)
      visit(value, `${path}.${key}`)
    }
    visit(items, `${path}[]`)
    for (const option of Array.isArray(oneOf) ? oneOf : []) visit(option, path)
  }
  visit(jsonSchema(), '')
  assert.deepEqual(undescribed, [])
})
