import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NdisStatus } from '../../src/ndis/status.ts'
import { PropertyError } from '../../src/switch/policies/property.ts'
import { about, policy, UNKNOWN } from './policy-support.ts'
import { SwitchUnderTest } from './switch-under-test.ts'

test('a switch property is added, changed and deleted by the OIDs of the switch (ES-547, ES-548, ES-555)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [policy({ name: 'F', class: 'filtering' })] })
  const { policies } = sut.switch
  const added = await policies.add(undefined, { type: 'custom', id: UNKNOWN, value: 'one' })
  await policies.update(undefined, { type: 'custom', id: UNKNOWN, value: 'two' })
  assert.deepEqual(
    policies.list(undefined).map(({ value, propertyInstanceId }) => [value, propertyInstanceId]),
    [['two', added.propertyInstanceId]],
  )
  await policies.delete(undefined, { type: 'custom', id: UNKNOWN })
  assert.deepEqual(policies.list(undefined), [])
  assert.deepEqual(about(sut.said(), / PROPERTY_/), [
    'F: PROPERTY_ADD 0 type 1 version 256 one',
    'F: PROPERTY_UPDATE 0 type 1 version 256 two',
    'F: PROPERTY_DELETE 0 type 1 version -',
  ])
})

test('a filtering extension vetoes a switch property, and forwards what it accepts (ES-552, ES-553)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [
      policy({ name: 'F', class: 'filtering', completes: true, refuse: { value: 'bad', status: NdisStatus.dataNotAccepted } }),
      policy({ name: 'below', class: 'filtering' }),
    ],
  })
  await assert.rejects(
    sut.switch.policies.add(undefined, { type: 'custom', id: UNKNOWN, value: 'bad' }),
    (error) => error instanceof PropertyError && error.status === NdisStatus.dataNotAccepted,
  )
  assert.deepEqual(sut.switch.policies.list(undefined), [])
  await sut.switch.policies.add(undefined, { type: 'custom', id: UNKNOWN, value: 'good' })
  assert.ok(sut.log.some(({ source, code }) => source === 'extension F' && code === 'ES-553'))
  assert.deepEqual(about(sut.said(), /^below: PROPERTY/), ['below: PROPERTY_ADD 0 type 1 version 256 good'])
})

test('a forwarding extension completes additions, changes and deletions of the switch property that it manages (ES-550, ES-554)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [policy({ name: 'X', class: 'forwarding', manages: UNKNOWN })] })
  await sut.switch.policies.add(undefined, { type: 'custom', id: UNKNOWN, value: 'x' })
  await sut.switch.policies.update(undefined, { type: 'custom', id: UNKNOWN, value: 'y' })
  assert.deepEqual(
    sut.switch.policies.list(undefined).map(({ value }) => value),
    ['y'],
  )
  await sut.switch.policies.delete(undefined, { type: 'custom', id: UNKNOWN })
  assert.deepEqual(sut.switch.policies.list(undefined), [])
  assert.equal((await sut.extension('X')).breaches, 0)
})
