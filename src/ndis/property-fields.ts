// Fields of a custom property, as its definition describes them: what values are checked against, and what management makes forms of.
// Part of the public API for authors.
//
// The rule it must not break: a value that gets through fits every field; what does not is an error that names the field, what is wrong
// with it and what would be right.
import { OptionError } from './module-options.ts'

/** Fields of one property. */
export const PROPERTY_FIELDS_MAX = 64
const TEXT_MAX_DEFAULT = 1024
const QUANTITY_MAX = 64
const NAME = /^[A-Za-z][A-Za-z0-9_]{0,47}$/

export const propertyFieldTypes = ['integer', 'number', 'boolean', 'text', 'choice', 'quantity', 'json'] as const
/** What a field of a property may hold. */
export type PropertyFieldType = (typeof propertyFieldTypes)[number]

/** One field of a property's value. */
export interface PropertyField {
  /** A letter, then letters, digits and _, at most 48. */
  readonly name: string
  /** `quantity`: a number, or a text with a unit such as 20ms; `json`: anything. What they mean, the definition's `parse` reads. */
  readonly type: PropertyFieldType
  /** One sentence for people. */
  readonly description?: string
  /** Of integer and number: the range, both ends included; of text: characters. */
  readonly min?: number
  readonly max?: number
  /** Of choice. */
  readonly choices?: readonly string[]
  /** What a value without this field has; without a default the field is left out. */
  readonly default?: unknown
  /** A value must have it. */
  readonly required?: boolean
  /** Seldom set: forms fold it away while a value does not have it. */
  readonly advanced?: boolean
}

const show = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

function rangeText({ min, max }: PropertyField): string {
  if (min !== undefined && max !== undefined) return ` from ${min} to ${max}`
  if (min !== undefined) return ` of at least ${min}`
  return max === undefined ? '' : ` of at most ${max}`
}

const isWithin = ({ min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY }: PropertyField, value: number): boolean =>
  value >= min && value <= max

/** What would be right for a field; null: `value` is. */
function wanted(field: PropertyField, value: unknown): string | null {
  switch (field.type) {
    case 'integer':
      return Number.isInteger(value) && isWithin(field, value as number) ? null : `a whole number${rangeText(field)}`
    case 'number':
      return Number.isFinite(value) && isWithin(field, value as number) ? null : `a number${rangeText(field)}`
    case 'boolean':
      return typeof value === 'boolean' ? null : 'true or false'
    case 'choice':
      return field.choices?.includes(value as string) === true ? null : `one of ${field.choices?.join(', ')}`
    case 'text': {
      const { min = 0, max = TEXT_MAX_DEFAULT } = field
      return typeof value === 'string' && value.length >= min && value.length <= max
        ? null
        : `a text of ${min} to ${max} characters`
    }
    case 'quantity':
      return Number.isFinite(value) || (typeof value === 'string' && value !== '' && value.length <= QUANTITY_MAX)
        ? null
        : 'a number, or a text of a number and its unit'
    case 'json':
      return null
  }
}

/**
 * A value with the defaults of what it lacks. `list`: a list of such values is one too. Throws OptionError, whose `option` is the field.
 */
export function readPropertyFields(fields: readonly PropertyField[], raw: unknown, list = false): unknown {
  if (list && Array.isArray(raw)) return raw.map((one: unknown, at) => readSet(fields, one, `[${at}].`))
  return readSet(fields, raw, '')
}

function readSet(fields: readonly PropertyField[], raw: unknown, where: string): Readonly<Record<string, unknown>> {
  const known = fields.map(({ name }) => name)
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw))
    throw new OptionError(where.slice(0, -1), `${show(raw)} is no set of fields: write NAME=VALUE pairs of ${known.join(', ')}`)
  const given = raw as Readonly<Record<string, unknown>>
  for (const name of Object.keys(given))
    if (!known.includes(name)) throw new OptionError(where + name, `there is no such field; known are ${known.join(', ')}`)
  const entries = fields.flatMap((field): [string, unknown][] => {
    const { name, required = false } = field
    const value = Object.hasOwn(given, name) ? (given[name] ?? undefined) : undefined
    if (value === undefined) {
      if (field.default !== undefined) return [[name, field.default]]
      if (required) throw new OptionError(where + name, `is missing: ${wanted(field, undefined) ?? 'a value'} is needed`)
      return []
    }
    const right = wanted(field, value)
    if (right !== null) throw new OptionError(where + name, `${show(value)} is not ${right}`)
    return [[name, value]]
  })
  return Object.fromEntries(entries)
}

