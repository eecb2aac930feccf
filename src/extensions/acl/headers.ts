// What can be said of a packet whose transport header is not there to be read.
//
// The rule it must not break: a packet is a later fragment only if its headers say so; everything else that hides its ports is
// unreadable, because hiding ports is a way round rules.
import { type Batch, EtherType } from '../../extension.ts'

/** A transport header was read, or the protocol has none with ports. */
export const READABLE = 0
/** An IP fragment other than the first. */
export const LATER_FRAGMENT = 1
/** Malformed, cut, or with its headers beyond the bytes that the switch copied. */
export const UNREADABLE = 2

const EXTENSIONS_MAX = 8
const HOP_BY_HOP = 0
const TCP = 6
const UDP = 17
const ROUTING = 43
const FRAGMENT = 44
const AUTHENTICATION = 51
const DESTINATION_OPTIONS = 60
const SCTP = 132

export const hasPorts = (protocol: number): boolean => protocol === TCP || protocol === UDP || protocol === SCTP

/** Judges packet `i`, whose transport offset is 0. Allocates nothing. */
export function judgeHeaders(batch: Batch, i: number): number {
  const protocol = batch.protocol(i)
  if (batch.isIpv4(i)) {
    if ((batch.u16(i, batch.networkOffset(i) + 6) & 0x1fff) !== 0) return LATER_FRAGMENT
    return hasPorts(protocol) ? UNREADABLE : READABLE
  }
  if (batch.isIpv6(i)) {
    if (batch.isFragment(i) && isLaterIpv6Fragment(batch, i)) return LATER_FRAGMENT
    return hasPorts(protocol) || isExtension(protocol) ? UNREADABLE : READABLE
  }
  const etherType = batch.etherType(i)
  return etherType === EtherType.ipv4 || etherType === EtherType.ipv6 ? UNREADABLE : READABLE
}

// A protocol number at which the walk over IPv6 extension headers stopped for want of bytes.
const isExtension = (protocol: number): boolean =>
  protocol === HOP_BY_HOP ||
  protocol === ROUTING ||
  protocol === FRAGMENT ||
  protocol === AUTHENTICATION ||
  protocol === DESTINATION_OPTIONS

function isLaterIpv6Fragment(batch: Batch, i: number): boolean {
  const header = batch.headerLength(i)
  let next = batch.u8(i, batch.networkOffset(i) + 6)
  let at = batch.networkOffset(i) + 40
  for (let k = 0; k < EXTENSIONS_MAX && at + 8 <= header; k++) {
    if (next === FRAGMENT) return (batch.u16(i, at + 2) & 0xfff8) !== 0
    if (!isExtension(next)) return false
    const length = batch.u8(i, at + 1)
    const bytes = next === AUTHENTICATION ? (length + 2) * 4 : (length + 1) * 8
    next = batch.u8(i, at)
    at += bytes
  }
  return false
}
