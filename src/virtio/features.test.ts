import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  OFFLOAD_CHECKSUM,
  OFFLOAD_ECN,
  OFFLOAD_TSO4,
  OFFLOAD_TSO6,
  OFFLOAD_USO,
  QF_EVENT_INDEX,
  QF_IN_ORDER,
  QF_INDIRECT,
  QF_MERGEABLE,
  QF_PACKED,
} from '../kernels/layout.ts'
import {
  type FeatureName,
  featureMask,
  featureNames,
  hasFeature,
  hasLongHeader,
  offeredFeatures,
  queueFlags,
  receiveOffloads,
  transmitOffloads,
} from './features.ts'

test('bits stand where the specification puts them', () => {
  assert.equal(featureMask('version1'), 0x1_0000_0000n)
  assert.equal(featureMask('protocolFeatures'), 0x4000_0000n)
  assert.equal(featureMask('guestUso4', 'guestUso6', 'hostUso'), (1n << 54n) | (1n << 55n) | (1n << 56n))
  assert.deepEqual(featureNames((1n << 34n) | (1n << 15n) | (1n << 63n)), ['mergeableBuffers', 'packed', 'bit-63'])
})

test('what nobody here serves is not offered', () => {
  for (const name of [
    'controlQueue',
    'iommuPlatform',
    'notifyOnEmpty',
    'hostUfo',
    'guestUfo',
    'standby',
    'mac',
    'status',
  ] as const)
    assert.equal(hasFeature(offeredFeatures(8), name), false, name)
})

test('several queues are offered only by a port that has them', () => {
  assert.equal(hasFeature(offeredFeatures(1), 'multiQueue'), false)
  assert.equal(hasFeature(offeredFeatures(2), 'multiQueue'), true)
})

test('ring features become queue flags', () => {
  const table: [FeatureName, number][] = [
    ['packed', QF_PACKED],
    ['eventIndex', QF_EVENT_INDEX],
    ['mergeableBuffers', QF_MERGEABLE],
    ['indirect', QF_INDIRECT],
    ['inOrder', QF_IN_ORDER],
    ['version1', 0],
  ]
  for (const [name, flag] of table) assert.equal(queueFlags(featureMask(name)), flag, name)
  assert.equal(
    queueFlags(offeredFeatures(1)),
    table.reduce((all, [, flag]) => all | flag, 0),
  )
})

test('what the guest may ask for and what it takes are negotiated apart', () => {
  const cases: [FeatureName[], number, number][] = [
    [[], 0, 0],
    [['csum'], OFFLOAD_CHECKSUM, 0],
    [['guestCsum'], 0, OFFLOAD_CHECKSUM],
    [['csum', 'hostTso4', 'hostEcn'], OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_ECN, 0],
    [['guestCsum', 'guestTso6', 'guestEcn'], 0, OFFLOAD_CHECKSUM | OFFLOAD_TSO6 | OFFLOAD_ECN],
    [['csum', 'hostUso'], OFFLOAD_CHECKSUM | OFFLOAD_USO, 0],
    [['guestCsum', 'guestUso4', 'guestUso6'], 0, OFFLOAD_CHECKSUM | OFFLOAD_USO],
    [['guestCsum', 'guestUso4'], 0, OFFLOAD_CHECKSUM], // one IP version alone is not enough
    [['hostTso4', 'guestTso4'], 0, 0], // segmentation without checksums makes no sense
    [['csum', 'hostEcn'], OFFLOAD_CHECKSUM, 0], // nor does ECN without segmentation
  ]
  for (const [names, transmit, receive] of cases) {
    assert.equal(transmitOffloads(featureMask(...names)), transmit, `transmit ${names}`)
    assert.equal(receiveOffloads(featureMask(...names)), receive, `receive ${names}`)
  }
})

test('a driver with neither VIRTIO 1 nor mergeable buffers has the short header', () => {
  assert.equal(hasLongHeader(featureMask('csum', 'anyLayout')), false)
  for (const name of ['version1', 'mergeableBuffers', 'packed'] as const) assert.equal(hasLongHeader(featureMask(name)), true)
})
