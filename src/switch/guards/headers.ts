// What the guards may believe of a packet's headers: where its transport header is, and whether the sender has hidden it.
//
// The rule it must not break: what a guard cannot read, but a receiver might, counts as hidden, and a guard drops it (RFC 7113, RFC 7610);
// bytes behind the end of the IP packet (padding) are never taken for headers.
import * as layout from '../../kernels/layout.ts'
import type { PacketPool } from '../../ndis/pool.ts'

const { HEADER_STRIDE, IPV6_EXTENSIONS_MAX, PF_FRAGMENT, PF_IPV4, PF_IPV6 } = layout

/** The packet carries no such protocol, or is a later fragment of one whose first was judged. */
export const OTHER = 0
/** The bytes that were asked for can be read. */
export const READABLE = 1
export const HIDDEN = 2

const HOP_BY_HOP = 0
const ROUTING = 43
const FRAGMENT = 44
const AUTHENTICATION = 51
const DESTINATION_OPTIONS = 60
const IPV6_HEADER = 40
const SNAP_BYTES = 8
/** Ether types below are lengths (IEEE 802.3). */
const ETHER_TYPE_MIN = 0x600

/** True for the protocols of headers that another one follows. */
export const isExtension = (protocol: number): boolean =>
  protocol === HOP_BY_HOP ||
  protocol === ROUTING ||
  protocol === FRAGMENT ||
  protocol === AUTHENTICATION ||
  protocol === DESTINATION_OPTIONS

/** Offset in the header area of the packet's first byte. */
export const frameAt = (pool: PacketPool, slot: number): number => slot * HEADER_STRIDE + pool.headerOffset[slot]!

/** Where the readable bytes of the IP packet end, from the frame's start. */
export function ipEnd(pool: PacketPool, slot: number): number {
  const { header8 } = pool
  const l3 = pool.l3[slot]!
  const at = frameAt(pool, slot) + l3
  const end =
    (pool.flags[slot]! & PF_IPV4) !== 0
      ? l3 + ((header8[at + 2]! << 8) | header8[at + 3]!)
      : l3 + IPV6_HEADER + ((header8[at + 4]! << 8) | header8[at + 5]!)
  return Math.min(end, pool.headerLength[slot]!)
}

/**
 * True if the packet in `slot` has its transport header right behind an IP header, and no receiver would find another one: what most packets
 * are, so that its protocol and ports can be believed without more.
 */
export function isPlain(pool: PacketPool, slot: number): boolean {
  const l4 = pool.l4[slot]!
  return l4 !== 0 && ((pool.flags[slot]! & PF_IPV4) !== 0 || l4 === pool.l3[slot]! + IPV6_HEADER)
}

/**
 * Whether the packet in `slot` carries `protocol` with `bytes` bytes of its header to be read at the pool's `l4`: OTHER, READABLE or HIDDEN.
 * A frame that is not IP is OTHER, unless IP is hidden in it (see `hidesNetwork`). Allocates nothing.
 */
export function transport(pool: PacketPool, slot: number, protocol: number, bytes: number): number {
  const kind = pool.flags[slot]!
  const l4 = pool.l4[slot]!
  const found = pool.protocol[slot]!
  if ((kind & PF_IPV4) !== 0) {
    if (found !== protocol) return OTHER
    if (l4 !== 0) return l4 + bytes <= ipEnd(pool, slot) ? READABLE : HIDDEN
    return isLaterIpv4Fragment(pool, slot) ? OTHER : HIDDEN
  }
  if ((kind & PF_IPV6) === 0) return hidesNetwork(pool, slot) ? HIDDEN : OTHER
  const end = ipEnd(pool, slot)
  if (l4 !== 0) {
    if (l4 > end) return HIDDEN // the walk over extension headers went on into the padding
    if (found !== protocol) return OTHER
    return l4 + bytes <= end ? READABLE : HIDDEN
  }
  if ((kind & PF_FRAGMENT) !== 0 && isLaterIpv6Fragment(pool, slot, end)) return OTHER
  return found === protocol || isExtension(found) || end < pool.headerLength[slot]! ? HIDDEN : OTHER
}

function isLaterIpv4Fragment(pool: PacketPool, slot: number): boolean {
  const at = frameAt(pool, slot) + pool.l3[slot]!
  return (((pool.header8[at + 6]! << 8) | pool.header8[at + 7]!) & 0x1fff) !== 0
}

/** True if the IP packet in `slot` is a fragment other than the first. `end`: what `ipEnd` says. */
export const isLaterFragment = (pool: PacketPool, slot: number, end: number): boolean =>
  (pool.flags[slot]! & PF_IPV4) !== 0 ? isLaterIpv4Fragment(pool, slot) : isLaterIpv6Fragment(pool, slot, end)

function isLaterIpv6Fragment(pool: PacketPool, slot: number, end: number): boolean {
  const { header8 } = pool
  const start = frameAt(pool, slot)
  let at = pool.l3[slot]! + IPV6_HEADER
  let next = header8[start + pool.l3[slot]! + 6]!
  for (let k = 0; k < IPV6_EXTENSIONS_MAX && at + 8 <= end; k++) {
    if (next === FRAGMENT) return (((header8[start + at + 2]! << 8) | header8[start + at + 3]!) & 0xfff8) !== 0
    if (!isExtension(next)) return false
    const length = header8[start + at + 1]!
    const isShort = next === AUTHENTICATION
    next = header8[start + at]!
    at += isShort ? (length + 2) * 4 : (length + 1) * 8
  }
  return false
}

/**
 * True if receivers may find IP or ARP in a frame where the switch found none: behind a third tag, or behind LLC and SNAP headers, which
 * no guest needs (CVE-2021-27853, CVE-2021-27861).
 */
export function hidesNetwork(pool: PacketPool, slot: number): boolean {
  const etherType = pool.etherType[slot]!
  if (etherType >= ETHER_TYPE_MIN) return etherType === 0x8100 || etherType === 0x88a8 || etherType === 0x9100
  const l3 = pool.l3[slot]!
  if (pool.headerLength[slot]! < l3 + SNAP_BYTES) return false
  const { header8 } = pool
  const at = frameAt(pool, slot) + l3
  const isSnap = header8[at] === 0xaa && header8[at + 1] === 0xaa && (header8[at + 2]! & 0xef) === 0x03
  const isEther = header8[at + 3] === 0 && header8[at + 4] === 0 && (header8[at + 5] === 0 || header8[at + 5] === 0xf8)
  return isSnap && isEther
}
