import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { cmdlets } from '../hyper-v/cmdlets.ts'
import { createProgram } from '../program.ts'
import { commandTree } from './command-tree.ts'
import { cliReference, REFERENCE_MARK } from './reference.ts'

test('docs/cli.md has every command and cmdlet as they are', () => {
  const text = readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8')
  const want = cliReference(commandTree(createProgram('', () => {})), cmdlets)
  assert.equal(
    text.split(REFERENCE_MARK)[1]?.trim(),
    want.trim(),
    'docs/cli.md is not what the program says: write it with node_modules/.bin/node scripts/write-cli-docs.mjs',
  )
})
