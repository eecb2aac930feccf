// IPv4 headers (RFC 791).
import { get16, get32, put16, put32 } from './bytes.ts'
import { internetChecksum } from './checksum.ts'

export const IPV4_HEADER_BYTES = 20
export const IpProtocol = { icmp: 1, tcp: 6, udp: 17, icmp6: 58, sctp: 132 } as const

export interface Ipv4Header {
  /** Of the whole packet, header included. */
  readonly totalLength: number
  readonly identification: number
  readonly dontFragment: boolean
  readonly moreFragments: boolean
  /** In bytes, a multiple of 8. */
  readonly fragmentOffset: number
  readonly timeToLive: number
  readonly protocol: number
  readonly source: number
  readonly destination: number
  /** DSCP and ECN. */
  readonly trafficClass: number
  /** Padded to a multiple of 4 bytes. */
  readonly options: Uint8Array
}

/** Reads the header at `at`; undefined if it is cut, is not version 4, or its lengths contradict each other or the bytes. */
export function parseIpv4Header(bytes: Uint8Array, at: number, end = bytes.length): Ipv4Header | undefined {
  if (at + IPV4_HEADER_BYTES > end || bytes[at]! >> 4 !== 4) return undefined
  const headerBytes = (bytes[at]! & 15) * 4
  const totalLength = get16(bytes, at + 2)
  if (headerBytes < IPV4_HEADER_BYTES || at + headerBytes > end || totalLength < headerBytes) return undefined
  const fragment = get16(bytes, at + 6)
  return {
    totalLength,
    identification: get16(bytes, at + 4),
    dontFragment: (fragment & 0x4000) !== 0,
    moreFragments: (fragment & 0x2000) !== 0,
    fragmentOffset: (fragment & 0x1fff) * 8,
    timeToLive: bytes[at + 8]!,
    protocol: bytes[at + 9]!,
    source: get32(bytes, at + 12),
    destination: get32(bytes, at + 16),
    trafficClass: bytes[at + 1]!,
    options: bytes.slice(at + IPV4_HEADER_BYTES, at + headerBytes),
  }
}

/** Offset behind the header at `at`. */
export const ipv4PayloadOffset = (bytes: Uint8Array, at: number): number => at + (bytes[at]! & 15) * 4

/** Writes a header with its checksum at `at`; returns the offset behind it. */
export function writeIpv4Header(bytes: Uint8Array, at: number, header: Ipv4Header): number {
  const headerBytes = IPV4_HEADER_BYTES + header.options.length
  const fragment = (header.dontFragment ? 0x4000 : 0) | (header.moreFragments ? 0x2000 : 0) | (header.fragmentOffset >> 3)
  bytes[at] = 0x40 | (headerBytes >> 2)
  bytes[at + 1] = header.trafficClass
  put16(bytes, at + 2, header.totalLength)
  put16(bytes, at + 4, header.identification)
  put16(bytes, at + 6, fragment)
  bytes[at + 8] = header.timeToLive
  bytes[at + 9] = header.protocol
  put16(bytes, at + 10, 0)
  put32(bytes, at + 12, header.source)
  put32(bytes, at + 16, header.destination)
  bytes.set(header.options, at + IPV4_HEADER_BYTES)
  put16(bytes, at + 10, internetChecksum(bytes, at, at + headerBytes))
  return at + headerBytes
}

/** True if the header at `at` carries its right checksum. */
export const ipv4ChecksumIsRight = (bytes: Uint8Array, at: number): boolean =>
  internetChecksum(bytes, at, ipv4PayloadOffset(bytes, at)) === 0
