import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OptionError } from './module-options.ts'
import { fieldsProblem, fieldsSchema, PROPERTY_FIELDS_MAX, type PropertyField, readPropertyFields } from './property-fields.ts'

const fields: readonly PropertyField[] = [
  { name: 'perSecond', type: 'integer', min: 1, max: 1000, required: true, description: 'Frames a second.' },
  { name: 'share', type: 'number', min: 0, max: 1, default: 0.5 },
  { name: 'log', type: 'boolean', default: false },
  { name: 'label', type: 'text', max: 8 },
  { name: 'mode', type: 'choice', choices: ['drop', 'mark'], default: 'drop' },
  { name: 'delay', type: 'quantity' },
  { name: 'more', type: 'json' },
]
const refused = (value: unknown, option: string, words: RegExp, list = false): void =>
  assert.throws(
    () => readPropertyFields(fields, value, list),
    (error) => {
      assert.ok(error instanceof OptionError)
      assert.equal(error.option, option)
      assert.match(error.message, words)
      return true
    },
  )

test('a value that fits gets the defaults of what it lacks, and nothing else', () => {
  assert.deepEqual(readPropertyFields(fields, { perSecond: 7, delay: '20ms' }), {
    perSecond: 7,
    share: 0.5,
    log: false,
    mode: 'drop',
    delay: '20ms',
  })
  const full = { perSecond: 1000, share: 1, log: true, label: '12345678', mode: 'mark', delay: 5, more: { a: [1] } }
  assert.deepEqual(readPropertyFields(fields, full), full)
  assert.deepEqual(
    readPropertyFields(fields, { perSecond: 7, label: null, mode: null }),
    readPropertyFields(fields, { perSecond: 7 }),
  )
})

test('a value that does not fit is refused with the field, what it is and what it may be', () => {
  refused({}, 'perSecond', /perSecond: is missing: a whole number from 1 to 1000 is needed/)
  refused({ perSecond: 0 }, 'perSecond', /perSecond: 0 is not a whole number from 1 to 1000/)
  refused({ perSecond: 1.5 }, 'perSecond', /1\.5 is not a whole number/)
  refused({ perSecond: '7' }, 'perSecond', /"7" is not a whole number/)
  refused({ perSecond: 7, share: Number.NaN }, 'share', /is not a number from 0 to 1/)
  refused({ perSecond: 7, log: 'yes' }, 'log', /"yes" is not true or false/)
  refused({ perSecond: 7, label: '123456789' }, 'label', /a text of 0 to 8 characters/)
  refused({ perSecond: 7, mode: 'pass' }, 'mode', /"pass" is not one of drop, mark/)
  refused({ perSecond: 7, delay: true }, 'delay', /a number, or a text of a number and its unit/)
  refused({ perSecond: 7, per_second: 1 }, 'per_second', /there is no such field; known are perSecond, share/)
  refused(JSON.parse('{"perSecond":7,"__proto__":1}'), '__proto__', /no such field/)
  for (const value of [7, 'x', null, undefined, [{ perSecond: 7 }]])
    refused(value, '', /is no set of fields: write NAME=VALUE pairs/)
})

test('a list of values is a value where the definition says so, and errors name its place', () => {
  assert.equal((readPropertyFields(fields, [{ perSecond: 1 }, { perSecond: 2 }], true) as unknown[]).length, 2)
  refused([{ perSecond: 1 }, { perSecond: 0 }], '[1].perSecond', /^\[1\]\.perSecond: 0 is not/, true)
  refused([{ perSecond: 1 }, 5], '[1]', /5 is no set of fields/, true)
})

test('fields that an author wrote wrongly are told apart from right ones', () => {
  assert.equal(fieldsProblem(fields), null)
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    ['x', /no list of fields/],
    [[], /no list of fields/],
    [Array.from({ length: PROPERTY_FIELDS_MAX + 1 }, (_, i) => ({ name: `a${i}`, type: 'json' })), /at most 64/],
    [[null], /no name/],
    [[{ name: '__proto__', type: 'json' }], /no name/],
    [
      [
        { name: 'a', type: 'json' },
        { name: 'a', type: 'json' },
      ],
      /two fields are called a/,
    ],
    [[{ name: 'a', type: 'date' }], /type "date": there are integer/],
    [[{ name: 'a', type: 'json', description: 5 }], /"description" is a text/],
    [[{ name: 'a', type: 'json', advanced: 'yes' }], /"advanced" true or false/],
    [[{ name: 'a', type: 'json', required: true, advanced: true }], /both "required" and "advanced"/],
    [[{ name: 'a', type: 'integer', min: 5, max: 1 }], /the smaller one first/],
    [[{ name: 'a', type: 'choice' }], /"choices" are a list of texts/],
    [[{ name: 'a', type: 'text', choices: ['x'] }], /of type choice alone/],
    [[{ name: 'a', type: 'integer', max: 5, default: 6 }], /its default 6 is not a whole number of at most 5/],
  ]
  for (const [given, words] of wrong) assert.match(fieldsProblem(given) ?? 'nothing', words)
})

test('their JSON schema says the same', () => {
  assert.deepEqual(fieldsSchema(fields.slice(0, 5)), {
    type: 'object',
    properties: {
      perSecond: { type: 'integer', minimum: 1, maximum: 1000, description: 'Frames a second.' },
      share: { type: 'number', minimum: 0, maximum: 1, default: 0.5 },
      log: { type: 'boolean', default: false },
      label: { type: 'string', maxLength: 8 },
      mode: { type: 'string', enum: ['drop', 'mark'], default: 'drop' },
    },
    required: ['perSecond'],
    additionalProperties: false,
  })
  const one = fieldsSchema(fields)
  assert.deepEqual(fieldsSchema(fields, true), { anyOf: [one, { type: 'array', items: one }] })
})
