// What a serial line shows: the lines of a guest's console with the few control codes that its kernel and shell send. Pure.
//
// The rule it must not break: a guest writes what it likes; lines kept, their length, and an unfinished code are bounded.

const LINES_MAX = 1000
const COLUMNS_MAX = 500
/** What the guest is told that the screen has. */
const ROWS = 24
const CODE_MAX = 32
const ESC = 0x1b
const [BELL, BACKSPACE, TAB, LINE_FEED, RETURN, SPACE, DELETE] = [7, 8, 9, 10, 13, 32, 127]
const TAB_WIDTH = 8
const isFinal = (byte: number): boolean => byte >= 0x40 && byte <= 0x7e

export class SerialScreen {
  readonly #lines: string[] = ['']
  readonly #answer: (text: string) => void
  readonly #text = new TextDecoder('utf-8')
  #column = 0
  /** Of the line that is written, from the last one up. */
  #code: string | null = null

  /** `answer` takes what the guest is to be told when it asks where its cursor is. */
  constructor(answer: (text: string) => void) {
    this.#answer = answer
  }

  get lines(): readonly string[] {
    return this.#lines
  }

  /** Of the cursor in the last line, from 0. */
  get column(): number {
    return this.#column
  }

  write(byte: number): void {
    if (this.#code !== null) this.#inCode(byte)
    else if (byte === ESC) this.#code = ''
    else if (byte === LINE_FEED) this.#newLine()
    else if (byte === RETURN) this.#column = 0
    else if (byte === BACKSPACE) this.#column = Math.max(0, this.#column - 1)
    else if (byte === TAB) this.#put(' '.repeat(TAB_WIDTH - (this.#column % TAB_WIDTH)))
    else if (byte >= SPACE && byte !== DELETE && byte !== BELL) {
      const text = this.#text.decode(Uint8Array.of(byte), { stream: true })
      if (text !== '') this.#put(text)
    }
  }

  #newLine(): void {
    this.#lines.push('')
    this.#column = 0
    if (this.#lines.length > LINES_MAX) this.#lines.shift()
  }

  #put(text: string): void {
    if (this.#column >= COLUMNS_MAX) this.#newLine()
    const line = this.#last.padEnd(this.#column)
    this.#last = line.slice(0, this.#column) + text + line.slice(this.#column + text.length)
    this.#column += text.length
  }

  get #last(): string {
    return this.#lines.at(-1) ?? ''
  }

  set #last(line: string) {
    this.#lines[this.#lines.length - 1] = line
  }

  #inCode(byte: number): void {
    const code = (this.#code ?? '') + String.fromCharCode(byte)
    const begun = code.length === 1 && byte === 0x5b
    if (!begun && (code[0] !== '[' || isFinal(byte) || code.length > CODE_MAX)) {
      this.#code = null
      if (code[0] === '[') this.#obey(code.at(-1) ?? '', Number.parseInt(code.slice(1), 10))
    } else this.#code = code
  }

  #obey(what: string, given: number): void {
    const many = Number.isNaN(given) ? 1 : Math.min(given, COLUMNS_MAX)
    if (what === 'D') this.#column = Math.max(0, this.#column - many)
    else if (what === 'C') this.#column = Math.min(COLUMNS_MAX, this.#column + many)
    else if (what === 'G') this.#column = Math.max(0, many - 1)
    else if (what === 'K' || (what === 'J' && given !== 2)) this.#last = this.#last.slice(0, this.#column)
    else if (what === 'J') this.#newLine()
    else if (what === 'n' && given === 6) this.#answer(`\x1b[${ROWS};${this.#column + 1}R`)
  }
}
