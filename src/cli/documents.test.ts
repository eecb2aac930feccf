// What the documents tell a reader to type, held against the program: configurations, options of extensions, code, commands, links. A document
// can't go stale unnoticed.
import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { blocks, codeSpans, documents, filesOf, readDocument } from '../../test/support/documents.ts'
import { temporaryDirectory } from '../../test/support/temp-dir.ts'
import type { ExtensionDefinition } from '../extension.ts'
import { inBoxExtensionUrl } from '../extensions/catalog.ts'
import { checkSource, loadConfig } from '../manage/config/load.ts'
import { parseYaml } from '../manage/config/yaml-source.ts'
import { checkHosts } from './find-place.ts'
import { cmdletOf } from './hyper-v/cmdlets.ts'
import { readParameters } from './hyper-v/parameters.ts'
import { splitWords } from './hyper-v/run-cmdlet.ts'
import { createProgram } from './program.ts'

const machine = { env: {}, cwd: '/', canWrite: () => true }

// ---- configurations -------------------------------------------------------------------------------------------------------------

const WIRE = '  ports:\n    - { name: wire, endpoint: { kind: uplink, interface: eth1 } }\n'

const indented = (text: string, by: number): string => text.replace(/^(?=.)/gm, ' '.repeat(by))

// A part of a configuration, as the documents show it, as a whole one.
function whole(text: string): string {
  const known = text
    .replaceAll('endpoint: …', 'endpoint: { kind: memory }')
    .replace(/^ +- use: \.\/.*\n( +onFailure.*\n)?/gm, '') // files that only stand for some
    .replace(/^( +)extensions:\n(?!\1 )/gm, '')
  if (known.startsWith('endpoint:')) return `switch:\n  name: lab\n  ports:\n    - name: one\n${indented(known, 6)}`
  if (known.startsWith('ports:')) return `switch:\n  name: lab\n${indented(known, 2)}`
  if (known.startsWith('    subnets:')) {
    const [before = ''] = blocks('yaml', ['docs/overlays.md'])[0]!.text.split('    subnets:')
    return `${whole(before)}${known}${WIRE}`
  }
  return /^switch:\n(?![\s\S]*^ {2}name:)/m.test(known) ? known.replace(/^switch:\n/m, 'switch:\n  name: lab\n') : known
}

test('the configurations in the documents and the examples are accepted, with the options of their extensions', async () => {
  const wrong: string[] = []
  const shown = blocks('yaml').filter(({ text }) => !text.includes('tokenFile: alice.token'))
  const examples = filesOf('examples', '.yaml').map((file) => ({ at: file, text: readDocument(file) }))
  assert.ok(shown.length >= 33, `${shown.length} configurations in the documents`)
  for (const { at, text } of [...shown, ...examples])
    try {
      const config = checkSource(
        parseYaml(at, whole(text)),
        fileURLToPath(new URL('../../examples/lab.yaml', import.meta.url)),
        machine,
      )
      for (const { use, file, options } of config.switch.extensions) {
        if (file !== null) continue
        const { default: definition } = (await import(inBoxExtensionUrl(use)!)) as { default: ExtensionDefinition }
        definition.parseOptions?.(options)
      }
    } catch (error) {
      wrong.push(`${at}: ${error instanceof Error ? error.message : String(error)}`)
    }
  assert.deepEqual(wrong, [])
})

test('the file of hosts in the documents is one', () => {
  for (const { at, text } of blocks('yaml').filter(({ text: one }) => one.includes('tokenFile: alice.token')))
    assert.doesNotThrow(() => checkHosts(text, 'hosts.yaml'), at)
})

test('the configurations in TypeScript in the documents are accepted', async () => {
  const own = import.meta.resolve('vmswitch')
  const shown = blocks('ts', ['docs/configuration.md'])
  assert.equal(shown.length, 1)
  for (const { at, text } of shown) {
    const file = join(temporaryDirectory(), 'lab.ts')
    writeFileSync(file, text.replaceAll("'vmswitch'", `'${own}'`))
    const { switch: made } = await loadConfig(file, machine)
    assert.ok(made.ports.length > 0, at)
  }
})

test('the code in the documents is a part of what is checked and run', () => {
  const tests = ['src/extensions/example.test.ts', 'src/extensions/guide.test.ts', 'src/adapter/index.test.ts']
  const sources = [...filesOf('examples/extensions', '.ts'), ...tests]
  const plain = (text: string): string => text.replace(/(^|\s)\/\/.*$/gm, '').replace(/[\s,]+/g, '')
  const known = sources.map((file) => plain(readDocument(file)))
  const shown = blocks('ts', ['docs/extensions.md', 'docs/rss.md'])
  assert.ok(shown.length >= 8, `${shown.length} pieces of code`)
  for (const { at, text } of shown) {
    const parts = text.split(/^ *…\n/m).map(plain)
    assert.ok(
      known.some((source) => parts.every((part) => source.includes(part))),
      `${at}: none of ${sources.join(', ')} holds this`,
    )
  }
})

// ---- commands -------------------------------------------------------------------------------------------------------------------

