// Reads the options of an extension (what FilterSetModuleOptions is for): what the configuration says under `options`. Part of the
// public API for authors.
//
// The rule it must not break: an option that is wrong, or that nobody asked for, is an error that says which one, what is wrong
// and what would be right; nothing is guessed.

/** A configured option that an extension cannot accept. `option` is its path, like `rules[2].sourcePorts`. */
export class OptionError extends Error {
  readonly code = 'bad-option'
  readonly option: string

  constructor(option: string, message: string) {
    super(option === '' ? message : `${option}: ${message}`)
    this.name = 'OptionError'
    this.option = option
  }
}

const show = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

/** What a name with `*` for any letters fits: for options that name ports by pattern. All other letters stand for themselves. */
export const namePattern = (text: string): RegExp =>
  new RegExp(`^${text.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`)

/** Reads one object of options. Each method returns undefined where the option is not given; call `done` at the end. */
export class OptionReader {
  readonly #given: Readonly<Record<string, unknown>>
  readonly #where: string
  readonly #asked = new Set<string>()

  /** `raw`: the configured value; undefined and null stand for no options. `where`: path that messages start with. */
  constructor(raw: unknown, where = '') {
    if (raw === undefined || raw === null) this.#given = {}
    else if (typeof raw === 'object' && !Array.isArray(raw)) this.#given = raw as Record<string, unknown>
    else throw new OptionError(where, `${show(raw)} is not a set of options: write "name: value" pairs`)
    this.#where = where
  }

  /** The path of an option in messages. */
  path(name: string): string {
    return this.#where === '' ? name : `${this.#where}.${name}`
  }

  /** The error for option `name`. */
  error(name: string, message: string): OptionError {
    return new OptionError(this.path(name), message)
  }

  /** The option as it was given. */
  value(name: string): unknown {
    this.#asked.add(name)
    return this.#given[name] ?? undefined
  }

  /** Text that is not empty. */
  text(name: string): string | undefined {
    const value = this.value(name)
    if (value === undefined || (typeof value === 'string' && value !== '')) return value
    throw this.error(name, `${show(value)} is not a text`)
  }

  boolean(name: string): boolean | undefined {
    const value = this.value(name)
    if (value === undefined || typeof value === 'boolean') return value
    throw this.error(name, `${show(value)} is neither true nor false`)
  }

  /** A whole number from `min` to `max`. */
  integer(name: string, min: number, max: number): number | undefined {
    const value = this.value(name)
    if (value === undefined) return undefined
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
    throw this.error(name, `${show(value)} is not a whole number from ${min} to ${max}`)
  }

  /** One of some words. */
  choice<Choice extends string>(name: string, choices: readonly Choice[]): Choice | undefined {
    const value = this.value(name)
    if (value === undefined) return undefined
    const chosen = choices.find((choice) => choice === value)
    if (chosen !== undefined) return chosen
    throw this.error(name, `${show(value)} is not one of ${choices.join(', ')}`)
  }

  /** A list, each item read by `read`, which throws for a wrong one. A value that is not a list stands for a list of one. */
  list<Item>(name: string, read: (value: unknown, path: string) => Item): Item[] | undefined {
    const value = this.value(name)
    if (value === undefined) return undefined
    if (!Array.isArray(value)) return [read(value, this.path(name))]
    return value.map((item, i) => read(item, `${this.path(name)}[${i}]`))
  }

  /** A list of names. */
  names(name: string): string[] | undefined {
    return this.list(name, (value, path) => {
      if (typeof value === 'string' && value !== '') return value
      throw new OptionError(path, `${show(value)} is not a name`)
    })
  }

  /** Throws if options were given that nobody asked for. */
  done(): void {
    for (const name of Object.keys(this.#given))
      if (!this.#asked.has(name))
        throw new OptionError(this.path(name), `there is no such option; known are ${[...this.#asked].sort().join(', ')}`)
  }
}
