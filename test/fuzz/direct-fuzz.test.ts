// The differential fuzz of the direct path for a few seconds, with a new seed each time; direct-fuzz.ts runs it for longer.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fuzzDirect } from './direct-fuzz.ts'

test('frames between virtual functions fare alike on the direct path, on its twin, and through the pool (SR-014)', (context) => {
  const seed = Math.floor(Math.random() * 0x7fffffff)
  context.diagnostic(`seed ${seed}`)
  const result = fuzzDirect(readFileSync(new URL('../../.cache/kernels.wasm', import.meta.url)), seed, 5)
  context.diagnostic(JSON.stringify(result))
  assert.ok(result.direct > 0 && result.direct < result.frames, 'some frames went directly, some did not')
  assert.ok(result.delivered > 0 && result.dropped > 0 && result.broken > 0, 'every kind of case came up')
})