/** The words of each `vmswitch …` in a line of a shell, without what it is piped to or written into. */
function commandsOf(line: string): string[][] {
  const found: string[][] = []
  for (const match of line.matchAll(/(?:^|[\s(=])(?:bin\/)?vmswitch(?= |$)/g)) {
    const words: string[] = []
    for (const token of line.slice(match.index + match[0].length).matchAll(/\s*('[^']*'|"[^"]*"|[^\s'"]+)/g)) {
      const word = token[1]!
      if (/^(#|[|>&;)]|2>|\\$)/.test(word)) break
      const isLast = !/^['"]/.test(word) && /[);]$/.test(word)
      words.push(isLast ? word.slice(0, -1) : word.replace(/^(['"])(.*)\1$/, '$2'))
      if (isLast) break
    }
    found.push(words)
    if (/^\s*#/.test(line)) break
  }
  return found
}

const shellLines = (): (readonly [at: string, line: string])[] => [
  ...blocks('sh').flatMap(({ at, text }) => text.split('\n').map((line) => [at, line.replace(/(^|\s)# .*$/, '')] as const)),
  ...blocks('text').flatMap(({ at, text }) =>
    text.split('\n').flatMap((line) => (line.startsWith('$ ') ? [[at, line.slice(2)] as const] : [])),
  ),
]

// A program that understands everything and does nothing.
function idleProgram(): Command {
  const program = createProgram('', () => {})
  const visit = (command: Command): void => {
    command.exitOverride().configureOutput({ writeErr: () => {}, writeOut: () => {} })
    command.action(() => {})
    for (const child of command.commands) visit(child)
  }
  visit(program)
  return program
}

const isCmdlet = (words: readonly string[]): boolean => /^[A-Z][a-z]+-[A-Z]/.test(words[0] ?? '')

test('every command in the documents is understood as it stands', async () => {
  const wrong: string[] = []
  let count = 0
  for (const [at, line] of shellLines())
    for (const words of commandsOf(line)) {
      count++
      try {
        if (isCmdlet(words)) {
          const { cmdlet, words: rest, help } = splitWords(words)
          const found = cmdletOf(cmdlet)
          if (!help) readParameters(found, rest)
        } else await idleProgram().parseAsync(words, { from: 'user' })
      } catch (error) {
        const { code } = error as { code?: string }
        if (code !== 'commander.help' && code !== 'commander.helpDisplayed') wrong.push(`${at}: ${line}\n  ${String(error)}`)
      }
    }
  assert.deepEqual(wrong, [])
  assert.ok(count >= 90, `${count} commands in the documents`)
})

// The command that words lead to, as far as they name one, and the words behind it.
function commandAt(program: Command, words: readonly string[]): { command: Command; path: Command[]; rest: readonly string[] } {
  let command = program
  const path = [program]
  let at = 0
  for (; at < words.length; at++) {
    const next = command.commands.find((one) => [one.name(), ...one.aliases()].includes(words[at]!))
    if (!next) break
    command = next
    path.push(next)
  }
  return { command, path, rest: words.slice(at) }
}

test('every command that the running text names is there, with the options it names', () => {
  const wrong: string[] = []
  const program = createProgram('', () => {})
  let count = 0
  for (const file of documents)
    for (const [at, span] of codeSpans(file)) {
      const words = /^(?:bin\/)?vmswitch (.+)$/.exec(span)?.[1]?.split(/,? +/)
      if (!words || words[0]!.startsWith('-') || ['COMMAND', 'help'].includes(words[0]!) || isCmdlet(words)) continue
      count++
      const { command, path, rest } = commandAt(program, words)
      const known = path.flatMap(({ options }) => options.flatMap(({ long, short }) => [long, short]))
      for (const word of rest.map((one) => one.replace(/^\[|\]$/g, '')))
        if (/^--?[a-z]/.test(word) && !known.includes(word) && word !== '--help')
          wrong.push(`${at}: \`${span}\`: no option ${word}`)
      // A word in lower letters where a group of commands expects one of its own.
      const isGroup = command.commands.length > 0 && command.registeredArguments.length === 0
      if (isGroup && /^[a-z]/.test(rest[0] ?? '')) wrong.push(`${at}: \`${span}\`: no command ${rest[0]}`)
    }
  assert.deepEqual(wrong, [])
  assert.ok(count >= 150, `${count} commands in the running text`)
})

// ---- links ----------------------------------------------------------------------------------------------------------------------

const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')

const anchorsOf = (file: string): Set<string> =>
  new Set([...readDocument(file).matchAll(/^#+ (.+)$/gm)].map(([, heading]) => anchorOf(heading!)))

test('every local link in the documents leads to a file, and to a heading that it has', () => {
  const missing: string[] = []
  const root = new URL('../../', import.meta.url)
  for (const file of [...documents, 'CHANGELOG.md'])
    for (const [, link, anchor] of readDocument(file).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)) {
      const target = new URL(link === '' ? file : link!, link === '' ? root : new URL(file, root))
      const path = fileURLToPath(target)
      if (!existsSync(path)) missing.push(`${file}: ${link}`)
      else if (anchor && path.endsWith('.md') && !anchorsOf(path.slice(fileURLToPath(root).length)).has(anchor))
        missing.push(`${file}: ${link}#${anchor}`)
    }
  assert.deepEqual(missing, [])
})
