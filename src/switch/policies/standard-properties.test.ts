import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NO_GUID } from '../../ndis/properties.ts'
import { inVlanRanges } from '../../ndis/standard-properties.ts'
import { parseStandardProperty } from './standard-properties.ts'

const GUID = '952c5004-4465-451c-8cb8-fa9ab382b773'
const fails = (type: Parameters<typeof parseStandardProperty>[0], raw: unknown, message: RegExp): void => {
  assert.throws(() => parseStandardProperty(type, raw), { name: 'OptionError', message })
}

test('security has the defaults of the management class (ES-503, ES-529)', () => {
  assert.deepEqual(parseStandardProperty('security', {}), {
    allowMacSpoofing: false,
    allowIeeePriorityTag: false,
    virtualSubnetId: 0,
    allowTeaming: false,
    dynamicIpAddressLimit: 0,
  })
  fails('security', { virtualSubnetId: 16_777_216 }, /^virtualSubnetId: 16777216 is not a whole number from 0 to 16777215/)
  fails('security', { allowMacSpoofing: 'on' }, /^allowMacSpoofing/)
  fails('security', { dhcpGuard: true }, /^dhcpGuard: there is no such option/)
})

test('guards of a port are off unless said otherwise', () => {
  assert.deepEqual(parseStandardProperty('protection', { dhcpGuard: true }), {
    dhcpGuard: true,
    routerGuard: false,
    stormLimit: [],
  })
  fails('protection', { routerGuard: 'on' }, /^routerGuard: "on" is neither true nor false/)
  fails('protection', { stormLimit: -1 }, /^stormLimit: -1 is no limit/)
  fails('protection', { stormLimit: '11gbit' }, /^stormLimit: "11gbit" is no limit/)
  fails('protection', { stormLimit: { multicast: 1.5 } }, /^stormLimit.multicast: 1.5 is no limit/)
  fails('protection', { stormLimit: { unicast: 1 } }, /^stormLimit.unicast: there is no such option/)
  const storm = (stormLimit: unknown) => parseStandardProperty('protection', { stormLimit }).stormLimit
  assert.deepEqual(storm(500), [{ classes: ['broadcast', 'multicast', 'unknownUnicast'], packetsPerSecond: 500 }])
  assert.deepEqual(storm({ broadcast: 10, unknownUnicast: '2mbit' }), [
    { classes: ['broadcast'], packetsPerSecond: 10 },
    { classes: ['unknownUnicast'], kilobitsPerSecond: 2000 },
  ])
  assert.deepEqual(storm(0), [])
  const source = (sourceGuard: unknown) => parseStandardProperty('protection', { sourceGuard }).sourceGuard
  assert.deepEqual(source('10.0.0.5'), { prefixes: [{ address: [10, 0, 0, 5], bits: 32 }], learned: false })
  assert.deepEqual(source(['learned', 'fd00::/8']), {
    prefixes: [{ address: [0xfd, ...Array<number>(15).fill(0)], bits: 8 }],
    learned: true,
  })
  assert.deepEqual(source([]), { prefixes: [], learned: false })
  fails('protection', { sourceGuard: [5] }, /^sourceGuard\[0\]: "5" is not .*the word learned/)
  fails('protection', { sourceGuard: Array.from({ length: 17 }, (_, i) => `10.0.0.${i}`) }, /^sourceGuard: has 17 prefixes/)
  fails('protection', { allowTeaming: true }, /^allowTeaming: there is no such option/)
})

