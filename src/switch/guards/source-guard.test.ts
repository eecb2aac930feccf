import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness, mac } from '../../../test/support/data-path-harness.ts'
import {
  ether,
  extension,
  fragment,
  IPV6,
  icmp,
  ipv4,
  ipv4Bytes,
  ipv6,
  ipv6Bytes,
  type Outside,
  udp,
} from '../../../test/support/guard-frames.ts'
import type { SourceGuardProperty } from '../../ndis/standard-properties.ts'
import { PortFlag } from '../port-table.ts'

const listed: SourceGuardProperty = {
  prefixes: [
    { address: [10, 0, 0, 1], bits: 32 },
    { address: [10, 1, 0, 0], bits: 16 },
    { address: ipv6Bytes('fd00::1'), bits: 128 },
    { address: ipv6Bytes('fd00:1:2:3:4f00::'), bits: 72 },
  ],
  learned: false,
}
const tagged = [[], [5], [7, 5]]
/** Of port 1's MAC address. */
const OWN_LINK_LOCAL = 'fe80::ff:fe00:1'

function guarded(sourceGuard: SourceGuardProperty): DataPathHarness {
  const harness = new DataPathHarness().connect(2)
  harness.ports.setGuards(1, { dhcpGuard: false, routerGuard: false, stormLimit: [], sourceGuard })
  return harness
}

function judged(expected: boolean, frames: Readonly<Record<string, Buffer>>, harness = guarded(listed)): void {
  for (const [name, bytes] of Object.entries(frames)) {
    const got = harness.sink(2).frames.length
    const dropped = harness.drops(1)['source-guard'] ?? 0
    harness.send(1, bytes)
    assert.equal(harness.sink(2).frames.length - got, expected ? 1 : 0, name)
    assert.equal((harness.drops(1)['source-guard'] ?? 0) - dropped, expected ? 0 : 1, name)
  }
}

function arp(outside: Outside, sender: string, target: string, operation = 1): Buffer {
  const mac = [2, 0, 0, 0, 0, 1]
  const packet = [0, 1, 8, 0, 6, 4, 0, operation, ...mac, ...ipv4Bytes(sender), 0, 0, 0, 0, 0, 0, ...ipv4Bytes(target)]
  return ether(outside, 0x0806, packet)
}

const neighbour = (type: number, target: string): number[] => icmp(type, [0, 0, 0, 0, ...ipv6Bytes(target)])

for (const tags of tagged)
  test(`a port speaks for its own addresses only, with ${tags.length} tags`, () => {
    judged(true, {
      IPv4: ipv4({ tags, source: '10.0.0.1' }, udp(1, 2, 3)),
      'IPv4 of a prefix': ipv4({ tags, source: '10.1.255.3' }, udp(1, 2, 3)),
      ARP: arp({ tags }, '10.0.0.1', '10.0.0.9'),
      'an ARP reply': arp({ tags }, '10.0.0.1', '10.0.0.9', 2),
      IPv6: ipv6({ tags, source: 'fd00::1' }, IPV6.udp, udp(1, 2, 3)),
      'IPv6 of a prefix': ipv6({ tags, source: 'fd00:1:2:3:4fff::7' }, IPV6.udp, udp(1, 2, 3)),
      'its link-local address': ipv6({ tags, source: OWN_LINK_LOCAL }, IPV6.icmp, icmp(133)),
      'a solicitation for another': ipv6({ tags, source: 'fd00::1' }, IPV6.icmp, neighbour(135, 'fd00::9')),
      'an advertisement of its own': ipv6({ tags, source: 'fd00::1' }, IPV6.icmp, neighbour(136, OWN_LINK_LOCAL)),
      'neither IP nor ARP': ether({ tags }, 0x88b5, [1, 2, 3]),
    })
    judged(false, {
      IPv4: ipv4({ tags, source: '10.0.0.2' }, udp(1, 2, 3)),
      'IPv4 beside a prefix': ipv4({ tags, source: '10.2.0.0' }, udp(1, 2, 3)),
      ARP: arp({ tags }, '10.0.0.2', '10.0.0.9'),
      'an ARP reply': arp({ tags }, '10.0.0.2', '10.0.0.9', 2),
      IPv6: ipv6({ tags, source: 'fd00::2' }, IPV6.udp, udp(1, 2, 3)),
      'IPv6 beside a prefix': ipv6({ tags, source: 'fd00:1:2:3:5000::' }, IPV6.udp, udp(1, 2, 3)),
      "another's link-local address": ipv6({ tags, source: 'fe80::ff:fe00:2' }, IPV6.icmp, icmp(133)),
      'an advertisement for another': ipv6({ tags, source: 'fd00::1' }, IPV6.icmp, neighbour(136, 'fd00::9')),
      'IPv4 of no sound header': ether({ tags }, 0x0800, [0x60, 0, 0, 20]),
      'ARP that is not of IPv4 over Ethernet': ether({ tags }, 0x0806, [0, 1, 8, 0, 8, 4]),
    })
  })

