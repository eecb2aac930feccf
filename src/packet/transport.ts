// UDP (RFC 768), TCP (RFC 9293), ICMP and ICMPv6 echo (RFC 792, RFC 4443) headers.
import { get16, get32, put16, put32 } from './bytes.ts'

export const UDP_HEADER_BYTES = 8
export const TCP_HEADER_BYTES = 20
export const ICMP_HEADER_BYTES = 8

export const TcpFlag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128 } as const
export const IcmpType = { echoReply: 0, echoRequest: 8 } as const
export const Icmp6Type = { echoRequest: 128, echoReply: 129, neighborSolicitation: 135, neighborAdvertisement: 136 } as const

export interface UdpHeader {
  readonly sourcePort: number
  readonly destinationPort: number
  /** Header and data. */
  readonly length: number
  readonly checksum: number
}

/** Reads the header at `at`; undefined if it is cut or its length is below 8. */
export function parseUdpHeader(bytes: Uint8Array, at: number, end = bytes.length): UdpHeader | undefined {
  if (at + UDP_HEADER_BYTES > end || get16(bytes, at + 4) < UDP_HEADER_BYTES) return undefined
  return {
    sourcePort: get16(bytes, at),
    destinationPort: get16(bytes, at + 2),
    length: get16(bytes, at + 4),
    checksum: get16(bytes, at + 6),
  }
}

/** Writes a header at `at`; returns the offset behind it. */
export function writeUdpHeader(bytes: Uint8Array, at: number, header: UdpHeader): number {
  put16(bytes, at, header.sourcePort)
  put16(bytes, at + 2, header.destinationPort)
  put16(bytes, at + 4, header.length)
  put16(bytes, at + 6, header.checksum)
  return at + UDP_HEADER_BYTES
}

export interface TcpHeader {
  readonly sourcePort: number
  readonly destinationPort: number
  readonly sequence: number
  readonly acknowledgement: number
  /** TcpFlag bits. */
  readonly flags: number
  readonly window: number
  readonly checksum: number
  readonly urgentPointer: number
  /** Padded to a multiple of 4 bytes. */
  readonly options: Uint8Array
}

/** Reads the header at `at`; undefined if it is cut or its data offset is below 5 words. */
export function parseTcpHeader(bytes: Uint8Array, at: number, end = bytes.length): TcpHeader | undefined {
  if (at + TCP_HEADER_BYTES > end) return undefined
  const headerBytes = (bytes[at + 12]! >> 4) * 4
  if (headerBytes < TCP_HEADER_BYTES || at + headerBytes > end) return undefined
  return {
    sourcePort: get16(bytes, at),
    destinationPort: get16(bytes, at + 2),
    sequence: get32(bytes, at + 4),
    acknowledgement: get32(bytes, at + 8),
    flags: bytes[at + 13]!,
    window: get16(bytes, at + 14),
    checksum: get16(bytes, at + 16),
    urgentPointer: get16(bytes, at + 18),
    options: bytes.slice(at + TCP_HEADER_BYTES, at + headerBytes),
  }
}

/** Writes a header at `at`; returns the offset behind it. */
export function writeTcpHeader(bytes: Uint8Array, at: number, header: TcpHeader): number {
  const headerBytes = TCP_HEADER_BYTES + header.options.length
  put16(bytes, at, header.sourcePort)
  put16(bytes, at + 2, header.destinationPort)
  put32(bytes, at + 4, header.sequence)
  put32(bytes, at + 8, header.acknowledgement)
  bytes[at + 12] = (headerBytes >> 2) << 4
  bytes[at + 13] = header.flags
  put16(bytes, at + 14, header.window)
  put16(bytes, at + 16, header.checksum)
  put16(bytes, at + 18, header.urgentPointer)
  bytes.set(header.options, at + TCP_HEADER_BYTES)
  return at + headerBytes
}

/** An ICMP or ICMPv6 header; `rest` is the second word: identifier and sequence number of an echo. */
export interface IcmpHeader {
  readonly type: number
  readonly code: number
  readonly checksum: number
  readonly rest: number
}

/** Reads the header at `at`; undefined if it is cut. */
export function parseIcmpHeader(bytes: Uint8Array, at: number, end = bytes.length): IcmpHeader | undefined {
  if (at + ICMP_HEADER_BYTES > end) return undefined
  return { type: bytes[at]!, code: bytes[at + 1]!, checksum: get16(bytes, at + 2), rest: get32(bytes, at + 4) }
}

/** Writes a header at `at`; returns the offset behind it. */
export function writeIcmpHeader(bytes: Uint8Array, at: number, header: IcmpHeader): number {
  bytes[at] = header.type
  bytes[at + 1] = header.code
  put16(bytes, at + 2, header.checksum)
  put32(bytes, at + 4, header.rest)
  return at + ICMP_HEADER_BYTES
}
