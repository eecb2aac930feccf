// The headers of a frame, one line each, outer ones first.
import { formatIpv4, formatIpv6, formatMac } from '../../../src/packet/addresses.ts'
import { EtherType, ethernetHeaderBytes, parseEthernet } from '../../../src/packet/ethernet.ts'
import { IpProtocol, ipv4PayloadOffset, parseIpv4Header } from '../../../src/packet/ipv4.ts'
import { ipv6Transport, parseIpv6Header } from '../../../src/packet/ipv6.ts'
import { parseIcmpHeader, parseTcpHeader, parseUdpHeader } from '../../../src/packet/transport.ts'

export type Header = readonly [name: string, text: string]

const hex = (value: number): string => `0x${value.toString(16).padStart(4, '0')}`
const tcpFlags = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG'] as const

/** As far as the bytes tell. Lengths in headers are those of the whole frame. */
export function headersOf(bytes: Uint8Array, length: number): readonly Header[] {
  const ethernet = parseEthernet(bytes)
  if (ethernet === undefined) return []
  const at = ethernetHeaderBytes(ethernet.tags.length)
  return [
    ['Ethernet', `${formatMac(ethernet.source)} to ${formatMac(ethernet.destination)}, type ${hex(ethernet.etherType)}`],
    ...ethernet.tags.map((tag): Header => ['VLAN', `${tag.id}, priority ${tag.priority}`]),
    ...networkHeaders(bytes, ethernet.etherType, at, length),
  ]
}

function networkHeaders(bytes: Uint8Array, etherType: number, at: number, length: number): readonly Header[] {
  if (etherType === EtherType.ipv4) {
    const ip = parseIpv4Header(bytes, at, length)
    if (ip === undefined) return [['IPv4', 'malformed']]
    const { source, destination, timeToLive, protocol, totalLength, identification, fragmentOffset } = ip
    const text = `${formatIpv4(source)} to ${formatIpv4(destination)}, TTL ${timeToLive}, protocol ${protocol}, ${totalLength} bytes, id ${identification}`
    if (fragmentOffset > 0) return [['IPv4', `${text}, fragment at ${fragmentOffset}`]]
    return [['IPv4', text], ...transportHeaders(bytes, protocol, ipv4PayloadOffset(bytes, at))]
  }
  if (etherType === EtherType.ipv6) {
    const ip = parseIpv6Header(bytes, at, length)
    if (ip === undefined) return [['IPv6', 'malformed']]
    const { protocol, offset } = ipv6Transport(bytes, at)
    const text = `${formatIpv6(ip.source)} to ${formatIpv6(ip.destination)}, hop limit ${ip.hopLimit}, ${ip.payloadLength} bytes`
    return [['IPv6', text], ...(offset === 0 ? [] : transportHeaders(bytes, protocol, offset))]
  }
  return []
}

function transportHeaders(bytes: Uint8Array, protocol: number, at: number): readonly Header[] {
  if (protocol === IpProtocol.tcp) {
    const tcp = parseTcpHeader(bytes, at)
    if (tcp === undefined) return []
    const flags = tcpFlags.filter((_, bit) => (tcp.flags & (1 << bit)) !== 0).join(' ')
    return [
      [
        'TCP',
        `${tcp.sourcePort} to ${tcp.destinationPort}, ${flags}, sequence ${tcp.sequence}, acknowledges ${tcp.acknowledgement}, window ${tcp.window}`,
      ],
    ]
  }
  if (protocol === IpProtocol.udp) {
    const udp = parseUdpHeader(bytes, at)
    return udp === undefined ? [] : [['UDP', `${udp.sourcePort} to ${udp.destinationPort}, ${udp.length} bytes`]]
  }
  if (protocol === IpProtocol.icmp || protocol === IpProtocol.icmp6) {
    const icmp = parseIcmpHeader(bytes, at)
    return icmp === undefined ? [] : [['ICMP', `type ${icmp.type}, code ${icmp.code}`]]
  }
  return []
}
