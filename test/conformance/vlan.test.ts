import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Batch } from 'vmswitch/extension'
import { OFFLOAD_TSO4 } from '../../src/kernels/layout.ts'
import { PortFlag, type VlanEntry, VlanMode } from '../../src/switch/port-table.ts'
import { type DataPathHarness, frame } from '../support/data-path-harness.ts'
import { type Bench, filtering, forwarding, stackOf } from './handlers.ts'
import { portConfig, SwitchUnderTest } from './switch-under-test.ts'

const tagged = (whole: Buffer, vlan: number, priority = 0): Buffer =>
  Buffer.concat([whole.subarray(0, 12), Buffer.from([0x81, 0, (priority << 5) | (vlan >> 8), vlan & 0xff]), whole.subarray(12)])

/** What a port got: text, and its tag as "vlan/priority". */
const got = (harness: DataPathHarness, port: number): string[] =>
  harness.sink(port).frames.map((bytes) => {
    const isTagged = bytes.readUInt16BE(12) === 0x8100
    const text = bytes
      .subarray(isTagged ? 18 : 14)
      .toString('latin1')
      .replace(/\0+$/, '')
    const tci = isTagged ? bytes.readUInt16BE(14) : 0
    return isTagged ? `${text} ${tci & 0xfff}/${tci >> 13}` : text
  })

test('CS-47 each destination gets the tag as its PreserveVLAN and PreservePriority say, of one packet in four forms (ES-326, ES-327, ES-528)', () => {
  const { harness } = stackOf(6, [
    forwarding({
      ingress(batch) {
        for (let i = 0; i < batch.length; i++) {
          assert.deepEqual([batch.isTagged(i), batch.vlanId(i), batch.priority(i)], [true, 10, 5])
          for (let port = 2; port <= 5; port++) batch.addDestination(i, port, 0, (port & 1) !== 0, port >= 4)
          batch.addDestination(i, 6, 0, true, true)
        }
      },
    }),
  ])
  harness.ports.setPriorityTag(6, false)
  harness.send(1, tagged(frame(9, 1, 'a'), 10, 5), tagged(frame(9, 1, 'b'.repeat(300)), 10, 5))
  const long = 'b'.repeat(300)
  assert.deepEqual(got(harness, 2), ['a', long])
  assert.deepEqual(got(harness, 3), ['a 10/0', `${long} 10/0`])
  assert.deepEqual(got(harness, 4), ['a 0/5', `${long} 0/5`])
  assert.deepEqual(got(harness, 5), ['a 10/5', `${long} 10/5`])
  assert.deepEqual(got(harness, 6), ['a 10/0', `${long} 10/0`])
  assert.equal(harness.sink(2).frames[1]!.length, 314)
  assert.equal(harness.portCounter(2, 'sentBytes'), 60 + 314)
})

