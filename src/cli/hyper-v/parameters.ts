// Arguments as PowerShell has them: -Name value, -Switch, -Switch:$true, lists by comma, names in any case and cut short where only one
// fits, and values without a name by their place.
//
// The rule it must not break: what is not understood is refused, with what would be.
import { nearest } from '../../manage/config/suggest.ts'
import { CliError, ExitCode } from '../exit.ts'
import { type Cmdlet, type Parameter, parametersOf, refusedEverywhere } from './cmdlet.ts'

type Value = string | number | boolean | readonly (string | number)[] | unknown

const INT_MAX = 2 ** 31 - 1
const multipliers: Readonly<Record<string, number>> = { '': 1, KB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30, TB: 2 ** 40 }

/** The values of one call. */
export class Given {
  readonly #values: ReadonlyMap<string, Value>

  constructor(values: ReadonlyMap<string, Value>) {
    this.#values = values
  }

  has(name: string): boolean {
    return this.#values.has(name)
  }

  text(name: string): string | undefined {
    return this.#values.get(name) as string | undefined
  }

  texts(name: string): readonly string[] | undefined {
    return this.#values.get(name) as readonly string[] | undefined
  }

  number(name: string): number | undefined {
    return this.#values.get(name) as number | undefined
  }

  numbers(name: string): readonly number[] | undefined {
    return this.#values.get(name) as readonly number[] | undefined
  }

  /** True, false, or undefined where it was not said. */
  bool(name: string): boolean | undefined {
    return this.#values.get(name) as boolean | undefined
  }

  /** A switch that was said and not taken back. */
  flag(name: string): boolean {
    return this.bool(name) === true
  }

  /** On and Off. */
  onOff(name: string): boolean | undefined {
    const text = this.text(name)
    return text === undefined ? undefined : text === 'On'
  }

  /** A value of type `json`. */
  value(name: string): unknown {
    return this.#values.get(name)
  }
}

/** `-Name <String[]>`, as the syntax shows a parameter. */
export function syntaxOf({ name, type, list, mandatory, position, values }: Parameter): string {
  const types = {
    string: 'String',
    bool: 'Boolean',
    int: 'Int64',
    guid: 'Guid',
    mac: 'String',
    json: 'Object',
    switch: '',
  } as const
  const of = values === undefined ? types[type] : values.join('|')
  const word = position === undefined ? `-${name}` : `[-${name}]`
  const whole = of === '' ? word : `${word} <${of}${list ? '[]' : ''}>`
  return mandatory ? whole : `[${whole}]`
}

export const syntaxLine = (cmdlet: Cmdlet): string => `${cmdlet.name} ${parametersOf(cmdlet).map(syntaxOf).join(' ')}`.trim()

const refuse = (cmdlet: Cmdlet, message: string, hint = `see vmswitch ${cmdlet.name} -?`): never => {
  throw new CliError('usage', `${cmdlet.name}: ${message}`, hint, ExitCode.usage)
}

/** Reads `words`. Throws CliError `usage`. */
export function readParameters(cmdlet: Cmdlet, words: readonly string[]): Given {
  const known = parametersOf(cmdlet)
  const values = new Map<string, Value>()
  const rest: string[] = []
  for (let at = 0; at < words.length; ) {
    const word = words[at++]!
    if (!/^-[A-Za-z]/.test(word)) {
      const joined = joinList(words, at, word)
      at = joined.at
      rest.push(joined.text)
      continue
    }
    const [, name, attached] = /^-([A-Za-z0-9]+)(?::(.*))?$/s.exec(word) ?? refuse(cmdlet, `"${word}" is no parameter`)
    const parameter = find(cmdlet, known, name!)
    if (values.has(parameter.name)) refuse(cmdlet, `-${parameter.name} is given twice`)
    if (parameter.type === 'switch') {
      values.set(parameter.name, attached === undefined ? true : truth(cmdlet, parameter, attached))
      continue
    }
    let text = attached
    if (text === undefined) {
      const next = words[at]
      if (next === undefined || /^-[A-Za-z]/.test(next)) return refuse(cmdlet, `-${parameter.name} needs a value`)
      const joined = joinList(words, at + 1, next)
      at = joined.at
      text = joined.text
    }
    values.set(parameter.name, read(cmdlet, parameter, text))
  }
  const places = known.filter(({ position }) => position !== undefined).sort((a, b) => a.position! - b.position!)
  for (const text of rest) {
    const free = places.find(({ name }) => !values.has(name))
    if (free === undefined) return refuse(cmdlet, `"${text}" has no place`)
    values.set(free.name, read(cmdlet, free, text))
  }
  const missing = known.filter(({ name, mandatory }) => mandatory && !values.has(name))
  if (missing.length > 0)
    refuse(cmdlet, `${missing.map(({ name }) => `-${name}`).join(' and ')} must be given`, syntaxLine(cmdlet))
  return new Given(values)
}

