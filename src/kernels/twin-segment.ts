// Cuts a TSO or USO packet into frames of its segment size: the twin of segment.as.ts.
//
// The rule it must not break: nothing is written to an output slot before the whole request has been checked; checksums are
// computed from what the frame says, never taken from the guest.
import * as layout from './layout.ts'
import { fold, sumBytes, sumFrame } from './twin-checksum.ts'
import { segmentLength, segmentPlace } from './twin-copy.ts'
import { copy, type TwinState, WINDOW_SHIFT } from './twin-memory.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const {
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
  P_SEGMENT_WINDOW,
  P_SEGMENTS,
  P_SOURCE_L4,
  P_SOURCE_NIC,
  P_SOURCE_PORT,
  P_VLAN,
  P_VNET,
  P_VSID,
  P_WINDOW,
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
} = layout

function store16(u8: Uint8Array, at: number, v: number): void {
  u8[at] = v >> 8
  u8[at + 1] = v
}

/** Does an IPv6 routing header with hops left stand before the transport header? Then the addresses don't give the checksum. */
function routed(u8: Uint8Array, h: number, l3: number, l4: number): boolean {
  let next = u8[h + l3 + 6]!
  let at = l3 + 40
  while (at < l4) {
    if (next === 43 && u8[h + at + 3] !== 0) return true
    const bytes = next === 51 ? (u8[h + at + 1]! + 2) << 2 : (u8[h + at + 1]! + 1) << 3
    next = u8[h + at]!
    at += bytes
  }
  return false
}

/** Copies what the frames of packet `k` have in common to slot `o`. */
function inherit(s: TwinState, pool: number, k: number, o: number): void {
  const p4 = pool >> 2
  const p2 = pool >> 1
  const { u8, u16, u32 } = s
  const vnet = (pool + P_VNET + o * VNET_STRIDE) >> 2
  const kept = u32[p4 + (P_FLAGS >> 2) + k]! & (PARSE_FLAGS | PF_FOREIGN | PF_OWNED | PF_SAFE)
  u32[p4 + (P_FLAGS >> 2) + o] = kept | PF_ORIGINATED | PF_DATA_VALID
  u32[p4 + (P_HEAD >> 2) + o] = 0
  u32[p4 + (P_PACKET_ID >> 2) + o] = u32[p4 + (P_PACKET_ID >> 2) + k]!
  u32[p4 + (P_VSID >> 2) + o] = u32[p4 + (P_VSID >> 2) + k]!
  u16[p2 + (P_DESTINATION_COUNT >> 1) + o] = 0
  u16[p2 + (P_ETHER_TYPE >> 1) + o] = u16[p2 + (P_ETHER_TYPE >> 1) + k]!
  u16[p2 + (P_VLAN >> 1) + o] = u16[p2 + (P_VLAN >> 1) + k]!
  u16[p2 + (P_SOURCE_L4 >> 1) + o] = u16[p2 + (P_SOURCE_L4 >> 1) + k]!
  u16[p2 + (P_DESTINATION_L4 >> 1) + o] = u16[p2 + (P_DESTINATION_L4 >> 1) + k]!
  u16[p2 + (P_SOURCE_PORT >> 1) + o] = u16[p2 + (P_SOURCE_PORT >> 1) + k]!
  u16[p2 + (P_HEADER_OFFSET >> 1) + o] = u16[p2 + (P_HEADER_OFFSET >> 1) + k]!
  u16[p2 + (P_CHAIN >> 1) + o] = 0
  u8[pool + P_L3 + o] = u8[pool + P_L3 + k]!
  u8[pool + P_L4 + o] = u8[pool + P_L4 + k]!
  u8[pool + P_PROTOCOL + o] = u8[pool + P_PROTOCOL + k]!
  u8[pool + P_SOURCE_NIC + o] = u8[pool + P_SOURCE_NIC + k]!
  u8[pool + P_REASON + o] = 0
  u8[pool + P_NEEDS + o] = 0
  u32[vnet] = 0
  u32[vnet + 1] = 0
  u32[vnet + 2] = 0
}

/** Gives slot `o` the next `n` payload bytes of packet `k`; `s.part` and `s.partOffset` say where they begin. */
function share(s: TwinState, pool: number, k: number, o: number, n: number): void {
  const count = s.u8[pool + P_SEGMENTS + k]!
  const foreign = (s.u32[((pool + P_FLAGS) >> 2) + k]! & PF_FOREIGN) !== 0
  const to = ((pool + P_SEGMENT) >> 2) + o * SEGMENTS_MAX * 2
  const windows = ((pool + P_SEGMENT_WINDOW) >> 1) + o * SEGMENTS_MAX
  let segments = 0
  while (n !== 0 && s.part < count) {
    const bytes = segmentLength(s, pool, k, s.part, count)
    const m = Math.min(n, bytes - s.partOffset)
    if (m !== 0) {
      const w = segmentPlace(s, pool, k, s.part, count)
      const at = s.at + s.partOffset
      s.u32[to + segments * 2] = foreign ? at : (w << WINDOW_SHIFT) | at
      s.u32[to + segments * 2 + 1] = m
      if (foreign) s.u16[windows + segments] = w
      segments++
      n -= m
      s.partOffset += m
    }
    if (s.partOffset === bytes) {
      s.part++
      s.partOffset = 0
    }
  }
  s.u8[pool + P_SEGMENTS + o] = segments
  s.u32[((pool + P_ADDRESS) >> 2) + o] = segments === 1 ? s.u32[to]! : 0
  if (foreign) s.u16[((pool + P_WINDOW) >> 1) + o] = segments === 1 ? s.u16[windows]! : 0
}

