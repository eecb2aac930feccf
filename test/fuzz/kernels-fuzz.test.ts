// The differential fuzz of the burst kernels for a few seconds, with a new seed each time; kernels-fuzz.ts runs it for longer.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fuzzKernels } from './kernels-fuzz.ts'

test('wasm kernels and TypeScript twin agree to the byte on hostile rings', (context) => {
  const seed = Math.floor(Math.random() * 0x7fffffff)
  context.diagnostic(`seed ${seed}`)
  const result = fuzzKernels(readFileSync(new URL('../../.cache/kernels.wasm', import.meta.url)), seed, 5)
  context.diagnostic(JSON.stringify(result))
  assert.ok(result.delivered > 0 && result.cut > 0 && result.refused > 0 && result.broken > 0, 'every kind of case came up')
})
