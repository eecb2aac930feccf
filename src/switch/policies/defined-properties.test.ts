import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PropertyDefinition } from '../../extension.ts'
import { definedProperties, makeProperty, PropertyError } from './property.ts'

const GUID = '0d3c1f9f-0001-4c56-9b7e-7b0b6d0e5f0c'
const INSTANCE = '0d3c1f9f-0002-4c56-9b7e-7b0b6d0e5f0c'
const base = { name: 'rate-limit', version: '1.0', scope: 'port' } as const
const fields = [
  { name: 'perSecond', type: 'integer', min: 1, max: 1000 },
  { name: 'mode', type: 'choice', choices: ['drop', 'mark'], default: 'drop' },
] as const

const make = (definition: PropertyDefinition, value: unknown) =>
  makeProperty(
    { type: 'custom', id: 'rate-limit', value },
    'port',
    definedProperties('limiter', { [GUID]: definition }),
    () => INSTANCE,
  )

test('a value is checked by the fields of its definition, which fill it in; what was written is kept as it was', () => {
  const { property, value } = make({ ...base, fields }, { perSecond: 5 })
  assert.deepEqual([property, value], [{ perSecond: 5, mode: 'drop' }, { perSecond: 5 }])
  assert.throws(
    () => make({ ...base, fields }, { perSecond: 5000 }),
    (error) =>
      error instanceof PropertyError &&
      /^property rate-limit: perSecond: 5000 is not a whole number from 1 to 1000$/.test(error.message),
  )
})

test('what the extension itself checks comes after the fields, with their defaults', () => {
  const seen: unknown[] = []
  const parse = (raw: unknown): unknown => {
    seen.push(raw)
    if ((raw as { perSecond?: number }).perSecond === undefined) throw new Error('perSecond: how many?')
    return 'made of it'
  }
  assert.equal(make({ ...base, fields, parse }, { perSecond: 5 }).property, 'made of it')
  assert.deepEqual(seen, [{ perSecond: 5, mode: 'drop' }])
  assert.throws(() => make({ ...base, fields, parse }, {}), /rate-limit: perSecond: how many\?/)
  assert.throws(() => make({ ...base, fields, parse }, { mode: 'pass' }), /mode: "pass" is not one of drop, mark/)
  assert.equal(seen.length, 2)
})

test('without fields only the extension checks, and lists are values only where the definition says so', () => {
  assert.equal(make({ ...base, parse: (raw) => raw }, 'text').property, 'text')
  assert.throws(() => make({ ...base, fields }, [{}]), /is no set of fields/)
  assert.deepEqual(make({ ...base, fields, list: true }, [{}]).property, [{ mode: 'drop' }])
})
