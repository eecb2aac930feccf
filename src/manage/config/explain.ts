// Turns what zod found into what a person reads: expected, got, and what to do. Independent of where the value was written.
import type { z } from 'zod'
import type { PathSegment } from './diagnostics.ts'
import { patternMeanings } from './patterns.ts'
import { didYouMean, nearest } from './suggest.ts'

/** A finding with its path; `key` is set if it is about a key of the map at `path` and not about its value. */
export interface Finding {
  readonly code: string
  readonly path: readonly PathSegment[]
  readonly key: string | null
  readonly message: string
  readonly hint: string
}

const typeWords: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a map of keys and values',
  record: 'a map of keys and values',
  array: 'a list',
}

/** Findings for the issues of a failed parse of `data` with `schema`. */
export function explainIssues(schema: z.ZodType, data: unknown, issues: readonly z.core.$ZodIssue[]): Finding[] {
  const findings: Finding[] = []
  for (const issue of issues) {
    const path = issue.path.map((segment) => (typeof segment === 'number' ? segment : String(segment)))
    if (issue.code === 'unrecognized_keys') {
      const known = keysAt(schema, data, path)
      for (const key of issue.keys)
        findings.push({ code: 'unknown-key', path, key, message: `unknown key "${key}"`, hint: didYouMean(key, known) })
    } else findings.push(explainValue(issue, path, valueAt(data, path)))
  }
  return findings
}

function explainValue(issue: z.core.$ZodIssue, path: readonly PathSegment[], value: unknown): Finding {
  const finding = (code: string, message: string, hint = ''): Finding => ({ code, path, key: null, message, hint })
  const wrong = (expected: string, hint = ''): Finding =>
    value === undefined
      ? finding('missing', `missing; expected ${expected}`, hint)
      : finding('bad-value', `expected ${expected}, got ${valueText(value)}`, hint)

  switch (issue.code) {
    case 'invalid_type': {
      const hint =
        issue.expected === 'string' && (typeof value === 'number' || typeof value === 'boolean')
          ? `quote it: "${String(value)}"`
          : typeof value === 'string' && isTypeInQuotes(issue.expected, value)
            ? 'remove the quotes'
            : ''
      return wrong(typeWords[issue.expected] ?? issue.expected, hint)
    }
    case 'invalid_value': {
      const options = issue.values.map(String)
      const near = typeof value === 'string' ? nearest(value, options) : switchWord(value, options)
      return wrong(orList(options), near === null ? '' : `did you mean "${near}"?`)
    }
    case 'invalid_union': {
      const options = unionOptions(issue)
      return wrong(orList(options), typeof value === 'string' && options.length > 0 ? didYouMean(value, options) : '')
    }
    case 'invalid_format':
      return wrong((issue.pattern !== undefined && patternMeanings.get(issue.pattern)) || issue.format)
    case 'too_small':
      if (issue.origin === 'string') return wrong('some text')
      return wrong(issue.origin === 'array' ? `at least ${issue.minimum} entries` : `at least ${issue.minimum}`)
    case 'too_big': {
      if (issue.origin !== 'array') return wrong(`at most ${issue.maximum}`)
      const length = Array.isArray(value) ? value.length : 0
      return finding('bad-value', `at most ${issue.maximum} entries are possible, these are ${length}`)
    }
    default:
      return finding('bad-value', issue.message)
  }
}

/** YAML 1.2 reads on and off as text, but people also write true and false. */
function switchWord(value: unknown, options: readonly string[]): string | null {
  if (typeof value !== 'boolean') return null
  const word = value ? 'on' : 'off'
  return options.includes(word) ? word : null
}

function isTypeInQuotes(expected: string, value: string): boolean {
  if (expected === 'number' || expected === 'int') return value.trim() !== '' && Number.isFinite(Number(value))
  return expected === 'boolean' && (value === 'true' || value === 'false')
}

function unionOptions(issue: z.core.$ZodIssue): string[] {
  if (!('options' in issue) || !Array.isArray(issue.options)) return []
  return issue.options.map(String)
}

const orList = (options: readonly string[]): string => {
  const quoted = options.map((option) => `"${option}"`)
  return quoted.length < 2 ? (quoted[0] ?? '') : `${quoted.slice(0, -1).join(', ')} or ${quoted[quoted.length - 1]}`
}

const VALUE_TEXT_MAX = 40

/** A value as a message shows it: short, and scalars with their type visible. */
export function valueText(value: unknown): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a map'
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length > VALUE_TEXT_MAX ? `${text.slice(0, VALUE_TEXT_MAX)}…` : text
}

/** The value at `path`, undefined where the path leads nowhere. */
export function valueAt(data: unknown, path: readonly PathSegment[]): unknown {
  let value = data
  for (const segment of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, segment)) return undefined
    value = (value as Record<PathSegment, unknown>)[segment]
  }
  return value
}

/** The keys that the schema knows in the map at `path`. */
function keysAt(schema: z.ZodType, data: unknown, path: readonly PathSegment[]): string[] {
  let current = unwrap(schema, data)
  let value = data
  for (const segment of path) {
    value = valueAt(value, [segment])
    const definition = current as unknown as { shape?: Record<string, z.ZodType>; element?: z.ZodType }
    const next = definition.shape?.[String(segment)] ?? definition.element
    if (next === undefined) return []
    current = unwrap(next, value)
  }
  return Object.keys((current as unknown as { shape?: object }).shape ?? {})
}

/** Takes off defaults and optionality, and chooses the member of a union that `value` names by its kind. */
function unwrap(schema: z.ZodType, value: unknown): z.ZodType {
  const { def } = schema as unknown as { def: { innerType?: z.ZodType; options?: readonly z.ZodType[]; discriminator?: string } }
  if (def.innerType !== undefined) return unwrap(def.innerType, value)
  if (def.options !== undefined && def.discriminator !== undefined) {
    const kind = valueAt(value, [def.discriminator])
    for (const option of def.options) {
      const literal = (option as unknown as { shape: Record<string, { value?: unknown }> }).shape[def.discriminator]
      if (literal?.value === kind) return option
    }
  }
  return schema
}
