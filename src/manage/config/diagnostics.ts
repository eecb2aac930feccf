// What is wrong with a configuration, where, and what to do: the form that a person reads.
//
// The rule it must not break: a diagnostic always names the place it knows, down to line and column where the source has them.

/** A place in the source. Lines and columns start at 1; `length` is in characters, at least 1. */
export interface Place {
  readonly line: number
  readonly column: number
  readonly length: number
}

export interface Diagnostic {
  /** Stable, kebab-case. */
  readonly code: string
  /** Path in the configuration, e.g. `switch.ports[0].mac`; empty for the whole file. */
  readonly path: string
  readonly message: string
  /** What to do; empty if the message says it. */
  readonly hint: string
  /** Null where the source has no lines of its own (a TypeScript configuration is known by its values). */
  readonly place: Place | null
}

export type PathSegment = string | number

/** `['switch', 'ports', 0, 'mac']` → `switch.ports[0].mac`. */
export function pathText(path: readonly PathSegment[]): string {
  let text = ''
  for (const segment of path) {
    if (typeof segment === 'number') text += `[${segment}]`
    else if (/^[A-Za-z_$][\w$-]*$/.test(segment)) text += text === '' ? segment : `.${segment}`
    else text += `[${JSON.stringify(segment)}]`
  }
  return text
}

/** One diagnostic as text: position and message, the line, a caret under the value, the hint. */
export function formatDiagnostic(file: string, lines: readonly string[], diagnostic: Diagnostic): string {
  const { place, path, message, hint } = diagnostic
  const subject = path === '' ? '' : `${path}: `
  if (place === null) return [`${file}: ${subject}${message}`, ...(hint ? [`  ${hint}`] : [])].join('\n')
  const out = [`${file}:${place.line}:${place.column}: ${subject}${message}`]
  const line = lines[place.line - 1]
  if (line !== undefined) {
    const number = String(place.line)
    const before = line.slice(0, place.column - 1).replace(/[^\t]/g, ' ')
    const room = Math.max(1, line.length - place.column + 1)
    out.push(`  ${number} | ${line}`)
    out.push(`  ${' '.repeat(number.length)} | ${before}${'^'.repeat(Math.min(Math.max(1, place.length), room))}`)
  }
  if (hint) out.push(`  ${hint}`)
  return out.join('\n')
}

/**
 * A configuration can't be used. `code` is one of config-unreadable, config-syntax, config-invalid; the message holds every
 * diagnostic, ready to print.
 */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code: 'config-unreadable' | 'config-syntax' | 'config-invalid'
  readonly file: string
  readonly diagnostics: readonly Diagnostic[]

  constructor(code: ConfigError['code'], file: string, lines: readonly string[], diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map((diagnostic) => formatDiagnostic(file, lines, diagnostic)).join('\n'))
    this.code = code
    this.file = file
    this.diagnostics = diagnostics
  }
}