test('a VLAN property has the members of its mode and no others (ES-536, ES-540)', () => {
  assert.deepEqual(parseStandardProperty('vlan', { mode: 'access', accessVlanId: 10 }), { mode: 'access', accessVlanId: 10 })
  assert.deepEqual(
    parseStandardProperty('vlan', { mode: 'trunk', nativeVlanId: 5, trunkVlanIds: ['20-30', 10, [31, 40]], pruneVlanIds: 20 }),
    {
      mode: 'trunk',
      nativeVlanId: 5,
      trunkVlanIds: [
        [10, 10],
        [20, 40],
      ],
      pruneVlanIds: [[20, 20]],
    },
  )
  assert.deepEqual(
    parseStandardProperty('vlan', { mode: 'private', pvlanMode: 'isolated', primaryVlanId: 100, secondaryVlanId: 101 }),
    { mode: 'private', pvlanMode: 'isolated', primaryVlanId: 100, secondaryVlanId: 101 },
  )
  assert.deepEqual(
    parseStandardProperty('vlan', { mode: 'private', pvlanMode: 'promiscuous', primaryVlanId: 100, secondaryVlanIds: '101-102' }),
    { mode: 'private', pvlanMode: 'promiscuous', primaryVlanId: 100, secondaryVlanIds: [[101, 102]] },
  )
  fails('vlan', {}, /^mode: is missing/)
  fails('vlan', { mode: 'access' }, /^accessVlanId: is missing/)
  fails('vlan', { mode: 'access', accessVlanId: 4095 }, /4095 is not a whole number from 0 to 4094/)
  fails('vlan', { mode: 'access', accessVlanId: 1, nativeVlanId: 2 }, /^nativeVlanId: there is no such option/)
  fails('vlan', { mode: 'trunk', trunkVlanIds: ['30-20'] }, /^trunkVlanIds\[0\]/)
  fails(
    'vlan',
    { mode: 'private', pvlanMode: 'community', primaryVlanId: 1, secondaryVlanIds: [2] },
    /secondaryVlanId: is missing/,
  )
  fails('vlan', { mode: 'private', pvlanMode: 'promiscuous', primaryVlanId: 0, secondaryVlanIds: [2] }, /^primaryVlanId/)
})

test('ranges of VLANs hold what was listed, whatever the order', () => {
  const vlan = fc.integer({ min: 1, max: 4094 })
  const range = fc.tuple(vlan, vlan).map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b)])
  fc.assert(
    fc.property(fc.array(range, { maxLength: 6 }), (ranges) => {
      const read = parseStandardProperty('vlan', { mode: 'trunk', trunkVlanIds: ranges })
      assert.ok(read.mode === 'trunk')
      for (let id = 0; id <= 4095; id++) assert.equal(inVlanRanges(read.trunkVlanIds, id), inVlanRanges(ranges, id))
      for (const [i, [first]] of read.trunkVlanIds.entries()) if (i > 0) assert.ok(first > read.trunkVlanIds[i - 1]![1] + 1)
    }),
    { numRuns: 40 },
  )
})

test('a profile is carried with whatever it refers to (ES-521, ES-522)', () => {
  const profile = parseStandardProperty('profile', {
    profileName: 'gold',
    vendorId: `{${GUID.toUpperCase()}}`,
    pciLocation: { bus: 3 },
  })
  assert.equal(profile.vendorId, GUID)
  assert.equal(profile.profileId, NO_GUID)
  assert.deepEqual(profile.pciLocation, { segment: 0, bus: 3, device: 0, function: 0 })
  fails('profile', { profileName: 'x'.repeat(257) }, /^profileName/)
  fails('profile', { profileId: 'gold' }, /^profileId: a GUID is needed/)
  fails('profile', { pciLocation: { device: 32 } }, /^pciLocation\.device/)
})

test('isolation and routing domains are checked; a name has at most 127 characters (ES-542, ES-546)', () => {
  assert.deepEqual(parseStandardProperty('isolation', {}), { mode: 'none', allowUntaggedTraffic: false, defaultIsolationId: 0 })
  fails('isolation', { mode: 'hnv' }, /^mode/)
  const domain = (name: string) => ({
    routingDomainId: GUID,
    routingDomainName: 'blue',
    isolationIds: [{ isolationId: 5001, name }],
  })
  assert.deepEqual(parseStandardProperty('routing-domain', domain('x'.repeat(127))), domain('x'.repeat(127)))
  fails('routing-domain', domain('x'.repeat(128)), /^isolationIds\[0\]\.name: a text of at most 127/)
  fails('routing-domain', { routingDomainName: 'blue' }, /^routingDomainId: is missing/)
})
