// YAML as a configuration source: text to plain data, and from a path in the data back to line and column.
import { type Document, isAlias, isMap, isNode, isPair, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import { ConfigError, type Diagnostic, type PathSegment, type Place } from './diagnostics.ts'

/** A parsed source: its data, its lines, and where things stand in it. */
export interface ConfigSource {
  readonly file: string
  readonly lines: readonly string[]
  readonly data: unknown
  /** The value at `path`; if there is none, the nearest thing around it. */
  placeOfValue(path: readonly PathSegment[]): Place | null
  /** The key `key` of the map at `path`. */
  placeOfKey(path: readonly PathSegment[], key: string): Place | null
}

const SYNTAX_DIAGNOSTICS_MAX = 3

const syntaxHints: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'indent with spaces',
  BAD_INDENT: 'entries of one list or map start in the same column',
  DUPLICATE_KEY: 'remove one of the two',
  MISSING_CHAR: 'close what was opened: a quote, a bracket or a brace',
  MULTILINE_IMPLICIT_KEY: 'is a ":" missing, or a quote not closed?',
  BLOCK_AS_IMPLICIT_KEY: 'a value that holds ": " must be quoted',
  MULTIPLE_DOCS: 'keep one configuration per file: remove the "---"',
}

/** Parses YAML (JSON is a part of it). Throws ConfigError `config-syntax`. */
export function parseYaml(file: string, text: string): ConfigSource {
  const lines = text.split(/\r?\n/)
  const counter = new LineCounter()
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false, uniqueKeys: true })

  const place = (start: number, end: number): Place => {
    const { line, col } = counter.linePos(start)
    const stop = text.slice(start, end).split(/\r?\n/)[0] ?? ''
    return { line: Math.max(1, line), column: Math.max(1, col), length: Math.max(1, stop.trimEnd().length) }
  }
  const placeOf = (node: Node): Place | null => (node.range ? place(node.range[0], node.range[1]) : null)

  if (document.errors.length > 0) {
    const diagnostics = document.errors.slice(0, SYNTAX_DIAGNOSTICS_MAX).map(
      (error): Diagnostic => ({
        code: 'syntax',
        path: '',
        message: `this is not valid YAML: ${lowerFirst(error.message.replace(/\s*\n[\s\S]*$/, ''))}`,
        hint: syntaxHints[error.code] ?? '',
        place: place(error.pos[0], error.pos[1]),
      }),
    )
    throw new ConfigError('config-syntax', file, lines, diagnostics)
  }

  let data: unknown
  try {
    data = document.toJS()
  } catch (error) {
    // Aliases that refer to nothing, or so often that expanding them would fill the memory.
    const message = error instanceof Error ? error.message : String(error)
    throw new ConfigError('config-syntax', file, lines, [
      { code: 'syntax', path: '', message: `this YAML can't be expanded: ${message}`, hint: 'write aliases out', place: null },
    ])
  }

  return {
    file,
    lines,
    data,
    placeOfValue: (path) => {
      const { node, owner } = find(document, path)
      // A map spreads over many lines: its key is the better place.
      const shown = isMap(node) ? (owner ?? node) : (node ?? owner)
      return shown === null ? { line: 1, column: 1, length: 1 } : placeOf(shown)
    },
    placeOfKey: (path, key) => {
      const { node, owner } = find(document, path)
      const map = isAlias(node) ? node.resolve(document) : node
      if (!isMap(map)) return owner === null ? null : placeOf(owner)
      for (const pair of map.items) if (isScalar(pair.key) && String(pair.key.value) === key) return placeOf(pair.key)
      return placeOf(map)
    },
  }
}

interface Found {
  /** The value at the path; null if the path leads nowhere, or the value is empty. */
  readonly node: Node | null
  /** What a person sees as the holder of the value: its key, or the first key of the list item it is in. */
  readonly owner: Node | null
}

function find(document: Document, path: readonly PathSegment[]): Found {
  let node = document.contents as Node | null
  let owner: Node | null = null
  for (const segment of path) {
    if (isAlias(node)) node = node.resolve(document) ?? null
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(segment))
      if (!isPair(pair)) return { node: null, owner: owner ?? firstKey(node) }
      owner = isNode(pair.key) ? pair.key : null
      node = isNode(pair.value) ? pair.value : null
    } else if (isSeq(node)) {
      const item: unknown = node.items[Number(segment)]
      if (!isNode(item)) return { node: null, owner }
      owner = isMap(item) ? firstKey(item) : item
      node = item
    } else return { node: null, owner }
  }
  // An empty value (`name:`) has no place of its own.
  if (isScalar(node) && node.range && node.range[0] === node.range[1]) return { node: null, owner }
  return { node, owner }
}

function firstKey(node: Node): Node {
  if (isMap(node) && isNode(node.items[0]?.key)) return node.items[0].key
  return node
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1)
