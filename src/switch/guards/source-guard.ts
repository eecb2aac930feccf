// Source guard: a port speaks for its own IP addresses only, in ARP, neighbour discovery, IPv4 and IPv6 (spec 7.6; RFC 2827, RFC 6620,
// RFC 7513); and where it may send from its own MAC address only, ARP and neighbour discovery must not tell another one either.
//
// The rule it must not break: what a guest must say before it has an address passes (DHCP, probes and detection of duplicates of its own
// addresses, reports of groups); frames that are neither IP nor ARP pass.
import * as layout from '../../kernels/layout.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { PortFlag, type PortTable } from '../port-table.ts'
import { frameAt, HIDDEN, hidesNetwork, ipEnd, OTHER, READABLE, transport } from './headers.ts'

const { PF_FRAGMENT, PF_IPV4, PF_IPV6 } = layout
const { checkSource } = PortFlag
const ETHERTYPE_IPV4 = 0x0800
const ETHERTYPE_ARP = 0x0806
const ETHERTYPE_IPV6 = 0x86dd
const IGMP = 2
const UDP = 17
const ICMPV6 = 58
// Reports of IGMPv1, v2 and v3, and leaves.
const IGMP_REPORTS: readonly number[] = [0x12, 0x16, 0x17, 0x22]
const DHCP_SERVER = 67
const ARP_BYTES = 28
const ARP_REQUEST = 1
const ARP_SENDER_MAC = 8
const ARP_SENDER = 14
const ARP_TARGET = 24
const IPV4_SOURCE = 12
const IPV6_SOURCE = 8
const ROUTER_SOLICITATION = 133
const ROUTER_ADVERTISEMENT = 134
const SOLICITATION = 135
const ADVERTISEMENT = 136
const REDIRECT = 137
const ND_TARGET = 8
const ND_BYTES = 24
// Where options begin: behind a router solicitation, and behind a router advertisement.
const RS_BYTES = 8
const RA_BYTES = 16
const SOURCE_MAC = 1
const TARGET_MAC = 2
const LINK_LOCAL = 0xfe800000 | 0
const GROUPS = 0xff
const LOOPBACK = 127
const FIRST_GROUP = 224

const wordAt = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!

/** What a source guard knows beside the packet. */
export interface SourceGuardView {
  readonly ports: PortTable
  /** Milliseconds of the switch's clock. */
  readonly tick: number
  /** False in a dry run: what would be learned is allowed, and not learned. */
  readonly learns: boolean
}

/** True if the packet in `slot`, from `port`, speaks for an address that is not the port's. Allocates nothing. */
export function isForeign(pool: PacketPool, view: SourceGuardView, slot: number, port: number): boolean {
  const kind = pool.flags[slot]!
  if ((kind & PF_IPV4) !== 0) return isForeignIpv4(pool, view, slot, port)
  if ((kind & PF_IPV6) !== 0) return isForeignIpv6(pool, view, slot, port)
  const etherType = pool.etherType[slot]!
  if (etherType === ETHERTYPE_ARP) return isForeignArp(pool, view, slot, port)
  return etherType === ETHERTYPE_IPV4 || etherType === ETHERTYPE_IPV6 || hidesNetwork(pool, slot)
}

// Addresses that no host has are learned of none.
const isHost = (address: number): boolean => address >>> 24 < FIRST_GROUP && address >>> 24 !== LOOPBACK

const allowsIpv4 = ({ ports, learns }: SourceGuardView, port: number, address: number): boolean =>
  ports.guards.allowsIpv4(port, address) ||
  (ports.guards.learnsSources(port) && isHost(address) && ports.learnIp(port, address, learns))

// Whether the MAC address at `at`, which a message tells, is one that the port may not send from. ES-525, ES-527
function isForeignMac(ports: PortTable, port: number, bytes: Uint8Array, at: number): boolean {
  if ((ports.flags(port) & checkSource) === 0) return false
  const high = bytes[at]! | (bytes[at + 1]! << 8)
  const low = bytes[at + 2]! | (bytes[at + 3]! << 8) | (bytes[at + 4]! << 16) | (bytes[at + 5]! << 24)
  return !(low === ports.macLow(port) && high === ports.macHigh(port)) && !ports.teamAddress(port, low, high)
}

function isForeignIpv4(pool: PacketPool, view: SourceGuardView, slot: number, port: number): boolean {
  const source = wordAt(pool.header8, frameAt(pool, slot) + pool.l3[slot]! + IPV4_SOURCE)
  if (source !== 0) return !allowsIpv4(view, port, source)
  if (transport(pool, slot, IGMP, 8) === READABLE)
    return !IGMP_REPORTS.includes(pool.header8[frameAt(pool, slot) + pool.l4[slot]!]!) // RFC 3376, 4.2.13
  return transport(pool, slot, UDP, 4) !== READABLE || pool.destinationL4[slot] !== DHCP_SERVER
}

