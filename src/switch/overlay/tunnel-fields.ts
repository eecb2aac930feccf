// Puts a tunnel's headers before a packet in the pool, and takes them off: in place, in the room before the header copy, so that the payload
// stays where it is. What is known of the packet (lengths, fields, offload requests) follows.
//
// The rule it must not break: header area and payload together stay the frame; nothing is written outside of the slot's header area.
import * as layout from '../../kernels/layout.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import type { TunnelTemplate } from '../../packet/tunnel.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const {
  HEADER_START,
  HEADER_STRIDE,
  OFFLOAD_CHECKSUM,
  OFFLOAD_TSO4,
  OFFLOAD_TSO6,
  OFFLOAD_TUNNEL,
  OFFLOAD_USO,
  P_HEADER,
  PARSE_FLAGS,
  PF_DATA_VALID,
  PF_IPV4,
  PF_IPV6,
  PF_OWNED,
  PF_VLAN_OOB,
  SEGMENTS_MAX,
  VNET_STRIDE,
} = layout
const SEGMENTATION = OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO
const ETHERNET = 14
const IPV4 = 20
const IPV6 = 40
const UDP_PROTOCOL = 17
const GRE_PROTOCOL = 47
const OVERLAY = 8
const UDP = 8
const FLOW_MIX = 0x9e3779b1
// In a packet's virtio-net header.
const VNET_HEADER_LENGTH = 2
const VNET_CHECKSUM_START = 6

/** True if the packet is to be cut into segments. */
export const isSuperFrame = (pool: PacketPool, slot: number): boolean => (pool.needs[slot]! & SEGMENTATION) !== 0

/** A number that is the same for all packets of a flow: of addresses, protocol and ports. */
export function flowOf(pool: PacketPool, slot: number): number {
  const { header8, l3, etherType, sourceL4, destinationL4, protocol } = pool
  const at = slot * HEADER_STRIDE + pool.headerOffset[slot]!
  const type = etherType[slot]!
  let from = at
  let words = 3
  if (type === 0x0800) {
    from = at + l3[slot]! + 12
    words = 2
  } else if (type === 0x86dd) {
    from = at + l3[slot]! + 8
    words = 8
  }
  let hash = protocol[slot]! ^ (sourceL4[slot]! << 16) ^ destinationL4[slot]!
  for (let k = 0; k < words; k++, from += 4) {
    const word = header8[from]! | (header8[from + 1]! << 8) | (header8[from + 2]! << 16) | (header8[from + 3]! << 24)
    hash = Math.imul(hash ^ word, FLOW_MIX)
    hash ^= hash >>> 15
  }
  return hash
}

/** Puts the headers of `template` before the packet. False: there is no room before it. */
export function encapsulate(
  pool: PacketPool,
  slot: number,
  template: TunnelTemplate,
  vsid: number,
  flow: number,
  trafficClass: number,
): boolean {
  const { headerOffset, headerLength, length, flags, needs, vnet } = pool
  const size = template.length
  const offset = headerOffset[slot]! - size
  if (offset < 0) return false
  template.write(pool.header8, slot * HEADER_STRIDE + offset, length[slot]!, vsid, flow, trafficClass)
  headerOffset[slot] = offset
  headerLength[slot] = headerLength[slot]! + size
  length[slot] = length[slot]! + size
  const gone = PARSE_FLAGS | PF_DATA_VALID | PF_VLAN_OOB
  flags[slot] = (flags[slot]! & ~gone) | (template.isIpv4 ? PF_IPV4 : PF_IPV6)
  describe(pool, slot, template)
  const wants = needs[slot]!
  if ((wants & OFFLOAD_CHECKSUM) === 0) return true
  const header = slot * VNET_STRIDE
  const start = vnet[header + VNET_CHECKSUM_START]! + (vnet[header + VNET_CHECKSUM_START + 1]! << 8) + size
  vnet[header + VNET_CHECKSUM_START] = start
  vnet[header + VNET_CHECKSUM_START + 1] = start >> 8
  if ((wants & SEGMENTATION) === 0) return true
  needs[slot] = wants | OFFLOAD_TUNNEL
  vnet[header + VNET_HEADER_LENGTH] = size
  vnet[header + VNET_HEADER_LENGTH + 1] = 0
  return true
}

