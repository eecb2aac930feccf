// Keys of the connection table that a packet's ports do not give: of the datagram that a fragment belongs to, and of the connection whose
// packet an ICMP error quotes. And what else is read of ICMP and IP headers.
//
// The rule it must not break: only bytes that were copied are read, and only those inside the IP packet are believed.
import * as kernels from '../../kernels/layout.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import * as layout from './connection-layout.ts'

const { HEADER_STRIDE, IPV6_EXTENSIONS_MAX, PF_IPV4 } = kernels
const { FLOW_FLAGS, FLOW_LOCAL, FLOW_PORTS, FLOW_PROTOCOL, FLOW_REMOTE, FLOW_SWITCH_PORT, KIND_ECHO_FROM_REMOTE, KIND_FRAGMENT } =
  layout

export const ICMP = 1
export const ICMPV6 = 58
const TCP = 6
const UDP = 17
const SCTP = 132
const ECHO_REPLY = 0
const UNREACHABLE = 3
const SOURCE_QUENCH = 4
const REDIRECT = 5
const ECHO_REQUEST = 8
const TIME_EXCEEDED = 11
const PARAMETER_PROBLEM = 12
const ECHO_REQUEST_6 = 128
const ECHO_REPLY_6 = 129
/** ICMPv6 types below are errors, but 0. */
const ERRORS_6_END = 5
const ICMP_HEADER = 8
const QUOTED_TRANSPORT = 8
const IPV4_HEADER = 20
const IPV6_HEADER = 40
const FRAGMENT_HEADER = 44
const HOP_BY_HOP = 0
const ROUTING = 43
const DESTINATION_OPTIONS = 60

/** `relatedKey`: the packet is no ICMP error. Not a 32-bit number, since those are sequence numbers. */
export const RELATED_NONE = 0x1_0000_0000
/** It is one, but what it quotes cannot be read. */
export const RELATED_UNREADABLE = 0x2_0000_0000

const startOf = (pool: PacketPool, slot: number): number => slot * HEADER_STRIDE + pool.headerOffset[slot]!
const half = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!
const word = (bytes: Uint8Array, at: number): number => (half(bytes, at) << 16) | half(bytes, at + 2)

/** Bytes from the transport header to the end of the IP packet, as its header has it. */
export function transportBytes(pool: PacketPool, slot: number): number {
  const { header8 } = pool
  const l3 = pool.l3[slot]!
  const at = startOf(pool, slot) + l3
  const end = (pool.flags[slot]! & PF_IPV4) !== 0 ? l3 + half(header8, at + 2) : l3 + IPV6_HEADER + half(header8, at + 4)
  return end - pool.l4[slot]!
}

/** True if the ICMP packet in `slot` asks for an echo. */
export function isEchoRequest(pool: PacketPool, slot: number, protocol: number): boolean {
  const l4 = pool.l4[slot]!
  if (l4 === 0 || l4 + ICMP_HEADER > pool.headerLength[slot]!) return false
  return pool.header8[startOf(pool, slot) + l4] === (protocol === ICMP ? ECHO_REQUEST : ECHO_REQUEST_6)
}

/** Fills `key` with what later fragments of the datagram in `slot` are known by; false if its identification cannot be read. */
export function fragmentKey(key: Uint32Array, flow: Uint32Array, pool: PacketPool, slot: number): boolean {
  const { header8 } = pool
  const l3 = startOf(pool, slot) + pool.l3[slot]!
  for (let k = 0; k < FLOW_PORTS; k++) key[k] = flow[k]!
  key[FLOW_SWITCH_PORT] = flow[FLOW_SWITCH_PORT]!
  key[FLOW_PROTOCOL] = (flow[FLOW_PROTOCOL]! & ~0xff) | KIND_FRAGMENT
  if ((pool.flags[slot]! & PF_IPV4) !== 0) {
    key[FLOW_PROTOCOL] = key[FLOW_PROTOCOL]! | (flow[FLOW_PROTOCOL]! & 0xff)
    key[FLOW_PORTS] = half(header8, l3 + 4)
    return true
  }
  // Of IPv6 the identification alone counts (RFC 8200): the protocol is known of the first fragment only.
  const end = startOf(pool, slot) + pool.headerLength[slot]!
  let next = header8[l3 + 6]!
  let at = l3 + IPV6_HEADER
  for (let k = 0; k < IPV6_EXTENSIONS_MAX && at + 8 <= end; k++) {
    if (next === FRAGMENT_HEADER) {
      key[FLOW_PORTS] = word(header8, at + 4)
      return true
    }
    if (next !== HOP_BY_HOP && next !== ROUTING && next !== DESTINATION_OPTIONS) return false
    next = header8[at]!
    at += (header8[at + 1]! + 1) * 8
  }
  return false
}

