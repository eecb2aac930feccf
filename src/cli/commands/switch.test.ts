import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkSource } from '../../manage/config/load.ts'
import type { ResolvedConfig } from '../../manage/config/types.ts'
import { type SwitchWish, switchConfig } from './switch.ts'

/** The wish as a service would take it. Throws what is wrong with it. */
function taken(wish: SwitchWish): ResolvedConfig {
  const file = '/tmp/switch.yaml'
  const source = { file, lines: [], data: switchConfig(wish), placeOfValue: () => null, placeOfKey: () => null }
  return checkSource(source, file, { env: {}, cwd: '/tmp', canWrite: () => true })
}

test('a switch without an uplink is private, or internal if that is asked for', () => {
  assert.equal(taken({ name: 'lab' }).switch.type, 'private')
  assert.equal(taken({ name: 'lab', type: 'internal' }).switch.type, 'internal')
})

test('a switch with uplinks is external: the others are a team with the first, and the host may have an adapter', () => {
  const { type, ports } = taken({
    name: 'lab',
    uplink: ['eth0', 'eth1'],
    managementOs: true,
    minimumBandwidthMode: 'weight',
  }).switch
  assert.equal(type, 'external')
  assert.deepEqual(
    ports.map(({ name, endpoint, adapters = [] }) => [name, endpoint.kind, adapters.length]),
    [
      ['uplink', 'uplink', 1],
      ['management-os', 'tap', 0],
    ],
  )
})

test('with virtual functions the uplink is that of an SR-IOV adapter, whose default VPort is the external port', () => {
  const { switch: made, adapters = [] } = taken({ name: 'lab', uplink: ['eth0'], vfs: 4 })
  assert.deepEqual(made.ports[0]?.endpoint, { kind: 'adapter', adapter: 'sriov' })
  assert.deepEqual(
    adapters.map(({ name, vfs, uplink }) => [name, vfs, uplink?.kind]),
    [['sriov', 4, 'uplink']],
  )
})

test('an uplink on a switch that is not external is refused, as it would be in a file', () => {
  assert.throws(() => taken({ name: 'lab', uplink: ['eth0'], type: 'private' }), /uplink/)
})
