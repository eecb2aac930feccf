// Which rules and scenarios of the specifications the tests name: `node test/conformance/rule-coverage.ts` prints them, with how many
// tests name each. A test names a rule by its number (ES-nnn, SR-nnn, VQ-nnn, CS-nn) in its title.
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const OWN_TEST = 'test/conformance/rule-coverage.test.ts' // its rules are examples
const RULE = /\b(?:ES|SR|VQ)-\d{3}\b|\bCS-\d{2}\b/g
// A title: the first argument of test(…) or it(…), a string or a template.
const TITLE = /\b(?:test|it)\(\s*(?:'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)"|`((?:\\.|[^`\\])*)`)/g

/** Rules named in the titles of a test file's tests; in templates and tables of titles, those anywhere in the file's strings. */
export function rulesIn(source: string): string[] {
  const titles = [...source.matchAll(TITLE)].map(([, single, double, template]) => single ?? double ?? template ?? '')
  // A title with a placeholder takes its numbers from a table elsewhere in the file.
  const texts = titles.some((title) => title.includes('${')) ? [source] : titles
  return texts.flatMap((text) => text.match(RULE) ?? [])
}

/** How many times each rule is named by the tests of the project, by rule. */
export function coverage(): Map<string, number> {
  const found = new Map<string, number>()
  for (const file of globSync(['src/**/*.test.ts', 'test/**/*.test.ts'], { cwd: root, exclude: [OWN_TEST] }))
    for (const rule of rulesIn(readFileSync(join(root, file), 'utf8'))) found.set(rule, (found.get(rule) ?? 0) + 1)
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const found = coverage()
  for (const [rule, count] of found) console.log(`${rule} ${count}`)
  for (const prefix of ['ES', 'SR', 'VQ', 'CS'])
    console.log(`${prefix}: ${[...found.keys()].filter((rule) => rule.startsWith(prefix)).length} named`)
}