function isError(type: number, protocol: number): boolean {
  if (protocol === ICMPV6) return type !== 0 && type < ERRORS_6_END
  return (
    type === UNREACHABLE || type === SOURCE_QUENCH || type === REDIRECT || type === TIME_EXCEEDED || type === PARAMETER_PROBLEM
  )
}

const hasPorts = (protocol: number): boolean => protocol === TCP || protocol === UDP || protocol === SCTP

/**
 * Fills `key` with the connection whose packet the ICMP error in `slot` quotes, and returns the TCP sequence number that it quotes (0 of other
 * protocols). RELATED_NONE if it is no error, RELATED_UNREADABLE if it quotes too little, or a fragment. `incoming`: it goes to the flow's port.
 */
export function relatedKey(key: Uint32Array, flow: Uint32Array, incoming: boolean, pool: PacketPool, slot: number): number {
  const { header8 } = pool
  const l4 = pool.l4[slot]!
  const start = startOf(pool, slot)
  const room = Math.min(pool.headerLength[slot]! - l4, transportBytes(pool, slot))
  if (l4 === 0 || room < ICMP_HEADER) return RELATED_NONE
  const outer = flow[FLOW_PROTOCOL]! & 0xff
  if (!isError(header8[start + l4]!, outer)) return RELATED_NONE
  const at = start + l4 + ICMP_HEADER
  const end = start + l4 + room
  // What comes to the port quotes a packet from the port: its source is local.
  const source = incoming ? FLOW_LOCAL : FLOW_REMOTE
  const destination = incoming ? FLOW_REMOTE : FLOW_LOCAL
  key.fill(0)
  key[FLOW_SWITCH_PORT] = flow[FLOW_SWITCH_PORT]!
  const isolation = flow[FLOW_PROTOCOL]! & 0xffff0000
  if (outer === ICMP) {
    const header = (header8[at]! & 0xf) * 4
    if (at + IPV4_HEADER > end || header8[at]! >> 4 !== 4 || header < IPV4_HEADER) return RELATED_UNREADABLE
    if ((half(header8, at + 6) & 0x1fff) !== 0) return RELATED_UNREADABLE
    key[source + 3] = word(header8, at + 12)
    key[destination + 3] = word(header8, at + 16)
    key[FLOW_PROTOCOL] = isolation | (4 << 8) | header8[at + 9]!
    return quoted(key, header8, at + header, end, incoming)
  }
  if (at + IPV6_HEADER > end || header8[at]! >> 4 !== 6) return RELATED_UNREADABLE
  for (let k = 0; k < 4; k++) {
    key[source + k] = word(header8, at + 8 + k * 4)
    key[destination + k] = word(header8, at + 24 + k * 4)
  }
  key[FLOW_PROTOCOL] = isolation | (6 << 8) | header8[at + 6]!
  return quoted(key, header8, at + IPV6_HEADER, end, incoming)
}

// The transport header of a quoted packet.
function quoted(key: Uint32Array, bytes: Uint8Array, at: number, end: number, incoming: boolean): number {
  if (at + QUOTED_TRANSPORT > end) return RELATED_UNREADABLE
  const protocol = key[FLOW_PROTOCOL]! & 0xff
  key[FLOW_FLAGS] = 0
  if (protocol === ICMP || protocol === ICMPV6) {
    const type = bytes[at]!
    const isRequest = type === (protocol === ICMP ? ECHO_REQUEST : ECHO_REQUEST_6)
    if (!isRequest && type !== (protocol === ICMP ? ECHO_REPLY : ECHO_REPLY_6)) return RELATED_UNREADABLE
    const identifier = half(bytes, at + 4)
    key[FLOW_PORTS] = (identifier << 16) | identifier
    // A request that came from the port was the local side's; quoted to the other side, the remote one's.
    if (isRequest !== incoming) key[FLOW_PROTOCOL] = key[FLOW_PROTOCOL]! | KIND_ECHO_FROM_REMOTE
    return 0
  }
  if (!hasPorts(protocol)) return 0
  const from = half(bytes, at)
  const to = half(bytes, at + 2)
  key[FLOW_PORTS] = incoming ? (from << 16) | to : (to << 16) | from
  return protocol === TCP ? word(bytes, at + 4) : 0
}