/** What is wrong with the fields of a definition, whoever wrote it; null: nothing. */
export function fieldsProblem(fields: unknown): string | null {
  if (!Array.isArray(fields) || fields.length === 0) return '"fields" is no list of fields'
  if (fields.length > PROPERTY_FIELDS_MAX) return `"fields" are ${fields.length}: at most ${PROPERTY_FIELDS_MAX}`
  const names = new Set<string>()
  for (const given of fields as readonly unknown[]) {
    const field = (given ?? {}) as Partial<PropertyField>
    const { name, type, description = '', min, max, choices, required = false, advanced = false } = field
    if (typeof name !== 'string' || !NAME.test(name)) return `a field has no name of letters, digits and _: ${show(name)}`
    if (names.has(name)) return `two fields are called ${name}`
    names.add(name)
    if (!(propertyFieldTypes as readonly unknown[]).includes(type))
      return `field ${name} is of type ${show(type)}: there are ${propertyFieldTypes.join(', ')}`
    if (typeof description !== 'string' || typeof required !== 'boolean' || typeof advanced !== 'boolean')
      return `field ${name}: "description" is a text, "required" and "advanced" true or false`
    if (required && advanced) return `field ${name} can't be both "required" and "advanced": nobody would see what is missing`
    if ([min, max].some((end) => end !== undefined && !Number.isFinite(end)) || Number(min ?? 0) > Number(max ?? min ?? 0))
      return `field ${name}: "min" and "max" are numbers, the smaller one first`
    const isList = Array.isArray(choices) && choices.length > 0 && choices.every((one) => typeof one === 'string' && one !== '')
    if ((type === 'choice') !== (choices !== undefined) || (choices !== undefined && !isList))
      return `field ${name}: "choices" are a list of texts, and of type choice alone`
    const right = field.default === undefined ? null : wanted(field as PropertyField, field.default)
    if (right !== null) return `field ${name}: its default ${show(field.default)} is not ${right}`
  }
  return null
}

type Schema = Readonly<Record<string, unknown>>

function fieldSchema({ type, description, min, max, choices, default: value }: PropertyField): Schema {
  const ends = (low: string, high: string): Schema => ({
    ...(min === undefined ? {} : { [low]: min }),
    ...(max === undefined ? {} : { [high]: max }),
  })
  const common: Schema = {
    ...(description === undefined ? {} : { description }),
    ...(value === undefined ? {} : { default: value }),
  }
  switch (type) {
    case 'integer':
    case 'number':
      return { type, ...ends('minimum', 'maximum'), ...common }
    case 'boolean':
      return { type, ...common }
    case 'text':
      return { type: 'string', maxLength: TEXT_MAX_DEFAULT, ...ends('minLength', 'maxLength'), ...common }
    case 'choice':
      return { type: 'string', enum: choices, ...common }
    case 'quantity':
      return { type: ['number', 'string'], minLength: 1, maxLength: QUANTITY_MAX, ...common }
    case 'json':
      return common
  }
}

/** JSON Schema (2020-12) of the values that these fields let through. */
export function fieldsSchema(fields: readonly PropertyField[], list = false): Schema {
  const required = fields.filter((field) => field.required === true && field.default === undefined).map(({ name }) => name)
  const one = {
    type: 'object',
    properties: Object.fromEntries(fields.map((field) => [field.name, fieldSchema(field)])),
    ...(required.length === 0 ? {} : { required }),
    additionalProperties: false,
  }
  return list ? { anyOf: [one, { type: 'array', items: one }] } : one
}
