import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DataPathHarness, frame } from '../../../test/support/data-path-harness.ts'
import { ether, extension, fragment, IPV6, icmp, ipv4, ipv6, udp } from '../../../test/support/guard-frames.ts'
import type { ProtectionProperty } from '../../ndis/standard-properties.ts'

const off: ProtectionProperty = { dhcpGuard: false, routerGuard: false, stormLimit: [] }
const dhcp = { ...off, dhcpGuard: true }
const router = { ...off, routerGuard: true }

const OFFER = udp(67, 68, 2)
const OFFER6 = udp(547, 546, 2)
const ADVERTISEMENT = icmp(134)
const tagged = [[], [5], [7, 5]]

// True if port 2 gets the frame that port 1, with these guards, sends. What does not pass is counted under `reason`.
function passes(guards: ProtectionProperty, bytes: Buffer, reason: string): boolean {
  const got = [true, false].map((shortCut) => {
    const harness = new DataPathHarness({ shortCut }).connect(2)
    harness.ports.setGuards(1, guards)
    harness.send(1, bytes)
    const { length } = harness.sink(2).frames
    assert.deepEqual(harness.drops(1), length === 1 ? {} : { [reason]: 1 })
    assert.equal(harness.portCounter(1, 'receivedDropped'), 1 - length)
    return length === 1
  })
  assert.equal(got[0], got[1], 'with and without short cut')
  return got[0]!
}

function judged(guards: ProtectionProperty, reason: string, expected: boolean, frames: Readonly<Record<string, Buffer>>): void {
  for (const [name, bytes] of Object.entries(frames)) assert.equal(passes(guards, bytes, reason), expected, name)
}

