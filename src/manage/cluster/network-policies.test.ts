import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ImposedInput, ImposedPolicy } from '../../switch/policies/imposed.ts'
import { NetworkPolicies } from './network-policies.ts'

const limit = (name: string, maximumBandwidth: string): ImposedInput => ({
  name,
  virtualSubnetId: 5001,
  properties: [{ type: 'bandwidth', value: { maximumBandwidth } }],
})

function world(stored: readonly ImposedInput[] = []) {
  const imposed: (readonly ImposedPolicy[])[] = []
  const saved: (readonly ImposedInput[])[] = []
  const policies = new NetworkPolicies(stored, {
    impose: async (all) => void imposed.push(all),
    save: (all) => void saved.push(all),
  })
  return { policies, imposed, saved }
}

test('what was imposed is kept, and in force again before the network is heard', async () => {
  const first = world()
  await first.policies.set([limit('a', '1mbit'), limit('b', '2mbit')])
  assert.equal(first.imposed.length, 1)
  const second = world(JSON.parse(JSON.stringify(first.saved[0])) as ImposedInput[])
  assert.deepEqual(
    second.policies.all.map(({ name, bandwidth }) => [name, bandwidth?.maximumBandwidth]),
    [
      ['a', 1e6],
      ['b', 2e6],
    ],
  )
  await second.policies.set([limit('a', '1mbit'), limit('b', '2mbit')])
  assert.deepEqual(second.saved, [], 'the same is not stored again')
})

test('policies that did not change stay the same objects, and leaving takes all of them back', async () => {
  const { policies, imposed, saved } = world()
  await policies.set([limit('a', '1mbit'), limit('b', '2mbit')])
  await policies.set([limit('a', '1mbit'), limit('b', '3mbit')])
  assert.equal(imposed[0]![0], imposed[1]![0])
  assert.notEqual(imposed[0]![1], imposed[1]![1])
  assert.equal(saved.length, 2)
  await policies.clear()
  assert.deepEqual(imposed.at(-1), [])
  assert.deepEqual(policies.all, [])
})

test('a kept policy that this version can not read is left out until the network is heard', () => {
  const strange = { name: 'x', virtualSubnetId: 5001, properties: [{ type: 'weather', value: 1 }] } as unknown as ImposedInput
  assert.deepEqual(
    world([strange, limit('a', '1mbit')]).policies.all.map(({ name }) => name),
    ['a'],
  )
})
