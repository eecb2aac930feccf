// Tells a guest why its packet goes no further (RFC 792, RFC 1191, RFC 1812, RFC 4443): it does not fit into a tunnel, its hops are used up,
// no route leads there, nobody has the address.
//
// The rule it must not break: no message about a message, a fragment that is not the first, or a packet from or to a group.
import { get16, put16 } from '../../packet/bytes.ts'
import { internetChecksum, transportChecksum } from '../../packet/checksum.ts'

/** A message is never longer. */
export const ICMP_ERROR_BYTES_MAX = 14 + 40 + 8 + 114

export const IcmpError = { tooBig: 0, hopsUsedUp: 1, noRoute: 2, nobodyThere: 3 } as const
export type IcmpError = (typeof IcmpError)[keyof typeof IcmpError]

// Type and code of each message, by family.
const IPV4_TYPES: readonly number[] = [3, 11, 3, 3]
const IPV4_CODES: readonly number[] = [4, 0, 0, 1]
const IPV6_TYPES: readonly number[] = [2, 3, 1, 1]
const IPV6_CODES: readonly number[] = [0, 0, 0, 3]
const ETHERNET = 14
const IPV4 = 20
const IPV6 = 40
const ICMP = 8
const ICMPV6_PROTOCOL = 58
const ICMP_PROTOCOL = 1
const QUOTED = 114
const HOPS = 64

/**
 * Writes the message about the untagged frame whose first bytes are `frame[start…end-1]` to `out`, which has ICMP_ERROR_BYTES_MAX. It comes from
 * the IP address `from`; without one from the address that the packet was for. `mtu`: what fits, of tooBig. Returns the message's length; 0:
 * there is none to be sent.
 */
export function icmpError(
  frame: Uint8Array,
  start: number,
  end: number,
  error: IcmpError,
  mtu: number,
  from: Uint8Array | undefined,
  out: Uint8Array,
): number {
  const ip = start + ETHERNET
  if (end < ip + IPV4 + ICMP || ((frame[start]! | frame[start + 6]!) & 1) !== 0) return 0
  for (let i = 0; i < 6; i++) {
    out[i] = frame[start + 6 + i]!
    out[6 + i] = frame[start + i]!
  }
  out[12] = frame[start + 12]!
  out[13] = frame[start + 13]!
  const type = get16(frame, start + 12)
  if (type === 0x0800) return ipv4(frame, ip, end, error, mtu, from, out)
  return type === 0x86dd && end >= ip + IPV6 ? ipv6(frame, ip, end, error, mtu, from, out) : 0
}

function ipv4(
  frame: Uint8Array,
  ip: number,
  end: number,
  error: number,
  mtu: number,
  from: Uint8Array | undefined,
  out: Uint8Array,
): number {
  const header = (frame[ip]! & 15) * 4
  const fragment = get16(frame, ip + 6)
  if (frame[ip]! >> 4 !== 4 || header < IPV4 || ip + header + ICMP > end || (fragment & 0x1fff) !== 0) return 0
  if (frame[ip + 9] === ICMP_PROTOCOL && frame[ip + header] !== 8 && frame[ip + header] !== 0) return 0
  if (frame[ip + 12]! >> 4 >= 14 || frame[ip + 12] === 0) return 0
  const quoted = Math.min(QUOTED, end - ip)
  const to = ETHERNET
  out.fill(0, to, to + IPV4 + ICMP)
  out[to] = 0x45
  put16(out, to + 2, IPV4 + ICMP + quoted)
  out[to + 8] = HOPS
  out[to + 9] = ICMP_PROTOCOL
  for (let i = 0; i < 4; i++) {
    out[to + 12 + i] = from === undefined ? frame[ip + 16 + i]! : from[i]!
    out[to + 16 + i] = frame[ip + 12 + i]!
  }
  put16(out, to + 10, internetChecksum(out, to, to + IPV4))
  const icmp = to + IPV4
  out[icmp] = IPV4_TYPES[error]!
  out[icmp + 1] = IPV4_CODES[error]!
  put16(out, icmp + 6, mtu)
  for (let i = 0; i < quoted; i++) out[icmp + ICMP + i] = frame[ip + i]!
  put16(out, icmp + 2, internetChecksum(out, icmp, icmp + ICMP + quoted))
  return icmp + ICMP + quoted
}

function ipv6(
  frame: Uint8Array,
  ip: number,
  end: number,
  error: number,
  mtu: number,
  from: Uint8Array | undefined,
  out: Uint8Array,
): number {
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
    out[to + 8 + i] = from === undefined ? frame[ip + 24 + i]! : from[i]!
    out[to + 24 + i] = frame[ip + 8 + i]!
  }
  const icmp = to + IPV6
  out[icmp] = IPV6_TYPES[error]!
  out[icmp + 1] = IPV6_CODES[error]!
  put16(out, icmp + 6, mtu)
  for (let i = 0; i < quoted; i++) out[icmp + ICMP + i] = frame[ip + i]!
  put16(out, icmp + 2, transportChecksum(out, to, ICMPV6_PROTOCOL, icmp, icmp + ICMP + quoted))
  return icmp + ICMP + quoted
}
