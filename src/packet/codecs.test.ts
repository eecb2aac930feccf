import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ipv4Bytes, parseMac } from './addresses.ts'
import { ARP_BYTES, parseArp, writeArp } from './arp.ts'
import { arpRequestFrame, BROADCAST_MAC, echoFrame, type FrameAddresses, tcpFrame, udpFrame } from './build.ts'
import { put16 } from './bytes.ts'
import { foldSum, internetChecksum, sumBytes, transportChecksum } from './checksum.ts'
import { EtherType, ethernetHeaderBytes, parseEthernet, writeEthernet } from './ethernet.ts'
import { ipv4ChecksumIsRight, parseIpv4Header, writeIpv4Header } from './ipv4.ts'
import { ipv6Transport, parseIpv6Header, writeIpv6Header } from './ipv6.ts'
import { summarizeFrame } from './summary.ts'
import { parseIcmpHeader, parseTcpHeader, parseUdpHeader, writeIcmpHeader, writeTcpHeader, writeUdpHeader } from './transport.ts'

const octets = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length })
/** Plain objects, as the codecs make them. */
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>
const u8 = fc.nat(0xff)
const u16 = fc.nat(0xffff)
const u32 = fc.nat(0xffffffff)
const words = fc.nat(10).chain((count) => octets(count * 4))

/** Writes `value` somewhere in a dirty buffer, reads it back, and reads it from every cut buffer too. */
function roundTrip<T>(
  arbitrary: fc.Arbitrary<T>,
  write: (bytes: Uint8Array, at: number, value: T) => number,
  read: (bytes: Uint8Array, at: number, end: number) => unknown,
): void {
  fc.assert(
    fc.property(arbitrary, fc.nat(9), octets(128), (value, at, bytes) => {
      const end = write(bytes, at, value)
      assert.deepEqual(read(bytes, at, end), value)
      for (let cut = at; cut < end; cut++) assert.equal(read(bytes, at, cut), undefined)
    }),
  )
}

test('an Ethernet header with up to two tags comes back as it was written', () => {
  const tag = record({
    protocol: fc.constantFrom<number>(EtherType.vlan, EtherType.serviceVlan),
    priority: fc.nat(7),
    dropEligible: fc.boolean(),
    id: fc.nat(4095),
  })
  const plainType = u16.filter((type) => type !== 0x8100 && type !== 0x88a8 && type !== 0x9100)
  const tags = fc.array(tag, { maxLength: 2 })
  roundTrip(record({ destination: octets(6), source: octets(6), tags, etherType: plainType }), writeEthernet, parseEthernet)
})

test('ARP, UDP, TCP and ICMP headers come back as they were written', () => {
  const arp = { operation: u16, senderMac: octets(6), senderIpv4: u32, targetMac: octets(6), targetIpv4: u32 }
  roundTrip(record(arp), writeArp, parseArp)
  const ports = { sourcePort: u16, destinationPort: u16, checksum: u16 }
  roundTrip(record({ ...ports, length: fc.integer({ min: 8, max: 65535 }) }), writeUdpHeader, parseUdpHeader)
  const tcp = { ...ports, sequence: u32, acknowledgement: u32, flags: u8, window: u16, urgentPointer: u16, options: words }
  roundTrip(record(tcp), writeTcpHeader, parseTcpHeader)
  roundTrip(record({ type: u8, code: u8, checksum: u16, rest: u32 }), writeIcmpHeader, parseIcmpHeader)
})

test('IPv4 and IPv6 headers come back as they were written', () => {
  const ipv4 = record({
    totalLength: fc.integer({ min: 60, max: 65535 }),
    identification: u16,
    dontFragment: fc.boolean(),
    moreFragments: fc.boolean(),
    fragmentOffset: fc.nat(0x1fff).map((blocks) => blocks * 8),
    timeToLive: u8,
    protocol: u8,
    source: u32,
    destination: u32,
    trafficClass: u8,
    options: words,
  })
  roundTrip(ipv4, writeIpv4Header, (bytes, at, end) => {
    const header = parseIpv4Header(bytes, at, end)
    if (header) assert.ok(ipv4ChecksumIsRight(bytes, at))
    return header
  })
  const ipv6 = record({
    trafficClass: u8,
    flowLabel: fc.nat(0xfffff),
    payloadLength: u16,
    nextHeader: u8,
    hopLimit: u8,
    source: octets(16),
    destination: octets(16),
  })
  roundTrip(ipv6, writeIpv6Header, parseIpv6Header)
})

