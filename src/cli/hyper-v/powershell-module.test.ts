import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Cmdlet } from './cmdlet.ts'
import { cmdlets } from './cmdlets.ts'
import { functionParameters, moduleManifest, moduleScript } from './powershell-module.ts'

const bin = fileURLToPath(new URL('../../../bin/vmswitch', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'vmswitch-psm-'))
test.after(() => rmSync(directory, { recursive: true }))

/** The script without its texts and comments; throws where a text, a comment or a bracket is not closed. */
function skeleton(text: string): string {
  const open: string[] = []
  const pairs: Readonly<Record<string, string>> = { ')': '(', ']': '[', '}': '{' }
  let bare = ''
  for (let at = 0; at < text.length; at++) {
    const letter = text[at]!
    if (text.startsWith('<#', at)) {
      const end = text.indexOf('#>', at)
      assert.ok(end > 0, 'a comment does not end')
      at = end + 1
    } else if (letter === '#') at = text.indexOf('\n', at) - 1
    else if (letter === "'" || letter === '"') {
      let end = at + 1
      while (end < text.length && (text[end] !== letter || text[end + 1] === letter)) end += text[end] === letter ? 2 : 1
      assert.ok(end < text.length, `a text does not end: ${text.slice(at, at + 60)}`)
      assert.ok(!text.slice(at, end).includes('\n'), `a text goes over a line: ${text.slice(at, at + 60)}`)
      at = end
      bare += "''"
    } else {
      if ('([{'.includes(letter)) open.push(letter)
      if (')]}'.includes(letter)) assert.equal(open.pop(), pairs[letter], text.slice(at - 60, at + 1))
      bare += letter
    }
  }
  assert.deepEqual(open, [])
  return bare
}

const bodyOf = (script: string, name: string): string => {
  const from = script.indexOf(`\nfunction ${name} {`)
  assert.ok(from >= 0, name)
  const end = script.indexOf('\nfunction ', from + 1)
  return script.slice(from, end < 0 ? script.indexOf('\nExport-ModuleMember', from) : end)
}

test('the module is well formed: texts, comments and brackets are closed, and no list ends in a comma', () => {
  for (const text of [moduleScript(), moduleManifest('1.2.3')]) {
    const bare = skeleton(text)
    assert.doesNotMatch(bare, /,\s*[)\]}]/)
    assert.doesNotMatch(bare, /\(\s*,/)
  }
  assert.throws(() => skeleton('if ($x) { "a'), /does not end/)
  assert.throws(() => skeleton('@( 1 }'))
})

test('every cmdlet of the table and every parameter is there, with type, place, values, aliases and help', () => {
  const script = moduleScript()
  const manifest = moduleManifest('1.2.3')
  const types: Readonly<Record<string, string>> = { string: 'string', int: 'long', guid: 'guid', mac: 'string', json: 'object' }
  for (const cmdlet of cmdlets) {
    const body = bodyOf(script, cmdlet.name)
    assert.ok(manifest.includes(`'${cmdlet.name}'`))
    assert.ok(body.includes(`.SYNOPSIS\n    ${cmdlet.synopsis}`), cmdlet.name)
    assert.equal(body.includes('SupportsShouldProcess'), cmdlet.changes === true, cmdlet.name)
    assert.equal(body.split(/^ {8}\[\w+(?:\[\])?\]\$/m).length - 1, functionParameters(cmdlet).length)
    for (const { name, type, list, mandatory, position, values, aliases = [] } of functionParameters(cmdlet)) {
      const declared = new RegExp(
        `\\n( {8}\\[Parameter\\([^\\n]*\\n(?: {8}\\[[^\\n$]*\\n)*?) {8}\\[(\\w+)(\\[\\])?\\]\\$${name},?\\n`,
      )
      const [, attributes = '', of, brackets] = declared.exec(body) ?? assert.fail(`${cmdlet.name} -${name}`)
      assert.deepEqual([of, brackets !== undefined], [types[type] ?? type, list === true], `${cmdlet.name} -${name}`)
      assert.equal(/Parameter\([^)]*Mandatory/.test(attributes), mandatory === true, `${cmdlet.name} -${name}`)
      assert.equal(attributes.includes('Position = '), position !== undefined)
      if (values !== undefined) assert.ok(attributes.includes(`[ValidateSet('${values.join("', '")}')]`))
      for (const alias of aliases) assert.ok(attributes.includes(`'${alias}'`))
      assert.ok(body.includes(`.PARAMETER ${name}\n`))
    }
  }
})

test('the command line writes the module', () => {
  const written = spawnSync(bin, ['powershell-module', '-o', join(directory, 'vmswitch'), '--json'], { encoding: 'utf8' })
  assert.equal(written.status, 0, written.stderr)
  assert.deepEqual(readdirSync(join(directory, 'vmswitch')).sort(), ['vmswitch.psd1', 'vmswitch.psm1'])
})

test('PowerShell itself imports the module, and its functions call the program', (t) => {
  if (spawnSync('pwsh', ['-Version']).status !== 0) return t.skip('there is no pwsh: the module is checked by its text only')
  const manifest = join(directory, 'vmswitch', 'vmswitch.psd1')
  const ask = (line: string): unknown => {
    const { stdout, stderr } = spawnSync('pwsh', ['-NoProfile', '-Command', `Import-Module ${manifest}; ${line}`], {
      encoding: 'utf8',
      env: { ...process.env, VMSWITCH_PROGRAM: bin },
    })
    assert.equal(stderr, '', stderr)
    return JSON.parse(stdout) as unknown
  }
  const names = ask('(Get-Command -Module vmswitch).Name | ConvertTo-Json') as string[]
  assert.deepEqual(names.sort(), cmdlets.map(({ name }: Cmdlet) => name).sort())
  const known = ask('Get-VMSystemSwitchExtension -Name acl | ConvertTo-Json') as { Name: string }
  assert.equal(known.Name, 'acl')
})
