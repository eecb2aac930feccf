// The documents as tests read them: their fenced blocks, and the commands that they tell a reader to type.
import { readdirSync, readFileSync } from 'node:fs'

const root = new URL('../../', import.meta.url)

export interface Block {
  /** File and line of its first line: `docs/policies.md:12`. */
  readonly at: string
  readonly file: string
  readonly language: string
  readonly text: string
}

/** The text of a file of the project. */
export const readDocument = (file: string): string => readFileSync(new URL(file, root), 'utf8')

/** Every document that a user reads, but the changelog, which tells of the past. */
export const documents: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'packaging/README.md',
  ...readdirSync(new URL('docs/', root), { encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .sort()
    .map((file) => `docs/${file}`),
  ...readdirSync(new URL('src/extensions/', root), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => `src/extensions/${name}/README.md`)
    .sort(),
]

/** Files of a folder of the project, and of those in it, whose names end so. */
export const filesOf = (folder: string, ending: string): string[] =>
  readdirSync(new URL(`${folder}/`, root), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(ending))
    .sort()
    .map((file) => `${folder}/${file}`)

const lineOf = (text: string, at: number): number => text.slice(0, at).split('\n').length

/** The fenced blocks of all documents, or of one. */
export function blocks(language: string, files: readonly string[] = documents): Block[] {
  return files.flatMap((file) => {
    const text = readDocument(file)
    return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)]
      .filter((match) => match[1] === language)
      .map((match) => ({ at: `${file}:${lineOf(text, match.index) + 1}`, file, language, text: match[2]! }))
  })
}

/** Spans of code in the running text of a document, as [place, text]; what stands in blocks is not among them. */
export function codeSpans(file: string): (readonly [at: string, text: string])[] {
  const text = readDocument(file).replace(/^```[\s\S]*?^```$/gm, (block) => block.replace(/[^\n]/g, ' '))
  return [...text.matchAll(/`([^`\n]+)`/g)].map((match) => [`${file}:${lineOf(text, match.index)}`, match[1]!] as const)
}
