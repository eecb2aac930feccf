// Whole frames from a few fields, with right lengths and checksums: for tests, traces, software guests and extensions that originate. They
// allocate: what passes a switch is not built by them.
import { formatMac, ipv4Bytes, MAC_BYTES, parseIpv4, parseIpv6, parseMac } from './addresses.ts'
import { ARP_BYTES, type Arp, ArpOperation, writeArp } from './arp.ts'
import { put16 } from './bytes.ts'
import { internetChecksum, transportChecksum } from './checksum.ts'
import { EtherType, ethernetHeaderBytes, type VlanTag, writeEthernet } from './ethernet.ts'
import { IPV4_HEADER_BYTES, IpProtocol, writeIpv4Header } from './ipv4.ts'
import { IPV6_HEADER_BYTES, writeIpv6Header } from './ipv6.ts'
import {
  ICMP_HEADER_BYTES,
  Icmp6Type,
  IcmpType,
  TCP_HEADER_BYTES,
  TcpFlag,
  UDP_HEADER_BYTES,
  writeIcmpHeader,
  writeTcpHeader,
  writeUdpHeader,
} from './transport.ts'

/** Addresses of a frame. MAC and IP addresses as text; both IP addresses are of one family. */
export interface FrameAddresses {
  readonly sourceMac: string
  readonly destinationMac: string
  readonly source: string
  readonly destination: string
  readonly tags?: readonly VlanTag[]
  /** Time to live or hop limit; default 64. */
  readonly hops?: number
}

const none = new Uint8Array(0)
export const BROADCAST_MAC = 'ff:ff:ff:ff:ff:ff'

/** A frame of any ether type. */
export function etherFrame(
  destinationMac: string,
  sourceMac: string,
  etherType: number,
  payload: Uint8Array,
  tags: readonly VlanTag[] = [],
): Uint8Array {
  const frame = new Uint8Array(ethernetHeaderBytes(tags.length) + payload.length)
  const header = { destination: parseMac(destinationMac), source: parseMac(sourceMac), tags, etherType }
  frame.set(payload, writeEthernet(frame, 0, header))
  return frame
}

/** A reverse ARP request (RFC 903) by which a station that moved tells switches where it is; 60 bytes. */
export function reverseArp(mac: Uint8Array): Uint8Array {
  const frame = new Uint8Array(60)
  const own = mac.subarray(0, MAC_BYTES)
  const header = { destination: parseMac(BROADCAST_MAC), source: own, tags: [], etherType: EtherType.rarp }
  const arp: Arp = { operation: ArpOperation.reverseRequest, senderMac: own, senderIpv4: 0, targetMac: own, targetIpv4: 0 }
  writeArp(frame, writeEthernet(frame, 0, header), arp)
  return frame
}

/** An IPv4 or IPv6 frame around `payload` of `protocol`; `checksumAt` is where in the payload its checksum goes, -1 for none. */
export function ipFrame(addresses: FrameAddresses, protocol: number, payload: Uint8Array, checksumAt = -1): Uint8Array {
  const isIpv6 = addresses.source.includes(':')
  const tags = addresses.tags ?? []
  const ip = ethernetHeaderBytes(tags.length)
  const start = ip + (isIpv6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES)
  const frame = new Uint8Array(start + payload.length)
  writeEthernet(frame, 0, {
    destination: parseMac(addresses.destinationMac),
    source: parseMac(addresses.sourceMac),
    tags,
    etherType: isIpv6 ? EtherType.ipv6 : EtherType.ipv4,
  })
  const hops = addresses.hops ?? 64
  if (isIpv6)
    writeIpv6Header(frame, ip, {
      trafficClass: 0,
      flowLabel: 0,
      payloadLength: payload.length,
      nextHeader: protocol,
      hopLimit: hops,
      source: parseIpv6(addresses.source),
      destination: parseIpv6(addresses.destination),
    })
  else
    writeIpv4Header(frame, ip, {
      totalLength: IPV4_HEADER_BYTES + payload.length,
      identification: 0,
      dontFragment: true,
      moreFragments: false,
      fragmentOffset: 0,
      timeToLive: hops,
      protocol,
      source: parseIpv4(addresses.source),
      destination: parseIpv4(addresses.destination),
      trafficClass: 0,
      options: none,
    })
  frame.set(payload, start)
  if (checksumAt >= 0) {
    const sum = transportChecksum(frame, ip, protocol, start, frame.length)
    put16(frame, start + checksumAt, sum === 0 && protocol === IpProtocol.udp ? 0xffff : sum) // RFC 768: 0 means no checksum
  }
  return frame
}

