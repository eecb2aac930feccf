import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Conformance, readInventory, tagsIn, withNotApplicable } from './conformance-rules.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const inventory = readInventory(root)

test('rules, ranges and scenarios are read from the names of tests', () => {
  assert.deepEqual(tagsIn('a port (ES-043, ES-044)'), ['ES-043', 'ES-044'])
  assert.deepEqual(tagsIn('CS-13 a range (ES-300 to ES-303, VQ-001…003)'), [
    'CS-13',
    'ES-300',
    'ES-301',
    'ES-302',
    'ES-303',
    'VQ-001',
    'VQ-002',
    'VQ-003',
  ])
  assert.deepEqual(tagsIn('SR-CS-02 a scenario of the adapter (PD-01)'), ['PD-01', 'SR-CS-02'])
  assert.deepEqual(tagsIn('nothing'), [])
})

test('the inventory is complete', () => {
  const count = (group) => [...inventory.rules.values()].filter((rule) => rule.group === group).length
  assert.deepEqual(['ES', 'SR', 'VQ', 'PD'].map(count), [580, 308, 236, 20])
  const scenarios = (group) => [...inventory.scenarios.values()].filter((one) => one.group === group)
  assert.deepEqual([scenarios('ES').length, scenarios('SR').length], [89, 88])
  for (const one of inventory.scenarios.values())
    assert.ok(
      one.rules.every((id) => inventory.rules.has(id)),
      one.id,
    )
})

test('a rule is proved by tests that pass, not by skipped ones, and not while one of its tests fails', () => {
  const result = new Conformance(inventory)
  result.test('one (ES-001)', 'pass')
  result.test('two (ES-002)', 'skip')
  result.test('three (ES-003)', 'pass')
  result.test('three again (ES-003)', 'fail')
  result.test('CS-13 a scenario', 'pass')
  result.test('four (ES-999)', 'pass')
  const { rules, scenarios, failed } = result.summary()
  assert.equal(rules.ES.proved, 1)
  assert.equal(rules.ES.total, 580)
  assert.equal(rules.ES.open.length + rules.ES.notApplicable + 1, 580)
  assert.ok(rules.ES.open.includes('ES-002') && rules.ES.open.includes('ES-003') && !rules.ES.open.includes('ES-001'))
  assert.deepEqual(scenarios.ES, { total: 89, tested: 1 })
  assert.deepEqual(failed, ['ES-003'])
  assert.deepEqual(result.unknown, [['ES-999', 'four (ES-999)']])
})

test('a rule that a test proves is no longer said to have no meaning', () => {
  const result = new Conformance(inventory)
  assert.equal(result.stateOf('ES-008'), 'not applicable')
  result.test('packets (ES-008)', 'pass')
  assert.equal(result.stateOf('ES-008'), 'proved')
  assert.deepEqual(result.contradictions, ['ES-008'])
})

test('docs/conformance.md lists the rules that do not apply', () => {
  const text = readFileSync(join(root, 'docs/conformance.md'), 'utf8')
  assert.equal(text, withNotApplicable(text, inventory), 'run: npm run conformance -- --write-docs')
})
