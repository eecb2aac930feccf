// The distributed router of virtual subnets: what a guest sends to the router's MAC address goes on to the subnet of its routing domain that
// has the destination, with the hop limit lowered, or the guest is told why it does not. Every host routes what its own guests send.
//
// The rules it must not break: nothing leaves the routing domain of its sender; an IP header stays as right, or as wrong, as it was; what can't be
// routed is refused with a reason; nothing is allocated per packet.
import * as layout from '../../kernels/layout.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { get16, put16 } from '../../packet/bytes.ts'
import { foldSum, internetChecksum } from '../../packet/checksum.ts'
import { KnownAs } from './address-answers.ts'
import type { CustomerAddressTable } from './customer-addresses.ts'
import { IcmpError } from './icmp-errors.ts'
import { ROUTER_MAC, type Routing } from './routing.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { HEADER_STRIDE, OFFLOAD_CHECKSUM, PF_FRAGMENT, PF_IPV4, PF_IPV6, PF_TAGGED, VNET_STRIDE } = layout
const NONE: number = DropReason.none
const { overlayHopsUsedUp, overlayNoNeighbour, overlayNoRoute, overlayToRouter } = DropReason
const { hopsUsedUp, nobodyThere, noRoute } = IcmpError
const { nobody: NOBODY, router: ROUTER } = KnownAs
const HIGH = ROUTER_MAC[0]! | (ROUTER_MAC[1]! << 8)
const LOW = ROUTER_MAC[2]! | (ROUTER_MAC[3]! << 8) | (ROUTER_MAC[4]! << 16) | (ROUTER_MAC[5]! << 24)
const MAC = 6
const HOPS = 64
const ICMP = 1
const ICMPV6 = 58
const ICMP_HEADER = 8
// Where things stand behind the start of an IP header.
const V4 = { ttl: 8, checksum: 10, source: 12, destination: 16, header: 20 } as const
const V6 = { hopLimit: 7, source: 8, destination: 24 } as const
const VNET_CHECKSUM_START = 6

/** True for the router's MAC address (as MacKey words). */
export const isRouter = (low: number, high: number): boolean => low === LOW && high === HIGH

export interface RouterComponents {
  readonly pool: PacketPool
  readonly routing: Routing
  readonly customers: CustomerAddressTable
}

/** Fields are ordinary ones: it runs per packet. */
export class Router {
  // What `judge` found of the packet that it looked at last.
  /** Virtual subnet that it goes to: number and identifier. */
  subnet = 0
  vsid = 0
  /** MAC address that it goes to there, as MacKey words. */
  low = 0
  high = 0
  /** True if it is an echo request to the router itself. */
  isEcho = false
  /** What its sender is told if it is refused: an IcmpError, or -1: nothing. */
  error = -1
  private readonly pool: PacketPool
  private readonly routing: Routing
  private readonly customers: CustomerAddressTable
  private readonly mac = new Uint8Array(MAC)

  constructor({ pool, routing, customers }: RouterComponents) {
    this.pool = pool
    this.routing = routing
    this.customers = customers
  }

  /** True if the router is there for guests in `subnet`. */
  serves(subnet: number): boolean {
    return this.routing.domainOf[subnet] !== 0
  }

  /**
   * Where the frame at `at` of the header area goes, which a port in `subnet` sent to the router. Returns the reason to drop it for, or none:
   * `isEcho`, or `subnet`, `vsid` and MAC address say where it goes. Nothing is changed.
   */
  judge(slot: number, at: number, subnet: number): DropReason {
    const { pool } = this
    this.isEcho = false
    this.error = -1
    const flags = pool.flags[slot]!
    if ((flags & PF_TAGGED) !== 0) return overlayToRouter
    if ((flags & PF_IPV4) !== 0) return this.judgeIpv4(slot, at + pool.l3[slot]!, subnet)
    return (flags & PF_IPV6) !== 0 ? this.judgeIpv6(slot, at + pool.l3[slot]!, subnet) : overlayToRouter
  }

  private judgeIpv4(slot: number, ip: number, subnet: number): DropReason {
    const { header8 } = this.pool
    const to = ip + V4.destination
    if (!isRoutableIpv4(header8, ip + V4.source) || !isRoutableIpv4(header8, to)) return overlayNoRoute
    const reason = this.look(slot, to, subnet, true)
    if (this.isEcho) return this.answers(slot, ICMP, 8)
    return reason === NONE && header8[ip + V4.ttl]! <= 1 ? this.refuse(overlayHopsUsedUp, hopsUsedUp) : reason
  }

  private judgeIpv6(slot: number, ip: number, subnet: number): DropReason {
    const { header8 } = this.pool
    const to = ip + V6.destination
    const isLocal = isLinkLocal(header8, to)
    if (!isLocal && (!isRoutableIpv6(header8, ip + V6.source) || !isRoutableIpv6(header8, to))) return overlayNoRoute
    const reason = this.look(slot, to, subnet, false)
    if (this.isEcho) return this.answers(slot, ICMPV6, 128)
    if (isLocal) return overlayNoRoute
    return reason === NONE && header8[ip + V6.hopLimit]! <= 1 ? this.refuse(overlayHopsUsedUp, hopsUsedUp) : reason
  }

