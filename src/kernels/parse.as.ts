// Reads the header copy of a slot into the pool's arrays: ether type, tag, kind of address, network and transport offsets,
// protocol, ports.
//
// The rule it must not break: it looks at the header copy alone, never at guest memory and never beyond the copy's length, so
// what policy sees is what is sent. The twin of this file is twin-parse.ts.
import {
  HEADER_STRIDE,
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
  IPV6_EXTENSIONS_MAX,
} from './layout'

@inline
export function be16(p: usize): u32 {
  const v = <u32>load<u16>(p)
  return ((v & 0xff) << 8) | (v >> 8)
}

// Little-endian: ether type 0x0800, version 4, five words of header.
const PLAIN_IPV4: u32 = 0x450008

/** True of the ether types of tags. */
@inline
export function isTag(etherType: u32): bool {
  return etherType == 0x8100 || etherType == 0x88a8 || etherType == 0x9100
}

let protocol: u32 = 0
let fragment: bool = false

/** Walks IPv6 extension headers from `at`; returns the transport header's offset, 0 if there is none in the copy. */
function ipv6Transport(h: usize, at: u32, n: u32, next: u32): u32 {
  fragment = false
  for (let i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
    protocol = next
    if (next == 0 || next == 43 || next == 60) {
      if (at + 8 > n) return 0
      next = <u32>load<u8>(h + at)
      at += (<u32>load<u8>(h + at, 1) + 1) << 3
    } else if (next == 44) {
      fragment = true
      if (at + 8 > n) return 0
      next = <u32>load<u8>(h + at)
      protocol = next
      if ((be16(h + at + 2) & 0xfff8) != 0) return 0 // not the first fragment: no transport header
      at += 8
    } else if (next == 51) {
      if (at + 8 > n) return 0
      next = <u32>load<u8>(h + at)
      at += (<u32>load<u8>(h + at, 1) + 2) << 2
    } else return at + 4 <= n ? at : 0
  }
  protocol = next
  return 0
}

/** Parses the `n` bytes at `h` into slot `k`; `flags` are the slot's other flags. */
@inline
export function parseHeader(pool: usize, k: u32, h: usize, n: u32, flags: u32): void {
  const k4 = pool + (<usize>k << 2)
  const k2 = pool + (<usize>k << 1)
  const k1 = pool + <usize>k
  let etherType: u32 = 0
  let vlan: u32 = 0
  let l3: u32 = 0
  let l4: u32 = 0
  let ip: u32 = 0
  let ports: u32 = 0
  if (n >= 38 && (load<u32>(h, 12) & 0xffffff) == PLAIN_IPV4 && (load<u8>(h) & 1) == 0) {
    // What most frames are, read in fewer steps: unicast, no tag, IPv4 without options.
    flags |= PF_IPV4
    l3 = 14
    etherType = 0x0800
    ip = <u32>load<u8>(h, 23)
    const offset = be16(h + 20)
    if (offset & 0x3fff) flags |= PF_FRAGMENT
    if ((offset & 0x1fff) == 0) l4 = 34
  } else if (n >= 14) {
    const a = load<u32>(h)
    if (a & 1) {
      flags |= PF_MULTICAST
      if (a == 0xffffffff && load<u16>(h, 4) == 0xffff) flags |= PF_BROADCAST
    }
    l3 = 14
    etherType = be16(h + 12)
    if (isTag(etherType) && n >= 18) {
      flags |= PF_TAGGED
      vlan = be16(h + 14)
      etherType = be16(h + 16)
      l3 = 18
      if (isTag(etherType) && n >= 22) {
        etherType = be16(h + 20)
        l3 = 22
      }
    }
    const p = h + l3
    if (etherType == 0x0800) {
      const first = <u32>load<u8>(p)
      if (l3 + 20 <= n && first >> 4 == 4 && (first & 15) >= 5) {
        flags |= PF_IPV4
        ip = <u32>load<u8>(p, 9)
        const offset = be16(p + 6)
        if (offset & 0x3fff) flags |= PF_FRAGMENT
        if ((offset & 0x1fff) == 0) {
          l4 = l3 + ((first & 15) << 2)
          if (l4 + 4 > n) l4 = 0
        }
      }
    } else if (etherType == 0x86dd) {
      if (l3 + 40 <= n && load<u8>(p) >> 4 == 6) {
        flags |= PF_IPV6
        l4 = ipv6Transport(h, l3 + 40, n, <u32>load<u8>(p, 6))
        ip = protocol
        if (fragment) flags |= PF_FRAGMENT
      }
    }
  }
  if (l4 != 0 && (ip == 6 || ip == 17 || ip == 132)) ports = load<u32>(h + l4)
  store<u32>(k4, flags, P_FLAGS)
  store<u16>(k2, <u16>etherType, P_ETHER_TYPE)
  store<u16>(k2, <u16>vlan, P_VLAN)
  store<u16>(k2, <u16>(((ports & 0xff) << 8) | ((ports >> 8) & 0xff)), P_SOURCE_L4)
  store<u16>(k2, <u16>(((ports >> 8) & 0xff00) | (ports >> 24)), P_DESTINATION_L4)
  store<u8>(k1, <u8>l3, P_L3)
  store<u8>(k1, <u8>l4, P_L4)
  store<u8>(k1, <u8>ip, P_PROTOCOL)
}

export function parse(pool: usize, first: u32, count: u32): void {
  for (let k = first; k < first + count; k++) {
    const k2 = pool + (<usize>k << 1)
    const h = pool + <usize>k * HEADER_STRIDE + <usize>load<u16>(k2, P_HEADER_OFFSET)
    parseHeader(pool, k, h, <u32>load<u16>(k2, P_HEADER_LENGTH), load<u32>(pool + (<usize>k << 2), P_FLAGS) & ~PARSE_FLAGS)
  }
}