/** Kernels.segment. */
export function segment(s: TwinState, pool: number, k: number, slots: number, room: number): number {
  const { u8, u16, u32 } = s
  const needs = u8[pool + P_NEEDS + k]!
  const flags = u32[((pool + P_FLAGS) >> 2) + k]! | 0
  const kind = needs & (OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO)
  const l3 = u8[pool + P_L3 + k]!
  const l4 = u8[pool + P_L4 + k]!
  const protocol = u8[pool + P_PROTOCOL + k]!
  const copied = u16[((pool + P_HEADER_LENGTH) >> 1) + k]!
  const length = u32[((pool + P_LENGTH) >> 2) + k]! | 0
  const offset = u16[((pool + P_HEADER_OFFSET) >> 1) + k]!
  const h = pool + k * HEADER_STRIDE + offset
  const vnet = (pool + P_VNET + k * VNET_STRIDE) >> 1
  const size = u16[vnet + 2]!
  const tcp = kind !== OFFLOAD_USO
  const v4 = (flags & PF_IPV4) !== 0
  if ((needs & OFFLOAD_CHECKSUM) === 0 || (kind !== OFFLOAD_TSO4 && kind !== OFFLOAD_TSO6 && tcp)) return 0
  if ((flags & PF_FRAGMENT) !== 0 || l4 === 0 || protocol !== (tcp ? 6 : 17) || size === 0) return 0
  if (kind === OFFLOAD_TSO4 ? !v4 : kind === OFFLOAD_TSO6 ? (flags & PF_IPV6) === 0 : (flags & (PF_IPV4 | PF_IPV6)) === 0)
    return 0
  if (u16[vnet + 3] !== l4 || u16[vnet + 4] !== (tcp ? 16 : 6)) return 0
  if (!v4 && routed(u8, h, l3, l4)) return 0
  const least = tcp ? 20 : 8
  if (l4 + least > copied) return 0
  const transport = tcp ? (u8[h + l4 + 12]! >> 4) << 2 : 8
  const headers = l4 + transport
  if (transport < least || headers > copied) return 0
  const payload = length - headers
  const frames = payload === 0 ? 1 : Math.floor((payload + size - 1) / size)
  if (frames > room || headers - l3 + Math.min(size, payload) > 0xffff) return 0

  const linear = s.windows[0]!
  const id = (u8[h + l3 + 4]! << 8) | u8[h + l3 + 5]!
  const q = h + l4 + 4
  const sequence = (u8[q]! << 24) | (u8[q + 1]! << 16) | (u8[q + 2]! << 8) | u8[q + 3]!
  const resident = copied - headers // payload bytes that stand in the header copy
  s.part = 0
  s.partOffset = 0
  for (let j = 0; j < frames; j++) {
    const o = u16[(slots >> 1) + j]!
    const begin = j * size
    const bytes = Math.min(size, payload - begin)
    const to = pool + o * HEADER_STRIDE + offset
    inherit(s, pool, k, o)
    copy(s, 0, to, 0, h, headers)
    let inHeader = 0
    if (begin < resident) {
      inHeader = Math.min(bytes, resident - begin)
      copy(s, 0, to + headers, 0, h + headers + begin, inHeader)
    }
    u16[((pool + P_HEADER_LENGTH) >> 1) + o] = headers + inHeader
    u32[((pool + P_LENGTH) >> 2) + o] = headers + bytes
    share(s, pool, k, o, bytes - inHeader)

    const l4Length = transport + bytes
    let pseudo = (protocol << 8) + ((l4Length & 0xff) << 8) + (l4Length >> 8)
    if (v4) {
      store16(u8, to + l3 + 2, headers - l3 + bytes)
      store16(u8, to + l3 + 4, id + j)
      store16(u8, to + l3 + 10, 0)
      const sum = sumBytes(linear, to + l3, l4 - l3) ^ 0xffff
      u8[to + l3 + 10] = sum
      u8[to + l3 + 11] = sum >> 8
      pseudo += sumBytes(linear, to + l3 + 12, 8)
    } else {
      store16(u8, to + l3 + 4, headers - l3 - 40 + bytes)
      pseudo += sumBytes(linear, to + l3 + 8, 32)
    }
    const t = to + l4
    const at = t + (tcp ? 16 : 6)
    if (tcp) {
      const next = (sequence + begin) | 0
      store16(u8, t + 4, next >>> 16)
      store16(u8, t + 6, next)
      if (j !== frames - 1) u8[t + 13] = u8[t + 13]! & ~9 // FIN and PSH belong to the last frame
      if (j !== 0) u8[t + 13] = u8[t + 13]! & ~0x80 // CWR to the first
    } else store16(u8, t + 4, l4Length)
    store16(u8, at, 0)
    let sum = fold(pseudo + sumFrame(s, pool, o, l4)) ^ 0xffff
    if (sum === 0 && !tcp) sum = 0xffff // UDP: 0 would mean "no checksum"
    u8[at] = sum
    u8[at + 1] = sum >> 8
  }
  return frames
}
