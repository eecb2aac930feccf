// One line of text for a frame, for traces and test messages.
import { formatIpv4, formatIpv6, formatMac } from './addresses.ts'
import { ArpOperation, parseArp } from './arp.ts'
import { EtherType, ethernetHeaderBytes, parseEthernet } from './ethernet.ts'
import { IpProtocol, ipv4PayloadOffset, parseIpv4Header } from './ipv4.ts'
import { ipv6Transport, parseIpv6Header } from './ipv6.ts'
import { parseIcmpHeader, parseTcpHeader, parseUdpHeader, TcpFlag } from './transport.ts'

/** What a frame is, as far as its `length` bytes tell. Never throws. */
export function summarizeFrame(bytes: Uint8Array, length = bytes.length): string {
  const ethernet = parseEthernet(bytes, 0, length)
  if (!ethernet) return `${length} bytes, too short for Ethernet`
  const tags = ethernet.tags.map((tag) => ` vlan ${tag.id}`).join('')
  const link = `${formatMac(ethernet.source)} > ${formatMac(ethernet.destination)}${tags}`
  const at = ethernetHeaderBytes(ethernet.tags.length)
  const network = networkText(bytes, ethernet.etherType, at, length)
  return `${link} ${network}, ${length} bytes`
}

function networkText(bytes: Uint8Array, etherType: number, at: number, end: number): string {
  if (etherType === EtherType.arp) {
    const arp = parseArp(bytes, at, end)
    if (!arp) return 'ARP, malformed'
    return arp.operation === ArpOperation.request
      ? `ARP who has ${formatIpv4(arp.targetIpv4)} tell ${formatIpv4(arp.senderIpv4)}`
      : `ARP ${formatIpv4(arp.senderIpv4)} is at ${formatMac(arp.senderMac)}`
  }
  if (etherType === EtherType.ipv4) {
    const ip = parseIpv4Header(bytes, at, end)
    if (!ip) return 'IPv4, malformed'
    const from = formatIpv4(ip.source)
    const to = formatIpv4(ip.destination)
    if (ip.fragmentOffset > 0) return `IPv4 ${from} > ${to} protocol ${ip.protocol} fragment at ${ip.fragmentOffset}`
    return transportText(bytes, ip.protocol, ipv4PayloadOffset(bytes, at), end, from, to)
  }
  if (etherType === EtherType.ipv6) {
    const ip = parseIpv6Header(bytes, at, end)
    if (!ip) return 'IPv6, malformed'
    const { protocol, offset } = ipv6Transport(bytes, at, end)
    return transportText(bytes, protocol, offset === 0 ? end : offset, end, formatIpv6(ip.source), formatIpv6(ip.destination))
  }
  return `ether type 0x${etherType.toString(16).padStart(4, '0')}`
}

const flagLetters = [
  [TcpFlag.syn, 'S'],
  [TcpFlag.fin, 'F'],
  [TcpFlag.rst, 'R'],
  [TcpFlag.psh, 'P'],
  [TcpFlag.ack, 'A'],
] as const

function transportText(bytes: Uint8Array, protocol: number, at: number, end: number, from: string, to: string): string {
  if (protocol === IpProtocol.tcp) {
    const tcp = parseTcpHeader(bytes, at, end)
    if (!tcp) return `TCP ${from} > ${to}, cut`
    const flags = flagLetters.map(([bit, letter]) => ((tcp.flags & bit) === 0 ? '' : letter)).join('')
    return `TCP ${from}.${tcp.sourcePort} > ${to}.${tcp.destinationPort} [${flags}]`
  }
  if (protocol === IpProtocol.udp) {
    const udp = parseUdpHeader(bytes, at, end)
    return udp ? `UDP ${from}.${udp.sourcePort} > ${to}.${udp.destinationPort}` : `UDP ${from} > ${to}, cut`
  }
  if (protocol === IpProtocol.icmp || protocol === IpProtocol.icmp6) {
    const icmp = parseIcmpHeader(bytes, at, end)
    const name = protocol === IpProtocol.icmp ? 'ICMP' : 'ICMPv6'
    return icmp ? `${name} ${from} > ${to} type ${icmp.type}` : `${name} ${from} > ${to}, cut`
  }
  return `IP ${from} > ${to} protocol ${protocol}`
}