test('parsers take any bytes without throwing', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(220), (bytes, at) => {
      for (const parse of [
        parseEthernet,
        parseArp,
        parseIpv4Header,
        parseIpv6Header,
        parseUdpHeader,
        parseTcpHeader,
        parseIcmpHeader,
      ])
        parse(bytes, at, bytes.length)
      ipv6Transport(bytes, at, bytes.length)
      summarizeFrame(bytes)
    }),
  )
})

test('a checksum does not depend on how the bytes are cut, and holds for its own range', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 2, maxLength: 300 }), fc.nat(100), (bytes, cut) => {
      const middle = Math.min(bytes.length & ~1, cut * 2)
      const parts = sumBytes(bytes, middle, bytes.length, sumBytes(bytes, 0, middle))
      assert.equal(foldSum(parts), internetChecksum(bytes, 0, bytes.length))
      put16(bytes, 0, 0)
      put16(bytes, 0, internetChecksum(bytes, 0, bytes.length))
      assert.equal(internetChecksum(bytes, 0, bytes.length), 0)
    }),
  )
  // The example of RFC 1071, section 3.
  assert.equal(internetChecksum(Uint8Array.of(0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7), 0, 8), ~0xddf2 & 0xffff)
})

const pairs: [FrameAddresses, FrameAddresses] = [
  { sourceMac: '02:00:00:00:00:01', destinationMac: '02:00:00:00:00:02', source: '10.0.0.1', destination: '10.0.0.2' },
  { sourceMac: '02:00:00:00:00:01', destinationMac: '02:00:00:00:00:02', source: 'fd00::1', destination: 'fd00::2' },
]

test('built frames carry right checksums', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.constantFrom(...pairs), (data, addresses) => {
      const isIpv6 = addresses.source.includes(':')
      const start = ethernetHeaderBytes(0) + (isIpv6 ? 40 : 20)
      const udp = udpFrame(addresses, 1000, 53, data)
      assert.equal(transportChecksum(udp, 14, 17, start, udp.length), 0)
      const tcp = tcpFrame(addresses, 1000, 80, { data })
      assert.equal(transportChecksum(tcp, 14, 6, start, tcp.length), 0)
      const echo = echoFrame(addresses, false, 7, 1, data)
      const sum = isIpv6 ? transportChecksum(echo, 14, 58, start, echo.length) : internetChecksum(echo, start, echo.length)
      assert.equal(sum, 0)
    }),
  )
})

test('an ARP request asks the whole link for its target', () => {
  const frame = arpRequestFrame('02:00:00:00:00:01', '10.0.0.1', '10.0.0.2')
  assert.equal(frame.length, 14 + ARP_BYTES)
  assert.deepEqual(frame.subarray(0, 6), parseMac(BROADCAST_MAC))
  assert.deepEqual(frame.subarray(38, 42), ipv4Bytes(0x0a000002))
  assert.match(summarizeFrame(frame), /ARP who has 10\.0\.0\.2 tell 10\.0\.0\.1, 42 bytes$/)
})

test('a summary names the transport and its ports', () => {
  assert.match(summarizeFrame(tcpFrame(pairs[0], 40000, 23)), /TCP 10\.0\.0\.1\.40000 > 10\.0\.0\.2\.23 \[S\], 54 bytes$/)
  assert.match(summarizeFrame(udpFrame(pairs[1], 5353, 53)), /UDP fd00::1\.5353 > fd00::2\.53, 62 bytes$/)
  assert.match(summarizeFrame(echoFrame(pairs[0], true, 1, 1)), /ICMP 10\.0\.0\.1 > 10\.0\.0\.2 type 0/)
})

test('the walk over IPv6 extension headers stops at later fragments and at the end of the bytes', () => {
  const packet = new Uint8Array(80)
  writeIpv6Header(packet, 0, {
    trafficClass: 0,
    flowLabel: 0,
    payloadLength: 40,
    nextHeader: 60,
    hopLimit: 1,
    source: new Uint8Array(16),
    destination: new Uint8Array(16),
  })
  packet.set([44, 0], 40) // destination options of 8 bytes, then a fragment header
  packet.set([6, 0, 0, 1], 48)
  assert.deepEqual(ipv6Transport(packet, 0), { protocol: 6, offset: 56, isFragment: true })
  put16(packet, 50, 8 << 3)
  assert.deepEqual(ipv6Transport(packet, 0), { protocol: 6, offset: 0, isFragment: true })
  assert.deepEqual(ipv6Transport(packet, 0, 50), { protocol: 44, offset: 0, isFragment: true })
  assert.deepEqual(ipv6Transport(packet, 0, 44), { protocol: 60, offset: 0, isFragment: false })
})
