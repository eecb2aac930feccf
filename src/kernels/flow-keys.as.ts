// Makes the flow keys of a burst's packets where that is simple: whole packets of TCP, UDP or SCTP without a tag or virtual subnet. What else there
// is, and all that is hidden or odd, is left to src/switch/acl/flow-key.ts.
//
// The rule it must not break: a key that it makes is the one that fillFlowKey makes of the packet (flow-key.test.ts, which is how its twin is
// compared); it reads the header copy alone, within its length.
import {
  CL_CHOSEN,
  CL_KEYS,
  CL_KINDS,
  CL_SLOTS,
  KEY_BYTES,
  KEY_FAMILY_IPV4,
  KEY_FAMILY_IPV6,
  KEY_LOCAL,
  KEY_PORTS,
  KEY_REMOTE,
  KIND_LEFT,
  KIND_WIDE,
} from './classify-layout'
import {
  HEADER_STRIDE,
  P_DESTINATION_L4,
  P_FLAGS,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_L3,
  P_L4,
  P_PROTOCOL,
  P_SOURCE_L4,
  P_VSID,
  PF_FRAGMENT,
  PF_IPV4,
  PF_IPV6,
  PF_TAGGED,
  PF_VLAN_OOB,
} from './layout'
import { be16 } from './parse.as'

const TCP: u32 = 6
const UDP: u32 = 17
const SCTP: u32 = 132
const TCP_BYTES: u32 = 14 // up to the flags
const PORTS_BYTES: u32 = 4
const IPV6_HEADER: u32 = 40

@inline
function ends(h: usize, l3: u32, isIpv4: bool, copied: u32): u32 {
  const end = l3 + (isIpv4 ? be16(h + 2) : IPV6_HEADER + be16(h + 4))
  return min(end, copied)
}

/** See ClassifyKernels. */
export function fillKeys(pool: usize, block: usize, count: u32, port: u32, isolation: u32, inbound: u32): u32 {
  const source: usize = inbound != 0 ? <usize>KEY_REMOTE : <usize>KEY_LOCAL
  const destination: usize = inbound != 0 ? <usize>KEY_LOCAL : <usize>KEY_REMOTE
  let found: u32 = 0
  for (let n: u32 = 0; n < count; n++) {
    const position = <usize>load<u8>(block + n, CL_CHOSEN)
    const k = <usize>load<u16>(block + (position << 1), CL_SLOTS)
    const k2 = pool + (k << 1)
    const kinds = load<u32>(pool + (k << 2), P_FLAGS)
    const l3 = <u32>load<u8>(pool + k, P_L3)
    const l4 = <u32>load<u8>(pool + k, P_L4)
    const protocol = <u32>load<u8>(pool + k, P_PROTOCOL)
    const isIpv4 = (kinds & PF_IPV4) != 0
    const h = pool + k * HEADER_STRIDE + <usize>load<u16>(k2, P_HEADER_OFFSET) + <usize>l3
    const isSimple =
      (kinds & (PF_IPV4 | PF_IPV6)) != 0 &&
      (kinds & (PF_FRAGMENT | PF_TAGGED | PF_VLAN_OOB)) == 0 &&
      l4 != 0 &&
      load<u32>(pool + (k << 2), P_VSID) == 0 &&
      (protocol == TCP || protocol == UDP || protocol == SCTP)
    if (
      !isSimple ||
      l4 + (protocol == TCP ? TCP_BYTES : PORTS_BYTES) > ends(h, l3, isIpv4, <u32>load<u16>(k2, P_HEADER_LENGTH))
    ) {
      store<u8>(block + position, KIND_LEFT, CL_KINDS)
      found |= 1 << KIND_LEFT
      continue
    }
    const key = block + position * KEY_BYTES
    if (isIpv4) {
      v128.store(key + source, i32x4.replace_lane(i32x4.splat(0), 3, bswap<u32>(load<u32>(h, 12))), CL_KEYS)
      v128.store(key + destination, i32x4.replace_lane(i32x4.splat(0), 3, bswap<u32>(load<u32>(h, 16))), CL_KEYS)
    } else {
      const order = i8x16(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12)
      v128.store(key + source, v128.swizzle(v128.load(h, 8), order), CL_KEYS)
      v128.store(key + destination, v128.swizzle(v128.load(h, 24), order), CL_KEYS)
    }
    const from = <u32>load<u16>(k2, P_SOURCE_L4)
    const to = <u32>load<u16>(k2, P_DESTINATION_L4)
    const kind: u32 = isIpv4 ? 0 : KIND_WIDE
    store<u32>(key, inbound != 0 ? (to << 16) | from : (from << 16) | to, CL_KEYS + KEY_PORTS)
    store<u32>(key, protocol | (isIpv4 ? KEY_FAMILY_IPV4 : KEY_FAMILY_IPV6) | (isolation << 16), CL_KEYS + KEY_PORTS + 4)
    store<u32>(key, port | ((isolation >> 16) << 16), CL_KEYS + KEY_PORTS + 8)
    store<u8>(block + position, <u8>kind, CL_KINDS)
    found |= 1 << kind
  }
  return found
}
