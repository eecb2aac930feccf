import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findBreaches, importsOf } from './check-layers.mjs'

const breaches = (file, ...lines) => findBreaches(new Map([[file, lines.join('\n')]]))

test('a layer may import itself and lower layers', () => {
  assert.deepEqual(breaches('switch/a.ts', "import { b } from './b.ts'", "import { c } from '../kernels/c.ts'"), [])
  assert.deepEqual(breaches('engine/a.ts', "import { b } from '../switch/b.ts'", "import { c } from '../linux/c.ts'"), [])
  assert.deepEqual(
    breaches('engine/a.ts', "import { b } from '../extensions/acl/index.ts'", "import { readFile } from 'node:fs'"),
    [],
  )
})

test('a planted import of a higher layer is found with its line', () => {
  assert.deepEqual(breaches('kernels/a.ts', '// first', "import { b } from '../virtio/b.ts'"), [
    'src/kernels/a.ts:2: kernels is below virtio and must not import it (../virtio/b.ts)',
  ])
  assert.deepEqual(breaches('endpoints/tap/a.ts', "export * from '../../engine/b.ts'"), [
    'src/endpoints/tap/a.ts:1: endpoints is below engine and must not import it (../../engine/b.ts)',
  ])
})

test('imports of every form are found: static, over several lines, dynamic, side effects, workers, types', () => {
  for (const line of [
    "import {\n  b,\n} from '../cli/b.ts'",
    "export { b } from '../cli/b.ts'",
    "const b = await import('../cli/b.ts')",
    "import '../cli/b.ts'",
    "new Worker(new URL('../cli/b.ts', import.meta.url))",
    "import type { B } from '../cli/b.ts'",
  ])
    assert.equal(breaches('engine/a.ts', line).length, 1, line)
})

test('what stands in a comment is no import', () => {
  assert.deepEqual(breaches('kernels/a.ts', "// import { b } from '../cli/b.ts'", "/*\nimport { b } from '../cli/b.ts'\n*/"), [])
})

test('a pure layer imports no Node module, no package and nothing of Linux, but its tests may use Node', () => {
  assert.match(breaches('switch/a.ts', "import fs from 'node:fs'")[0], /switch is pure and must not import node:fs/)
  assert.match(breaches('switch/a.ts', "import fs from 'fs/promises'")[0], /switch is pure and must not import fs\/promises/)
  assert.match(breaches('packet/a.ts', "import pino from 'pino'")[0], /packet is pure and must not import the package pino/)
  assert.match(breaches('switch/a.ts', "import { sys } from '../linux/libc.ts'")[0], /switch is pure and must not import linux/)
  assert.deepEqual(breaches('switch/a.test.ts', "import { test } from 'node:test'", "import fc from 'fast-check'"), [])
})

test('only src/linux imports koffi', () => {
  assert.deepEqual(breaches('linux/a.ts', "import koffi from 'koffi'"), [])
  assert.match(breaches('engine/a.ts', "import koffi from 'koffi'")[0], /only src\/linux imports koffi/)
  assert.match(breaches('kernels/a.test.ts', "import koffi from 'koffi'")[0], /only src\/linux imports koffi/)
})

test('an extension imports the public entry and its own folder only', () => {
  const file = 'extensions/acl/index.ts'
  assert.deepEqual(breaches(file, "import { a } from '../../extension.ts'", "import { b } from './rules.ts'"), [])
  assert.deepEqual(breaches(file, "import { a } from 'vmswitch/extension'"), [])
  assert.match(
    breaches(file, "import { a } from '../../switch/a.ts'")[0],
    /an extension imports \.\.\/extension\.ts and its own folder only/,
  )
  assert.match(breaches(file, "import { a } from '../capture/a.ts'")[0], /its own folder only/)
  assert.deepEqual(breaches('extensions/in-box.ts', "import acl from './acl/index.ts'"), [])
})

test('a contract of a higher layer may be imported as types, not as code', () => {
  assert.deepEqual(breaches('engine/a.ts', "import type { SwitchHost } from '../manage/host.ts'"), [])
  assert.deepEqual(breaches('engine/a.ts', "import { type SwitchHost } from '../manage/host.ts'"), [])
  assert.equal(breaches('engine/a.ts', "import { SwitchHost } from '../manage/host.ts'").length, 1)
  assert.equal(breaches('switch/a.ts', "import type { SwitchHost } from '../manage/host.ts'").length, 1)
})

test('a folder that nobody placed is reported', () => {
  assert.match(breaches('helpers/a.ts', '')[0], /"helpers" is no known layer/)
})

test('the line of an import is where it starts', () => {
  assert.deepEqual(importsOf("const x = 1\n\nimport {\n  a,\n} from './a.ts'\n"), [
    { specifier: './a.ts', line: 3, typeOnly: false },
  ])
})