// What parsing the frame would find.
function describe(pool: PacketPool, slot: number, { isIpv4, length }: TunnelTemplate): void {
  const l4 = ETHERNET + (isIpv4 ? IPV4 : IPV6)
  const isUdp = length - l4 === UDP + OVERLAY
  const at = slot * HEADER_STRIDE + pool.headerOffset[slot]! + l4
  const { header8 } = pool
  pool.vlan[slot] = 0
  pool.etherType[slot] = isIpv4 ? 0x0800 : 0x86dd
  pool.l3[slot] = ETHERNET
  pool.l4[slot] = l4
  pool.protocol[slot] = isUdp ? UDP_PROTOCOL : GRE_PROTOCOL
  pool.sourceL4[slot] = isUdp ? (header8[at]! << 8) | header8[at + 1]! : 0
  pool.destinationL4[slot] = isUdp ? (header8[at + 2]! << 8) | header8[at + 3]! : 0
}

/**
 * Takes the first `headers` bytes off the packet, and what is behind the `inner` bytes that follow them. The fields are to be parsed anew.
 * False: what the packet asks of offloads does not fit it.
 */
export function decapsulate(pool: PacketPool, slot: number, headers: number, inner: number): boolean {
  const { headerOffset, headerLength, length, flags, needs, vnet, segments } = pool
  if (length[slot]! - headers !== inner) {
    // Padding of a short frame; of a long one there is none.
    if (segments[slot] !== 0 || headers + inner > headerLength[slot]!) return false
    headerLength[slot] = headers + inner
    length[slot] = headers + inner
  }
  headerOffset[slot] = headerOffset[slot]! + headers
  headerLength[slot] = headerLength[slot]! - headers
  length[slot] = inner
  flags[slot] = flags[slot]! & ~(PF_DATA_VALID | PF_VLAN_OOB)
  const wants = needs[slot]!
  if ((wants & OFFLOAD_CHECKSUM) === 0) return wants === 0
  const header = slot * VNET_STRIDE
  const start = vnet[header + VNET_CHECKSUM_START]! + (vnet[header + VNET_CHECKSUM_START + 1]! << 8) - headers
  if (start < ETHERNET) {
    // The outer checksum was open.
    needs[slot] = 0
    vnet.fill(0, header, header + VNET_STRIDE)
    return (wants & SEGMENTATION) === 0
  }
  vnet[header + VNET_CHECKSUM_START] = start
  vnet[header + VNET_CHECKSUM_START + 1] = start >> 8
  return true
}

/**
 * Takes more of the payload into the header copy, which decapsulation left short. The frame's bytes stay the same; what is known of its
 * headers is to be parsed anew.
 */
export function pullUp(pool: PacketPool, slot: number): void {
  const { base, headerOffset, headerLength, length, segments, segment, address, header8, flags } = pool
  const had = headerLength[slot]!
  const payload = length[slot]! - had
  const owned = (flags[slot]! & PF_OWNED) !== 0
  const area = slot * HEADER_STRIDE
  if (headerOffset[slot]! > HEADER_START) {
    header8.copyWithin(area + HEADER_START, area + headerOffset[slot]!, area + headerOffset[slot]! + had)
    headerOffset[slot] = HEADER_START
  }
  const count = segments[slot]!
  const first = (slot * SEGMENTS_MAX) << 1
  const stretch = count > 1 ? segment[first + 1]! : payload
  // At least a byte stays in the first stretch, so that the list keeps its form.
  const room = Math.min(HEADER_STRIDE - headerOffset[slot]! - had, stretch - 1)
  if (room <= 0 || count === 0) return
  if (owned && count > 1) return
  if (pool.kernels.copyFrame(base, slot, had, room, base + P_HEADER + area + headerOffset[slot]! + had) !== room) return
  headerLength[slot] = had + room
  if (count === 1) address[slot] = address[slot]! + room
  segment[first] = segment[first]! + room
  segment[first + 1] = segment[first + 1]! - room
}
