// Where a command writes: text for a person or JSON for a program, colour only where a terminal takes it.
import { styleText } from 'node:util'
import { type Column, formatTable } from './table.ts'

type Style = Parameters<typeof styleText>[0]

/** Output of one command. */
export interface Terminal {
  /** Whether the command was asked for JSON. */
  readonly json: boolean
  /** A line of the answer. */
  line(text: string): void
  /** A line beside the answer, on standard error. */
  note(text: string): void
  /** The answer as JSON. */
  data(value: unknown): void
  /** The answer as a table; `styleOf` colours cells by their text. Says `empty` where there are no rows. */
  table(columns: readonly Column[], rows: readonly (readonly string[])[], empty: string): void
  style(style: Style, text: string): string
}

export interface TerminalComponents {
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number }
  readonly stderr: NodeJS.WritableStream
  readonly env: Readonly<Record<string, string | undefined>>
}

const goodWords = new Set(['up', 'yes', 'running', 'wasm'])
const badWords = new Set(['down', 'failed', 'dead'])

/** A terminal over two streams. NO_COLOR (any value) turns colour off; FORCE_COLOR turns it on without a terminal. */
export function createTerminal(options: { readonly json: boolean }, components: TerminalComponents): Terminal {
  const { stdout, stderr, env } = components
  const colour = !env.NO_COLOR && ((env.FORCE_COLOR !== undefined && env.FORCE_COLOR !== '0') || stdout.isTTY === true)
  const style = (how: Style, text: string): string => (colour ? styleText(how, text, { validateStream: false }) : text)
  const paint = (text: string, row: number): string => {
    if (row < 0) return style('dim', text)
    if (goodWords.has(text)) return style('green', text)
    return badWords.has(text) ? style('red', text) : text
  }
  return {
    json: options.json,
    line: (text) => void stdout.write(`${text}\n`),
    note: (text) => void stderr.write(`${text}\n`),
    data: (value) => void stdout.write(`${JSON.stringify(value, null, 2)}\n`),
    table: (columns, rows, empty) => {
      const lines = rows.length === 0 ? [empty] : formatTable(columns, rows, stdout.columns, paint)
      for (const line of lines) stdout.write(`${line}\n`)
    },
    style,
  }
}