  // Finds who has the address at `to`.
  private look(slot: number, to: number, subnet: number, isIpv4: boolean): DropReason {
    const { pool, routing, customers, mac } = this
    const { header8 } = pool
    const bytes = isIpv4 ? 4 : 16
    if (customers.stationOf(pool.vsid[slot]!, header8, to, bytes, mac, 0) === ROUTER) {
      this.isEcho = true
      return NONE
    }
    const route = routing.routes.find(routing.domainOf[subnet]!, header8, to, isIpv4)
    if (route === undefined) return this.refuse(overlayNoRoute, noRoute)
    const { nextHop, vsid } = route
    const known =
      nextHop === undefined
        ? customers.stationOf(vsid, header8, to, bytes, mac, 0)
        : customers.stationOf(vsid, nextHop, 0, bytes, mac, 0)
    if (known === ROUTER) {
      this.isEcho = true
      return NONE
    }
    if (known === NOBODY) return this.refuse(overlayNoNeighbour, nobodyThere)
    this.subnet = route.subnet
    this.vsid = vsid
    this.high = mac[0]! | (mac[1]! << 8)
    this.low = mac[2]! | (mac[3]! << 8) | (mac[4]! << 16) | (mac[5]! << 24)
    return NONE
  }

  private refuse(reason: DropReason, error: number): DropReason {
    this.error = error
    return reason
  }

  // A packet for the router itself: nothing but an echo request in one piece is for it.
  private answers(slot: number, protocol: number, request: number): DropReason {
    const { pool } = this
    const at = pool.l4[slot]!
    const header = slot * HEADER_STRIDE + pool.headerOffset[slot]! + at
    this.isEcho =
      at !== 0 &&
      pool.protocol[slot] === protocol &&
      (pool.flags[slot]! & PF_FRAGMENT) === 0 &&
      at + ICMP_HEADER <= pool.headerLength[slot]! &&
      pool.header8[header] === request &&
      pool.header8[header + 1] === 0
    return this.isEcho ? NONE : overlayToRouter
  }

  /** Where messages to a guest in `subnet` come from; undefined: the router has no address there. */
  source(slot: number, subnet: number): Uint8Array | undefined {
    return this.routing.gateway(subnet, (this.pool.flags[slot]! & PF_IPV4) !== 0)
  }

  /** Makes the frame at `at` what the router sends on, as `judge` found. */
  pass(slot: number, at: number): void {
    const { pool, mac } = this
    const { header8 } = pool
    for (let i = 0; i < MAC; i++) {
      header8[at + i] = mac[i]!
      header8[at + MAC + i] = ROUTER_MAC[i]!
    }
    const ip = at + pool.l3[slot]!
    if ((pool.flags[slot]! & PF_IPV4) === 0) {
      header8[ip + V6.hopLimit] = header8[ip + V6.hopLimit]! - 1
      return
    }
    const before = get16(header8, ip + V4.ttl)
    header8[ip + V4.ttl] = header8[ip + V4.ttl]! - 1
    adjust(header8, ip + V4.checksum, before, get16(header8, ip + V4.ttl))
  }

  /** Makes an echo request, the frame at `at`, its reply. */
  turnRound(slot: number, at: number): void {
    const { pool } = this
    const { header8 } = pool
    for (let i = 0; i < MAC; i++) {
      header8[at + i] = header8[at + MAC + i]!
      header8[at + MAC + i] = ROUTER_MAC[i]!
    }
    const ip = at + pool.l3[slot]!
    const icmp = at + pool.l4[slot]!
    const isIpv4 = (pool.flags[slot]! & PF_IPV4) !== 0
    if (isIpv4) swap(header8, ip + V4.source, 4)
    else swap(header8, ip + V6.source, 16)
    if (isIpv4) {
      header8[ip + V4.ttl] = HOPS
      put16(header8, ip + V4.checksum, 0)
      put16(header8, ip + V4.checksum, internetChecksum(header8, ip, icmp))
    } else header8[ip + V6.hopLimit] = HOPS
    const before = get16(header8, icmp)
    header8[icmp] = isIpv4 ? 0 : 129
    if (!this.isOpen(slot, icmp - at)) adjust(header8, icmp + 2, before, get16(header8, icmp))
  }

  // True if the checksum of what begins at `transport` is still to be summed.
  private isOpen(slot: number, transport: number): boolean {
    const { needs, vnet } = this.pool
    const from = slot * VNET_STRIDE + VNET_CHECKSUM_START
    return (needs[slot]! & OFFLOAD_CHECKSUM) !== 0 && vnet[from]! + (vnet[from + 1]! << 8) === transport
  }
}

// RFC 1624: the checksum at `at` follows a 16-bit word that changed.
function adjust(bytes: Uint8Array, at: number, before: number, after: number): void {
  put16(bytes, at, foldSum((~get16(bytes, at) & 0xffff) + (~before & 0xffff) + after))
}

function swap(bytes: Uint8Array, at: number, length: number): void {
  for (let i = at; i < at + length; i++) {
    const octet = bytes[i]!
    bytes[i] = bytes[i + length]!
    bytes[i + length] = octet
  }
}

// RFC 1812 5.3.7, RFC 3927 2.6.2: not from or to groups, this network, loopback, this link.
function isRoutableIpv4(bytes: Uint8Array, at: number): boolean {
  const first = bytes[at]!
  return first !== 0 && first !== 127 && first < 224 && (first !== 169 || bytes[at + 1] !== 254)
}

const isLinkLocal = (bytes: Uint8Array, at: number): boolean => bytes[at] === 0xfe && (bytes[at + 1]! & 0xc0) === 0x80

// RFC 4291 2.5: not from or to groups, one's own host, this link.
function isRoutableIpv6(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] === 0xff || isLinkLocal(bytes, at)) return false
  for (let i = 0; i < 15; i++) if (bytes[at + i] !== 0) return true
  return bytes[at + 15]! > 1
}
