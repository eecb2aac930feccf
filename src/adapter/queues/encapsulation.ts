// Looks into encapsulated packets (spec 5.6): outer IPv4 or IPv6, GRE with its optional fields, inner Ethernet, inner IP, inner TCP or UDP.
// Filters of queues ask for the inner address, RSS for the inner addresses and ports.
//
// The rule it must not break: it reads the header copy alone and changes nothing (VQ-168); what does not lie in it, or is unknown, is "not
// encapsulated" (VQ-165).
import * as layout from '../../kernels/layout.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { innerFrame } from '../inner-frame.ts'
import { MAX_HEADER_BYTES } from './offload-state.ts'

const { HEADER_STRIDE } = layout
const LIMIT: number = MAX_HEADER_BYTES

const ADDRESSES_BYTES = 12
const TYPE_BYTES = 2
const TAG_BYTES = 4
const CUSTOMER_TAG = 0x8100
const ETHERTYPE_IPV4 = 0x0800
const ETHERTYPE_IPV6 = 0x86dd
const IPV4_BYTES = 20
const IPV6_BYTES = 40
const IPV4_PROTOCOL = 9
const IPV6_NEXT = 6
const IPV4_FRAGMENT = 0x3fff
const TCP = 6
const UDP = 17
const TCP_OFFSET = 12
const UDP_BYTES = 8
const PORTS_BYTES = 4

/** The inside of one packet. Offsets count from the start of `pool.header8`. Fields are ordinary ones: `parse` runs per packet. */
export class Encapsulation {
  private readonly pool: PacketPool
  /** Inner Ethernet header. */
  frame = -1
  /** Inner IP header, -1 = none that is known. */
  ip = -1
  /** Version of the inner IP header, 0 without. */
  version = 0
  /** Inner TCP or UDP header that follows the inner IP header directly, -1 = none. */
  transport = -1
  protocol = 0
  /** Bytes from the packet's start to the end of the last header that was found. */
  headerBytes = 0

  constructor(pool: PacketPool) {
    this.pool = pool
  }

  /** Parses the packet in `slot`. False if it carries no inner Ethernet frame that can be parsed. Allocates nothing. */
  parse(slot: number): boolean {
    const { pool } = this
    const { header8 } = pool
    this.ip = -1
    this.version = 0
    this.transport = -1
    this.protocol = 0
    this.frame = innerFrame(pool, slot) // VQ-164, VQ-166
    if (this.frame < 0) return false
    const start = slot * HEADER_STRIDE + pool.headerOffset[slot]!
    const end = start + pool.headerLength[slot]!
    let at = this.frame + ADDRESSES_BYTES
    if (at + TYPE_BYTES > end) return false
    let type = (header8[at]! << 8) | header8[at + 1]!
    if (type === CUSTOMER_TAG) {
      at += TAG_BYTES
      if (at + TYPE_BYTES > end) return false
      type = (header8[at]! << 8) | header8[at + 1]!
    }
    const inside = this.inside(at + TYPE_BYTES, end, type)
    this.headerBytes = inside - start
    return this.headerBytes <= LIMIT // VQ-169
  }

  // What follows the inner Ethernet header; returns where its headers end. VQ-167: nothing is concluded from the outer version.
  private inside(ip: number, end: number, type: number): number {
    const { header8 } = this.pool
    const isIpv4 = type === ETHERTYPE_IPV4
    if (!isIpv4 && type !== ETHERTYPE_IPV6) return ip
    const fixed = isIpv4 ? IPV4_BYTES : IPV6_BYTES
    if (ip + fixed > end || header8[ip]! >> 4 !== (isIpv4 ? 4 : 6)) return ip
    const bytes = isIpv4 ? (header8[ip]! & 15) << 2 : IPV6_BYTES
    if (bytes < fixed) return ip
    this.ip = ip
    this.version = isIpv4 ? 4 : 6
    this.protocol = header8[ip + (isIpv4 ? IPV4_PROTOCOL : IPV6_NEXT)]!
    const l4 = ip + bytes
    const fragment = isIpv4 && (((header8[ip + 6]! << 8) | header8[ip + 7]!) & IPV4_FRAGMENT) !== 0
    if (fragment || (this.protocol !== TCP && this.protocol !== UDP)) return l4
    if (l4 + PORTS_BYTES > end) return l4 + (this.protocol === UDP ? UDP_BYTES : IPV4_BYTES)
    this.transport = l4
    if (this.protocol === UDP) return l4 + UDP_BYTES
    return l4 + (l4 + TCP_OFFSET < end ? (header8[l4 + TCP_OFFSET]! >> 4) << 2 : IPV4_BYTES)
  }
}
