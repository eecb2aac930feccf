// What a key says to a serial line. Pure.

const named: Readonly<Record<string, string>> = {
  Enter: '\r',
  Backspace: '\x7f',
  Tab: '\t',
  Escape: '\x1b',
  ArrowUp: '\x1b[A',
  ArrowDown: '\x1b[B',
  ArrowRight: '\x1b[C',
  ArrowLeft: '\x1b[D',
  Home: '\x1b[H',
  End: '\x1b[F',
  Delete: '\x1b[3~',
}

export interface Key {
  readonly key: string
  readonly ctrlKey: boolean
  readonly altKey: boolean
  readonly metaKey: boolean
  readonly shiftKey: boolean
}

/** The characters of a key; null: it is the browser's. Shift and Tab leave the screen, as people without a mouse must be able to. */
export function keyText({ key, ctrlKey, altKey, metaKey, shiftKey }: Key): string | null {
  if (metaKey || altKey || (key === 'Tab' && shiftKey)) return null
  if (ctrlKey)
    return /^[a-z]$/i.test(key) && !(shiftKey || key === 'v') ? String.fromCharCode(key.toUpperCase().charCodeAt(0) - 64) : null
  return named[key] ?? ([...key].length === 1 ? key : null)
}