describe('the DHCP guard', () => {
  for (const tags of tagged)
    test(`drops what a server says and passes what a client says, with ${tags.length} tags`, () => {
      judged(dhcp, 'dhcp-guard', false, {
        'an offer': ipv4({ tags }, OFFER),
        'an offer from another port': ipv4({ tags }, udp(6767, 68, 2)),
        'an offer behind options': ipv4({ tags, options: 12 }, OFFER),
        'an answer to a relay': ipv4({ tags }, udp(67, 67, 2)),
        'an ADVERTISE': ipv6({ tags }, IPV6.udp, OFFER6),
        'a REPLY from another port': ipv6({ tags }, IPV6.udp, udp(1000, 546, 7)),
        'a RELAY-REPL': ipv6({ tags }, IPV6.udp, udp(547, 547, 13)),
      })
      judged(dhcp, 'dhcp-guard', true, {
        'a DISCOVER': ipv4({ tags, source: '0.0.0.0' }, udp(68, 67, 1)),
        'a relayed request': ipv4({ tags }, udp(67, 67, 1)),
        'a SOLICIT': ipv6({ tags }, IPV6.udp, udp(546, 547, 1)),
        'an INFORMATION-REQUEST': ipv6({ tags }, IPV6.udp, udp(546, 547, 11)),
        'a RELAY-FORW': ipv6({ tags }, IPV6.udp, udp(547, 547, 12)),
        'other UDP': ipv4({ tags }, udp(53, 1068, 2)),
        'TCP of the same ports': ipv4({ tags, protocol: 6 }, OFFER),
        'a router advertisement': ipv6({ tags }, IPV6.icmp, ADVERTISEMENT),
        'something else': ether({ tags }, 0x88b5, [1, 2, 3]),
      })
    })

  test('is not fooled by extension headers and fragments', () => {
    judged(dhcp, 'dhcp-guard', false, {
      'behind options': ipv6({}, IPV6.hopByHop, [...extension(IPV6.options), ...extension(IPV6.udp, 2), ...OFFER6]),
      'in an atomic fragment': ipv6({}, IPV6.fragment, [...fragment(IPV6.udp, 0, false), ...OFFER6]),
      'in a first fragment': ipv6({}, IPV6.fragment, [...fragment(IPV6.udp), ...OFFER6.slice(0, 8)]),
      'in a first fragment of IPv4': ipv4({ moreFragments: true }, OFFER.slice(0, 8)),
      'without the message type, which padding shows': ipv4({ moreFragments: true }, udp(67, 67, 2).slice(0, 8), [1]),
      'headers that go on in the next fragment': ipv6({}, IPV6.fragment, [...fragment(IPV6.options), ...extension(IPV6.udp)]),
      'headers too long to be read': ipv6({}, IPV6.options, [...extension(IPV6.udp, 12), ...OFFER6]),
      'more headers than are walked': ipv6({}, IPV6.options, [
        ...Array.from({ length: 8 }, () => extension(IPV6.options)).flat(),
        ...extension(IPV6.udp),
        ...OFFER6,
      ]),
      'headers that padding continues': ipv6(
        {},
        IPV6.fragment,
        [...fragment(IPV6.options), ...extension(IPV6.options)],
        [...extension(6), ...udp(80, 80, 0)],
      ),
      'a fragment header in the padding of a whole packet': ipv6({}, IPV6.options, extension(IPV6.fragment), fragment(6, 64)),
      'a fragment header in the padding': ipv6(
        {},
        IPV6.fragment,
        [...fragment(IPV6.options), ...extension(IPV6.fragment)],
        fragment(6, 64),
      ),
    })
    judged(dhcp, 'dhcp-guard', true, {
      'a later fragment of IPv4': ipv4({ fragmentOffset: 64 }, OFFER),
      'a later fragment of IPv6': ipv6({}, IPV6.fragment, [...fragment(IPV6.udp, 64), ...OFFER6]),
      'a later fragment behind options': ipv6({}, IPV6.options, [
        ...extension(IPV6.fragment),
        ...fragment(IPV6.udp, 64),
        ...OFFER6,
      ]),
      'a first fragment of something else': ipv6({}, IPV6.fragment, [...fragment(IPV6.udp), ...udp(53, 5353, 0)]),
      'no next header': ipv6({}, 59, []),
    })
  })

  test('drops IP behind a third tag and behind LLC and SNAP, and passes what spanning trees say', () => {
    const packet = [...ipv4({}, OFFER).subarray(14)]
    const snap = [0xaa, 0xaa, 3, 0, 0, 0]
    judged(dhcp, 'dhcp-guard', false, {
      'three tags': ipv4({ tags: [1, 2, 3] }, OFFER),
      SNAP: ether({}, packet.length + 8, [...snap, 8, 0, ...packet]),
      'SNAP with a wrong length': ether({}, 3, [...snap, 8, 0, ...packet]),
      'SNAP behind a tag of VLAN 0': ether({ tags: [0] }, packet.length + 8, [...snap, 8, 0, ...packet]),
      'SNAP for bridges': ether({}, packet.length + 8, [0xaa, 0xaa, 3, 0, 0, 0xf8, 8, 0, ...packet]),
    })
    judged(dhcp, 'dhcp-guard', true, {
      'LLC of another protocol': ether({}, 38, [0x42, 0x42, 3, 0, 0]),
      'SNAP of a vendor': ether({}, 38, [0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0]),
    })
  })
})

