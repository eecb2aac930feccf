// Ethernet, ARP, IPv4, ICMP and UDP as bytes: builders that return a whole packet, parsers that return null for what is not one.
//
// The rule it must not break: nothing is read before its length is checked, and what a parser returns lies inside its input.

export const ETHERNET_HEADER_BYTES = 14
/** A frame on the wire is at least this long, without its check sequence. */
export const ETHERNET_MIN_BYTES = 60
const ARP_BYTES = 28
const IPV4_HEADER_BYTES = 20
const UDP_HEADER_BYTES = 8
const ICMP_HEADER_BYTES = 8
const TIME_TO_LIVE = 64

export const EtherType = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const
export const IpProtocol = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 } as const
export const ArpOperation = { request: 1, reply: 2 } as const
export const IcmpType = { echoReply: 0, echoRequest: 8 } as const

/** The Internet checksum (RFC 1071) of all parts one after the other; every part but the last must have an even length. */
export function internetChecksum(...parts: readonly Uint8Array[]): number {
  let sum = 0
  for (const part of parts) {
    const even = part.length & ~1
    for (let i = 0; i < even; i += 2) sum += (part[i] << 8) | part[i + 1]
    if (even < part.length) sum += part[even] << 8
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000)
  return ~sum & 0xffff
}

/** What TCP and UDP sum besides themselves. */
export function pseudoHeader(source: Uint8Array, destination: Uint8Array, protocol: number, length: number): Buffer {
  const tail = Buffer.alloc(source.length === 4 ? 4 : 8)
  if (source.length === 4) {
    tail[1] = protocol
    tail.writeUInt16BE(length, 2)
  } else {
    tail.writeUInt32BE(length, 0)
    tail[7] = protocol
  }
  return Buffer.concat([source, destination, tail])
}

export interface EthernetFrame {
  readonly destination: Buffer
  readonly source: Buffer
  readonly etherType: number
  readonly payload: Buffer
}

/** A frame, padded to the shortest length that Ethernet has. */
export function buildEthernet(destination: Uint8Array, source: Uint8Array, etherType: number, payload: Uint8Array): Buffer {
  const frame = Buffer.alloc(Math.max(ETHERNET_MIN_BYTES, ETHERNET_HEADER_BYTES + payload.length))
  frame.set(destination, 0)
  frame.set(source, 6)
  frame.writeUInt16BE(etherType, 12)
  frame.set(payload, ETHERNET_HEADER_BYTES)
  return frame
}

export function parseEthernet(frame: Buffer): EthernetFrame | null {
  if (frame.length < ETHERNET_HEADER_BYTES) return null
  return {
    destination: frame.subarray(0, 6),
    source: frame.subarray(6, 12),
    etherType: frame.readUInt16BE(12),
    payload: frame.subarray(ETHERNET_HEADER_BYTES),
  }
}

export interface ArpPacket {
  readonly operation: number
  readonly senderMac: Uint8Array
  readonly senderIp: Uint8Array
  readonly targetMac: Uint8Array
  readonly targetIp: Uint8Array
}

export function buildArp({ operation, senderMac, senderIp, targetMac, targetIp }: ArpPacket): Buffer {
  const packet = Buffer.alloc(ARP_BYTES)
  packet.writeUInt16BE(1, 0)
  packet.writeUInt16BE(EtherType.ipv4, 2)
  packet[4] = 6
  packet[5] = 4
  packet.writeUInt16BE(operation, 6)
  packet.set(senderMac, 8)
  packet.set(senderIp, 14)
  packet.set(targetMac, 18)
  packet.set(targetIp, 24)
  return packet
}

export function parseArp(packet: Buffer): ArpPacket | null {
  if (packet.length < ARP_BYTES) return null
  if (packet.readUInt32BE(0) !== ((1 << 16) | EtherType.ipv4) || packet.readUInt16BE(4) !== 0x0604) return null
  return {
    operation: packet.readUInt16BE(6),
    senderMac: packet.subarray(8, 14),
    senderIp: packet.subarray(14, 18),
    targetMac: packet.subarray(18, 24),
    targetIp: packet.subarray(24, 28),
  }
}

export interface IpPacket {
  readonly source: Uint8Array
  readonly destination: Uint8Array
  readonly protocol: number
  readonly payload: Buffer
}

