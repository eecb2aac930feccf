import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { OWN_MAC, overlayHarness, SUBNET, UPLINK, VSID } from '../../../test/support/overlay-harness.ts'
import { OFFLOAD_CHECKSUM, OFFLOAD_TSO4, VNET_NEEDS_CSUM } from '../../kernels/layout.ts'
import { parseMac, parsePrefix } from '../../packet/addresses.ts'
import { arpRequestFrame, echoFrame, ipBytes, ipFrame, tcpFrame, udpFrame } from '../../packet/build.ts'
import { get16, put16 } from '../../packet/bytes.ts'
import { internetChecksum, transportChecksum } from '../../packet/checksum.ts'
import { TunnelFormat, TunnelReader } from '../../packet/tunnel.ts'
import { PortFlag } from '../port-table.ts'
import { KnownAs } from './address-answers.ts'
import { ROUTER_MAC, ROUTER_MAC_TEXT } from './routing.ts'

const OTHER_VSID = 5002
const OTHER = 8
const FOREIGN_VSID = 6001
const FOREIGN = 9
const REMOTE = '02:00:00:00:00:31'
const gatewayOf = { ipv4: '10.1.0.1', ipv6: 'fd00:1::1' }
const MAC1 = '02:00:00:00:00:01'

// Port 1 is in the tests' subnet, port 3 in another one of the same domain, port 4 in one of another domain with the same addresses.
// REMOTE is in the other subnet, at peer 0. 10.9.0.0/16 is behind a gateway guest, 10.1.0.9, at port 2.
function world(shortCut = false) {
  const made = overlayHarness(2, {}, shortCut)
  const { harness, path, customers } = made
  for (const [port, vsid, subnet] of [
    [3, OTHER_VSID, OTHER],
    [4, FOREIGN_VSID, FOREIGN],
  ] as const) {
    harness.connectPort(port)
    harness.ports.setSubnet(port, vsid)
    customers.addStatic(`02:00:00:00:00:0${port}`, subnet, port)
    customers.addStatic(ROUTER_MAC_TEXT, subnet, 0)
  }
  customers.addStatic(ROUTER_MAC_TEXT, SUBNET, 0)
  customers.addStatic(REMOTE, OTHER, 16)
  const address = (vsid: number, text: string, mac: string, kind: number) => ({
    vsid,
    address: ipBytes(text),
    mac: parseMac(mac),
    gone: false,
    kind,
  })
  const route = (domain: number, text: string, subnet: number, vsid: number, nextHop?: string) => ({
    domain,
    prefix: parsePrefix(text).bytes,
    length: parsePrefix(text).length,
    subnet,
    vsid,
    nextHop: nextHop === undefined ? undefined : ipBytes(nextHop),
    gone: false,
  })
  path.change({
    peers: [],
    subnets: [
      { subnet: OTHER, vsid: OTHER_VSID, peers: [0] },
      { subnet: FOREIGN, vsid: FOREIGN_VSID, peers: [] },
    ],
    addresses: [
      address(VSID, gatewayOf.ipv4, ROUTER_MAC_TEXT, KnownAs.router),
      address(VSID, gatewayOf.ipv6, ROUTER_MAC_TEXT, KnownAs.router),
      address(OTHER_VSID, '10.2.0.1', ROUTER_MAC_TEXT, KnownAs.router),
      address(OTHER_VSID, '10.2.0.3', '02:00:00:00:00:03', KnownAs.local),
      address(OTHER_VSID, 'fd00:2::3', '02:00:00:00:00:03', KnownAs.local),
      address(OTHER_VSID, '10.2.0.31', REMOTE, KnownAs.station),
      address(OTHER_VSID, '10.2.0.77', '02:00:00:00:00:77', KnownAs.station),
      address(FOREIGN_VSID, '10.3.0.4', '02:00:00:00:00:04', KnownAs.local),
      address(VSID, '10.1.0.9', '02:00:00:00:00:02', KnownAs.local),
    ],
    routing: {
      domains: [
        { subnet: SUBNET, domain: 1 },
        { subnet: OTHER, domain: 1 },
        { subnet: FOREIGN, domain: 2 },
      ],
      gateways: [
        { subnet: SUBNET, isIpv4: true, address: ipBytes(gatewayOf.ipv4) },
        { subnet: SUBNET, isIpv4: false, address: ipBytes(gatewayOf.ipv6) },
      ],
      routes: [
        route(1, '10.1.0.0/24', SUBNET, VSID),
        route(1, '10.2.0.0/24', OTHER, OTHER_VSID),
        route(1, 'fd00:2::/64', OTHER, OTHER_VSID),
        route(1, '10.9.0.0/16', SUBNET, VSID, '10.1.0.9'),
        route(2, '10.3.0.0/24', FOREIGN, FOREIGN_VSID),
        route(2, '10.1.0.0/24', FOREIGN, FOREIGN_VSID),
      ],
    },
  })
  return made
}

