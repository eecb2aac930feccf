import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { checkSource } from './config/load.ts'
import { parseYaml } from './config/yaml-source.ts'

const root = new URL('../../', import.meta.url)
const read = (file: string): string => readFileSync(new URL(file, root), 'utf8')
const blocks = (file: string, language: string): string[] =>
  [...read(file).matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].filter((match) => match[1] === language).map((match) => match[2]!)

test("the README's first extension is the one in the examples", () => {
  assert.equal(blocks('README.md', 'ts')[0], read('examples/extensions/block-telnet.ts'))
})

test('the configurations in the documents are accepted, but for files that only stand for some', () => {
  const machine = { env: {}, cwd: '/', canWrite: () => true }
  for (const file of ['README.md', 'docs/configuration.md'])
    for (const text of blocks(file, 'yaml')) {
      const inBoxOnly = text.replace(/^ +- use: \.\/.*\n( +onFailure.*\n)?/gm, '')
      assert.doesNotThrow(() => checkSource(parseYaml(file, inBoxOnly), '/lab.yaml', machine), `${file}:\n${text}`)
    }
})

test('every local link in the documents leads somewhere', () => {
  const missing: string[] = []
  for (const file of [
    'README.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
    'docs/configuration.md',
    'docs/architecture.md',
    'docs/limits.md',
  ])
    for (const [, link] of read(file).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g))
      if (!existsSync(fileURLToPath(new URL(link!, new URL(file, root))))) missing.push(`${file}: ${link}`)
  assert.deepEqual(missing, [])
})
