import assert from 'node:assert/strict'
import { test } from 'node:test'
import { coverage, rulesIn } from './rule-coverage.ts'

test('rules are read from titles of any quoting, not from comments', () => {
  const source = [
    "test('plain (ES-001, ES-002)', () => {}) // ES-900",
    'it("double SR-010", () => {})',
    'test(`template VQ-123`, () => {})',
    "test('no rule ES-1', () => {})",
  ].join('\n')
  assert.deepEqual(rulesIn(source), ['ES-001', 'ES-002', 'SR-010', 'VQ-123'])
})

test("the project's tests name rules of the data path and of the control path", () => {
  const found = coverage()
  for (const rule of ['ES-011', 'ES-331', 'ES-352', 'ES-111', 'CS-01']) assert.ok(found.has(rule), rule)
})
