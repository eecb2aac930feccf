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
  /** Waits for `work`; where it lasts, a person at a terminal sees `text` and the seconds on standard error. */
  progress<T>(text: string, work: Promise<T>): Promise<T>
}

export interface TerminalComponents {
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number }
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean }
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
    progress: (text, work) => (stderr.isTTY === true ? shownProgress(text, work, stderr) : work),
  }
}

/** What is over before this has nothing to show. */
const PROGRESS_AFTER_MS = 400
const PROGRESS_EVERY_MS = 1000
const CLEAR_LINE = '\r\u001b[K'

async function shownProgress<T>(text: string, work: Promise<T>, stderr: NodeJS.WritableStream): Promise<T> {
  let seconds = 0
  let isShown = false
  const show = (): void => {
    isShown = true
    stderr.write(`${CLEAR_LINE}${text}…${seconds === 0 ? '' : ` ${seconds} s`}`)
  }
  const first = setTimeout(show, PROGRESS_AFTER_MS)
  const next = setInterval(() => {
    seconds++
    show()
  }, PROGRESS_EVERY_MS)
  try {
    return await work
  } finally {
    clearTimeout(first)
    clearInterval(next)
    if (isShown) stderr.write(CLEAR_LINE)
  }
}
