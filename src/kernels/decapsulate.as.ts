// Takes packets of a burst from the external port out of tunnels, and directs them to ports of their subnets.
//
// The rule it must not break: it decides exactly as src/switch/overlay/inbound.ts does, with every field checked, or leaves the packet as it
// was.
import {
  HEADER_STRIDE,
  MAC_KEY_STATIC,
  OFFLOAD_CHECKSUM,
  MAC_KEY_VALID,
  PARSE_FLAGS,
  PF_DATA_VALID,
  PF_DROPPED,
  PF_IPV4,
  PF_IPV6,
  PF_MULTICAST,
  PF_NATIVE_FORWARDING,
  PF_TAGGED,
  P_ETHER_TYPE,
  P_FLAGS,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_L4,
  P_LENGTH,
  P_NEEDS,
  P_PROTOCOL,
  P_SOURCE_PORT,
  P_VNET,
  P_VSID,
  VNET_STRIDE,
} from './layout'
import { find } from './mac-table.as'
import { be16, parse, parseHeader } from './parse.as'
import {
  ETHERNET,
  GRE_PROTOCOL,
  IPV4,
  IPV6,
  KEEP_ALL,
  NONE,
  NOT_SIMPLE,
  OVERLAY,
  PLAIN_IPV4,
  SYN,
  TCP,
  TCP_FLAGS,
  UDP,
  UDP_PROTOCOL,
  VNET_CHECKSUM_START,
  count,
  direct,
  placeOf,
} from './tunnel.as'
import {
  TC_RECEIVED_FRAMES,
  TP_ADDRESS,
  TP_ADDRESS_BYTES,
  TP_BYTES,
  TP_HASH_MIX,
  TP_NEXT,
  TS_BYTES,
  TS_ENTRIES,
  TS_HASH_MIX,
  TS_HASH_SHIFT,
  TU_CHAINS,
  TU_CLAMPS,
  TU_COUNTERS,
  TU_FORMAT,
  TU_FORMAT_NVGRE,
  TU_FORMAT_VXLAN,
  TU_LEARNS,
  TU_LEFT,
  TU_MACS,
  TU_MAC_HIGH,
  TU_MAC_LOW,
  TU_MAC_MASK,
  TU_NOW,
  TU_OWN_FAMILIES,
  TU_OWN_IPV4,
  TU_OWN_IPV6,
  TU_PEERS,
  TU_PEERS_MAX,
  TU_PORTS,
  TU_SOURCE,
  TU_STOPPED_AT,
  TU_SUBNETS,
  TU_SUBNET_OF,
  TU_UDP_PORT,
} from './tunnel-layout'


const FRAGMENT_BITS: u32 = 0x3fff
// First words as they stand in memory: GRE with a key and nothing else, Geneve without options (version, length, control and critical bits 0).
const GRE_WITH_KEY: u32 = 0x58650020
const GENEVE_PLAIN: u32 = 0x58650000
const GENEVE_CHECKED: u32 = 0xffffc0ff
const VXLAN_IDENTIFIED: u32 = 8
const IPV6_TYPE: u32 = 0xdd86

@inline
function isSame16(a: usize, b: usize): bool {
  return !v128.any_true(v128.xor(v128.load(a), v128.load(b)))
}

/** True if the checksum request at `p` is one of the inner frame, which begins before `from`, and the sum's place is in the header copy. */
@inline
function isChecksumWithin(p: usize, from: u32, copied: u32): bool {
  const start = <u32>load<u16>(p)
  return start >= from && start + <u32>load<u16>(p, 2) + 2 <= copied
}

