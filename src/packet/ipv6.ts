// IPv6 headers (RFC 8200) and the walk over extension headers.
import { IPV6_BYTES } from './addresses.ts'
import { get16, get32, put16, put32 } from './bytes.ts'

export const IPV6_HEADER_BYTES = 40
const EXTENSIONS_MAX = 8

const HOP_BY_HOP = 0
const ROUTING = 43
const FRAGMENT = 44
const AUTHENTICATION = 51
const DESTINATION_OPTIONS = 60

export interface Ipv6Header {
  readonly trafficClass: number
  /** 20 bits. */
  readonly flowLabel: number
  /** Bytes behind the header, extension headers included. */
  readonly payloadLength: number
  readonly nextHeader: number
  readonly hopLimit: number
  readonly source: Uint8Array
  readonly destination: Uint8Array
}

/** Where the transport header of an IPv6 packet is. */
export interface Ipv6Transport {
  readonly protocol: number
  /** 0 if the walk met the end, or a fragment that is not the first. */
  readonly offset: number
  readonly isFragment: boolean
}

/** Reads the header at `at`; undefined if it is cut or not version 6. */
export function parseIpv6Header(bytes: Uint8Array, at: number, end = bytes.length): Ipv6Header | undefined {
  if (at + IPV6_HEADER_BYTES > end || bytes[at]! >> 4 !== 6) return undefined
  const first = get32(bytes, at)
  return {
    trafficClass: (first >>> 20) & 0xff,
    flowLabel: first & 0xfffff,
    payloadLength: get16(bytes, at + 4),
    nextHeader: bytes[at + 6]!,
    hopLimit: bytes[at + 7]!,
    source: bytes.slice(at + 8, at + 8 + IPV6_BYTES),
    destination: bytes.slice(at + 24, at + 24 + IPV6_BYTES),
  }
}

/** Writes a header at `at`; returns the offset behind it. */
export function writeIpv6Header(bytes: Uint8Array, at: number, header: Ipv6Header): number {
  put32(bytes, at, (0x60000000 | (header.trafficClass << 20) | header.flowLabel) >>> 0)
  put16(bytes, at + 4, header.payloadLength)
  bytes[at + 6] = header.nextHeader
  bytes[at + 7] = header.hopLimit
  bytes.set(header.source, at + 8)
  bytes.set(header.destination, at + 24)
  return at + IPV6_HEADER_BYTES
}

/** Walks the extension headers of the packet whose header starts at `at`. */
export function ipv6Transport(bytes: Uint8Array, at: number, end = bytes.length): Ipv6Transport {
  let protocol = bytes[at + 6]!
  let offset = at + IPV6_HEADER_BYTES
  let isFragment = false
  for (let i = 0; i < EXTENSIONS_MAX; i++) {
    const isOptions = protocol === HOP_BY_HOP || protocol === ROUTING || protocol === DESTINATION_OPTIONS
    if (!isOptions && protocol !== FRAGMENT && protocol !== AUTHENTICATION) return { protocol, offset, isFragment }
    if (offset + 8 > end) return { protocol, offset: 0, isFragment: isFragment || protocol === FRAGMENT }
    const next = bytes[offset]!
    if (protocol === FRAGMENT) {
      isFragment = true
      if ((get16(bytes, offset + 2) & 0xfff8) !== 0) return { protocol: next, offset: 0, isFragment }
      offset += 8
    } else offset += protocol === AUTHENTICATION ? (bytes[offset + 1]! + 2) * 4 : (bytes[offset + 1]! + 1) * 8
    protocol = next
  }
  return { protocol, offset: 0, isFragment }
}
