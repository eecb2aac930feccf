// Finds the Ethernet frame inside a GRE encapsulation (spec 5.6), for filters that test inner addresses.
//
// The rule it must not break: it looks at the header copy alone; what does not lie in it is "not encapsulated".
import * as layout from '../kernels/layout.ts'
import type { PacketPool } from '../ndis/pool.ts'

const { HEADER_STRIDE, PF_FRAGMENT } = layout

const PROTOCOL_GRE = 47
const ETHERNET_IN_GRE = 0x6558
const GRE_BYTES = 4
const GRE_CHECKSUM = 0x80
const GRE_ROUTING = 0x40
const GRE_KEY = 0x20
const GRE_SEQUENCE = 0x10
const GRE_FIELD = 4
const IPV6_HEADER = 40
const ADDRESS_BYTES = 6
const ETHERTYPE_IPV4 = 0x0800
const ETHERTYPE_IPV6 = 0x86dd

/** Offset of the inner destination address in the header area (`pool.header8`), or -1 if there is none. */
export function innerFrame(pool: PacketPool, slot: number): number {
  const etherType = pool.etherType[slot]!
  const isIpv4 = etherType === ETHERTYPE_IPV4
  if ((!isIpv4 && etherType !== ETHERTYPE_IPV6) || pool.protocol[slot] !== PROTOCOL_GRE) return -1
  if ((pool.flags[slot]! & PF_FRAGMENT) !== 0) return -1
  const { header8 } = pool
  const start = slot * HEADER_STRIDE + pool.headerOffset[slot]!
  const end = start + pool.headerLength[slot]!
  const ip = start + pool.l3[slot]!
  if (ip + 1 > end) return -1
  const gre = ip + (isIpv4 ? (header8[ip]! & 0xf) << 2 : IPV6_HEADER)
  if (gre + GRE_BYTES > end) return -1
  const flags = header8[gre]!
  if ((flags & GRE_ROUTING) !== 0 || ((header8[gre + 2]! << 8) | header8[gre + 3]!) !== ETHERNET_IN_GRE) return -1
  let inner = gre + GRE_BYTES
  if ((flags & GRE_CHECKSUM) !== 0) inner += GRE_FIELD
  if ((flags & GRE_KEY) !== 0) inner += GRE_FIELD
  if ((flags & GRE_SEQUENCE) !== 0) inner += GRE_FIELD
  return inner + ADDRESS_BYTES <= end ? inner : -1
}
