// Policies of ports between network namespaces: of each an allowed and a refused case, of IPv4 and IPv6, tagged and not. Needs root.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { mac } from '../support/data-path-harness.ts'
import { ether, IPV6, icmp, ipv4, ipv4Bytes, ipv6, ipv6Bytes, udp } from '../support/guard-frames.ts'
import { whyNoTap } from '../support/machine.ts'
import { type Fate, MARK, type Policies, PolicyBench } from '../support/policy-bench.ts'

const skip = whyNoTap() ?? (existsSync('/usr/bin/python3') ? false : 'this machine has no python3')
const TAGGED = 7

interface Given {
  readonly from?: number
  readonly to?: string
  readonly host?: number
  readonly vlan?: number
  readonly priority?: number
  /** VLAN of a second tag. */
  readonly inner?: number
}

function tagsOf({ vlan = 0, priority = 0, inner }: Given): number[] {
  const outer = (priority << 13) | vlan
  if (inner !== undefined) return [outer, inner]
  return outer === 0 ? [] : [outer]
}
const ip4 = (given: Given): Buffer =>
  ipv4({ ...given, tags: tagsOf(given), source: `10.0.0.${given.host ?? 1}` }, [...udp(1, 2, 3), ...MARK])
const ip6 = (given: Given): Buffer =>
  ipv6({ ...given, tags: tagsOf(given), source: `fd00::${given.host ?? 1}` }, IPV6.udp, [...udp(1, 2, 3), ...MARK])
const both = (given: Given = {}): Buffer[] => [ip4(given), ip6(given)]
const all = (given: Given = {}): Buffer[] => [...both(given), ...both({ ...given, vlan: TAGGED })]

/** How many frames each port got, and with which tags: "-" none, else "VLAN/priority". */
const seen = ({ out }: Fate): Record<string, string> =>
  Object.fromEntries(
    Object.entries(out).map(([port, frames]) => [
      port,
      frames
        .map((bytes) => {
          const tci = bytes.readUInt16BE(14)
          return bytes.readUInt16BE(12) === 0x8100 ? `${tci & 0xfff}/${tci >> 13}` : '-'
        })
        .join(' '),
    ]),
  )

const access = (accessVlanId: number) => ({ vlan: { mode: 'access', accessVlanId } })
const trunk = (nativeVlanId: number, ...trunkVlanIds: number[]) => ({ vlan: { mode: 'trunk', nativeVlanId, trunkVlanIds } })
const pvlan = (pvlanMode: string, secondaryVlanId: number) => ({
  vlan: { mode: 'private', pvlanMode, primaryVlanId: 100, secondaryVlanId },
})
const promiscuous = {
  vlan: { mode: 'private', pvlanMode: 'promiscuous', primaryVlanId: 100, secondaryVlanIds: [101, 102] },
}

const deny = (direction: string, side: 'local' | 'remote', address: string) => ({
  action: 'deny',
  direction,
  [`${side}IPAddress`]: address,
})
const udp2 = { protocol: 'udp', remotePort: 2, isolationId: 10 }
// What a tunnel carries: a frame to a host that a rule denies.
const innerFrame = [...ipv4({ source: '10.0.0.1', destination: '10.9.0.1' }, [...udp(1, 2, 3), ...MARK])]

interface Case {
  readonly policies: Policies
  readonly frames: readonly Buffer[]
  readonly seen: Record<string, string>
  readonly drops: Record<string, number>
}

