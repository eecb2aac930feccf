// What a packet is on the wire: a frame that is left to segment counts as the frames that it will be, each with the headers.
//
// The rule it must not break: a guest's own words about its header's length count for nothing; nothing is allocated.
import * as layout from '../../kernels/layout.ts'
import type { PacketPool } from '../../ndis/pool.ts'

const { HEADER_STRIDE, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO, VNET_STRIDE } = layout
const SEGMENTED = OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO
/** Ethernet, IPv4, TCP: of a packet whose transport header is beyond the header copy. */
const HEADERS_MIN = 54
const TCP = 6
const UDP_HEADER = 8
const TCP_HEADER = 20
const TCP_OFFSET_AT = 12
const GSO_SIZE_AT = 4

/** Bytes of the packet in `slot` on the wire, from the destination address to the end of the payload. */
export function wireBytes(pool: PacketPool, slot: number): number {
  const length = pool.length[slot]!
  if ((pool.needs[slot]! & SEGMENTED) === 0) return length
  const at = slot * VNET_STRIDE + GSO_SIZE_AT
  const size = pool.vnet[at]! | (pool.vnet[at + 1]! << 8)
  const headers = headerBytes(pool, slot)
  if (size === 0 || length <= headers + size) return length
  return length + (Math.ceil((length - headers) / size) - 1) * headers
}

function headerBytes(pool: PacketPool, slot: number): number {
  const l4 = pool.l4[slot]!
  if (l4 === 0) return HEADERS_MIN
  if (pool.protocol[slot] !== TCP) return l4 + UDP_HEADER
  const offset = l4 + TCP_OFFSET_AT
  if (offset >= pool.headerLength[slot]!) return l4 + TCP_HEADER
  return l4 + Math.max(TCP_HEADER, (pool.header8[slot * HEADER_STRIDE + pool.headerOffset[slot]! + offset]! >> 4) * 4)
}