const to = (destination: string, source = destination.includes(':') ? 'fd00:1::11' : '10.1.0.11') => ({
  sourceMac: MAC1,
  destinationMac: ROUTER_MAC_TEXT,
  source,
  destination,
})
const withHops = (packet: Uint8Array, hops: number): Uint8Array => {
  if (get16(packet, 12) === 0x86dd) packet[14 + 7] = hops
  else {
    packet[14 + 8] = hops
    put16(packet, 24, 0)
    put16(packet, 24, internetChecksum(packet, 14, 34))
  }
  return packet
}
const hex = (bytes: Uint8Array | undefined, from: number, end: number): string =>
  Buffer.from(bytes!.subarray(from, end)).toString('hex')

for (const shortCut of [false, true])
  describe(`the router of virtual subnets, short cuts ${shortCut ? 'on' : 'off'}`, () => {
    test('a packet goes to the guest in the other subnet of its domain, one hop older, from the router', () => {
      const { harness } = world(shortCut)
      const sent = udpFrame(to('10.2.0.3'), 1000, 2000, new Uint8Array(300).fill(7))
      harness.send(1, sent)
      const [got] = harness.sink(3).frames
      assert.equal(hex(got, 0, 12), `020000000003${Buffer.from(ROUTER_MAC).toString('hex')}`)
      assert.equal(got![22], 63)
      assert.equal(internetChecksum(got!, 14, 34), 0)
      assert.equal(hex(got, 26, got!.length), hex(sent, 26, sent.length))
      assert.deepEqual(harness.drops(1), {})
    })

    test('an IPv6 packet too', () => {
      const { harness } = world(shortCut)
      const sent = udpFrame(to('fd00:2::3'), 1000, 2000, new Uint8Array(20))
      harness.send(1, sent)
      const [got] = harness.sink(3).frames
      assert.equal(hex(got, 0, 12), `020000000003${Buffer.from(ROUTER_MAC).toString('hex')}`)
      assert.equal(got![21], sent[21]! - 1)
      assert.equal(hex(got, 22, got!.length), hex(sent, 22, sent.length))
    })

    test('a packet to a guest of another host goes there in one hop, in the virtual subnet of that guest', () => {
      const { harness } = world(shortCut)
      harness.send(1, udpFrame(to('10.2.0.31'), 1000, 2000, new Uint8Array(30)))
      const packet = harness.sink(UPLINK).frames[0]!
      const reader = new TunnelReader(TunnelFormat.vxlan, 4789)
      reader.read(packet, 0, packet.length, packet.length)
      assert.equal(reader.vsid, OTHER_VSID)
      const inner = packet.subarray(reader.headers)
      assert.equal(hex(inner, 0, 6), '020000000031')
      assert.equal(inner[22], 63)
      assert.equal(harness.sink(UPLINK).frames.length, 1)
    })

    test('a route with a next hop leads to the gateway guest', () => {
      const { harness } = world(shortCut)
      harness.send(1, udpFrame(to('10.9.77.1'), 1000, 2000))
      assert.equal(hex(harness.sink(2).frames[0], 30, 34), '0a094d01')
    })

    test('nothing leaves its routing domain: the guest hears that no route leads there', () => {
      const { harness } = world(shortCut)
      harness.send(1, udpFrame(to('10.3.0.4'), 1000, 2000))
      assert.deepEqual(harness.drops(1), { 'overlay-no-route': 1 })
      assert.deepEqual(harness.sink(4).frames, [])
      const [message] = harness.sink(1).frames
      assert.equal(hex(message, 26, 36), `0a010001${'0a01000b'}0300`)
      assert.equal(internetChecksum(message!, 34, message!.length), 0)
      assert.equal(internetChecksum(message!, 14, 34), 0)
    })

    test('hops that are used up are told of from the router, by IPv4 and IPv6', () => {
      const { harness } = world(shortCut)
      harness.send(1, withHops(udpFrame(to('10.2.0.3'), 1, 2), 1), withHops(udpFrame(to('fd00:2::3'), 1, 2), 1))
      assert.deepEqual(harness.drops(1), { 'overlay-hops-used-up': 2 })
      const [v4, v6] = harness.sink(1).frames
      assert.equal(hex(v4, 26, 36), '0a0100010a01000b0b00')
      assert.equal(hex(v6, 54, 56), '0300')
      assert.deepEqual(v6!.subarray(22, 38), Buffer.from(ipBytes(gatewayOf.ipv6)))
      assert.equal(transportChecksum(v6!, 14, 58, 54, v6!.length), 0)
      assert.deepEqual(harness.sink(3).frames, [])
    })

    test('a guest that nobody knows is not looked for: its packets are dropped, and their sender is told', () => {
      const { harness } = world(shortCut)
      harness.send(1, udpFrame(to('10.2.0.99'), 1, 2), udpFrame(to('10.2.0.77'), 1, 2), udpFrame(to('fd00:2::99'), 1, 2))
      assert.deepEqual(harness.drops(1), { 'overlay-no-neighbour': 3 })
      assert.deepEqual(
        harness.sink(1).frames.map((message) => (get16(message, 12) === 0x0800 ? hex(message, 34, 36) : hex(message, 54, 56))),
        ['0301', '0301', '0103'],
      )
    })

    test('the router answers echo requests to its addresses, of any length and in any subnet of the domain', () => {
      const { harness } = world(shortCut)
      const request = echoFrame(to(gatewayOf.ipv4), false, 7, 1, new Uint8Array(1200).fill(9))
      harness.send(1, request, echoFrame(to('10.2.0.1'), false, 7, 2))
      const [first, second] = harness.sink(1).frames
      assert.equal(hex(first, 0, 12), `020000000001${Buffer.from(ROUTER_MAC).toString('hex')}`)
      assert.equal(hex(first, 26, 36), '0a0100010a01000b0000')
      assert.equal(internetChecksum(first!, 34, first!.length), 0)
      assert.equal(internetChecksum(first!, 14, 34), 0)
      assert.equal(first!.length, request.length)
      assert.equal(hex(second, 26, 30), '0a020001')
      const six = echoFrame(to(gatewayOf.ipv6), false, 7, 3, new Uint8Array(40))
      harness.send(1, six)
      const third = harness.sink(1).frames[2]!
      assert.equal(third[54], 129)
      assert.equal(transportChecksum(third, 14, 58, 54, third.length), 0)
    })

    test('what else is for the router itself is dropped, and said so', () => {
      const { harness } = world(shortCut)
      const fragment = udpFrame(to(gatewayOf.ipv4), 1, 2)
      harness.send(1, fragment, Buffer.concat([ROUTER_MAC, parseMac(MAC1), Uint8Array.of(0x88, 0xb5), new Uint8Array(46)]))
      assert.deepEqual(harness.drops(1), { 'overlay-to-router': 2 })
      assert.deepEqual(harness.sink(1).frames, [])
    })

    test('groups, this host, this link and this network are not routed', () => {
      const { harness } = world(shortCut)
      for (const address of [
        '224.0.0.5',
        '255.255.255.255',
        '127.0.0.1',
        '169.254.1.1',
        '0.0.0.0',
        'ff02::1',
        '::1',
        'fe80::9',
        '::',
      ])
        harness.send(1, udpFrame(to(address), 1, 2))
      harness.send(1, udpFrame(to('fd00:2::3', 'fe80::1'), 1, 2))
      assert.deepEqual(harness.drops(1), { 'overlay-no-route': 10 })
    })

    test('the router answers for its addresses: whoever asks, all, itself alone, or before taking the address', () => {
      const { harness } = world(shortCut)
      const question = (from: string): Buffer => Buffer.from(arpRequestFrame(MAC1, from, gatewayOf.ipv4))
      const alone = question('10.1.0.11')
      alone.set(ROUTER_MAC, 0)
      harness.send(1, question('10.1.0.11'), alone, question('0.0.0.0'))
      const answers = harness.sink(1).frames
      assert.equal(answers.length, 3)
      for (const answer of answers) assert.equal(hex(answer, 22, 32), `${Buffer.from(ROUTER_MAC).toString('hex')}0a010001`)
      assert.deepEqual(harness.drops(1), {})
    })

    test('the address of a guest here is not answered for: it has its own voice', () => {
      const { harness } = world(shortCut)
      harness.send(1, arpRequestFrame(MAC1, '10.1.0.11', '10.1.0.9'))
      assert.equal(harness.sink(1).frames.length, 0)
      assert.equal(harness.sink(2).frames.length, 1)
    })

    test('nobody sends from the address of the router', () => {
      const { harness } = world(shortCut)
      harness.connectPort(1, PortFlag.learn | PortFlag.unknownUnicast)
      harness.ports.setSubnet(1, VSID)
      harness.send(1, udpFrame({ ...to('10.2.0.3'), sourceMac: ROUTER_MAC_TEXT }, 1, 2))
      assert.deepEqual(harness.drops(1), { 'mac-spoofing': 1 })
    })

    test('what comes by a tunnel for the router goes nowhere: every host routes what its own guests send', () => {
      const { harness } = world(shortCut)
      const inner = Buffer.from(udpFrame(to('10.2.0.3'), 1, 2))
      harness.send(1, udpFrame(to('10.2.0.31'), 1, 2))
      const packet = Buffer.from(harness.sink(UPLINK).frames[0]!)
      packet.set(inner, packet.length - inner.length)
      packet.set(parseMac(OWN_MAC), 0)
      packet.set([192, 0, 2, 2, 192, 0, 2, 1], 26)
      harness.send(UPLINK, packet)
      assert.deepEqual(harness.drops(UPLINK), { 'no-destination': 1 })
      assert.deepEqual(harness.sink(3).frames, [])
    })

    test('a packet that does not fit into the tunnel is told of from the router, as it was sent', () => {
      const { harness } = world(shortCut)
      const sent = udpFrame(to('10.2.0.31'), 1, 2, new Uint8Array(1430))
      sent[20] = 0x40
      withHops(sent, 9)
      harness.send(1, sent)
      assert.deepEqual(harness.drops(1), { 'overlay-too-big': 1 })
      const [message] = harness.sink(1).frames
      assert.equal(hex(message, 26, 36), '0a0100010a01000b0304')
      assert.equal(get16(message!, 40), 1450)
      assert.equal(message![42 + 8], 9)
    })

    test('the sender of a packet that may be fragmented is told as well: it fragments the next one, and the pieces pass', () => {
      const { harness } = world(shortCut)
      const sent = udpFrame(to('10.2.0.31'), 1, 2, new Uint8Array(1430))
      harness.send(1, sent)
      assert.deepEqual(harness.drops(1), { 'overlay-too-big': 1 })
      assert.equal(hex(harness.sink(1).frames[0], 34, 36), '0304')
      const piece = ipFrame(to('10.2.0.31'), 17, new Uint8Array(600))
      put16(piece, 20, 0x2000)
      harness.send(1, withHops(piece, 64))
      assert.equal(harness.sink(UPLINK).frames.length, 1)
    })

    test('super-frames and fragments pass', () => {
      const { harness } = world(shortCut)
      const data = new Uint8Array(3000)
      const bytes = Buffer.from(tcpFrame(to('10.2.0.3'), 1, 2, { flags: 0x10, data }))
      const vnet = Buffer.alloc(12)
      vnet[0] = VNET_NEEDS_CSUM
      vnet[1] = 1
      vnet.writeUInt16LE(54, 2)
      vnet.writeUInt16LE(1400, 4)
      vnet.writeUInt16LE(34, 6)
      vnet.writeUInt16LE(16, 8)
      harness.sink(3).offloads = OFFLOAD_TSO4 | OFFLOAD_CHECKSUM
      harness.send(1, { bytes, needs: OFFLOAD_TSO4 | OFFLOAD_CHECKSUM, vnet })
      const [got] = harness.sink(3).frames
      assert.equal(got!.length, bytes.length)
      assert.equal(got![22], 63)
      const fragment = ipFrame(to('10.2.0.3'), 17, new Uint8Array(600))
      put16(fragment, 20, 0x2010)
      withHops(fragment, 64)
      harness.send(1, fragment)
      assert.equal(internetChecksum(harness.sink(3).frames[1]!, 14, 34), 0)
    })

    test('messages are bounded by port: one port that asks for many takes none from another', () => {
      const { harness } = world(shortCut)
      for (let k = 0; k < 20; k++) harness.send(1, ...new Array(20).fill(udpFrame(to('10.3.0.4'), 1, 2)))
      assert.equal(harness.sink(1).frames.length, 50)
      harness.send(2, udpFrame({ ...to('10.3.0.4'), sourceMac: '02:00:00:00:00:02' }, 1, 2))
      assert.equal(harness.sink(2).frames.length, 1)
      harness.nowMs += 100
      for (let k = 0; k < 20; k++) harness.send(1, udpFrame(to('10.3.0.4'), 1, 2))
      assert.equal(harness.sink(1).frames.length, 60)
    })

    test('whatever a guest sends to the router stays in its domain, and every packet has a fate', () => {
      fc.assert(
        fc.property(
          fc.uint8Array({ minLength: 0, maxLength: 200 }),
          fc.constantFrom(0x0800, 0x86dd, 0x0806, 0x8100),
          fc.constantFrom('10.2.0.3', '10.3.0.4', '10.1.0.1', '10.9.1.1'),
          (random, type, address) => {
            const { harness } = world(shortCut)
            const bytes = Buffer.alloc(Math.max(60, 14 + random.length))
            bytes.set(ROUTER_MAC, 0)
            bytes.set(parseMac(MAC1), 6)
            bytes.writeUInt16BE(type, 12)
            bytes.set(random, 14)
            if (type === 0x0800 && random.length > 20) bytes.set(ipBytes(address), 30)
            harness.send(1, bytes)
            assert.deepEqual(harness.sink(4).frames, [])
            const fates =
              [1, 2, 3, UPLINK].reduce((sum, port) => sum + harness.sink(port).frames.length, 0) +
              Object.values(harness.drops(1)).reduce((sum, count) => sum + count, 0)
            assert.ok(fates >= 1)
          },
        ),
        { numRuns: 150 },
      )
    })
  })
