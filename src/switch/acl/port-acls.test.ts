import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { DataPathHarness, mac } from '../../../test/support/data-path-harness.ts'
import { ether, extension, fragment, IPV6, icmp, ipv4, ipv6, udp } from '../../../test/support/guard-frames.ts'
import { OptionReader } from '../../ndis/module-options.ts'
import type { ExtendedAclRule } from '../../ndis/standard-properties.ts'
import { parseAcl } from './acl-options.ts'
import { type AclPlan, COUNTERS_OF_ROW, compileAcls } from './acl-plan.ts'
import { parseExtendedAcl } from './extended-acl-options.ts'

const GUEST = 1
const OTHER = 2
const V4 = ['10.0.0.1', '10.0.0.2'] as const
const V6 = ['fd00::1', 'fd00::2'] as const

const planOf = (entries: readonly object[], rules: readonly object[] = []): AclPlan | undefined =>
  compileAcls(
    GUEST,
    {
      acl: parseAcl(new OptionReader({ entries })),
      extendedAcl: parseExtendedAcl(new OptionReader({ rules })),
    },
    1,
  )

type Direction = 'inbound' | 'outbound'
const directions: readonly Direction[] = ['outbound', 'inbound']
const between = (direction: Direction, addresses: readonly [string, string]) => {
  const [from, to] = direction === 'outbound' ? [GUEST, OTHER] : [OTHER, GUEST]
  return { from, to: mac(to), source: addresses[from - 1]!, destination: addresses[to - 1]! }
}

class World {
  readonly harness: DataPathHarness
  readonly #plan: AclPlan | undefined

  constructor(plan: AclPlan | undefined, shortCut = false) {
    this.harness = new DataPathHarness({ shortCut }).connect(2)
    this.#plan = plan
    this.harness.acls.set(GUEST, plan)
  }

  /** The reason under which a frame to or from the guest is dropped, '' if it is delivered. */
  fate(direction: Direction, frame: Buffer): string {
    const [from, to] = direction === 'outbound' ? [GUEST, OTHER] : [OTHER, GUEST]
    const before = this.harness.sink(to).frames.length
    const counted = { ...this.harness.drops(GUEST) }
    this.harness.send(from, frame)
    const passed = this.harness.sink(to).frames.length > before
    const reasons = Object.entries(this.harness.drops(GUEST)).filter(([name, frames]) => frames !== (counted[name] ?? 0))
    assert.equal(reasons.length, passed ? 0 : 1, 'what does not pass is counted once, at the port whose ACL it is')
    return reasons[0]?.[0] ?? ''
  }