function isForeignArp(pool: PacketPool, view: SourceGuardView, slot: number, port: number): boolean {
  const { header8 } = pool
  const l3 = pool.l3[slot]!
  if (pool.headerLength[slot]! < l3 + ARP_BYTES) return true
  const at = frameAt(pool, slot) + l3
  if (wordAt(header8, at + 2) !== 0x08000604) return true // IPv4 over Ethernet is all that a receiver would take
  if (isForeignMac(view.ports, port, header8, at + ARP_SENDER_MAC)) return true
  const sender = wordAt(header8, at + ARP_SENDER)
  if (sender !== 0) return !allowsIpv4(view, port, sender)
  const { guards } = view.ports
  // A probe (RFC 5227): for an address of the port, or for one that may yet be learned.
  if (header8[at + 6] !== 0 || header8[at + 7] !== ARP_REQUEST) return true
  return !guards.learnsSources(port) && !guards.allowsIpv4(port, wordAt(header8, at + ARP_TARGET))
}

function isForeignIpv6(pool: PacketPool, view: SourceGuardView, slot: number, port: number): boolean {
  const { header8 } = pool
  const start = frameAt(pool, slot)
  const source = start + pool.l3[slot]! + IPV6_SOURCE
  const isUnspecified =
    (wordAt(header8, source) | wordAt(header8, source + 4) | wordAt(header8, source + 8) | wordAt(header8, source + 12)) === 0
  if (!isUnspecified && !allowsIpv6(view, port, header8, source)) return true
  const found = transport(pool, slot, ICMPV6, 1)
  if (found === HIDDEN) return true
  if (found === OTHER) return isUnspecified // nothing but ICMPv6 is sent without an address
  const type = header8[start + pool.l4[slot]!]!
  if (type < ROUTER_SOLICITATION || type > REDIRECT) return false
  if ((pool.flags[slot]! & PF_FRAGMENT) !== 0) return true // RFC 6980: nobody sends, and nobody should believe it
  if (type !== REDIRECT && tellsForeignMac(pool, view.ports, slot, port, type)) return true
  // An advertisement is for its target; so is a solicitation that looks for duplicates.
  if (type !== ADVERTISEMENT && !(type === SOLICITATION && isUnspecified)) return false
  if (transport(pool, slot, ICMPV6, ND_BYTES) !== READABLE) return true
  return !allowsIpv6(view, port, header8, start + pool.l4[slot]! + ND_TARGET)
}

// Whether an option of neighbour discovery tells a MAC address that is not the port's, or might: it lies beyond what can be read. A router's
// advertisement is long, and believed in what is read of it.
function tellsForeignMac(pool: PacketPool, ports: PortTable, slot: number, port: number, type: number): boolean {
  if ((ports.flags(port) & checkSource) === 0) return false
  const { header8 } = pool
  const start = frameAt(pool, slot)
  const end = ipEnd(pool, slot)
  let at = pool.l4[slot]! + (type === ROUTER_SOLICITATION ? RS_BYTES : type === ROUTER_ADVERTISEMENT ? RA_BYTES : ND_BYTES)
  while (at + 8 <= end) {
    const option = header8[start + at]!
    const length = header8[start + at + 1]! * 8
    if (length === 0) return false // receivers throw such a message away (RFC 4861)
    if ((option === SOURCE_MAC || option === TARGET_MAC) && isForeignMac(ports, port, header8, start + at + 2)) return true
    at += length
  }
  return type !== ROUTER_ADVERTISEMENT && end === pool.headerLength[slot] && end < pool.length[slot]!
}

function allowsIpv6(view: SourceGuardView, port: number, bytes: Uint8Array, at: number): boolean {
  const { ports } = view
  const a = wordAt(bytes, at)
  const b = wordAt(bytes, at + 4)
  const c = wordAt(bytes, at + 8)
  const d = wordAt(bytes, at + 12)
  if (a === LINK_LOCAL && b === 0 && isOwnInterface(ports, port, c, d)) return true
  if (ports.guards.allowsIpv6(port, a, b, c, d)) return true
  return ports.guards.learnsSources(port) && a >>> 24 !== GROUPS && ports.learnIpv6(port, a, b, c, d, view.tick, view.learns)
}

// Whether an interface identifier is made of the port's own address (RFC 4291, appendix A).
function isOwnInterface(ports: PortTable, port: number, c: number, d: number): boolean {
  const high = ports.macHigh(port)
  const low = ports.macLow(port)
  const first = (((high & 0xff) ^ 2) << 24) | ((high & 0xff00) << 8) | ((low & 0xff) << 8) | 0xff
  const last = (0xfe << 24) | ((low & 0xff00) << 8) | ((low >>> 8) & 0xff00) | (low >>> 24)
  return (high | low) !== 0 && c === first && d === last
}
