// Properties of extensions whose definitions say what their values consist of: their fields as a form has them, and back.
//
// The rule it must not break: what is refused here the switch would refuse too; what passes here it checks again. A field that nobody
// touched, and that the property did not have, is not made part of it.
import type { PropertyField } from '../../../src/ndis/property-fields.ts'
import type { Field, Typed } from './policy-forms.ts'

type Value = Readonly<Record<string, unknown>>

/** `delayCorrelation` as "Delay correlation". */
const labelOf = (name: string): string => {
  const words = name
    .replace(/_/g, ' ')
    .replace(/(?<=[a-z0-9])(?=[A-Z])/g, ' ')
    .toLowerCase()
  return words.charAt(0).toUpperCase() + words.slice(1)
}

function rangeOf({ type, min, max }: PropertyField): string {
  if (type !== 'integer' && type !== 'number') return type === 'json' ? 'in JSON' : ''
  if (min !== undefined && max !== undefined) return `${min} to ${max}`
  return min !== undefined ? `at least ${min}` : max !== undefined ? `at most ${max}` : ''
}

const hintOf = (field: PropertyField): string =>
  [field.description ?? '', rangeOf(field), field.required === true ? 'needed' : ''].filter((part) => part !== '').join(' · ')

const formFields = (fields: readonly PropertyField[]): Field[] =>
  fields.map((field): Field => {
    const { name, type, choices = [], required = false } = field
    const kind = type === 'boolean' ? 'flag' : type === 'choice' ? 'choice' : type === 'integer' ? 'number' : 'text'
    const blank = required || field.default !== undefined ? [] : ['']
    const hint = hintOf(field)
    return {
      key: name,
      label: labelOf(name),
      kind,
      ...(hint === '' ? {} : { hint }),
      ...(type === 'choice' ? { choices: [...blank, ...choices] } : {}),
    }
  })

/** The fields of a form: those that it shows, and those that it folds away, which `value` does not have. */
export function formParts(
  fields: readonly PropertyField[],
  value: Value,
): { readonly usual: Field[]; readonly advanced: Field[] } {
  const isFolded = ({ name, advanced = false }: PropertyField): boolean => advanced && value[name] === undefined
  return { usual: formFields(fields.filter((field) => !isFolded(field))), advanced: formFields(fields.filter(isFolded)) }
}

const textOf = ({ type }: PropertyField, value: unknown): string =>
  value === undefined || value === null ? '' : type === 'json' ? JSON.stringify(value) : String(value)

/** What the form shows of a value; defaults where it has nothing. */
export const typedFields = (fields: readonly PropertyField[], value: Value = {}): Typed =>
  Object.fromEntries(
    fields.map((field) => {
      const shown = textOf(field, value[field.name] ?? field.default)
      if (field.type === 'boolean') return [field.name, shown === 'true' ? shown : '']
      return [field.name, shown === '' && field.type === 'choice' && field.required === true ? (field.choices?.[0] ?? '') : shown]
    }),
  )

function problemOf({ type, required = false, min, max }: PropertyField, text: string): string | null {
  if (text === '') return required && type !== 'boolean' ? 'is needed' : null
  const number = Number(text)
  if (type === 'integer' && !/^-?\d{1,15}$/.test(text)) return 'a whole number'
  if (type === 'number' && !Number.isFinite(number)) return 'a number'
  const size = type === 'integer' || type === 'number' ? number : type === 'text' ? text.length : null
  const unit = type === 'text' ? ' characters' : ''
  if (size !== null && min !== undefined && size < min) return `at least ${min}${unit}`
  if (size !== null && max !== undefined && size > max) return `at most ${max}${unit}`
  if (type !== 'json') return null
  try {
    JSON.parse(text)
    return null
  } catch (error) {
    return `this is no JSON: ${(error as Error).message}`
  }
}

/** What is wrong, by field; empty: nothing. */
export const fieldProblems = (fields: readonly PropertyField[], typed: Typed): Readonly<Record<string, string>> =>
  Object.fromEntries(
    fields.flatMap((field) => {
      const problem = problemOf(field, (typed[field.name] ?? '').trim())
      return problem === null ? [] : [[field.name, problem]]
    }),
  )

function readTyped({ type }: PropertyField, text: string): unknown {
  if (type === 'boolean') return text === 'true'
  if (type === 'integer' || type === 'number') return Number(text)
  if (type === 'quantity') return Number.isFinite(Number(text)) ? Number(text) : text
  return type === 'json' ? JSON.parse(text) : text
}

/** The value for the API. `before`: what the property had. */
export function fieldsValue(fields: readonly PropertyField[], typed: Typed, before: Value = {}): Value {
  const entries = fields.flatMap((field): [string, unknown][] => {
    const text = (typed[field.name] ?? '').trim()
    const untouched = textOf(field, field.default ?? (field.type === 'boolean' ? false : undefined))
    if (before[field.name] === undefined && text === (field.type === 'boolean' && untouched === 'false' ? '' : untouched))
      if (field.required !== true || field.default !== undefined) return []
    return text === '' && field.type !== 'boolean' ? [] : [[field.name, readTyped(field, text)]]
  })
  return Object.fromEntries(entries)
}

/** Which field the switch's refusal is about; undefined: none of them. */
export function refusedField(fields: readonly PropertyField[], refusal: string): string | undefined {
  const named = /^property [^:]+: ([A-Za-z]\w*): /.exec(refusal)?.[1]
  return fields.find(({ name }) => name === named)?.name
}