  /** Packets that each row counted. */
  counts(): number[] {
    return [...new Float64Array(this.#plan!.counters)].filter((_, i) => i % COUNTERS_OF_ROW === 0)
  }
}

const datagram = udp(1000, 53, 1)

describe('the ACL of a port', () => {
  for (const direction of directions)
    test(`lets the longest prefix decide on ${direction} packets, of either family, tagged or not`, () => {
      const plan = planOf([
        { action: 'deny', direction, remoteIPAddress: 'ANY' },
        { action: 'allow', direction, remoteIPAddress: '10.0.0.0/24' },
        { action: 'deny', direction, remoteIPAddress: '10.0.0.9' },
        { action: 'allow', direction, remoteIPAddress: 'fd00::/64' },
      ])
      for (const tags of [[], [5], [7, 5]])
        for (const [remote, expected] of [
          ['10.0.0.2', ''],
          ['10.0.0.9', 'port-acl'],
          ['10.1.0.2', 'port-acl'],
          ['fd00::2', ''],
          ['fd01::2', 'port-acl'],
        ] as const) {
          const world = new World(plan)
          const isV6 = remote.includes(':')
          const parts = { ...between(direction, isV6 ? [V6[0], remote] : [V4[0], remote]), tags }
          const frame = isV6 ? ipv6(parts, 17, datagram) : ipv4(parts, datagram)
          assert.equal(world.fate(direction, frame), expected, `${remote} with ${tags.length} tags`)
          const other = direction === 'inbound' ? 'outbound' : 'inbound'
          const back = { ...between(other, isV6 ? [V6[0], remote] : [V4[0], remote]), tags }
          assert.equal(
            world.fate(other, isV6 ? ipv6(back, 17, datagram) : ipv4(back, datagram)),
            '',
            'the other direction is free',
          )
        }
    })

  test('judges Ethernet addresses, and by these frames that are not IP too', () => {
    const world = new World(planOf([{ action: 'deny', direction: 'both', remoteMacAddress: mac(OTHER) }]))
    for (const direction of directions)
      assert.equal(world.fate(direction, ether(between(direction, V4), 0x88b5, [1])), 'port-acl')
    const free = new World(planOf([{ action: 'deny', direction: 'both', remoteIPAddress: 'ANY' }]))
    assert.equal(free.fate('outbound', ether(between('outbound', V4), 0x88b5, [1])), '')
  })

  test('meters the longest prefix beside what filters, and drops nothing by it', () => {
    const plan = planOf([
      { action: 'meter', direction: 'both', remoteIPAddress: 'ANY' },
      { action: 'meter', direction: 'both', remoteIPAddress: '10.0.0.0/24' },
      { action: 'deny', direction: 'inbound', remoteIPAddress: '10.9.0.0/16' },
    ])
    const world = new World(plan)
    assert.equal(world.fate('outbound', ipv4(between('outbound', V4), datagram)), '')
    assert.equal(world.fate('inbound', ipv4(between('inbound', V4), datagram)), '')
    assert.equal(world.fate('outbound', ipv4(between('outbound', [V4[0], '10.1.0.2']), datagram)), '')
    assert.equal(world.fate('inbound', ipv4(between('inbound', [V4[0], '10.9.0.2']), datagram)), 'port-acl')
    assert.deepEqual(world.counts(), [1, 2, 1])
  })

  test('refuses two entries that speak for the same addresses', () => {
    const entry = { action: 'allow', direction: 'both', localIPAddress: '10.0.0.1/32' }
    assert.throws(() => planOf([entry, { ...entry, action: 'deny', direction: 'inbound' }]), /entries\[1\].*entries\[0\]/)
    assert.throws(() => planOf([{ action: 'deny', direction: 'both' }]), /one of localIPAddress/)
  })
})

describe('the extended ACL of a port', () => {
  const dns = { name: 'dns', action: 'allow', direction: 'outbound', protocol: 'udp', remotePort: 53, weight: 10 }
  const rest = { name: 'rest', action: 'deny', direction: 'outbound', weight: 1 }
  const allowed = new World(planOf([], [rest, dns]))

  test('tries the heaviest rule first, and counts what each decides', () => {
    const world = new World(planOf([], [rest, dns]))
    assert.equal(world.fate('outbound', ipv4(between('outbound', V4), datagram)), '')
    assert.equal(world.fate('outbound', ipv6(between('outbound', V6), 17, datagram)), '')
    assert.equal(world.fate('outbound', ipv4(between('outbound', V4), udp(1000, 54, 1))), 'extended-acl')
    assert.equal(world.fate('inbound', ipv4(between('inbound', V4), datagram)), '', 'no rule of the direction')
    assert.deepEqual(world.counts(), [1, 2])
  })

  test('lets ARP pass, and drops IP that it cannot find', () => {
    assert.equal(allowed.fate('outbound', ether(between('outbound', V4), 0x0806, [0, 1])), '')
    assert.equal(allowed.fate('outbound', ether(between('outbound', V4), 0x0800, [0x55])), 'acl-unreadable')
    assert.equal(allowed.fate('outbound', ipv4({ ...between('outbound', V4), tags: [1, 2, 3] }, datagram)), 'acl-unreadable')
  })

  test('a later fragment whose first one did not come passes by no rule that names ports, and is denied by one that denies any', () => {
    const out = between('outbound', V4)
    assert.equal(allowed.fate('outbound', ipv4({ ...out, fragmentOffset: 64 }, datagram)), 'extended-acl')
    assert.equal(
      allowed.fate('outbound', ipv6(between('outbound', V6), IPV6.fragment, [...fragment(17, 64), ...datagram])),
      'extended-acl',
    )
    const telnet = { name: 'telnet', action: 'deny', direction: 'outbound', protocol: 'tcp', remotePort: 23 }
    const denying = new World(planOf([], [telnet]))
    assert.equal(denying.fate('outbound', ipv4({ ...out, protocol: 6, fragmentOffset: 64 }, datagram)), 'extended-acl')
    assert.equal(denying.fate('outbound', ipv4({ ...out, fragmentOffset: 64 }, datagram)), '', 'of UDP')
    const open = new World(planOf([], [{ name: 'all', action: 'allow', direction: 'outbound' }]))
    assert.equal(open.fate('outbound', ipv4({ ...out, fragmentOffset: 64 }, datagram)), '')
    assert.equal(
      open.fate('outbound', ipv4({ ...out, protocol: 6, fragmentOffset: 8 }, datagram)),
      'acl-unreadable',
      'TCP flags anew',
    )
  })

  test('finds ports behind extension headers, and drops what it cannot read', () => {
    const out = between('outbound', V6)
    const behind = [...extension(IPV6.options), ...extension(17, 2), ...datagram]
    assert.equal(allowed.fate('outbound', ipv6(out, IPV6.hopByHop, behind)), '')
    assert.equal(allowed.fate('outbound', ipv6(out, IPV6.options, [...extension(17, 12), ...datagram])), 'acl-unreadable')
    assert.equal(allowed.fate('outbound', ipv6(out, 17, datagram.slice(0, 3))), 'acl-unreadable')
    assert.equal(
      allowed.fate('outbound', ipv4({ ...between('outbound', V4), moreFragments: true }, datagram.slice(0, 2))),
      'acl-unreadable',
    )
  })

  test('judges the outer header of a tunnel', () => {
    const inner = ipv4(between('outbound', V4), udp(1000, 53, 1)).subarray(14)
    const world = new World(
      planOf(
        [],
        [
          { name: 'no gre', action: 'deny', direction: 'outbound', protocol: 'gre', weight: 5 },
          { ...rest, action: 'allow' },
        ],
      ),
    )
    assert.equal(
      world.fate('outbound', ipv4({ ...between('outbound', V4), protocol: 47 }, [0, 0, 8, 0, ...inner])),
      'extended-acl',
    )
    assert.equal(
      allowed.fate('outbound', ipv4({ ...between('outbound', V4), protocol: 47 }, [0, 0, 8, 0, ...inner])),
      'extended-acl',
    )
  })

  test('a rule with an isolation id is for packets of that VLAN', () => {
    const world = new World(planOf([], [{ name: 'ten', action: 'deny', direction: 'outbound', isolationId: 10 }]))
    const out = between('outbound', V4)
    assert.equal(world.fate('outbound', ipv4({ ...out, tags: [10] }, datagram)), 'extended-acl')
    assert.equal(world.fate('outbound', ipv4({ ...out, tags: [11] }, datagram)), '')
    assert.equal(world.fate('outbound', ipv4(out, datagram)), '')
  })

  test('a packet passes only if both lists let it', () => {
    const plan = planOf([{ action: 'allow', direction: 'outbound', remoteIPAddress: 'ANY' }], [rest])
    assert.equal(new World(plan).fate('outbound', ipv4(between('outbound', V4), datagram)), 'extended-acl')
    const other = planOf([{ action: 'deny', direction: 'outbound', remoteIPAddress: 'ANY' }], [{ ...rest, action: 'allow' }])
    assert.equal(new World(other).fate('outbound', ipv4(between('outbound', V4), datagram)), 'port-acl')
  })

  test('packets of extensions pass (ES-341), and a port without ACLs is as before', () => {
    const harness = new DataPathHarness().connect(2)
    harness.acls.set(GUEST, planOf([], [rest]))
    harness.send(OTHER, ipv4(between('inbound', V4), datagram))
    assert.equal(harness.sink(GUEST).frames.length, 1)
    harness.acls.set(GUEST, undefined)
    harness.send(GUEST, ipv4(between('outbound', V4), datagram))
    assert.equal(harness.sink(OTHER).frames.length, 1)
  })

  test('refuses rules that never match', () => {
    assert.throws(() => planOf([], [{ ...rest, protocol: 'icmp', localPort: 5 }]), /rules\[0\]: never matches/)
    assert.throws(() => planOf([], [{ ...rest, localIPAddress: '::1', remoteIPAddress: '10.0.0.1' }]), /never matches/)
    assert.throws(() => planOf([], [{ ...rest, remotePort: '9-5' }]), /rules\[0\]\.remotePort/)
    assert.throws(() => planOf([], [rest, rest]), /two rules are named "rest"/)
  })
})

// The oracle: one rule after the other, heaviest first.
interface Packet {
  readonly local: number
  readonly remote: number
  readonly localPort: number
  readonly remotePort: number
  readonly protocol: number
}
const inPrefix = (prefix: ExtendedAclRule['localAddress'], last: number): boolean => {
  if (prefix === undefined) return true
  const host = prefix.address.at(-1)!
  const free = prefix.address.length * 8 - prefix.bits
  return host >> free === last >> free
}
const inRange = (range: ExtendedAclRule['localPorts'], port: number): boolean =>
  range === undefined || (port >= range[0] && port <= range[1])

function verdict(rules: readonly ExtendedAclRule[], packet: Packet, direction: Direction): string {
  const carriesPorts = packet.protocol === 17
  const found = rules
    .toSorted((a, b) => b.weight - a.weight)
    .find(
      (rule) =>
        rule.direction === direction &&
        (rule.protocol === undefined || rule.protocol === packet.protocol) &&
        inPrefix(rule.localAddress, packet.local) &&
        inPrefix(rule.remoteAddress, packet.remote) &&
        (carriesPorts || (rule.localPorts === undefined && rule.remotePorts === undefined)) &&
        inRange(rule.localPorts, packet.localPort) &&
        inRange(rule.remotePorts, packet.remotePort),
    )
  return found?.action === 'deny' ? 'extended-acl' : ''
}

describe('extended rules in the data path', () => {
  for (const isV6 of [false, true])
    for (const shortCut of [false, true])
      test(`decide as a list that is read from the top, over IPv${isV6 ? 6 : 4}, ${shortCut ? 'with' : 'without'} short cut`, () => {
        const base = isV6 ? [0xfd, ...Array<number>(14).fill(0)] : [10, 0, 0]
        const prefix = fc
          .tuple(fc.integer({ min: 0, max: 8 }), fc.nat(15))
          .map(([free, host]) => ({ address: [...base, (host >> free) << free], bits: (base.length + 1) * 8 - free }))
        const range = fc.tuple(fc.nat(9), fc.nat(9)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)
        const optional = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined })
        const rule = fc.record({
          action: fc.constantFrom('allow' as const, 'deny' as const),
          direction: fc.constantFrom(...directions),
          localAddress: optional(prefix),
          remoteAddress: optional(prefix),
          localPorts: optional(range),
          remotePorts: optional(range),
          protocol: optional(fc.constant(17)),
          weight: fc.nat(5),
        })
        const packet = fc.record({
          local: fc.integer({ min: 1, max: 15 }),
          remote: fc.integer({ min: 1, max: 15 }),
          localPort: fc.nat(10),
          remotePort: fc.nat(10),
          protocol: fc.constantFrom(17, isV6 ? 58 : 1),
        })
        fc.assert(
          fc.property(fc.array(rule, { maxLength: 40 }), fc.array(packet, { minLength: 1, maxLength: 8 }), (drawn, packets) => {
            const rules = drawn.map((one, i): ExtendedAclRule => {
              const ports = one.localPorts !== undefined || one.remotePorts !== undefined
              const common = { ...one, name: `rule ${i}`, stateful: false, idleSessionTimeoutSeconds: 255 }
              return (ports ? { ...common, protocol: 17 } : common) as ExtendedAclRule
            })
            const world = new World(compileAcls(GUEST, { extendedAcl: { rules } }, 1), shortCut)
            for (const one of packets)
              for (const direction of directions) {
                const text = (host: number): string => (isV6 ? `fd00::${host.toString(16)}` : `10.0.0.${host}`)
                const parts = between(direction, [text(one.local), text(one.remote)])
                const [source, destination] =
                  direction === 'outbound' ? [one.localPort, one.remotePort] : [one.remotePort, one.localPort]
                const payload = one.protocol === 17 ? udp(source, destination, 1) : icmp(isV6 ? 1 : 3)
                const frame = isV6 ? ipv6(parts, one.protocol, payload) : ipv4({ ...parts, protocol: one.protocol }, payload)
                assert.equal(world.fate(direction, frame), verdict(rules, one, direction))
              }
          }),
          { numRuns: 25 },
        )
      })
})
