// Source guard: a port speaks for its own IP addresses only, in ARP, neighbour discovery, IPv4 and IPv6 (spec 7.6; RFC 2827, RFC 6620,
// RFC 7513).
//
// The rule it must not break: what a guest must say before it has an address passes (DHCP, probes and detection of duplicates of its own
// addresses, reports of groups); frames that are neither IP nor ARP pass.
import * as layout from '../../kernels/layout.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import type { PortTable } from '../port-table.ts'
import { frameAt, HIDDEN, hidesNetwork, OTHER, READABLE, transport } from './headers.ts'

const { PF_IPV4, PF_IPV6 } = layout
const ETHERTYPE_IPV4 = 0x0800
const ETHERTYPE_ARP = 0x0806
const ETHERTYPE_IPV6 = 0x86dd
const UDP = 17
const ICMPV6 = 58
const DHCP_SERVER = 67
const ARP_BYTES = 28
const ARP_REQUEST = 1
const ARP_SENDER = 14
const ARP_TARGET = 24
const IPV4_SOURCE = 12
const IPV6_SOURCE = 8
const SOLICITATION = 135
const ADVERTISEMENT = 136
const ND_TARGET = 8
const ND_BYTES = 24
const LINK_LOCAL = 0xfe800000 | 0
const GROUPS = 0xff

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

const allowsIpv4 = ({ ports, learns }: SourceGuardView, port: number, address: number): boolean =>
  ports.guards.allowsIpv4(port, address) || (ports.guards.learnsSources(port) && ports.learnIp(port, address, learns))

function isForeignIpv4(pool: PacketPool, view: SourceGuardView, slot: number, port: number): boolean {
  const source = wordAt(pool.header8, frameAt(pool, slot) + pool.l3[slot]! + IPV4_SOURCE)
  if (source !== 0) return !allowsIpv4(view, port, source)
  return transport(pool, slot, UDP, 4) !== READABLE || pool.destinationL4[slot] !== DHCP_SERVER
}

function isForeignArp(pool: PacketPool, view: SourceGuardView, slot: number, port: number): boolean {
  const { header8 } = pool
  const l3 = pool.l3[slot]!
  if (pool.headerLength[slot]! < l3 + ARP_BYTES) return true
  const at = frameAt(pool, slot) + l3
  if (wordAt(header8, at + 2) !== 0x08000604) return true // IPv4 over Ethernet is all that a receiver would take
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
  // An advertisement is for its target; so is a solicitation that looks for duplicates.
  if (type !== ADVERTISEMENT && !(type === SOLICITATION && isUnspecified)) return false
  if (transport(pool, slot, ICMPV6, ND_BYTES) !== READABLE) return true
  return !allowsIpv6(view, port, header8, start + pool.l4[slot]! + ND_TARGET)
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
