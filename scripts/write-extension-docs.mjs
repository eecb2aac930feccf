// Writes the list of what `vmswitch/extension` exports in docs/extensions.md, from the source: each name with the first sentence of its comment.
//
// The rule it must not break: what is exported without a comment is an error, not a line left out.
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

const source = fileURLToPath(new URL('../src/extension.ts', import.meta.url))
const document = fileURLToPath(new URL('../docs/extensions.md', import.meta.url))
const BEGIN = '<!-- exports:begin -->'
const END = '<!-- exports:end -->'

const kinds = { const: 'value', function: 'function', class: 'class', interface: 'type', type: 'type' }

/** Names that a file hands on, with the file that they come from: `[name, file, isType]`. */
function reExports(file) {
  const text = readFileSync(file, 'utf8')
  return [...text.matchAll(/^export (type )?\{([^}]*)\} from '([^']+)'/gm)].flatMap(([, allTypes, names, from]) =>
    names
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '')
      .map((name) => [
        name.replace(/^type /, ''),
        normalize(join(dirname(file), from)),
        allTypes !== undefined || name.startsWith('type '),
      ]),
  )
}

/** What stands before a declaration as its comment, as one line; undefined without one. */
function commentBefore(text, at) {
  const before = text.slice(0, at).trimEnd()
  if (!before.endsWith('*/')) return undefined
  const comment = before.slice(before.lastIndexOf('/**') + 3, -2)
  return comment
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trim())
    .join(' ')
    .trim()
}

/** The declaration of `name` in `file`, or in a file that hands it on: `{ kind, comment }`. */
function declarationOf(name, file) {
  const text = readFileSync(file, 'utf8')
  const found = [...text.matchAll(new RegExp(`^export (?:abstract )?(const|function|class|interface|type) ${name}\\b`, 'gm'))]
  if (found.length > 0) {
    const first = found.find((match) => match[1] === 'const' || match[1] === 'class') ?? found[0]
    return { kind: kinds[first[1]], comment: commentBefore(text, first.index), isCall: isCall(text, first) }
  }
  const next = reExports(file).find(([one]) => one === name)
  if (next === undefined) throw new Error(`${file}: there is no declaration of ${name}`)
  return declarationOf(name, next[1])
}

/** Whether a constant is a function: `export const name = (`. */
const isCall = (text, match) => match[1] === 'const' && /^[^\n]*= (async )?(<[^>]*>)?\(/.test(text.slice(match.index))

const sentence = (comment) => {
  const first = /^.*?[.](?=\s|$)/.exec(comment)?.[0] ?? comment
  return (/[.]$/.test(first) ? first : `${first}.`).replaceAll('|', '\\|')
}

/** Everything that is exported, in the order of the source: `{ name, kind, text }`. Throws where a comment is missing. */
export function exportsOfExtension() {
  const own = [...readFileSync(source, 'utf8').matchAll(/^export (?:const|interface|type|function|class) (\w+)/gm)]
  const named = [...own.map(([, name]) => [name, source, false]), ...reExports(source)]
  return named.map(([name, file, isType]) => {
    const { kind, comment, isCall: calls } = declarationOf(name, file)
    if (!comment) throw new Error(`${name} is exported from src/extension.ts and has no comment that says what it is`)
    return { name, kind: isType ? 'type' : calls ? 'function' : kind, text: sentence(comment) }
  })
}

/** The list as Markdown. */
export const extensionReference = () =>
  [
    '| name | kind | what it is |',
    '|---|---|---|',
    ...exportsOfExtension().map(({ name, kind, text }) => `| \`${name}\` | ${kind} | ${text} |`),
  ].join('\n')

/** The list that stands in a text between its marks. */
export function writtenReference(text) {
  const [, rest] = text.split(BEGIN)
  return rest?.split(END)[0]?.trim()
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = readFileSync(document, 'utf8')
  const [before, rest = ''] = text.split(BEGIN)
  const [, after] = rest.split(END)
  if (after === undefined) throw new Error(`${document} has not both marks, ${BEGIN} and ${END}`)
  writeFileSync(document, `${before}${BEGIN}\n${extensionReference()}\n${END}${after}`)
}
