// The flow key of a packet, as rules and the connections of a port know it: from the port's point of view, so that a flow has one key in
// both directions. Read from the outer headers alone: what a tunnel carries is not looked at.
//
// The rule it must not break: what cannot be read, but a receiver might read, is HIDDEN, and whoever judges it says no; bytes behind the end
// of the IP packet are never taken for headers.
import * as layout from '../../kernels/layout.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { hidesNetwork, ipEnd, isExtension, isLaterFragment } from '../guards/headers.ts'
import { type PortTable, VlanMode } from '../port-table.ts'

const { HEADER_STRIDE, PF_FRAGMENT, PF_IPV4, PF_IPV6, PF_TAGGED, PF_VLAN_OOB } = layout
const { none: UNTAGGED, trunk: TRUNK, isolated: ISOLATED, community: COMMUNITY } = VlanMode

/** Words of a flow key. */
export const FLOW_KEY_WORDS = 12
/** Four words of the local address: an IPv4 address stands in the last, the others are 0. */
export const K_LOCAL = 0
/** Four words of the remote address, as above. */
export const K_REMOTE = 4
/** Local port << 16 | remote port; of an ICMP echo its identifier in both places; 0 without ports and for later fragments. */
export const K_PORTS = 8
/** Protocol | family (4 or 6) << 8 | low 16 bits of the isolation id << 16. */
export const K_PROTOCOL = 9
/** Switch port | high bits of the isolation id << 16. */
export const K_SWITCH_PORT = 10
/** TCP flags | FRAGMENT_FIRST or FRAGMENT_LATER << 8. */
export const K_FLAGS = 11

export const FRAGMENT_FIRST = 1
export const FRAGMENT_LATER = 2

/** Neither IPv4 nor IPv6, and no receiver finds IP in it: the key is not filled. */
export const NOT_IP = 0
/** All of the key was read. */
export const WHOLE = 1
/** A fragment other than the first: it has addresses and a protocol, no ports. */
export const LATER_FRAGMENT = 2
/** Ports or protocol stand where they can't be read: addresses are there if the family is. */
export const HIDDEN = 3

const ICMP = 1
const TCP = 6
const UDP = 17
const ICMP6 = 58
const SCTP = 132
const TCP_FLAGS_AT = 13
const ETHER_IPV4 = 0x0800
const ETHER_IPV6 = 0x86dd

/** True for the protocols whose ports are read. */
export const hasPorts = (protocol: number): boolean => protocol === TCP || protocol === UDP || protocol === SCTP

/** True for a key whose addresses are of IPv6. */
export const isWideKey = (key: Uint32Array): boolean => (key[K_PROTOCOL]! & 0xff00) !== 4 << 8

// The isolation id under which the packet in `slot` comes from or goes to `port`: virtual subnet, or VLAN.
function isolationId(pool: PacketPool, ports: PortTable, slot: number, port: number, inbound: boolean): number {
  const subnet = pool.vsid[slot]!
  if (subnet !== 0) return subnet
  // On egress forwarding has put it into its VLAN, out of band where it has no tag.
  const tagged = pool.flags[slot]! & (inbound ? PF_TAGGED | PF_VLAN_OOB : PF_TAGGED)
  const tag = tagged !== 0 ? pool.vlan[slot]! & 0xfff : 0
  return inbound ? tag : sentIn(ports, port, tag)
}

// The same for a packet with VLAN `tag` (0: none) that `port` sends.
function sentIn(ports: PortTable, port: number, tag: number): number {
  const mode = ports.vlanMode(port)
  if (mode === UNTAGGED) return tag
  if (mode === TRUNK && tag !== 0) return tag
  return mode === ISOLATED || mode === COMMUNITY ? ports.vlanSecondary(port) : Math.max(0, ports.vlan(port))
}

/** The isolation id of packets without tag and virtual subnet that `port` sends, or with `inbound` gets. */
export const plainIsolation = (ports: PortTable, port: number, inbound: boolean): number => (inbound ? 0 : sentIn(ports, port, 0))

/**
 * Fills `key` for the packet in `slot`, which comes from `port`, or with `inbound` goes to it: NOT_IP, WHOLE, LATER_FRAGMENT or HIDDEN.
 * Allocates nothing.
 */