const everywhere = (tags: string): Record<string, string> => ({ 2: tags, 3: tags, 4: tags })
const cases: Record<string, Case> = {
  'without policies all of it passes': { policies: {}, frames: all(), seen: everywhere('- - 7/0 7/0'), drops: {} },
  "another's address as source": { policies: {}, frames: all({ from: 9 }), seen: {}, drops: { 'mac-spoofing': 4 } },
  'with allowMacSpoofing the address of a group as source (ES-526)': {
    policies: { 1: { security: { allowMacSpoofing: true } } },
    frames: all().map((bytes) => Buffer.concat([bytes.subarray(0, 6), Buffer.from('01005e000005', 'hex'), bytes.subarray(12)])),
    seen: {},
    drops: { 'mac-spoofing': 4 },
  },
  'with allowMacSpoofing any address as source': {
    policies: { 1: { security: { allowMacSpoofing: true } } },
    frames: all({ from: 9 }),
    seen: everywhere('- - 7/0 7/0'),
    drops: {},
  },
  'priorities where one port may have them and another may not (ES-528)': {
    policies: {
      1: access(10),
      2: { ...access(10), security: { allowIeeePriorityTag: true } },
      3: { ...access(10), security: { allowIeeePriorityTag: false } },
    },
    frames: both({ priority: 5 }),
    seen: { 2: '0/5 0/5', 3: '- -' },
    drops: {},
  },
  'priorities of tagged frames where one trunk may have them and another may not (ES-528)': {
    policies: {
      1: trunk(0, 10),
      2: { ...trunk(0, 10), security: { allowIeeePriorityTag: true } },
      3: { ...trunk(0, 10), security: { allowIeeePriorityTag: false } },
    },
    frames: [...both({ vlan: 10, priority: 5 }), ...both({ priority: 5 })],
    seen: { 2: '10/5 10/5 0/5 0/5', 3: '10/0 10/0 - -', 4: '0/5 0/5' },
    drops: {},
  },
  'an access port reaches its VLAN, and trunks that have it (ES-531, ES-532)': {
    policies: { 1: access(10), 2: access(10), 3: access(20), 4: trunk(5, 10, 20) },
    frames: both(),
    seen: { 2: '- -', 4: '10/0 10/0' },
    drops: {},
  },
  'an access port with tags of another VLAN': {
    policies: { 1: access(10), 2: access(10), 3: access(20) },
    frames: both({ vlan: 20 }),
    seen: {},
    drops: { 'vlan-not-allowed': 2 },
  },
  'a trunk with tags that it has and tags that it has not (ES-534)': {
    policies: { 1: trunk(5, 10), 2: access(10), 3: access(20), 4: access(5) },
    frames: [...both({ vlan: 10 }), ...both({ vlan: 20 })],
    seen: { 2: '- -' },
    drops: { 'vlan-not-allowed': 2 },
  },
  'a trunk without tags is in its native VLAN (ES-533)': {
    policies: { 1: trunk(5, 10), 2: access(10), 3: trunk(5, 10), 4: access(5) },
    frames: both(),
    seen: { 3: '- -', 4: '- -' },
    drops: {},
  },
  'an isolated port reaches promiscuous ones only (ES-537, ES-539)': {
    policies: { 1: pvlan('isolated', 101), 2: pvlan('isolated', 101), 3: pvlan('community', 102), 4: promiscuous },
    frames: both(),
    seen: { 4: '- -' },
    drops: {},
  },
  'a community port reaches its community and promiscuous ones (ES-538)': {
    policies: { 1: pvlan('community', 102), 2: pvlan('isolated', 101), 3: pvlan('community', 102), 4: promiscuous },
    frames: both(),
    seen: { 3: '- -', 4: '- -' },
    drops: {},
  },
  'ports of a private VLAN may tag with the VLAN that they send in, and with no other (ES-537, ES-538)': {
    policies: { 1: pvlan('community', 102), 2: pvlan('community', 102), 3: pvlan('isolated', 101), 4: promiscuous },
    frames: [...both({ vlan: 102 }), ...both({ vlan: 100 }), ...both({ vlan: 101 })],
    seen: { 2: '- -', 4: '- -' },
    drops: { 'vlan-not-allowed': 4 },
  },
  'a promiscuous port reaches all (ES-539)': {
    policies: { 1: promiscuous, 2: pvlan('isolated', 101), 3: pvlan('community', 102), 4: promiscuous },
    frames: both(),
    seen: everywhere('- -'),
    drops: {},
  },
  'a second tag is no way out of an access port, nor out of the native VLAN of a trunk (ES-531, ES-533)': {
    policies: { 1: access(10), 2: trunk(10, 20), 3: trunk(5, 10, 20) },
    frames: [...both({ vlan: 10, inner: 20 }), ...both({ inner: 20 }), ...both()],
    seen: { 2: '- -', 3: '10/0 10/0' },
    drops: { 'vlan-not-allowed': 4 },
  },
  'a second tag of a trunk stays behind the first, or does not arrive (ES-534)': {
    policies: { 1: trunk(5, 10), 2: trunk(10, 20), 3: trunk(5, 10), 4: access(10) },
    frames: [...both({ vlan: 10, inner: 20 }), ...both({ inner: 20 })],
    seen: { 3: '10/0 10/0' },
    drops: { 'vlan-not-allowed': 2 },
  },
  'isolation by virtual subnet: frames to all of it, and to one of another (ES-529, ES-542)': {
    policies: Object.fromEntries([5001, 5001, 5002].map((virtualSubnetId, i) => [i + 1, { security: { virtualSubnetId } }])),
    frames: [...all(), ...all({ to: mac(2) }), ...all({ to: mac(3) }), ...all({ to: mac(4) })],
    seen: { 2: '- - 7/0 7/0 - - 7/0 7/0' },
    drops: { 'virtual-subnet': 8 },
  },
  'isolation by VLAN lets the ids of routing domains pass alone (ES-541)': {
    policies: {
      1: {
        isolation: { mode: 'vlan' },
        'routing-domain': { routingDomainId: '0d3c1f9f-0020-4c56-9b7e-7b0b6d0e5f20', isolationIds: [{ isolationId: 10 }] },
      },
      2: access(10),
      3: access(20),
    },
    frames: [...both({ vlan: 10 }), ...both({ vlan: 20 })],
    seen: { 2: '- -' },
    drops: { 'vlan-not-allowed': 2 },
  },
  'isolation by VLAN refuses what has no tag (ES-541)': {
    policies: { 1: { isolation: { mode: 'vlan' } }, 2: access(10), 3: { isolation: { mode: 'vlan' } } },
    frames: [...both(), ...both({ vlan: 10 })],
    seen: { 2: '- -', 3: '10/0 10/0' },
    drops: { 'vlan-not-allowed': 2 },
  },
  'isolation by VLAN gives what has no tag the VLAN of its default (ES-541)': {
    policies: {
      1: { isolation: { mode: 'vlan', allowUntaggedTraffic: true, defaultIsolationId: 10 } },
      2: access(10),
      3: access(20),
    },
    frames: both(),
    seen: { 2: '- -' },
    drops: {},
  },
  'learned addresses up to the dynamic address limit (ES-530)': {
    policies: { 1: { security: { dynamicIpAddressLimit: 1 }, protection: { sourceGuard: ['learned'] } } },
    frames: [...all({ host: 1 }), ...all({ host: 2 }), ...both({ host: 1 })],
    seen: everywhere('- - 7/0 7/0 - -'),
    drops: { 'source-guard': 4 },
  },
  'ARP and advertisements for addresses of others': {
    policies: { 1: { protection: { sourceGuard: ['10.0.0.1', 'fd00::1'] } } },
    frames: [1, 2].flatMap((host) => [
      ether({}, 0x0806, [
        0,
        1,
        8,
        0,
        6,
        4,
        0,
        2,
        2,
        0,
        0,
        0,
        0,
        1,
        ...ipv4Bytes(`10.0.0.${host}`),
        ...Array(10).fill(0),
        ...MARK,
      ]),
      ipv6({ source: 'fd00::1' }, IPV6.icmp, [...icmp(136, [0, 0, 0, 0, ...ipv6Bytes(`fd00::${host}`)]), ...MARK]),
    ]),
    seen: everywhere('- -'),
    drops: { 'source-guard': 2 },
  },
  'ACLs by prefix, of what a port sends and of what another one gets': {
    policies: {
      1: { acl: { entries: [deny('outbound', 'local', '10.0.0.1'), deny('outbound', 'local', 'fd00::2/128')] } },
      2: { acl: { entries: [deny('inbound', 'remote', '10.0.0.0/8')] } },
    },
    frames: [...all({ host: 1 }), ...all({ host: 2 })],
    seen: { 3: '- 7/0 - 7/0', 4: '- 7/0 - 7/0', 2: '- 7/0' },
    drops: { 'port-acl': 6 },
  },
  'extended rules of one VLAN of a trunk leave the others alone': {
    policies: {
      1: { ...trunk(5, 10, 20), 'extended-acl': { rules: [{ name: 'no UDP', action: 'deny', direction: 'outbound', ...udp2 }] } },
      2: access(10),
      3: access(20),
    },
    frames: [...both({ vlan: 10 }), ...both({ vlan: 20 })],
    seen: { 3: '- -' },
    drops: { 'extended-acl': 2 },
  },
  'rules look at the outer header of a tunnel, and may keep it out': {
    policies: {
      1: {
        'extended-acl': {
          rules: [
            { name: 'inner', action: 'deny', direction: 'outbound', remoteIPAddress: '10.9.0.0/16' },
            { name: 'GRE', action: 'deny', direction: 'outbound', protocol: 'gre', weight: 2 },
          ],
        },
      },
    },
    frames: [
      ipv4({ source: '10.0.0.1' }, [...udp(1, 4789, 8), ...innerFrame]),
      ipv4({ source: '10.0.0.1', protocol: 47 }, [0x20, 0, 0x65, 0x58, 0, 0, 1, 0, ...innerFrame]),
    ],
    seen: everywhere('-'),
    drops: { 'extended-acl': 1 },
  },
  'guards hold where spoofing is allowed, in a VLAN, of both families': {
    policies: {
      1: { ...access(10), security: { allowMacSpoofing: true }, protection: { dhcpGuard: true, routerGuard: true } },
      2: access(10),
    },
    frames: [1, 9].flatMap((from) => [
      ipv4({ from }, [...udp(67, 68, 2), ...MARK]),
      ipv6({ from }, IPV6.udp, [...udp(547, 546, 2), ...MARK]),
      ipv6({ from }, IPV6.icmp, [...icmp(134), ...MARK]),
      ipv6({ from }, IPV6.icmp, [...icmp(133), ...MARK]),
    ]),
    seen: { 2: '- -' },
    drops: { 'dhcp-guard': 4, 'router-guard': 2 },
  },
}

