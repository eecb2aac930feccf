import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { cmdlets } from '../hyper-v/cmdlets.ts'
import { createProgram } from '../program.ts'
import { allNodes, commandTree } from './command-tree.ts'
import { manPage, roff } from './man-page.ts'

const bin = fileURLToPath(new URL('../../../bin/vmswitch', import.meta.url))
const tree = commandTree(createProgram('1.2.3', () => {}))
const page = manPage({ version: '1.2.3', program: tree, cmdlets, sections: { 'Exit status': ['0\tdone'] } })

test('text is text: dashes, backslashes, and dots that begin a line', () => {
  assert.equal(roff(".so a-b\\c\n'x"), '\\&.so a\\-b\\ec\n\\(aqx')
})

test('every command that does something has its entry with its options, and so has every cmdlet', () => {
  for (const { path, children, options } of allNodes(tree)) {
    if (path === '' || path === 'help' || children.length > 0) continue
    assert.ok(page.includes(`\\fBvmswitch ${roff(path)}\\fP`), path)
    for (const { flags } of options) assert.ok(page.includes(`\\fB${roff(flags)}\\fP`), `${path} ${flags}`)
  }
  for (const { name } of cmdlets) assert.ok(page.includes(`\\fB${roff(name)}\\fP`), name)
  for (const line of page.split('\n')) assert.match(line, /^(?:\.(?:TH|SH|TP|br|RS|RE)\b|[^.'])|^$/)
})

test('the formatter has nothing to say against the page that the command prints', (t) => {
  const { stdout, status, stderr } = spawnSync(bin, ['man'], { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  if (spawnSync('groff', ['--version']).status !== 0) return t.skip('there is no groff: the page is checked by its text only')
  const formatted = spawnSync('groff', ['-man', '-ww', '-Tutf8', '-Kutf8', '-P-cbou'], { input: stdout, encoding: 'utf8' })
  assert.equal(formatted.stderr, '')
  assert.match(formatted.stdout, /EXIT STATUS\n +0 +done/)
})
