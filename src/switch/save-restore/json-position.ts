// Where in a JSON text the value at a path stands, so that an error about a value can name line and column.

type Path = readonly (string | number)[]

/** Line and column, from 1, of an offset in a text. */
export function lineAndColumn(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset)
  const start = before.lastIndexOf('\n') + 1
  return { line: before.split('\n').length, column: offset - start + 1 }
}

/** Offset of the value at `path` in `text`, which is valid JSON; of the nearest container if it has no such value. */
export function offsetOf(text: string, path: Path): number {
  let at = skipSpace(text, 0)
  for (const step of path) {
    const inner = typeof step === 'number' ? itemAt(text, at, step) : memberAt(text, at, step)
    if (inner < 0) return at
    at = inner
  }
  return at
}

function skipSpace(text: string, at: number): number {
  while (' \t\r\n'.includes(text[at] ?? 'x')) at++
  return at
}

function stringEnd(text: string, at: number): number {
  for (at++; text[at] !== '"' && at < text.length; at++) if (text[at] === '\\') at++
  return at + 1
}

// The offset behind the value at `at`.
function valueEnd(text: string, at: number): number {
  if (text[at] === '"') return stringEnd(text, at)
  if (text[at] !== '{' && text[at] !== '[') {
    while (at < text.length && !',]} \t\r\n'.includes(text[at]!)) at++
    return at
  }
  let depth = 0
  do {
    const c = text[at]
    if (c === '"') {
      at = stringEnd(text, at)
      continue
    }
    if (c === '{' || c === '[') depth++
    else if (c === '}' || c === ']') depth--
    at++
  } while (depth > 0 && at < text.length)
  return at
}

function itemAt(text: string, at: number, index: number): number {
  if (text[at] !== '[') return -1
  at = skipSpace(text, at + 1)
  for (let i = 0; text[at] !== ']' && at < text.length; i++) {
    if (i === index) return at
    at = skipSpace(text, valueEnd(text, at))
    if (text[at] === ',') at = skipSpace(text, at + 1)
  }
  return -1
}

function memberAt(text: string, at: number, name: string): number {
  if (text[at] !== '{') return -1
  at = skipSpace(text, at + 1)
  let found = -1 // the last of several members of one name counts, as for JSON.parse
  while (text[at] === '"') {
    const end = stringEnd(text, at)
    const key = JSON.parse(text.slice(at, end)) as string
    at = skipSpace(text, end)
    at = skipSpace(text, at + 1)
    if (key === name) found = at
    at = skipSpace(text, valueEnd(text, at))
    if (text[at] === ',') at = skipSpace(text, at + 1)
  }
  return found
}