describe('policies of ports', { skip, timeout: 60_000 }, () => {
  let bench: PolicyBench
  before(async () => {
    bench = await PolicyBench.start(4)
  })
  after(() => bench?.close())

  for (const [what, { policies, frames, seen: expected, drops }] of Object.entries(cases))
    test(what, async () => {
      const fate = await bench.try(policies, 1, frames)
      assert.deepEqual([seen(fate), fate.drops], [expected, drops])
    })

  // A limit of one frame a second: of so many at once the first passes, and as many more as seconds pass while they are sent.
  const REPEATS = 5
  const storms = {
    broadcast: { to: 'ff:ff:ff:ff:ff:ff', passed: 'out' },
    multicast: { to: '33:33:00:00:00:77', passed: 'out' },
    // No port of these guests gets frames for nobody.
    unknownUnicast: { to: mac(0x99), passed: 'no-destination' },
  } as const
  for (const [kind, { to, passed }] of Object.entries(storms))
    test(`of a storm of ${kind} frames what is above the limit is dropped, of both families, tagged or not; other kinds pass`, async () => {
      const protection = { stormLimit: { [kind]: 1 } }
      const frames = Array.from({ length: REPEATS }, () => all({ to })).flat()
      const known = Array.from({ length: REPEATS }, () => all({ to: mac(2) })).flat()
      const { out, drops } = await bench.try({ 1: { protection } }, 1, [...frames, ...known])
      const late = drops['storm-limit'] ?? 0
      assert.ok(late > 0, 'the limit was reached')
      const through = frames.length - late
      assert.equal(out[2]!.length - known.length, passed === 'out' ? through : 0)
      assert.deepEqual(drops, { 'storm-limit': late, ...(passed === 'out' || through === 0 ? {} : { [passed]: through }) })
    })

  test('what a guard drops is not mirrored, what a rule keeps from its receiver is (ES-337, ES-338)', async () => {
    const offer = ipv4({ tags: [TAGGED] }, [...udp(67, 68, 2), ...MARK])
    const policies = {
      1: { protection: { dhcpGuard: true } },
      2: { acl: { entries: [deny('inbound', 'remote', '10.0.0.1'), deny('inbound', 'remote', 'fd00::1')] } },
    }
    const settings = { 1: { portMirroring: 'source' }, 4: { portMirroring: 'destination' } } as const
    const fate = await bench.try(policies, 1, [offer, ...all({ to: mac(2) })], settings)
    assert.deepEqual([seen(fate), fate.drops], [{ 4: '- - 7/0 7/0' }, { 'dhcp-guard': 1, 'port-acl': 4 }])
  })

  test('copies carry the VLAN of their frame as a tag, whatever the form of the port that they are of, and those of both directions', async () => {
    const monitor = { 4: { portMirroring: 'destination' } } as const
    const sent = { ...monitor, 1: { portMirroring: 'source' } } as const
    const ofAccess = await bench.try({ 1: access(10), 2: access(10) }, 1, both({ to: mac(2) }), sent)
    assert.deepEqual([seen(ofAccess), ofAccess.drops], [{ 2: '- -', 4: '10/0 10/0' }, {}])
    const frames = [...both({ vlan: 10, to: mac(2) }), ...both({ to: mac(3) })]
    const trunks = { 1: trunk(5, 10), 2: access(10), 3: access(5) }
    const ofTrunk = await bench.try(trunks, 1, frames, sent)
    assert.deepEqual([seen(ofTrunk), ofTrunk.drops], [{ 2: '- -', 3: '- -', 4: '10/0 10/0 5/0 5/0' }, {}])
    const received = await bench.try(trunks, 1, frames, { ...monitor, 2: { portMirroring: 'source' } })
    assert.deepEqual([seen(received), received.drops], [{ 2: '- -', 3: '- -', 4: '10/0 10/0' }, {}])
  })

  test('frames for all stay within a tenant, and those for one of another are dropped, of both families, tagged or not', async () => {
    const settings = { 1: { tenant: 'shop' }, 2: { tenant: 'shop' }, 3: { tenant: 'bank' } }
    const fate = await bench.try(
      {},
      1,
      [...all(), ...all({ to: mac(2) }), ...all({ to: mac(3) }), ...all({ to: mac(4) })],
      settings,
    )
    assert.deepEqual([seen(fate), fate.drops], [{ 2: '- - 7/0 7/0 - - 7/0 7/0' }, { 'tenant-isolation': 8 }])
  })

  test("with allowTeaming a port may send from the address of another adapter of its VM, and of no other VM's (ES-527)", async () => {
    const security = { allowTeaming: true }
    const refused = await bench.try({}, 1, all({ from: 2 }))
    assert.deepEqual([seen(refused), refused.drops], [{}, { 'mac-spoofing': 4 }])
    const stranger = await bench.try({ 1: { security }, 2: { security } }, 1, all({ from: 3 }))
    assert.deepEqual([seen(stranger), stranger.drops], [{}, { 'mac-spoofing': 4 }])
    const fate = await bench.try({ 1: { security }, 2: { security } }, 1, all({ from: 2, to: mac(4) }))
    assert.deepEqual([seen(fate), fate.drops], [{ 4: '- - 7/0 7/0' }, {}])
  })
})