describe('the router guard', () => {
  for (const tags of tagged)
    test(`drops advertisements and redirects and passes other ICMP, with ${tags.length} tags`, () => {
      judged(router, 'router-guard', false, {
        RA: ipv6({ tags }, IPV6.icmp, ADVERTISEMENT),
        'redirect of IPv6': ipv6({ tags }, IPV6.icmp, icmp(137)),
        IRDP: ipv4({ tags, protocol: 1 }, icmp(9)),
        'redirect of IPv4': ipv4({ tags, protocol: 1, options: 4 }, icmp(5)),
      })
      judged(router, 'router-guard', true, {
        RS: ipv6({ tags }, IPV6.icmp, icmp(133)),
        NS: ipv6({ tags }, IPV6.icmp, icmp(135)),
        NA: ipv6({ tags }, IPV6.icmp, icmp(136)),
        'IRDP solicitation': ipv4({ tags, protocol: 1 }, icmp(10)),
        echo: ipv4({ tags, protocol: 1 }, icmp(8)),
        'an offer': ipv4({ tags }, OFFER),
        'a number that is ICMPv6 in IPv6 only': ipv4({ tags, protocol: 58 }, ADVERTISEMENT),
      })
    })

  test('is not fooled by extension headers and fragments', () => {
    judged(router, 'router-guard', false, {
      'behind options': ipv6({}, IPV6.options, [...extension(IPV6.icmp), ...ADVERTISEMENT]),
      'behind a routing header in a fragment': ipv6({}, IPV6.routing, [
        ...extension(IPV6.fragment),
        ...fragment(IPV6.icmp, 0, false),
        ...ADVERTISEMENT,
      ]),
      'in a first fragment': ipv6({}, IPV6.fragment, [...fragment(IPV6.icmp), ...ADVERTISEMENT]),
      'whose type comes in the next fragment': ipv6({}, IPV6.fragment, [...fragment(IPV6.options), ...extension(IPV6.icmp)]),
      'a redirect in a first fragment of IPv4': ipv4({ protocol: 1, moreFragments: true }, icmp(5).slice(0, 8)),
      'two fragment headers': ipv6({}, IPV6.fragment, [
        ...fragment(IPV6.fragment, 0, false),
        ...fragment(IPV6.icmp, 64),
        ...ADVERTISEMENT,
      ]),
      'ICMP without a byte': ipv6({}, IPV6.icmp, [], ADVERTISEMENT),
    })
    judged(router, 'router-guard', true, {
      'a later fragment': ipv6({}, IPV6.fragment, [...fragment(IPV6.icmp, 64), ...ADVERTISEMENT]),
      'an echo in a first fragment': ipv6({}, IPV6.fragment, [...fragment(IPV6.icmp), ...icmp(128)]),
    })
  })
})

test('a port without guards sends what it likes, and so does one that lost them', () => {
  const harness = new DataPathHarness().connect(3)
  harness.ports.setGuards(3, { ...dhcp, ...router, dhcpGuard: true })
  harness.send(1, ipv4({}, OFFER), ipv6({}, IPV6.icmp, ADVERTISEMENT))
  assert.equal(harness.sink(2).frames.length, 2)
  harness.ports.setGuards(3, undefined)
  harness.send(3, ipv4({ from: 3 }, OFFER))
  assert.equal(harness.sink(2).frames.length, 3)
})

test('of a burst the guards take out what they refuse, and the rest keeps its order', () => {
  const harness = new DataPathHarness().connect(2)
  harness.ports.setGuards(1, { ...dhcp, routerGuard: true })
  harness.send(1, frame(2, 1, 'a'), ipv4({}, OFFER), frame(2, 1, 'b'), ipv6({}, IPV6.icmp, ADVERTISEMENT), frame(2, 1, 'c'))
  assert.deepEqual(harness.got(2), ['a', 'b', 'c'])
  assert.deepEqual(harness.drops(1), { 'dhcp-guard': 1, 'router-guard': 1 })
})

test('guards stand below the filtering extensions and above the forwarding one, and pass packets of port 0 (ES-335, ES-337, ES-341)', () => {
  const harness = new DataPathHarness().connect(2)
  harness.ports.setGuards(1, dhcp)
  const seen: string[] = []
  let send = (): void => {}
  harness.install(
    (sw) => {
      send = () => void sw.send(sw.originate(ipv4({}, OFFER)))
      return { ingress: (batch) => void seen.push(`filter ${batch.length}`), egress: () => void seen.push('up') }
    },
    [
      { class: 'forwarding' },
      () => ({
        ingress(batch) {
          seen.push('forward')
          for (let i = 0; i < batch.length; i++) batch.addDestination(i, 2)
        },
      }),
    ],
  )
  harness.send(1, ipv4({}, OFFER))
  assert.deepEqual(seen, ['filter 1'])
  assert.deepEqual(harness.drops(1), { 'dhcp-guard': 1 })
  send()
  harness.dataPath.flushInjections()
  assert.equal(harness.sink(2).frames.length, 1)
})

test('a port that is made anew under an old number has no guards', () => {
  const harness = new DataPathHarness().connect(2)
  harness.ports.setGuards(1, dhcp)
  harness.ports.clear(1)
  harness.connectPort(1)
  harness.send(1, ipv4({}, OFFER))
  assert.deepEqual(harness.drops(1), {})
})