/** The peer with the address at `p`, or NONE. */
function peerAt(block: usize, p: usize, isIpv4: bool): u32 {
  const peers = <usize>load<u32>(block, TU_PEERS)
  const length: u32 = isIpv4 ? 4 : 16
  let hash = length
  for (let i: u32 = 0; i < length; i += 4) hash = (hash ^ load<u32>(p + i)) * TP_HASH_MIX
  hash = (hash ^ (hash >>> 15)) & (TU_PEERS_MAX - 1)
  let next = <u32>load<u16>(<usize>load<u32>(block, TU_CHAINS) + (<usize>hash << 1))
  for (let i: u32 = 0; next != 0 && i < <u32>TU_PEERS_MAX; i++) {
    const entry = peers + <usize>(next - 1) * TP_BYTES
    if (load<u32>(entry, TP_ADDRESS_BYTES) == length) {
      if (isIpv4 ? load<u32>(entry, TP_ADDRESS) == load<u32>(p) : isSame16(entry + TP_ADDRESS, p)) return next - 1
    }
    next = load<u32>(entry, TP_NEXT)
  }
  return NONE
}

/** The number of virtual subnet `vsid`, or 0. */
@inline
function subnetOfVsid(table: usize, vsid: u32): u32 {
  if (vsid == 0) return 0
  let i = (vsid * TS_HASH_MIX) >>> TS_HASH_SHIFT
  for (let probe = 0; probe < TS_ENTRIES; probe++, i++) {
    const entry = table + <usize>(i & (TS_ENTRIES - 1)) * TS_BYTES
    const held = load<u32>(entry)
    if (held == vsid) return load<u32>(entry, 4)
    if (held == 0) return 0
  }
  return 0
}

/** Sum of the ten words of the IPv4 header at `p`, as they stand in memory, folded: 0xffff if its checksum is right. */
@inline
function headerSum(p: usize): u32 {
  let sum = <u64>load<u32>(p) + <u64>load<u32>(p, 4) + <u64>load<u32>(p, 8) + <u64>load<u32>(p, 12) + <u64>load<u32>(p, 16)
  sum = (sum & 0xffffffff) + (sum >>> 32)
  let folded = <u32>((sum & 0xffff) + (sum >>> 16))
  folded = (folded & 0xffff) + (folded >>> 16)
  return (folded & 0xffff) + (folded >>> 16)
}

/**
 * Takes the headers of tunnels off the packets of `list`, all from the external port (TU_SOURCE), and directs those to ports of their subnets.
 * Where addresses are learned, stops at the first that it leaves undecided or whose sender must be learned first (TU_STOPPED_AT). Returns
 * how many before that are left undecided, as they were; TU_LEFT has their positions.
 */