// `a, b` and `a ,b` are one list, wherever the shell cut it.
function joinList(words: readonly string[], from: number, first: string): { text: string; at: number } {
  let text = first
  let at = from
  while (at < words.length && (text.endsWith(',') || words[at]!.startsWith(','))) text += words[at++]
  return { text, at }
}

function find(cmdlet: Cmdlet, known: readonly Parameter[], written: string): Parameter {
  const word = written.toLowerCase()
  const same = (name: string): boolean => name.toLowerCase() === word
  const exact = known.find(({ name, aliases = [] }) => same(name) || aliases.some(same))
  if (exact !== undefined) return exact
  const reasons = { ...refusedEverywhere, ...cmdlet.refused }
  const reason = Object.keys(reasons).find(same)
  if (reason !== undefined) return refuse(cmdlet, `-${reason} ${reasons[reason]}`)
  const begins = (name: string): boolean => name.toLowerCase().startsWith(word)
  const fits = known.filter(({ name }) => begins(name))
  const refusals = Object.keys(cmdlet.refused ?? {}).filter(begins)
  const [only] = fits
  if (only !== undefined && fits.length + refusals.length === 1) return only
  if (fits.length + refusals.length === 1) return refuse(cmdlet, `-${refusals[0]} ${reasons[refusals[0]!]}`)
  const all = known.map(({ name }) => name)
  if (fits.length + refusals.length > 1) {
    const possible = [...fits.map(({ name }) => name), ...refusals].map((name) => `-${name}`)
    return refuse(cmdlet, `-${written} could be ${possible.join(', ')}`, 'write more of it')
  }
  const near = nearest(written, all)
  return refuse(cmdlet, `there is no parameter -${written}`, near === null ? syntaxLine(cmdlet) : `did you mean -${near}?`)
}

function truth(cmdlet: Cmdlet, { name }: Parameter, text: string): boolean {
  const word = text.toLowerCase().replace(/^\$/, '')
  if (word === 'true' || word === '1') return true
  if (word === 'false' || word === '0') return false
  return refuse(cmdlet, `-${name} is $true or $false, not "${text}"`)
}

function read(cmdlet: Cmdlet, parameter: Parameter, text: string): Value {
  if (!parameter.list) return oneOf(cmdlet, parameter, text)
  const parts = text.split(',').map((part) => part.trim())
  if (parts.some((part) => part === '')) refuse(cmdlet, `-${parameter.name} has an empty place in its list "${text}"`)
  return parts.map((part) => oneOf(cmdlet, parameter, part))
}

function oneOf(cmdlet: Cmdlet, parameter: Parameter, text: string): Value {
  const { name, type, values, min = 0, max = INT_MAX } = parameter
  if (values !== undefined) {
    const found = values.find((value) => value.toLowerCase() === text.toLowerCase())
    return found ?? refuse(cmdlet, `-${name} is ${values.join(', ')}, not "${text}"`)
  }
  switch (type) {
    case 'bool':
      return truth(cmdlet, parameter, text)
    case 'int': {
      const [, digits, unit = ''] = /^(0x[0-9a-f]+|\d+)([KMGT]B)?$/i.exec(text) ?? []
      const value = digits === undefined ? Number.NaN : Number(digits) * multipliers[unit.toUpperCase()]!
      if (!(value >= min && value <= max)) refuse(cmdlet, `-${name} is a whole number from ${min} to ${max}, not "${text}"`)
      return value
    }
    case 'guid': {
      const bare = text.replace(/^\{(.*)\}$/, '$1')
      if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(bare)) refuse(cmdlet, `-${name} is a GUID, not "${text}"`)
      return bare.toLowerCase()
    }
    case 'mac': {
      const bare = text.replace(/[-:.]/g, '').toLowerCase()
      if (!/^[0-9a-f]{12}$/.test(bare)) refuse(cmdlet, `-${name} is a MAC address such as 00155D010203, not "${text}"`)
      return bare.match(/../g)!.join(':')
    }
    case 'json':
      try {
        return JSON.parse(text) as unknown
      } catch {
        return refuse(cmdlet, `-${name} is JSON, and this is not: ${text}`)
      }
    default:
      return text
  }
}