test('what a guest says before it has an address passes, and no more', () => {
  const solicited = 'ff02::1:ff00:1'
  judged(true, {
    DISCOVER: ipv4({ source: '0.0.0.0' }, udp(68, 67, 1)),
    'a probe': arp({}, '0.0.0.0', '10.0.0.1'),
    'a search for duplicates': ipv6({ source: '::', destination: solicited }, IPV6.icmp, neighbour(135, 'fd00::1')),
    'a report of groups': ipv6({ source: '::' }, IPV6.hopByHop, [...extension(IPV6.icmp), ...icmp(143)]),
    'a router solicitation': ipv6({ source: '::' }, IPV6.icmp, icmp(133)),
  })
  judged(false, {
    'other UDP': ipv4({ source: '0.0.0.0' }, udp(68, 69, 1)),
    'a fragment of it': ipv4({ source: '0.0.0.0', fragmentOffset: 8 }, udp(68, 67, 1)),
    "a probe of another's address": arp({}, '0.0.0.0', '10.0.0.2'),
    'an answer from nobody': arp({}, '0.0.0.0', '10.0.0.1', 2),
    "a search for duplicates of another's address": ipv6({ source: '::' }, IPV6.icmp, neighbour(135, 'fd00::9')),
    'UDP over IPv6': ipv6({ source: '::' }, IPV6.udp, udp(546, 547, 1)),
  })
})

const OTHER_MAC = [2, 0, 0, 0, 0, 9]
const ownMac = [2, 0, 0, 0, 0, 1]
const arpTelling = (address: readonly number[], operation = 2): Buffer => {
  const bytes = arp({}, '10.0.0.1', '10.0.0.9', operation)
  bytes.set(address, 22)
  return bytes
}
// Neighbour discovery with an option that tells a MAC address, behind options of other kinds.
const telling = (type: number, address: readonly number[], before: readonly number[] = []): Buffer => {
  const body = type === 133 ? [0, 0, 0, 0] : type === 134 ? Array<number>(12).fill(0) : [0, 0, 0, 0, ...ipv6Bytes('fd00::1')]
  const option = [type === 136 || type === 137 ? 2 : 1, 1, ...address]
  return ipv6({ source: 'fd00::1' }, IPV6.icmp, icmp(type, [...body, ...before, ...option]))
}
const nonce = [14, 1, 1, 2, 3, 4, 5, 6]