export function buildIpv4({ source, destination, protocol, payload }: IpPacket, identification: number): Buffer {
  const packet = Buffer.alloc(IPV4_HEADER_BYTES + payload.length)
  packet[0] = 0x45
  packet.writeUInt16BE(packet.length, 2)
  packet.writeUInt16BE(identification & 0xffff, 4)
  packet.writeUInt16BE(0x4000, 6)
  packet[8] = TIME_TO_LIVE
  packet[9] = protocol
  packet.set(source, 12)
  packet.set(destination, 16)
  packet.writeUInt16BE(internetChecksum(packet.subarray(0, IPV4_HEADER_BYTES)), 10)
  packet.set(payload, IPV4_HEADER_BYTES)
  return packet
}

/** A whole IPv4 packet with a right header checksum. Fragments are not put together: they are null. */
export function parseIpv4(packet: Buffer): IpPacket | null {
  if (packet.length < IPV4_HEADER_BYTES || packet[0] >> 4 !== 4) return null
  const headerBytes = (packet[0] & 15) * 4
  const totalBytes = packet.readUInt16BE(2)
  if (headerBytes < IPV4_HEADER_BYTES || totalBytes < headerBytes || totalBytes > packet.length) return null
  if (internetChecksum(packet.subarray(0, headerBytes)) !== 0 || (packet.readUInt16BE(6) & 0x3fff) !== 0) return null
  return {
    source: packet.subarray(12, 16),
    destination: packet.subarray(16, 20),
    protocol: packet[9],
    payload: packet.subarray(headerBytes, totalBytes),
  }
}

export interface IcmpEcho {
  readonly type: number
  readonly identifier: number
  readonly sequence: number
  readonly payload: Uint8Array
}

export function buildIcmpEcho({ type, identifier, sequence, payload }: IcmpEcho): Buffer {
  const packet = Buffer.alloc(ICMP_HEADER_BYTES + payload.length)
  packet[0] = type
  packet.writeUInt16BE(identifier, 4)
  packet.writeUInt16BE(sequence, 6)
  packet.set(payload, ICMP_HEADER_BYTES)
  packet.writeUInt16BE(internetChecksum(packet), 2)
  return packet
}

/** An echo request or reply with a right checksum. */
export function parseIcmpEcho(packet: Buffer): IcmpEcho | null {
  if (packet.length < ICMP_HEADER_BYTES || packet[1] !== 0 || internetChecksum(packet) !== 0) return null
  if (packet[0] !== IcmpType.echoReply && packet[0] !== IcmpType.echoRequest) return null
  return {
    type: packet[0],
    identifier: packet.readUInt16BE(4),
    sequence: packet.readUInt16BE(6),
    payload: packet.subarray(ICMP_HEADER_BYTES),
  }
}

export interface UdpDatagram {
  readonly sourcePort: number
  readonly destinationPort: number
  readonly payload: Uint8Array
}

export function buildUdp(source: Uint8Array, destination: Uint8Array, datagram: UdpDatagram): Buffer {
  const packet = Buffer.alloc(UDP_HEADER_BYTES + datagram.payload.length)
  packet.writeUInt16BE(datagram.sourcePort, 0)
  packet.writeUInt16BE(datagram.destinationPort, 2)
  packet.writeUInt16BE(packet.length, 4)
  packet.set(datagram.payload, UDP_HEADER_BYTES)
  const sum = internetChecksum(pseudoHeader(source, destination, IpProtocol.udp, packet.length), packet)
  // 0 means "not summed": the other zero stands for it (RFC 768).
  packet.writeUInt16BE(sum === 0 ? 0xffff : sum, 6)
  return packet
}

/** A datagram whose length and checksum (if it has one) are right. */
export function parseUdp(source: Uint8Array, destination: Uint8Array, packet: Buffer): UdpDatagram | null {
  if (packet.length < UDP_HEADER_BYTES) return null
  const length = packet.readUInt16BE(4)
  if (length < UDP_HEADER_BYTES || length > packet.length) return null
  const whole = packet.subarray(0, length)
  const summed = packet.readUInt16BE(6) !== 0
  if (summed && internetChecksum(pseudoHeader(source, destination, IpProtocol.udp, length), whole) !== 0) return null
  return {
    sourcePort: packet.readUInt16BE(0),
    destinationPort: packet.readUInt16BE(2),
    payload: whole.subarray(UDP_HEADER_BYTES),
  }
}
