// Cuts a TSO or USO packet into frames of its segment size, in software. The frames share the original's payload: only headers are
// copied. The twin of this file is twin-segment.ts.
//
// The rule it must not break: nothing is written to an output slot before the whole request has been checked; checksums are
// computed from what the frame says, never taken from the guest.
import { fold, sumBytes, sumFrame } from './checksum.as'
import {
  HEADER_STRIDE,
  OFFLOAD_CHECKSUM,
  OFFLOAD_TSO4,
  OFFLOAD_TSO6,
  OFFLOAD_USO,
  P_ADDRESS,
  P_CHAIN,
  P_DESTINATION_COUNT,
  P_DESTINATION_L4,
  P_ETHER_TYPE,
  P_FLAGS,
  P_HEAD,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_L3,
  P_L4,
  P_LENGTH,
  P_NEEDS,
  P_PACKET_ID,
  P_PROTOCOL,
  P_REASON,
  P_SEGMENT,
  P_SEGMENTS,
  P_SOURCE_L4,
  P_SOURCE_NIC,
  P_SOURCE_PORT,
  P_VLAN,
  P_VNET,
  P_VSID,
  PARSE_FLAGS,
  PF_DATA_VALID,
  PF_FOREIGN,
  PF_FRAGMENT,
  PF_IPV4,
  PF_IPV6,
  PF_ORIGINATED,
  PF_OWNED,
  PF_SAFE,
  SEGMENTS_MAX,
  VNET_STRIDE,
} from './layout'
import { copySmall } from './memory.as'
import { be16 } from './parse.as'

@inline
function store16(p: usize, v: u32): void {
  store<u16>(p, <u16>(((v & 0xff) << 8) | ((v >> 8) & 0xff)))
}

/** Does an IPv6 routing header with hops left stand before the transport header? Then the addresses don't give the checksum. */
function routed(h: usize, l3: u32, l4: u32): bool {
  let next = <u32>load<u8>(h + l3, 6)
  let at = l3 + 40
  while (at < l4) {
    if (next == 43 && load<u8>(h + at, 3) != 0) return true
    const bytes = next == 51 ? (<u32>load<u8>(h + at, 1) + 2) << 2 : (<u32>load<u8>(h + at, 1) + 1) << 3
    next = <u32>load<u8>(h + at)
    at += bytes
  }
  return false
}

/** Copies what the frames of packet `k` have in common to slot `o`. */
function inherit(pool: usize, k: u32, o: u32): void {
  const k4 = pool + (<usize>k << 2)
  const o4 = pool + (<usize>o << 2)
  const k2 = pool + (<usize>k << 1)
  const o2 = pool + (<usize>o << 1)
  const vnet = pool + P_VNET + <usize>o * VNET_STRIDE
  const kept = load<u32>(k4, P_FLAGS) & (PARSE_FLAGS | PF_FOREIGN | PF_OWNED | PF_SAFE)
  store<u32>(o4, kept | PF_ORIGINATED | PF_DATA_VALID, P_FLAGS)
  store<u32>(o4, 0, P_HEAD)
  store<u32>(o4, load<u32>(k4, P_PACKET_ID), P_PACKET_ID)
  store<u32>(o4, load<u32>(k4, P_VSID), P_VSID)
  store<u16>(o2, 0, P_DESTINATION_COUNT)
  store<u16>(o2, load<u16>(k2, P_ETHER_TYPE), P_ETHER_TYPE)
  store<u16>(o2, load<u16>(k2, P_VLAN), P_VLAN)
  store<u16>(o2, load<u16>(k2, P_SOURCE_L4), P_SOURCE_L4)
  store<u16>(o2, load<u16>(k2, P_DESTINATION_L4), P_DESTINATION_L4)
  store<u16>(o2, load<u16>(k2, P_SOURCE_PORT), P_SOURCE_PORT)
  store<u16>(o2, load<u16>(k2, P_HEADER_OFFSET), P_HEADER_OFFSET)
  store<u16>(o2, 0, P_CHAIN)
  store<u8>(pool + o, load<u8>(pool + k, P_L3), P_L3)
  store<u8>(pool + o, load<u8>(pool + k, P_L4), P_L4)
  store<u8>(pool + o, load<u8>(pool + k, P_PROTOCOL), P_PROTOCOL)
  store<u8>(pool + o, load<u8>(pool + k, P_SOURCE_NIC), P_SOURCE_NIC)
  store<u8>(pool + o, 0, P_REASON)
  store<u8>(pool + o, 0, P_NEEDS)
  store<u64>(vnet, 0)
  store<u32>(vnet, 0, 8)
}

// Where the payload of the next frame begins in the original.
let part: u32 = 0
let partOffset: u32 = 0

/** Gives slot `o` the next `n` payload bytes of packet `k`. */
function share(pool: usize, k: u32, o: u32, n: u32): void {
  const count = <u32>load<u8>(pool + k, P_SEGMENTS)
  const from = pool + P_SEGMENT + <usize>k * (SEGMENTS_MAX * 8)
  const to = pool + P_SEGMENT + <usize>o * (SEGMENTS_MAX * 8)
  let segments: u32 = 0
  while (n != 0 && part < count) {
    const one = count == 1
    const entry = from + (<usize>part << 3)
    const address = one ? load<u32>(pool + (<usize>k << 2), P_ADDRESS) : load<u32>(entry)
    const bytes = one
      ? load<u32>(pool + (<usize>k << 2), P_LENGTH) - <u32>load<u16>(pool + (<usize>k << 1), P_HEADER_LENGTH)
      : load<u32>(entry, 4)
    const m = min(n, bytes - partOffset)
    if (m != 0) {
      store<u32>(to + (<usize>segments << 3), address + partOffset)
      store<u32>(to + (<usize>segments << 3), m, 4)
      segments++
      n -= m
      partOffset += m
    }
    if (partOffset == bytes) {
      part++
      partOffset = 0
    }
  }
  store<u8>(pool + o, <u8>segments, P_SEGMENTS)
  store<u32>(pool + (<usize>o << 2), segments == 1 ? load<u32>(to) : 0, P_ADDRESS)
}

