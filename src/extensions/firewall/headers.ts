// What the firewall may believe of a packet's headers where the switch found no transport header, or they send it round by others, and what says that fragments belong
// together.
//
// The rule it must not break: a packet is a later fragment only if its headers say so; all else that hides its ports is unreadable, and what
// is unreadable does not pass.
import type { Batch } from '../../extension.ts'

export const Headers = { readable: 0, laterFragment: 1, unreadable: 2 } as const

const EXTENSIONS_MAX = 8
const HOP_BY_HOP = 0
const ROUTING = 43
const FRAGMENT = 44
const AUTHENTICATION = 51
const DESTINATION_OPTIONS = 60
const IPV6_HEADER = 40
const IPV4_WITHOUT_OPTIONS = 0x45
const TCP = 6
const UDP = 17
const SCTP = 132
const ICMP = 1
const ICMP6 = 58

export const hasPorts = (protocol: number): boolean => protocol === TCP || protocol === UDP || protocol === SCTP
/** Protocols whose header the firewall reads. */
const isRead = (protocol: number): boolean => hasPorts(protocol) || protocol === ICMP || protocol === ICMP6
const isExtension = (protocol: number): boolean =>
  protocol === HOP_BY_HOP ||
  protocol === ROUTING ||
  protocol === FRAGMENT ||
  protocol === AUTHENTICATION ||
  protocol === DESTINATION_OPTIONS

// Options of IPv4 that name hosts on the way: the packet goes elsewhere than its destination says.
const LOOSE_ROUTE = 131
const STRICT_ROUTE = 137

// Whether an IPv4 header sends the packet round by other hosts, or its options can't be read.
function isSourceRouted(batch: Batch, i: number): boolean {
  const l3 = batch.networkOffset(i)
  const end = l3 + (batch.u8(i, l3) & 15) * 4
  if (end > batch.headerLength(i)) return true
  for (let at = l3 + 20; at < end; ) {
    const option = batch.u8(i, at)
    if (option === 0) return false
    if (option === LOOSE_ROUTE || option === STRICT_ROUTE) return true
    const length = option === 1 ? 1 : batch.u8(i, at + 1)
    if (length === 0 || at + length > end) return true
    at += length
  }
  return false
}

// Whether an IPv6 routing header has hosts that the packet is yet to visit. What is beyond the header copy is unreadable anyway.
function isRoutedOn(batch: Batch, i: number): boolean {
  const end = batch.headerLength(i)
  const l3 = batch.networkOffset(i)
  let next = batch.u8(i, l3 + 6)
  let at = l3 + IPV6_HEADER
  for (let k = 0; k < EXTENSIONS_MAX && at + 8 <= end && isExtension(next); k++) {
    if (next === ROUTING && batch.u8(i, at + 3) !== 0) return true
    const length = batch.u8(i, at + 1)
    const bytes = next === AUTHENTICATION ? (length + 2) * 4 : next === FRAGMENT ? 8 : (length + 1) * 8
    next = batch.u8(i, at)
    at += bytes
  }
  return false
}

// Offset of the IPv6 fragment header, 0 if there is none within the header copy.
function fragmentHeader(batch: Batch, i: number): number {
  const end = batch.headerLength(i)
  const l3 = batch.networkOffset(i)
  let next = batch.u8(i, l3 + 6)
  let at = l3 + IPV6_HEADER
  for (let k = 0; k < EXTENSIONS_MAX && at + 8 <= end; k++) {
    if (next === FRAGMENT) return at
    if (!isExtension(next)) return 0
    const length = batch.u8(i, at + 1)
    const bytes = next === AUTHENTICATION ? (length + 2) * 4 : (length + 1) * 8
    next = batch.u8(i, at)
    at += bytes
  }
  return 0
}

/** Judges IP packet `i`. Allocates nothing. */
export function judgeHeaders(batch: Batch, i: number): number {
  const l4 = batch.transportOffset(i)
  const l3 = batch.networkOffset(i)
  const protocol = batch.protocol(i)
  if (batch.isIpv4(i)) {
    if (batch.u8(i, l3) !== IPV4_WITHOUT_OPTIONS && isSourceRouted(batch, i)) return Headers.unreadable
    if ((batch.u16(i, l3 + 6) & 0x1fff) !== 0) return Headers.laterFragment
    if (!isRead(protocol)) return Headers.readable
    // A header that stands in the padding behind the packet is none.
    return l4 !== 0 && l4 + 4 <= l3 + batch.u16(i, l3 + 2) ? Headers.readable : Headers.unreadable
  }
  if (isExtension(batch.u8(i, l3 + 6)) && isRoutedOn(batch, i)) return Headers.unreadable
  const fragment = batch.isFragment(i) ? fragmentHeader(batch, i) : 0
  if (fragment !== 0 && (batch.u16(i, fragment + 2) & 0xfff8) !== 0) return Headers.laterFragment
  if (isExtension(protocol)) return Headers.unreadable
  if (!isRead(protocol)) return Headers.readable
  return l4 !== 0 && l4 + 4 <= l3 + IPV6_HEADER + batch.u16(i, l3 + 4) ? Headers.readable : Headers.unreadable
}

/** What the fragments of a datagram have in common besides their addresses: identification of fragment `i`. */
export function fragmentId(batch: Batch, i: number): number {
  if (batch.isIpv4(i)) return batch.u16(i, batch.networkOffset(i) + 4)
  const at = fragmentHeader(batch, i)
  return at === 0 ? 0 : batch.u32(i, at + 4) | 0
}
