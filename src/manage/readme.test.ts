import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blocks, readDocument } from '../../test/support/documents.ts'

test("the README's first extension is the one in the examples", () => {
  assert.equal(blocks('ts', ['README.md'])[0]?.text, readDocument('examples/extensions/block-telnet.ts'))
})