test('802.1Q information out of band becomes a tag where a destination preserves it, whatever offloads the frame asks for (ES-326, ES-327)', () => {
  const { harness } = stackOf(3, [
    filtering({ ingress: (batch: Batch) => void assert.equal(batch.setVlan(0, 20, 3), true) }),
    forwarding({
      ingress(batch) {
        assert.deepEqual([batch.isTagged(0), batch.vlanId(0), batch.priority(0)], [true, 20, 3])
        batch.addDestination(0, 2, 0, true, true)
        batch.addDestination(0, 3)
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual([got(harness, 2), got(harness, 3)], [['x 20/3'], ['x']])
  harness.sink(2).offloads = OFFLOAD_TSO4
  harness.sink(3).offloads = OFFLOAD_TSO4
  const vnet = Uint8Array.from([1, 1, 54, 0, 100, 0, 34, 0, 16, 0, 0, 0])
  harness.send(1, { bytes: frame(2, 1, 'y'), needs: OFFLOAD_TSO4, vnet })
  assert.deepEqual([got(harness, 2)[1], got(harness, 3)[1]], ['y 20/3', 'y'])
  assert.deepEqual([...harness.pool.vnet.subarray(0, 10)], [...vnet.subarray(0, 10)], 'as it was for the next destination')
})

test('without VLAN properties frames keep the tags that their guests gave them (ES-331)', () => {
  for (const shortCut of [true, false]) {
    const { harness } = stackOf(3, [], shortCut)
    harness.connectPort(2, PortFlag.learn | PortFlag.unknownUnicast)
    harness.connectPort(3, PortFlag.learn | PortFlag.unknownUnicast)
    harness.send(1, tagged(frame(0xff, 1, 'x'), 7, 2))
    assert.deepEqual([got(harness, 2), got(harness, 3)], [['x 7/2'], ['x 7/2']])
  }
})

function vlans(...entries: (VlanEntry | undefined)[]): Bench {
  const bench = stackOf(entries.length, [])
  for (const [i, entry] of entries.entries()) bench.harness.ports.setVlan(i + 1, entry)
  return bench
}
const access = (vlan: number): VlanEntry => ({ mode: VlanMode.access, primary: vlan })

test('CS-69 access ports reach those of their VLAN, untagged; the uplink carries the tag (ES-326, ES-332, ES-531)', () => {
  const { harness } = vlans(access(10), access(10), access(20), undefined)
  harness.connectPort(5, PortFlag.external | PortFlag.learn | PortFlag.unknownUnicast)
  harness.send(1, frame(0xff, 1, 'all'), frame(2, 1, 'same'), frame(3, 1, 'other'), tagged(frame(0xff, 1, 'hop'), 20))
  assert.deepEqual(
    [2, 3, 4, 5].map((port) => got(harness, port)),
    [['all', 'same'], [], [], ['all 10/0']],
  )
  assert.deepEqual([harness.drops(1), harness.drops(3)], [{ 'vlan-not-allowed': 1 }, { 'vlan-not-allowed': 1 }])
  harness.send(5, tagged(frame(0xff, '06:00:00:00:00:01', 'in'), 20, 4), frame(0xff, '06:00:00:00:00:01', 'plain'))
  assert.deepEqual(got(harness, 3), ['in 0/4'])
  assert.deepEqual(got(harness, 4), ['plain'])
  harness.send(4, tagged(frame(0xff, 4, 'intruder'), 10))
  assert.equal(got(harness, 2).length, 2, 'a guest cannot tag its way in')
})

test('CS-68 a trunk carries its VLANs tagged, what is pruned is blocked, untagged counts as the native VLAN (ES-532, ES-533, ES-534, ES-535)', () => {
  const trunk = (...set: number[]): VlanEntry => ({ mode: VlanMode.trunk, primary: 5, set })
  const { harness } = vlans(trunk(10), access(10), access(20), access(5), trunk(10))
  for (const vlan of [10, 20, 30]) harness.send(1, tagged(frame(0xff, 1, `v${vlan}`), vlan))
  harness.send(1, frame(0xff, 1, 'native'))
  assert.deepEqual(
    [2, 3, 4, 5].map((port) => got(harness, port)),
    [['v10'], [], ['native'], ['v10 10/0', 'native']],
  )
  assert.deepEqual(harness.drops(1), { 'vlan-not-allowed': 2 })
})

test('CS-70 private VLANs: who reaches whom (ES-537, ES-538, ES-539)', () => {
  const primary = 100
  const entries: VlanEntry[] = [
    { mode: VlanMode.isolated, primary, secondary: 101 },
    { mode: VlanMode.isolated, primary, secondary: 101 },
    { mode: VlanMode.community, primary, secondary: 102 },
    { mode: VlanMode.community, primary, secondary: 102 },
    { mode: VlanMode.community, primary, secondary: 103 },
    { mode: VlanMode.promiscuous, primary, set: [101, 102] },
  ]
  const reached = entries.map((_, i) => {
    const { harness } = vlans(...entries)
    harness.send(i + 1, frame(0xff, i + 1, 'x'))
    const flooded = entries.map((_, k) => (got(harness, k + 1).length > 0 ? k + 1 : 0)).filter((port) => port !== 0)
    harness.send(i + 1, ...entries.map((_, k) => frame(k + 1, i + 1, 'y')))
    const direct = entries.map((_, k) => (got(harness, k + 1).includes('y') ? k + 1 : 0)).filter((port) => port !== 0)
    assert.deepEqual(direct, flooded, 'known addresses as well as broadcasts')
    return flooded
  })
  assert.deepEqual(reached, [[6], [6], [4, 6], [3, 6], [], [1, 2, 3, 4, 5]])
})

test('a pruned VLAN is blocked on a trunk although it is its native one, tagged or not, in both directions (ES-535)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { ports: 3 })
  const { policies } = sut.switch
  const trunk = { mode: 'trunk', nativeVlanId: 5, trunkVlanIds: '1-10' }
  await policies.add(1, { type: 'vlan', value: { ...trunk, pruneVlanIds: 5 } })
  await policies.add(2, { type: 'vlan', value: { mode: 'access', accessVlanId: 5 } })
  await policies.add(3, { type: 'vlan', value: { mode: 'access', accessVlanId: 6 } })
  await sut.send(1, 0, 'untagged')
  sut.peer(1).send(tagged(frame(0xff, 1, 'five'), 5))
  await sut.send(2, 0, 'to the trunk')
  sut.peer(1).send(tagged(frame(0xff, 1, 'six'), 6))
  assert.deepEqual(await sut.receive(3, 1), ['six'])
  await sut.silence(1, 2)
  assert.deepEqual(sut.drops(1), { 'vlan-not-allowed': 2 })
  await policies.update(1, { type: 'vlan', value: trunk })
  await sut.send(1, 0, 'native')
  assert.deepEqual(await sut.receive(2, 1), ['native'])
  await sut.switch.addPort(portConfig(4, { properties: [{ type: 'vlan', value: { ...trunk, pruneVlanIds: '4-6' } }] }))
  await sut.send(2, 0, 'again')
  assert.deepEqual(await sut.receive(1, 1), ['again'])
  await sut.silence(4)
})
