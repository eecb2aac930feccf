import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DataPathHarness } from '../../../test/support/data-path-harness.ts'
import { extension, fragment, ipv4, ipv6 } from '../../../test/support/guard-frames.ts'
import { datagram, tcp } from '../../../test/support/tracked-frames.ts'
import { CLASSIFY_MAX, KIND_LEFT, KIND_WIDE } from '../../kernels/classify-layout.ts'
import { PF_VLAN_OOB } from '../../kernels/layout.ts'
import { VlanMode } from '../port-table.ts'
import { FLOW_KEY_WORDS, fillFlowKey, isWideKey, K_FLAGS, plainIsolation, WHOLE } from './flow-key.ts'
import { LookUps } from './look-ups.ts'

const GUEST = 1
const ends4 = { source: '10.1.2.3', destination: '192.168.250.251' }
const ends6 = { source: 'fd00:1:2:3::99', destination: '2001:db8:ff::5' }
const samples = [
  ...[6, 17, 132, 1, 47].map((protocol) => ipv4({ ...ends4, protocol }, tcp({ flags: 'S' }))),
  ipv4({ ...ends4, options: 8 }, datagram(53, 5353)),
  ipv4({ ...ends4, tags: [7] }, datagram(53, 5353)),
  ipv4({ ...ends4, moreFragments: true }, datagram(53, 5353)),
  ipv4({ ...ends4, fragmentOffset: 64 }, datagram(53, 5353)),
  ...[6, 17, 132, 58].map((next) => ipv6(ends6, next, tcp({ flags: 'A' }))),
  ipv6({ ...ends6, tags: [4094] }, 17, datagram(1, 2)),
  ipv6(ends6, 0, [...extension(17), ...datagram(3, 4)]),
  ipv6(ends6, 44, [...fragment(17), ...datagram(3, 4)]),
]
const packets = fc.array(
  fc.record({
    sample: fc.nat(samples.length - 1),
    // Bytes that are changed from the ether type on, and what is cut off.
    changes: fc.array(fc.tuple(fc.integer({ min: 12, max: 60 }), fc.nat(255)), { maxLength: 2 }),
    cut: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(45)),
    subnet: fc.constantFrom(0, 0, 0, 0x12345),
    outOfBand: fc.constantFrom(false, false, false, true),
  }),
  { minLength: 24, maxLength: CLASSIFY_MAX },
)

test('keys that the kernel makes are those of fillFlowKey, and what it leaves keeps none', () => {
  const harness = new DataPathHarness({ shortCut: true }).connect(2)
  const { pool, ports, kernels } = harness
  const lookUps = new LookUps(harness.acls.kernel)
  const own = new Uint32Array(FLOW_KEY_WORDS)
  let made = 0
  let left = 0
  const vlans = [
    undefined,
    { mode: VlanMode.access, primary: 12 },
    { mode: VlanMode.trunk, primary: 9 },
    { mode: VlanMode.isolated, primary: 20, secondary: 21 },
  ] as const
  fc.assert(
    fc.property(packets, fc.boolean(), fc.constantFrom(...vlans), (burst, inbound, vlan) => {
      ports.setVlan(GUEST, vlan)
      for (const [slot, { sample, changes, cut, subnet, outOfBand }] of burst.entries()) {
        const bytes = Buffer.from(samples[sample]!)
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
        harness.fill(slot, GUEST, bytes.subarray(0, bytes.length - cut))
        pool.vsid[slot] = subnet
        if (outOfBand) pool.vlan[slot] = 77
      }
      kernels.parse(pool.base, 0, burst.length)
      for (const [slot, { outOfBand }] of burst.entries()) if (outOfBand) pool.flags[slot] = pool.flags[slot]! | PF_VLAN_OOB
      const positions = burst.map((_, slot) => (slot * 37) % CLASSIFY_MAX)
      for (const key of lookUps.keys) key.fill(0xa5a5a5a5)
      lookUps.chosen.set(positions)
      for (const [slot, position] of positions.entries()) lookUps.slots[position] = slot
      const kinds = lookUps.fillKeys(pool.base, burst.length, GUEST, plainIsolation(ports, GUEST, inbound), inbound)
      let expected = 0
      for (const [slot, position] of positions.entries()) {
        const kind = lookUps.kinds[position]!
        const key = lookUps.keys[position]!
        expected |= 1 << kind
        if (kind === KIND_LEFT) {
          left++
          assert.ok(key.every((word) => word === 0xa5a5a5a5))
          continue
        }
        made++
        own.fill(0)
        assert.equal(fillFlowKey(pool, ports, slot, GUEST, inbound, own), WHOLE)
        assert.equal(kind, isWideKey(own) ? KIND_WIDE : 0)
        assert.deepEqual([...key.subarray(0, K_FLAGS)], [...own.subarray(0, K_FLAGS)])
      }
      assert.equal(kinds, expected)
    }),
    { numRuns: 120 },
  )
  assert.ok(made > 100 && left > 100, `${made} made, ${left} left`)
})