export function decapsulate(pool: usize, list: usize, packets: u32, block: usize): u32 {
  const macs = <usize>load<u32>(block, TU_MACS)
  const mask = load<u32>(block, TU_MAC_MASK)
  const now = load<u32>(block, TU_NOW)
  const source = load<u32>(block, TU_SOURCE)
  const subnetOf = <usize>load<u32>(block, TU_SUBNET_OF)
  const ports = load<u32>(block, TU_PORTS)
  const subnets = <usize>load<u32>(block, TU_SUBNETS)
  const peers = <usize>load<u32>(block, TU_PEERS)
  const counters = <usize>load<u32>(block, TU_COUNTERS)
  const clamps = load<u32>(block, TU_CLAMPS) != 0
  const learns = load<u32>(block, TU_LEARNS) != 0
  const families = load<u32>(block, TU_OWN_FAMILIES)
  const own = load<u32>(block, TU_OWN_IPV4)
  const format = load<u32>(block, TU_FORMAT)
  const udpPort = load<u32>(block, TU_UDP_PORT)
  const macLow = load<u32>(block, TU_MAC_LOW)
  const macHigh = load<u32>(block, TU_MAC_HIGH)
  const isNvgre = format == TU_FORMAT_NVGRE
  const protocol = isNvgre ? GRE_PROTOCOL : UDP_PROTOCOL
  let left: u32 = 0
  let stopped = packets
  // Packets of one subnet, to one address and from one follow each other: what was found last.
  let foundLow: u32 = 0
  let foundHigh: u32 = NONE
  let place: u32 = NONE
  let learnedLow: u32 = 0
  let learnedHigh: u32 = NONE
  let lastVsid: u32 = 0
  let lastSubnet: u32 = 0
  let peer: u32 = NONE // the one whose packets are being added up
  let frames: u32 = 0
  let bytes: u32 = 0
  for (let j: u32 = 0; j < packets; j++) {
    const k = <u32>load<u16>(list + (<usize>j << 1))
    const k1 = pool + <usize>k
    const k2 = pool + (<usize>k << 1)
    const k4 = pool + (<usize>k << 2)
    const flags = load<u32>(k4, P_FLAGS)
    if ((flags & (PF_NATIVE_FORWARDING | PF_DROPPED)) != PF_NATIVE_FORWARDING) continue
    const offset = <u32>load<u16>(k2, P_HEADER_OFFSET)
    const copied = <u32>load<u16>(k2, P_HEADER_LENGTH)
    const length = load<u32>(k4, P_LENGTH)
    const h = pool + <usize>k * HEADER_STRIDE + <usize>offset
    const isIpv4 = (load<u32>(h, 12) & 0xffffff) == PLAIN_IPV4 && (families & 1) != 0
    const isIpv6 = <u32>load<u16>(h, 12) == IPV6_TYPE && (families & 2) != 0
    const headers = ETHERNET + (isIpv4 ? IPV4 : IPV6) + (isNvgre ? 0 : UDP) + OVERLAY
    const needs = <u32>load<u8>(k1, P_NEEDS)
    const checksum = pool + P_VNET + <usize>k * VNET_STRIDE + VNET_CHECKSUM_START
    // The whole of both Ethernet headers and what is between them is read from here on.
    let sound =
      (flags & NOT_SIMPLE) == 0 &&
      (needs & ~OFFLOAD_CHECKSUM) == 0 &&
      <u32>load<u16>(k2, P_SOURCE_PORT) == source &&
      (isIpv4 || isIpv6) &&
      copied >= headers + ETHERNET &&
      (needs == 0 || isChecksumWithin(checksum, headers + ETHERNET, copied))
    let ecn: u32 = 0
    let from: usize = h + 26
    if (sound) {
      let payload: u32 = 0
      if (isIpv4) {
        payload = be16(h + 16) - IPV4
        ecn = <u32>load<u8>(h, 15) & 3
        sound =
          <u32>load<u8>(h, 23) == protocol &&
          (be16(h + 20) & FRAGMENT_BITS) == 0 &&
          headerSum(h + ETHERNET) == 0xffff &&
          load<u32>(h, 30) == own
      } else {
        from = h + 22
        payload = be16(h + 18)
        ecn = (<u32>load<u8>(h, 15) >> 4) & 3
        sound =
          <u32>load<u8>(h, 14) >> 4 == 6 && <u32>load<u8>(h, 20) == protocol && isSame16(h + 38, block + TU_OWN_IPV6)
      }
      const overlay = h + headers - OVERLAY
      // What the headers say of the inner frame must be all that there is: padded ones are left.
      sound = sound && payload + ETHERNET + (isIpv4 ? IPV4 : IPV6) == length && length >= headers + ETHERNET
      if (isNvgre) sound = sound && load<u32>(overlay) == GRE_WITH_KEY
      else {
        sound = sound && be16(overlay - UDP + 2) == udpPort && be16(overlay - UDP + 4) == payload
        if (format == TU_FORMAT_VXLAN) sound = sound && (load<u8>(overlay) & VXLAN_IDENTIFIED) != 0
        else sound = sound && (load<u32>(overlay) & GENEVE_CHECKED) == GENEVE_PLAIN
      }
      if (sound) {
        const vsid = bswap<u32>(load<u32>(overlay, 4)) >>> 8
        if (vsid != lastVsid) {
          lastVsid = vsid
          lastSubnet = subnetOfVsid(subnets, vsid)
          foundHigh = NONE
          learnedHigh = NONE
        }
        const entry = peers + <usize>peer * TP_BYTES
        const isLast =
          peer != NONE &&
          load<u32>(entry, TP_ADDRESS_BYTES) == (isIpv4 ? 4 : 16) &&
          (isIpv4 ? load<u32>(entry, TP_ADDRESS) == load<u32>(from) : isSame16(entry + TP_ADDRESS, from))
        if (!isLast) {
          if (frames != 0) count(counters, peer, TC_RECEIVED_FRAMES, frames, bytes)
          frames = 0
          bytes = 0
          peer = peerAt(block, from, isIpv4)
          learnedHigh = NONE
        }
        sound = peer != NONE && lastSubnet != 0
      }
    }
    if (sound) {
      const e = h + headers
      const inner = length - headers
      const shown = copied - headers
      const key = (lastSubnet << 16) | MAC_KEY_VALID
      const low = load<u32>(e, 2)
      const high = <u32>load<u16>(e)
      const senderHigh = <u32>load<u16>(e, 6)
      if ((high & 1) == 0 && !(low == macLow && high == macHigh)) {
        if (((low ^ foundLow) | (high ^ foundHigh)) != 0) {
          foundLow = low
          foundHigh = high
          place = placeOf(macs, mask, low, high | key)
        }
        if (place < ports && <u32>load<u16>(subnetOf + (<usize>place << 1)) == lastSubnet) {
          const senderLow = load<u32>(e, 8)
          let sender: usize = 0
          if (learns && (senderHigh & 1) == 0 && ((senderLow ^ learnedLow) | (senderHigh ^ learnedHigh)) != 0) {
            sender = find(macs, mask, senderLow, senderHigh | key)
            if (sender == 0 || (load<u32>(sender, 8) != ports + peer && (load<u32>(sender, 4) & MAC_KEY_STATIC) == 0)) {
              stopped = j
              break
            }
            if (load<u32>(sender, 8) != ports + peer) sender = 0 // a record's place is not changed by what comes
          }
          parseHeader(pool, k, e, shown, flags & ~(PARSE_FLAGS | PF_DATA_VALID))
          if (isInnerSimple(k1, k2, k4, e, inner, shown, ecn, clamps)) {
            store<u16>(k2, <u16>(offset + headers), P_HEADER_OFFSET)
            store<u16>(k2, <u16>shown, P_HEADER_LENGTH)
            store<u32>(k4, inner, P_LENGTH)
            store<u32>(k4, lastVsid, P_VSID)
            if (needs) store<u16>(checksum, <u16>(<u32>load<u16>(checksum) - headers))
            if (sender != 0 && load<u32>(sender, 12) != now) store<u32>(sender, now, 12)
            learnedLow = senderLow
            learnedHigh = senderHigh
            frames++
            bytes += inner
            direct(k2, k4, place | KEEP_ALL)
            continue
          }
          parse(pool, k, 1)
          store<u32>(k4, flags, P_FLAGS)
        }
      }
    }
    if (learns) {
      // What may be learned of it comes before what the packets behind it teach.
      stopped = j
      break
    }
    store<u16>(block + (<usize>left << 1), <u16>j, TU_LEFT)
    left++
  }
  if (frames != 0) count(counters, peer, TC_RECEIVED_FRAMES, frames, bytes)
  store<u32>(block, stopped, TU_STOPPED_AT)
  return left
}

