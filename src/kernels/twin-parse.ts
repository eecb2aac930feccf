// Reads the header copy of a slot into the pool's arrays: the twin of parse.as.ts.
//
// The rule it must not break: it looks at the header copy alone, never at guest memory and never beyond the copy's length.
import * as layout from './layout.ts'
import type { TwinState } from './twin-memory.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const {
  HEADER_STRIDE,
  IPV6_EXTENSIONS_MAX,
  P_DESTINATION_L4,
  P_ETHER_TYPE,
  P_FLAGS,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_L3,
  P_L4,
  P_PROTOCOL,
  P_SOURCE_L4,
  P_VLAN,
  PARSE_FLAGS,
  PF_BROADCAST,
  PF_FRAGMENT,
  PF_IPV4,
  PF_IPV6,
  PF_MULTICAST,
  PF_TAGGED,
} = layout

// Little-endian: ether type 0x0800, version 4, five words of header.
const PLAIN_IPV4 = 0x450008

function isTag(etherType: number): boolean {
  return etherType === 0x8100 || etherType === 0x88a8 || etherType === 0x9100
}

/** Walks IPv6 extension headers from `at`; returns the transport header's offset, 0 if there is none in the copy. */
function ipv6Transport(s: TwinState, h: number, at: number, n: number, next: number): number {
  const u8 = s.u8
  s.fragment = false
  for (let i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
    s.protocol = next
    if (next === 0 || next === 43 || next === 60) {
      if (at + 8 > n) return 0
      next = u8[h + at]!
      at += (u8[h + at + 1]! + 1) << 3
    } else if (next === 44) {
      s.fragment = true
      if (at + 8 > n) return 0
      next = u8[h + at]!
      s.protocol = next
      if ((((u8[h + at + 2]! << 8) | u8[h + at + 3]!) & 0xfff8) !== 0) return 0 // not the first fragment: no transport header
      at += 8
    } else if (next === 51) {
      if (at + 8 > n) return 0
      next = u8[h + at]!
      at += (u8[h + at + 1]! + 2) << 2
    } else return at + 4 <= n ? at : 0
  }
  s.protocol = next
  return 0
}

/** Parses the `n` bytes at `h` into slot `k`; `flags` are the slot's other flags. */
export function parseHeader(s: TwinState, pool: number, k: number, h: number, n: number, flags: number): void {
  const { u8, u16, u32 } = s
  let etherType = 0
  let vlan = 0
  let l3 = 0
  let l4 = 0
  let ip = 0
  let source = 0
  let destination = 0
  if (n >= 38 && (h & 3) === 0 && (u32[(h >> 2) + 3]! << 8) >>> 8 === PLAIN_IPV4 && (u8[h]! & 1) === 0) {
    // What most frames are, read in fewer steps: unicast, no tag, IPv4 without options.
    flags |= PF_IPV4
    l3 = 14
    etherType = 0x0800
    ip = u8[h + 23]!
    const offset = (u8[h + 20]! << 8) | u8[h + 21]!
    if ((offset & 0x3fff) !== 0) flags |= PF_FRAGMENT
    if ((offset & 0x1fff) === 0) l4 = 34
  } else if (n >= 14) {
    if ((u8[h]! & 1) !== 0) {
      flags |= PF_MULTICAST
      if ((u8[h]! & u8[h + 1]! & u8[h + 2]! & u8[h + 3]! & u8[h + 4]! & u8[h + 5]!) === 0xff) flags |= PF_BROADCAST
    }
    l3 = 14
    etherType = (u8[h + 12]! << 8) | u8[h + 13]!
    if (isTag(etherType) && n >= 18) {
      flags |= PF_TAGGED
      vlan = (u8[h + 14]! << 8) | u8[h + 15]!
      etherType = (u8[h + 16]! << 8) | u8[h + 17]!
      l3 = 18
      if (isTag(etherType) && n >= 22) {
        etherType = (u8[h + 20]! << 8) | u8[h + 21]!
        l3 = 22
      }
    }
    const p = h + l3
    if (etherType === 0x0800) {
      const first = u8[p]!
      if (l3 + 20 <= n && first >> 4 === 4 && (first & 15) >= 5) {
        flags |= PF_IPV4
        ip = u8[p + 9]!
        const offset = (u8[p + 6]! << 8) | u8[p + 7]!
        if ((offset & 0x3fff) !== 0) flags |= PF_FRAGMENT
        if ((offset & 0x1fff) === 0) {
          l4 = l3 + ((first & 15) << 2)
          if (l4 + 4 > n) l4 = 0
        }
      }
    } else if (etherType === 0x86dd) {
      if (l3 + 40 <= n && u8[p]! >> 4 === 6) {
        flags |= PF_IPV6
        l4 = ipv6Transport(s, h, l3 + 40, n, u8[p + 6]!)
        ip = s.protocol
        if (s.fragment) flags |= PF_FRAGMENT
      }
    }
  }
  if (l4 !== 0 && (ip === 6 || ip === 17 || ip === 132)) {
    const t = h + l4
    source = (u8[t]! << 8) | u8[t + 1]!
    destination = (u8[t + 2]! << 8) | u8[t + 3]!
  }
  const k2 = (pool >> 1) + k
  u32[((pool + P_FLAGS) >> 2) + k] = flags
  u16[k2 + (P_ETHER_TYPE >> 1)] = etherType
  u16[k2 + (P_VLAN >> 1)] = vlan
  u16[k2 + (P_SOURCE_L4 >> 1)] = source
  u16[k2 + (P_DESTINATION_L4 >> 1)] = destination
  u8[pool + P_L3 + k] = l3
  u8[pool + P_L4 + k] = l4
  u8[pool + P_PROTOCOL + k] = ip
}

export function parse(s: TwinState, pool: number, first: number, count: number): void {
  for (let k = first; k < first + count; k++) {
    const h = pool + k * HEADER_STRIDE + s.u16[((pool + P_HEADER_OFFSET) >> 1) + k]!
    const flags = s.u32[((pool + P_FLAGS) >> 2) + k]! & ~PARSE_FLAGS
    parseHeader(s, pool, k, h, s.u16[((pool + P_HEADER_LENGTH) >> 1) + k]!, flags)
  }
}
