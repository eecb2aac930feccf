// Tells a guest that its packet does not fit into a tunnel: ICMP fragmentation needed (RFC 792, RFC 1191), ICMPv6 packet too big (RFC 4443).
// The message comes from the address that the packet was for, whose MTU it is about.
//
// The rule it must not break: no message about a message, a fragment that is not the first, or a packet from or to a group.
import { get16, put16 } from '../../packet/bytes.ts'
import { internetChecksum, transportChecksum } from '../../packet/checksum.ts'

/** A message is never longer. */
export const TOO_BIG_BYTES_MAX = 14 + 40 + 8 + 114

const ETHERNET = 14
const IPV4 = 20
const IPV6 = 40
const ICMP = 8
const ICMPV6_PROTOCOL = 58
const ICMP_PROTOCOL = 1
const QUOTED = 114
const UNREACHABLE = 3
const FRAGMENTATION_NEEDED = 4
const PACKET_TOO_BIG = 2
const HOPS = 64

/**
 * Writes the message about the frame whose first bytes are `frame[start…end-1]` to `out`, which has TOO_BIG_BYTES_MAX. Returns its length;
 * 0: there is none to be sent. `mtu`: what fits.
 */
export function tooBigMessage(frame: Uint8Array, start: number, end: number, mtu: number, out: Uint8Array): number {
  const ip = start + ETHERNET
  if (end < ip + IPV4 + ICMP || ((frame[start]! | frame[start + 6]!) & 1) !== 0) return 0
  for (let i = 0; i < 6; i++) {
    out[i] = frame[start + 6 + i]!
    out[6 + i] = frame[start + i]!
  }
  out[12] = frame[start + 12]!
  out[13] = frame[start + 13]!
  const type = get16(frame, start + 12)
  if (type === 0x0800) return ipv4(frame, ip, end, mtu, out)
  return type === 0x86dd && end >= ip + IPV6 ? ipv6(frame, ip, end, mtu, out) : 0
}

function ipv4(frame: Uint8Array, ip: number, end: number, mtu: number, out: Uint8Array): number {
  const header = (frame[ip]! & 15) * 4
  const fragment = get16(frame, ip + 6)
  if (frame[ip]! >> 4 !== 4 || header < IPV4 || ip + header + ICMP > end) return 0
  if ((fragment & 0x4000) === 0 || (fragment & 0x1fff) !== 0) return 0
  if (frame[ip + 9] === ICMP_PROTOCOL && frame[ip + header] !== 8 && frame[ip + header] !== 0) return 0
  const quoted = Math.min(QUOTED, end - ip)
  const to = ETHERNET
  out.fill(0, to, to + IPV4 + ICMP)
  out[to] = 0x45
  put16(out, to + 2, IPV4 + ICMP + quoted)
  out[to + 8] = HOPS
  out[to + 9] = ICMP_PROTOCOL
  for (let i = 0; i < 4; i++) {
    out[to + 12 + i] = frame[ip + 16 + i]!
    out[to + 16 + i] = frame[ip + 12 + i]!
  }
  put16(out, to + 10, internetChecksum(out, to, to + IPV4))
  const icmp = to + IPV4
  out[icmp] = UNREACHABLE
  out[icmp + 1] = FRAGMENTATION_NEEDED
  put16(out, icmp + 6, mtu)
  for (let i = 0; i < quoted; i++) out[icmp + ICMP + i] = frame[ip + i]!
  put16(out, icmp + 2, internetChecksum(out, icmp, icmp + ICMP + quoted))
  return icmp + ICMP + quoted
}

function ipv6(frame: Uint8Array, ip: number, end: number, mtu: number, out: Uint8Array): number {
  if (frame[ip]! >> 4 !== 6 || frame[ip + 24] === 0xff || frame[ip + 8] === 0xff) return 0
  if (frame[ip + 6] === ICMPV6_PROTOCOL && end > ip + IPV6 && frame[ip + IPV6]! < 128) return 0
  const quoted = Math.min(QUOTED, end - ip)
  const to = ETHERNET
  out.fill(0, to, to + IPV6 + ICMP)
  out[to] = 0x60
  put16(out, to + 4, ICMP + quoted)
  out[to + 6] = ICMPV6_PROTOCOL
  out[to + 7] = HOPS
  for (let i = 0; i < 16; i++) {
    out[to + 8 + i] = frame[ip + 24 + i]!
    out[to + 24 + i] = frame[ip + 8 + i]!
  }
  const icmp = to + IPV6
  out[icmp] = PACKET_TOO_BIG
  put16(out, icmp + 6, mtu)
  for (let i = 0; i < quoted; i++) out[icmp + ICMP + i] = frame[ip + i]!
  put16(out, icmp + 2, transportChecksum(out, to, ICMPV6_PROTOCOL, icmp, icmp + ICMP + quoted))
  return icmp + ICMP + quoted
}