export function fillFlowKey(
  pool: PacketPool,
  ports: PortTable,
  slot: number,
  port: number,
  inbound: boolean,
  key: Uint32Array,
): number {
  const { header8 } = pool
  const flags = pool.flags[slot]!
  const l3 = pool.l3[slot]!
  const at = slot * HEADER_STRIDE + pool.headerOffset[slot]! + l3
  const source = inbound ? K_REMOTE : K_LOCAL
  const destination = source ^ K_REMOTE
  const isIpv4 = (flags & PF_IPV4) !== 0
  if (isIpv4) {
    key[0] = key[1] = key[2] = key[4] = key[5] = key[6] = 0
    key[source + 3] = word(header8, at + 12)
    key[destination + 3] = word(header8, at + 16)
  } else if ((flags & PF_IPV6) !== 0) {
    for (let w = 0; w < 4; w++) {
      key[source + w] = word(header8, at + 8 + w * 4)
      key[destination + w] = word(header8, at + 24 + w * 4)
    }
  } else {
    key[K_PROTOCOL] = 0
    const etherType = pool.etherType[slot]!
    return etherType === ETHER_IPV4 || etherType === ETHER_IPV6 || hidesNetwork(pool, slot) ? HIDDEN : NOT_IP
  }
  const protocol = pool.protocol[slot]!
  const isolation = isolationId(pool, ports, slot, port, inbound)
  key[K_PORTS] = 0
  key[K_PROTOCOL] = protocol | (isIpv4 ? 4 << 8 : 6 << 8) | (isolation << 16)
  key[K_SWITCH_PORT] = port | ((isolation >>> 16) << 16)
  const l4 = pool.l4[slot]!
  const isFragment = (flags & PF_FRAGMENT) !== 0
  key[K_FLAGS] = isFragment ? FRAGMENT_FIRST << 8 : 0
  const end = ipEnd(pool, slot)
  if (l4 === 0) {
    if (isFragment && isLaterFragment(pool, slot, end)) {
      key[K_FLAGS] = FRAGMENT_LATER << 8
      // A second fragment that begins within the TCP header may write its flags anew (RFC 3128); the transport of one whose first
      // fragment goes on with extension headers is not known.
      const overlaps = isIpv4 && protocol === TCP && ((header8[at + 6]! << 8) | header8[at + 7]!) % 0x2000 === 1
      return overlaps || (!isIpv4 && isExtension(protocol)) ? HIDDEN : LATER_FRAGMENT
    }
    if (isIpv4) return hasPorts(protocol) ? HIDDEN : WHOLE
    return hasPorts(protocol) || isExtension(protocol) || end < pool.headerLength[slot]! ? HIDDEN : WHOLE
  }
  if (l4 > end) return HIDDEN // the walk over extension headers went on into the padding
  const transport = at - l3 + l4
  if (hasPorts(protocol)) {
    if (l4 + (protocol === TCP ? TCP_FLAGS_AT + 1 : 4) > end) return HIDDEN
    const from = pool.sourceL4[slot]!
    const to = pool.destinationL4[slot]!
    key[K_PORTS] = inbound ? (to << 16) | from : (from << 16) | to
    if (protocol === TCP) key[K_FLAGS] = key[K_FLAGS]! | header8[transport + TCP_FLAGS_AT]!
  } else if ((protocol === ICMP || protocol === ICMP6) && l4 + 6 <= end) {
    const type = header8[transport]!
    const isEcho = protocol === ICMP ? type === 8 || type === 0 : type === 128 || type === 129
    const id = isEcho ? (header8[transport + 4]! << 8) | header8[transport + 5]! : 0
    key[K_PORTS] = (id << 16) | id
  }
  return WHOLE
}

const word = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!

/** Fills the words of `key` that hold addresses with the Ethernet addresses of the frame in `slot`: two words each, the last two. */
export function fillMacKey(pool: PacketPool, slot: number, inbound: boolean, key: Uint32Array): void {
  const { header8 } = pool
  const at = slot * HEADER_STRIDE + pool.headerOffset[slot]!
  const source = inbound ? K_REMOTE : K_LOCAL
  const destination = source ^ K_REMOTE
  key[0] = key[1] = key[4] = key[5] = 0
  key[destination + 2] = (header8[at]! << 8) | header8[at + 1]!
  key[destination + 3] = word(header8, at + 2)
  key[source + 2] = (header8[at + 6]! << 8) | header8[at + 7]!
  key[source + 3] = word(header8, at + 8)
}