export function segment(pool: usize, k: u32, slots: usize, room: u32): u32 {
  const needs = <u32>load<u8>(pool + k, P_NEEDS)
  const flags = load<u32>(pool + (<usize>k << 2), P_FLAGS)
  const kind = needs & (OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO)
  const l3 = <u32>load<u8>(pool + k, P_L3)
  const l4 = <u32>load<u8>(pool + k, P_L4)
  const protocol = <u32>load<u8>(pool + k, P_PROTOCOL)
  const copied = <u32>load<u16>(pool + (<usize>k << 1), P_HEADER_LENGTH)
  const length = load<u32>(pool + (<usize>k << 2), P_LENGTH)
  const offset = <usize>load<u16>(pool + (<usize>k << 1), P_HEADER_OFFSET)
  const h = pool + <usize>k * HEADER_STRIDE + offset
  const vnet = pool + P_VNET + <usize>k * VNET_STRIDE
  const size = <u32>load<u16>(vnet, 4)
  const tcp = kind != OFFLOAD_USO
  const v4 = (flags & PF_IPV4) != 0
  if ((needs & OFFLOAD_CHECKSUM) == 0 || (kind != OFFLOAD_TSO4 && kind != OFFLOAD_TSO6 && tcp)) return 0
  if ((flags & (PF_FRAGMENT | PF_FOREIGN)) != 0 || l4 == 0 || protocol != (tcp ? <u32>6 : <u32>17) || size == 0) return 0
  if (kind == OFFLOAD_TSO4 ? !v4 : kind == OFFLOAD_TSO6 ? (flags & PF_IPV6) == 0 : (flags & (PF_IPV4 | PF_IPV6)) == 0) return 0
  if (<u32>load<u16>(vnet, 6) != l4 || <u32>load<u16>(vnet, 8) != (tcp ? <u32>16 : <u32>6)) return 0
  if (!v4 && routed(h, l3, l4)) return 0
  const least: u32 = tcp ? 20 : 8
  if (l4 + least > copied) return 0
  const transport = tcp ? (<u32>load<u8>(h + l4, 12) >> 4) << 2 : <u32>8
  const headers = l4 + transport
  if (transport < least || headers > copied) return 0
  const payload = length - headers
  const frames = payload == 0 ? <u32>1 : (payload + size - 1) / size
  if (frames > room || headers - l3 + min(size, payload) > 0xffff) return 0

  const id = be16(h + l3 + 4)
  const sequence = bswap<u32>(load<u32>(h + l4, 4))
  const resident = copied - headers // payload bytes that stand in the header copy
  const protocolWord = protocol << 8
  part = 0
  partOffset = 0
  for (let j: u32 = 0; j < frames; j++) {
    const o = <u32>load<u16>(slots + (<usize>j << 1))
    const begin = j * size
    const bytes = min(size, payload - begin)
    const to = pool + <usize>o * HEADER_STRIDE + offset
    inherit(pool, k, o)
    copySmall(to, h, headers)
    let inHeader: u32 = 0
    if (begin < resident) {
      inHeader = min(bytes, resident - begin)
      copySmall(to + headers, h + headers + begin, inHeader)
    }
    store<u16>(pool + (<usize>o << 1), <u16>(headers + inHeader), P_HEADER_LENGTH)
    store<u32>(pool + (<usize>o << 2), headers + bytes, P_LENGTH)
    share(pool, k, o, bytes - inHeader)

    const l4Length = transport + bytes
    let pseudo = <u64>(protocolWord + ((l4Length & 0xff) << 8) + (l4Length >> 8))
    if (v4) {
      store16(to + l3 + 2, headers - l3 + bytes)
      store16(to + l3 + 4, id + j)
      store<u16>(to + l3, 0, 10)
      store<u16>(to + l3, <u16>(sumBytes(to + l3, l4 - l3) ^ 0xffff), 10)
      pseudo += <u64>sumBytes(to + l3 + 12, 8)
    } else {
      store16(to + l3 + 4, headers - l3 - 40 + bytes)
      pseudo += <u64>sumBytes(to + l3 + 8, 32)
    }
    const t = to + l4
    if (tcp) {
      store<u32>(t, bswap<u32>(sequence + begin), 4)
      let bits = <u32>load<u8>(t, 13)
      if (j != frames - 1) bits &= ~9 // FIN and PSH belong to the last frame
      if (j != 0) bits &= ~0x80 // CWR to the first
      store<u8>(t, <u8>bits, 13)
      store<u16>(t, 0, 16)
      store<u16>(t, <u16>(fold(pseudo + <u64>sumFrame(pool, o, l4)) ^ 0xffff), 16)
    } else {
      store16(t + 4, l4Length)
      store<u16>(t, 0, 6)
      const sum = fold(pseudo + <u64>sumFrame(pool, o, l4)) ^ 0xffff
      store<u16>(t, <u16>(sum == 0 ? 0xffff : sum), 6)
    }
  }
  return frames
}
