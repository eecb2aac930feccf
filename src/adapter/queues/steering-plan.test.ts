import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ANY_VLAN } from '../filter-table.ts'
import { filterParameters } from '../receive-filters.ts'
import type { QueueFilter } from './queue-filters.ts'
import { steeringPlan } from './steering-plan.ts'

const filter = (id: number, queue: number, mac: string, vlan: number, inner = false): QueueFilter => ({
  id,
  owner: 'stack',
  queue,
  key: { mac, vlan, inner },
  parameters: filterParameters(mac, Math.max(vlan, 0), 0),
})
const A = '02:00:00:00:00:0a'
const B = '02:00:00:00:00:0b'
const plan = (filters: QueueFilter[], more: Partial<Parameters<typeof steeringPlan>[0]> = {}) =>
  steeringPlan({
    filters,
    processorOf: (queue) => queue * 10,
    ringOf: (processor) => processor / 10,
    rulesMax: 16,
    ...more,
  })

test('frames come on the ring of the processor that serves their queue', () => {
  const { rules, inSoftware } = plan([filter(1, 2, A, 5), filter(2, 1, B, 0), filter(3, 3, B, ANY_VLAN)])
  assert.deepEqual(rules, [
    { mac: B, vlan: 'untagged', queue: 1 },
    { mac: A, vlan: 5, queue: 2 },
    { mac: B, vlan: 'any', queue: 3 },
  ])
  assert.deepEqual(inSoftware, [])
})

test('what an uplink can not do stays in software, with the reason', () => {
  const filters = [filter(1, 1, A, 5, true), filter(2, 2, A, 5), filter(3, 3, B, 0), filter(4, 4, B, 7)]
  const ringOf = (processor: number) => (processor === 20 ? undefined : 0)
  const { rules, inSoftware } = plan(filters, { ringOf, rulesMax: 1 })
  assert.deepEqual(rules, [{ mac: B, vlan: 'untagged', queue: 0 }])
  assert.deepEqual(inSoftware, [
    { filterId: 1, queueId: 1, reason: 'tests the address inside an encapsulation' },
    { filterId: 2, queueId: 2, reason: 'its processor polls no ring of this uplink' },
    { filterId: 4, queueId: 4, reason: 'the uplink takes 1 rules' },
  ])
})

test('a rule with VLAN names the ring of a lower queue that takes any VLAN of the address', () => {
  assert.deepEqual(
    plan([filter(1, 1, A, ANY_VLAN), filter(2, 2, A, 5)]).rules.map(({ vlan, queue }) => [vlan, queue]),
    [
      ['any', 1],
      [5, 1],
    ],
  )
  assert.deepEqual(
    plan([filter(1, 0, A, ANY_VLAN), filter(2, 2, A, 5)]).rules.map(({ vlan, queue }) => [vlan, queue]),
    [
      ['any', 0],
      [5, 2],
    ],
  )
})

test('every filter is planned once, or left with a reason', () => {
  const any = fc.record({
    queue: fc.integer({ min: 0, max: 4 }),
    vlan: fc.constantFrom(ANY_VLAN, 0, 5, 6),
    mac: fc.constantFrom(A, B),
    inner: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(any, { maxLength: 12 }), fc.integer({ min: 0, max: 12 }), (list, rulesMax) => {
      const filters = list.map(({ queue, vlan, mac, inner }, i) => filter(i + 1, queue, mac, vlan, inner))
      const { rules, inSoftware } = plan(filters, { rulesMax })
      assert.equal(rules.length + inSoftware.length, filters.length)
      assert.ok(rules.length <= rulesMax)
    }),
  )
})
