import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NdisStatus } from '../../src/ndis/status.ts'
import { PropertyError } from '../../src/switch/policies/property.ts'
import { about, FEATURE, policy, UNKNOWN } from './policy-support.ts'
import { SwitchUnderTest } from './switch-under-test.ts'

test('CS-77 the extension that manages a feature answers, after a buffer that was too small with one that is not (ES-556, ES-558, ES-559, ES-561)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [
      policy({ name: 'C', class: 'capturing' }),
      policy({ name: 'F', class: 'filtering', feature: FEATURE, featureBytes: 5000 }),
      policy({ name: 'below', class: 'filtering' }),
    ],
  })
  const status = await sut.switch.policies.featureStatus(1, FEATURE, undefined)
  assert.equal(status.version, 0x0102)
  assert.equal(status.data.length, 5000)
  assert.deepEqual(about(sut.said(), /FEATURE_STATUS_QUERY \d+$/), [
    'C: PORT_FEATURE_STATUS_QUERY 1',
    'F: PORT_FEATURE_STATUS_QUERY 1',
    'C: PORT_FEATURE_STATUS_QUERY 1',
    'F: PORT_FEATURE_STATUS_QUERY 1',
  ])
})

test('a feature that nobody manages is forwarded by all and not answered (ES-560)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [policy({ name: 'F', class: 'filtering', feature: FEATURE })] })
  await assert.rejects(
    sut.switch.policies.featureStatus(undefined, UNKNOWN, undefined),
    (error) => error instanceof PropertyError && error.status === NdisStatus.notSupported,
  )
  assert.deepEqual(about(sut.said(), /FEATURE/), ['F: FEATURE_STATUS_QUERY 0'])
})

test('a capturing extension answers for a feature of its own (ES-558)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [policy({ name: 'C', class: 'capturing', feature: FEATURE })] })
  assert.equal((await sut.switch.policies.featureStatus(undefined, FEATURE, undefined)).data.length, 4)
  assert.equal((await sut.extension('C')).breaches, 0)
})
