// Cuts a capture filter into its words.

export type TokenKind = 'mac' | 'ipv6' | 'range' | 'dotted' | 'number' | 'word' | 'symbol' | 'end'

export interface Token {
  readonly kind: TokenKind
  readonly text: string
  /** Offset in the filter, from 0. */
  readonly at: number
}

/** A filter that can't be used; `at` is where in its text. */
export class FilterError extends Error {
  override readonly name = 'FilterError'
  readonly code = 'bad-filter'
  readonly at: number

  constructor(text: string, at: number, message: string) {
    super(`filter "${text}": ${message} (at character ${at + 1})`)
    this.at = at
  }
}

// The first that fits is taken. A number with a hyphen is a range of ports, as it is to tcpdump.
const kinds: readonly (readonly [TokenKind, RegExp])[] = [
  ['mac', /[0-9a-f]{1,2}([:-][0-9a-f]{1,2}){5}(?![0-9a-f:.-])/iy],
  ['ipv6', /(?=[0-9a-f.]*:[0-9a-f.]*:)[0-9a-f:.]+/iy],
  ['range', /\d+-\d+(?![\w.])/y],
  ['dotted', /\d+(\.\d+){1,3}(?![\w.])/y],
  ['number', /(0x[0-9a-f]+|\d+)(?![\w.])/iy],
  ['word', /\\?[a-z_][\w.]*(-[\w.]+)*/iy],
  ['symbol', /&&|\|\||!=|==|<=|>=|<<|>>|[!=<>()[\]:/+\-*&|^%]/y],
]
const space = /\s*/y

/** The words of a filter, and an end. Throws FilterError. */
export function tokensOf(text: string): Token[] {
  const tokens: Token[] = []
  for (let at = 0; ; ) {
    space.lastIndex = at
    space.exec(text)
    at = space.lastIndex
    if (at >= text.length) break
    const token = next(text, at)
    tokens.push(token)
    at += token.text.length
  }
  return [...tokens, { kind: 'end', text: '', at: text.length }]
}

function next(text: string, at: number): Token {
  for (const [kind, pattern] of kinds) {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (found) return { kind, text: found[0], at }
  }
  throw new FilterError(text, at, `"${text.slice(at, at + 12)}" is nothing that a filter can hold`)
}