test('what a port tells in ARP and neighbour discovery is its own MAC address (ES-525)', () => {
  judged(true, {
    'an ARP reply': arpTelling(ownMac),
    'a router solicitation': telling(133, ownMac),
    'a solicitation': telling(135, ownMac, nonce),
    'an advertisement': telling(136, ownMac),
    'a redirect, which tells of others': telling(137, OTHER_MAC),
    'an option that is none': telling(136, [], [0, 0, ...OTHER_MAC]),
  })
  judged(false, {
    'an ARP request': arpTelling(OTHER_MAC, 1),
    'an ARP reply': arpTelling(OTHER_MAC),
    'of a group': arpTelling([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    'a probe': arp({}, '0.0.0.0', '10.0.0.1').fill(9, 22, 28),
    'a router solicitation': telling(133, OTHER_MAC),
    "a router's advertisement": telling(134, OTHER_MAC),
    'a solicitation': telling(135, OTHER_MAC, nonce),
    'an advertisement': telling(136, OTHER_MAC),
    'a second address behind the first': telling(136, OTHER_MAC, [2, 1, ...ownMac]),
    'options beyond what is read': telling(135, ownMac, [14, 8, ...Array<number>(62).fill(0)]),
  })
  const teamed = guarded(listed)
  teamed.connectPort(9)
  for (const port of [1, 9]) teamed.ports.setTeam(port, 7, mac(port), true)
  const spoofing = guarded(listed)
  spoofing.connectPort(1, PortFlag.learn | PortFlag.unknownUnicast)
  spoofing.ports.setGuards(1, { dhcpGuard: false, routerGuard: false, stormLimit: [], sourceGuard: listed })
  for (const harness of [teamed, spoofing]) judged(true, { ARP: arpTelling(OTHER_MAC), ND: telling(136, OTHER_MAC) }, harness)
})

test('reports of groups pass before a guest has an address, queries do not', () => {
  const igmp = (type: number): Buffer => ipv4({ source: '0.0.0.0', protocol: 2, options: 4 }, [type, 0, 0, 0, 224, 0, 0, 251])
  judged(true, { v1: igmp(0x12), v2: igmp(0x16), v3: igmp(0x22), leave: igmp(0x17) })
  judged(false, { query: igmp(0x11), 'without a type': ipv4({ source: '0.0.0.0', protocol: 2 }, []) })
})

test('addresses that no host has are not learned', () => {
  const harness = guarded({ prefixes: [], learned: true })
  harness.ports.setIpLimit(1, 8)
  const from = (source: string): Buffer => ipv4({ source }, udp(1, 2, 3))
  judged(
    false,
    {
      group: from('224.0.0.1'),
      broadcast: from('255.255.255.255'),
      loopback: from('127.0.0.1'),
      ARP: arp({}, '239.1.1.1', '10.0.0.9'),
    },
    harness,
  )
  assert.deepEqual(harness.ports.ipAddresses(1), [])
})

test('is not fooled by extension headers and fragments', () => {
  const source = 'fd00::1'
  const lie = neighbour(136, 'fd00::9')
  judged(false, {
    'behind options': ipv6({ source }, IPV6.options, [...extension(IPV6.icmp), ...lie]),
    'in a fragment': ipv6({ source }, IPV6.fragment, [...fragment(IPV6.icmp, 0, false), ...lie]),
    'whose target comes in the next fragment': ipv6({ source }, IPV6.fragment, [...fragment(IPV6.icmp), ...lie.slice(0, 8)]),
    'whose target comes in the next fragment, while padding shows one of its own': ipv6(
      { source },
      IPV6.fragment,
      [...fragment(IPV6.icmp), ...lie.slice(0, 8)],
      ipv6Bytes(source),
    ),
    'whose type comes in the next fragment': ipv6({ source }, IPV6.fragment, [
      ...fragment(IPV6.options),
      ...extension(IPV6.icmp),
    ]),
    SNAP: ether({}, 40, [0xaa, 0xaa, 3, 0, 0, 0, 8, 6]),
    'a later fragment of another': ipv4({ source: '10.0.0.2', fragmentOffset: 64 }, udp(1, 2, 3)),
  })
  judged(true, {
    'a later fragment': ipv4({ source: '10.0.0.1', fragmentOffset: 64 }, udp(1, 2, 3)),
    'a later fragment of IPv6': ipv6({ source }, IPV6.fragment, [...fragment(IPV6.icmp, 64), ...lie]),
  })
})

test('learned addresses are allowed, as many as the dynamic address limit says (ES-530)', () => {
  const harness = guarded({ prefixes: [{ address: [10, 0, 0, 9], bits: 32 }], learned: true })
  harness.ports.setIpLimit(1, 2)
  judged(
    true,
    {
      'a probe of any': arp({}, '0.0.0.0', '10.0.0.77'),
      'the first': arp({}, '10.0.0.5', '10.0.0.9'),
      'the second, seen in IPv4': ipv4({ source: '10.0.0.6' }, udp(1, 2, 3)),
      'the first again': ipv4({ source: '10.0.0.5' }, udp(1, 2, 3)),
      'the one that is listed': ipv4({ source: '10.0.0.9' }, udp(1, 2, 3)),
    },
    harness,
  )
  judged(false, { ARP: arp({}, '10.0.0.7', '10.0.0.9'), IPv4: ipv4({ source: '10.0.0.7' }, udp(1, 2, 3)) }, harness)
  assert.deepEqual(harness.ports.ipAddresses(1).length, 2)
})

const from6 = (source: string): Buffer => ipv6({ source }, IPV6.udp, udp(1, 2, 3))
const learning: SourceGuardProperty = { prefixes: [{ address: ipv6Bytes('fd00::9'), bits: 128 }], learned: true }

test('learned IPv6 addresses are allowed, as many as the limit says, whatever the guest was seen with (ES-530)', () => {
  const harness = guarded(learning)
  harness.ports.setIpLimit(1, 3)
  judged(
    true,
    {
      'a search for duplicates': ipv6({ source: '::' }, IPV6.icmp, neighbour(135, 'fd00::5')),
      'its address then': from6('fd00::5'),
      'a link-local address of its choice': ipv6({ source: 'fe80::1234' }, IPV6.icmp, icmp(133)),
      'an advertisement for one more': ipv6({ source: 'fe80::1234' }, IPV6.icmp, neighbour(136, 'fd00::6')),
      'the one that is listed': from6('fd00::9'),
      'its link-local address of its MAC address': from6(OWN_LINK_LOCAL),
      'a router solicitation of nobody': ipv6({ source: '::' }, IPV6.icmp, icmp(133)),
    },
    harness,
  )
  judged(
    false,
    {
      'one too many': from6('fd00::7'),
      'a search for one too many': ipv6({ source: '::' }, IPV6.icmp, neighbour(135, 'fd00::7')),
      'an advertisement for one too many': ipv6({ source: 'fd00::5' }, IPV6.icmp, neighbour(136, 'fd00::7')),
      'a group as a source': from6('ff02::1'),
    },
    harness,
  )
  assert.deepEqual(
    harness.ports.ipv6Addresses(1).map((words) => words.map((word) => word >>> 0)),
    [
      [0xfd000000, 0, 0, 5],
      [0xfe800000, 0, 0, 0x1234],
      [0xfd000000, 0, 0, 6],
    ],
  )
})

test('an IPv6 address that was silent for an hour makes room for a new one, one that is in use does not', () => {
  const harness = guarded(learning)
  harness.ports.setIpLimit(1, 2)
  judged(true, { first: from6('fd00::1'), second: from6('fd00::2') }, harness)
  harness.nowMs += 3_000_000
  judged(true, { second: from6('fd00::2') }, harness)
  judged(false, { 'too early': from6('fd00::3') }, harness)
  harness.nowMs += 700_000
  judged(true, { third: from6('fd00::3'), 'the second, still': from6('fd00::2') }, harness)
  judged(false, { 'the first, whose place is taken': from6('fd00::1') }, harness)
})

test('without the word or a limit no IPv6 address is learned', () => {
  judged(false, { 'without the word': from6('fd00::5') })
  judged(false, { 'without a limit': from6('fd00::5') }, guarded(learning))
  const harness = guarded(learning)
  harness.ports.setIpLimit(1, 64)
  for (let host = 0; host < 16; host++) judged(true, { [`host ${host}`]: from6(`fd00::1:${host}`) }, harness)
  judged(false, { 'the seventeenth': from6('fd00::2:1') }, harness)
  harness.ports.clear(1)
  assert.deepEqual(harness.ports.ipv6Addresses(1), [], 'they go with their port')
})

test('with a forwarding extension addresses are guarded and learned just so', () => {
  const harness = guarded(learning)
  harness.ports.setIpLimit(1, 1)
  harness.install([
    { class: 'forwarding' },
    () => ({
      ingress(batch) {
        for (let i = 0; i < batch.length; i++) batch.addDestination(i, 2)
      },
    }),
  ])
  judged(true, { first: from6('fd00::1'), 'of IPv4': ipv4({ source: '10.0.0.1' }, udp(1, 2, 3)) }, harness)
  judged(false, { second: from6('fd00::2'), 'of IPv4': ipv4({ source: '10.0.0.2' }, udp(1, 2, 3)) }, harness)
})

test('an empty list allows nothing', () => {
  judged(
    false,
    { IPv4: ipv4({}, udp(1, 2, 3)), ARP: arp({}, '10.0.0.1', '10.0.0.2'), IPv6: ipv6({ source: 'fd00::1' }, 59, []) },
    guarded({ prefixes: [], learned: false }),
  )
})