/** A UDP datagram in a frame. */
export function udpFrame(addresses: FrameAddresses, sourcePort: number, destinationPort: number, data = none): Uint8Array {
  const payload = new Uint8Array(UDP_HEADER_BYTES + data.length)
  const at = writeUdpHeader(payload, 0, { sourcePort, destinationPort, length: payload.length, checksum: 0 })
  payload.set(data, at)
  return ipFrame(addresses, IpProtocol.udp, payload, 6)
}

/** What a TCP segment says besides its ports. */
export interface TcpSegment {
  readonly sequence?: number
  readonly acknowledgement?: number
  /** TcpFlag bits; default SYN. */
  readonly flags?: number
  readonly window?: number
  readonly data?: Uint8Array
}

/** A TCP segment in a frame. */
export function tcpFrame(
  addresses: FrameAddresses,
  sourcePort: number,
  destinationPort: number,
  segment: TcpSegment = {},
): Uint8Array {
  const data = segment.data ?? none
  const payload = new Uint8Array(TCP_HEADER_BYTES + data.length)
  const at = writeTcpHeader(payload, 0, {
    sourcePort,
    destinationPort,
    sequence: segment.sequence ?? 0,
    acknowledgement: segment.acknowledgement ?? 0,
    flags: segment.flags ?? TcpFlag.syn,
    window: segment.window ?? 65535,
    checksum: 0,
    urgentPointer: 0,
    options: none,
  })
  payload.set(data, at)
  return ipFrame(addresses, IpProtocol.tcp, payload, 16)
}

/** An echo request or reply (ICMP or ICMPv6 by the addresses' family) in a frame. */
export function echoFrame(
  addresses: FrameAddresses,
  isReply: boolean,
  identifier: number,
  sequence: number,
  data = none,
): Uint8Array {
  const isIpv6 = addresses.source.includes(':')
  const types = isIpv6 ? Icmp6Type : IcmpType
  const payload = new Uint8Array(ICMP_HEADER_BYTES + data.length)
  const rest = ((identifier << 16) | sequence) >>> 0
  const at = writeIcmpHeader(payload, 0, { type: isReply ? types.echoReply : types.echoRequest, code: 0, checksum: 0, rest })
  payload.set(data, at)
  if (isIpv6) return ipFrame(addresses, IpProtocol.icmp6, payload, 2)
  // ICMP for IPv4 has no pseudo header: write the sum over the payload alone.
  const frame = ipFrame(addresses, IpProtocol.icmp, payload)
  const start = frame.length - payload.length
  put16(frame, start + 2, internetChecksum(frame, start, frame.length))
  return frame
}

/** An ARP packet in a frame from its sender to `destinationMac`. */
export function arpFrame(destinationMac: string, arp: Arp): Uint8Array {
  const payload = new Uint8Array(ARP_BYTES)
  writeArp(payload, 0, arp)
  return etherFrame(destinationMac, formatMac(arp.senderMac), EtherType.arp, payload)
}

/** "Who has `target`?", asked by `source` at `sourceMac`. */
export const arpRequestFrame = (sourceMac: string, source: string, target: string): Uint8Array =>
  arpFrame(BROADCAST_MAC, {
    operation: 1,
    senderMac: parseMac(sourceMac),
    senderIpv4: parseIpv4(source),
    targetMac: new Uint8Array(MAC_BYTES),
    targetIpv4: parseIpv4(target),
  })

/** The four or sixteen octets of an IP address given as text. */
export const ipBytes = (text: string): Uint8Array => (text.includes(':') ? parseIpv6(text) : ipv4Bytes(parseIpv4(text)))