/** Whether nothing is to be done to the parsed inner frame at `e`: `shown` of its `inner` bytes stand in the header copy. */
@inline
function isInnerSimple(k1: usize, k2: usize, k4: usize, e: usize, inner: u32, shown: u32, ecn: u32, clamps: bool): bool {
  const flags = load<u32>(k4, P_FLAGS)
  if (flags & (PF_TAGGED | PF_MULTICAST)) return false
  const type = <u32>load<u16>(k2, P_ETHER_TYPE)
  if (type != 0x0800 && type != 0x86dd) return true
  if ((flags & (PF_IPV4 | PF_IPV6)) == 0) return false
  const l4 = <u32>load<u8>(k1, P_L4)
  if (l4 == 0) return inner == shown && (ecn & 1) == 0
  if (clamps && <u32>load<u8>(k1, P_PROTOCOL) == TCP) {
    if (l4 + TCP_FLAGS >= shown) return false
    if (<u32>load<u8>(e + l4, TCP_FLAGS) & SYN) return false
  }
  if ((ecn & 1) == 0) return true
  // RFC 6040 4.2: nothing changes where both say the same.
  return ecn == (flags & PF_IPV4 ? <u32>load<u8>(e, 15) & 3 : (<u32>load<u8>(e, 15) >> 4) & 3)
}
