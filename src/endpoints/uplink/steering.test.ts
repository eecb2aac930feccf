import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileRules, SteerRuleError } from './steering.ts'

const mac = '02:00:00:00:00:01'

test('a rule becomes an entry: its VLAN as a number, none as 0, any as null', () => {
  const rules = [
    { mac, vlan: 7, queue: 1 },
    { mac, vlan: 'untagged', queues: [0, 2] },
    { mac, vlan: 'any', queue: 0 },
  ] as const
  const entries = compileRules(rules, 3)
  assert.deepEqual(
    entries.map(({ vlan, queues }) => [vlan, queues]),
    [
      [7, [1]],
      [0, [0, 2]],
      [null, [0]],
    ],
  )
  assert.deepEqual([...entries[0]!.mac], [2, 0, 0, 0, 0, 1])
  assert.deepEqual(
    entries.map(({ rule }) => rule),
    rules,
  )
})

test('rules that can not be meant are refused with what is wrong', () => {
  const refused = (rules: Parameters<typeof compileRules>[0], message: RegExp): void =>
    assert.throws(
      () => compileRules(rules, 2),
      (error: Error) => error instanceof SteerRuleError && message.test(error.message),
    )
  refused([{ mac, vlan: 0, queue: 0 }], /VLAN is 1 to 4094/)
  refused([{ mac, vlan: 4095, queue: 0 }], /VLAN is 1 to 4094/)
  refused([{ mac, vlan: 1.5, queue: 0 }], /VLAN is 1 to 4094/)
  refused([{ mac, vlan: 'any', queue: 2 }], /queues 0 to 1, not 2/)
  refused([{ mac, vlan: 'any', queue: -1 }], /queues 0 to 1, not -1/)
  refused([{ mac, vlan: 'any', queues: [] }], /1 to 128 queues, not 0/)
  refused([{ mac, vlan: 'any', queues: new Array(129).fill(0) }], /1 to 128 queues, not 129/)
  refused(
    [
      { mac, vlan: 5, queue: 0 },
      { mac: mac.toUpperCase(), vlan: 5, queue: 1 },
    ],
    /two rules for/,
  )
})
