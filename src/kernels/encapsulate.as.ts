// Puts packets of a burst from a port in a virtual subnet into tunnels, or directs them to ports of the subnet.
//
// The rule it must not break: it decides exactly as src/switch/overlay/outbound.ts does, and writes the headers that it writes, or leaves the
// packet as it was.
import {
  HEADER_STRIDE,
  MAC_KEY_VALID,
  OFFLOAD_CHECKSUM,
  PARSE_FLAGS,
  PF_DATA_VALID,
  PF_DROPPED,
  PF_FRAGMENT,
  PF_IPV4,
  PF_IPV6,
  PF_NATIVE_FORWARDING,
  P_DESTINATION_L4,
  P_ETHER_TYPE,
  P_FLAGS,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_L4,
  P_LENGTH,
  P_NEEDS,
  P_PROTOCOL,
  P_SOURCE_L4,
  P_VNET,
  P_VSID,
  VNET_STRIDE,
} from './layout'
import { be16 } from './parse.as'
import {
  ETHERNET,
  GRE_PROTOCOL,
  IPV4,
  IPV6,
  KEEP_ALL,
  NONE,
  NOT_SIMPLE,
  OVERLAY,
  SYN,
  TCP,
  TCP_FLAGS,
  UDP,
  UDP_PROTOCOL,
  VNET_CHECKSUM_START,
  count,
  direct,
  isLearned,
  placeOf,
  put16,
} from './tunnel.as'
import {
  TC_SENT_FRAMES,
  TP_BYTES,
  TP_IPV4,
  TP_LENGTH,
  TP_SUM,
  TU_ANSWERS,
  TU_CHECKS,
  TU_CLAMPS,
  TU_COUNTERS,
  TU_EXTERNAL,
  TU_FORMAT,
  TU_FORMAT_NVGRE,
  TU_LEFT,
  TU_LONGEST,
  TU_MACS,
  TU_MAC_MASK,
  TU_MTU_IPV4,
  TU_MTU_IPV6,
  TU_NEEDS,
  TU_NOW,
  TU_PEERS,
  TU_PEERS_MAX,
  TU_PORTS,
  TU_SOURCE,
  TU_SOURCE_HIGH,
  TU_SOURCE_LOW,
  TU_STOPPED_AT,
  TU_SUBNET,
  TU_SUBNET_OF,
  TU_UDP_PORT,
} from './tunnel-layout'

const ICMPV6: u32 = 58
const TCP_HEADER: u32 = 20
const MIX: u32 = 0x9e3779b1
const SOURCE_PORTS_FIRST: u32 = 0xc000
const SOURCE_PORTS_MASK: u32 = 0x3fff

@inline
function mix(hash: u32, word: u32): u32 {
  const mixed = (hash ^ word) * MIX
  return mixed ^ (mixed >>> 15)
}

/** A number that is the same for all packets of a flow: the twin is flowOf of src/switch/overlay/tunnel-fields.ts. */
@inline
function flowOf(k1: usize, k2: usize, h: usize, flags: u32): u32 {
  let hash = <u32>load<u8>(k1, P_PROTOCOL) ^ (<u32>load<u16>(k2, P_SOURCE_L4) << 16) ^ <u32>load<u16>(k2, P_DESTINATION_L4)
  if (flags & PF_IPV4) return mix(mix(hash, load<u32>(h, 26)), load<u32>(h, 30))
  let from = h
  let words: u32 = 3
  if (flags & PF_IPV6) {
    from = h + 22
    words = 8
  }
  for (let i: u32 = 0; i < words; i++) hash = mix(hash, load<u32>(from + (<usize>i << 2)))
  return hash
}

/** Copies the `n` (42 to 70) bytes of a tunnel's headers from `s`, behind which there is room, to `d`. */
@inline
function copyHeaders(d: usize, s: usize, n: u32): void {
  v128.store(d, v128.load(s))
  v128.store(d, v128.load(s, 16), 16)
  if (n >= 48) v128.store(d, v128.load(s, 32), 32)
  if (n >= 64) v128.store(d, v128.load(s, 48), 48)
  v128.store(d + n - 16, v128.load(s + n - 16))
}

/** Writes into the IP header of the tunnel packet at `to`, a copy of `entry`'s, what differs by packet: `above` bytes follow the Ethernet header. */
@inline
function writeIp(to: usize, entry: usize, isIpv4: bool, above: u32, trafficClass: u32): void {
  if (isIpv4) {
    store<u8>(to, <u8>trafficClass, 15)
    put16(to + 16, above)
    let sum = load<u32>(entry, TP_SUM) + above + trafficClass
    sum = (sum & 0xffff) + (sum >>> 16)
    sum = (sum & 0xffff) + (sum >>> 16)
    put16(to + 24, ~sum)
  } else {
    put16(to + 14, 0x6000 | (trafficClass << 4))
    put16(to + 18, above - IPV6)
  }
}

/**
 * Directs the packets of `list`, all from one port in a subnet (TU_SOURCE, TU_SUBNET): to ports of the subnet, or into tunnels, whose headers
 * it puts before them. Stops at a packet whose source address must be checked or learned first (TU_STOPPED_AT). Returns how many before that
 * are left undecided; TU_LEFT has their positions.
 */
export function encapsulate(pool: usize, list: usize, packets: u32, block: usize): u32 {
  const macs = <usize>load<u32>(block, TU_MACS)
  const mask = load<u32>(block, TU_MAC_MASK)
  const now = load<u32>(block, TU_NOW)
  const source = load<u32>(block, TU_SOURCE)
  const subnet = load<u32>(block, TU_SUBNET)
  const subnetKey = (subnet << 16) | MAC_KEY_VALID
  const subnetOf = <usize>load<u32>(block, TU_SUBNET_OF)
  const ports = load<u32>(block, TU_PORTS)
  const peers = <usize>load<u32>(block, TU_PEERS)
  const counters = <usize>load<u32>(block, TU_COUNTERS)
  const external = load<u32>(block, TU_EXTERNAL)
  const answers = load<u32>(block, TU_ANSWERS) != 0
  const clamps = load<u32>(block, TU_CLAMPS) != 0
  const checks = load<u32>(block, TU_CHECKS) != 0
  const isNvgre = load<u32>(block, TU_FORMAT) == TU_FORMAT_NVGRE
  const udpPort = isNvgre ? 0 : load<u32>(block, TU_UDP_PORT)
  let left: u32 = 0
  let stopped = packets
  let needsSeen: u32 = 0
  let longest: u32 = 0
  // Counters of a peer are added up while packets for it follow each other.
  let counted: u32 = NONE
  let frames: u32 = 0
  let bytes: u32 = 0
  // Packets of one sender, or to one address, follow each other: the sender that was learned last, and the address that was found last.
  let learnedLow: u32 = 0
  let learnedHigh: u32 = NONE
  let foundLow: u32 = 0
  let foundHigh: u32 = NONE
  let place: u32 = NONE
  for (let j: u32 = 0; j < packets; j++) {
    const k = <u32>load<u16>(list + (<usize>j << 1))
    const k1 = pool + <usize>k
    const k2 = pool + (<usize>k << 1)
    const k4 = pool + (<usize>k << 2)
    const flags = load<u32>(k4, P_FLAGS)
    if ((flags & (PF_NATIVE_FORWARDING | PF_DROPPED)) != PF_NATIVE_FORWARDING) continue
    const offset = <u32>load<u16>(k2, P_HEADER_OFFSET)
    const h = pool + <usize>k * HEADER_STRIDE + <usize>offset
    const senderHigh = <u32>load<u16>(h, 6)
    const senderLow = load<u32>(h, 8)
    if (
      ((senderLow ^ learnedLow) | (senderHigh ^ learnedHigh)) != 0 &&
      ((checks && (senderLow != load<u32>(block, TU_SOURCE_LOW) || senderHigh != load<u32>(block, TU_SOURCE_HIGH))) ||
        (senderHigh & 1) != 0 ||
        !isLearned(macs, mask, senderLow, senderHigh | subnetKey, source, now))
    ) {
      // No sender, or one to be learned, which decides about the packets behind it: they have to wait.
      stopped = j
      break
    }
    learnedLow = senderLow
    learnedHigh = senderHigh
    const needs = <u32>load<u8>(k1, P_NEEDS)
    const type = <u32>load<u16>(k2, P_ETHER_TYPE)
    const family = flags & (PF_IPV4 | PF_IPV6)
    let simple = (flags & NOT_SIMPLE) == 0 && (needs & ~OFFLOAD_CHECKSUM) == 0
    if (family == 0) simple = simple && type != 0x0800 && type != 0x86dd && !(answers && type == 0x0806)
    else if (answers && (flags & PF_IPV6) != 0) simple = simple && <u32>load<u8>(h, 20) != ICMPV6
    if (simple) {
      const low = load<u32>(h, 2)
      const high = <u32>load<u16>(h)
      if (((low ^ foundLow) | (high ^ foundHigh)) != 0) {
        foundLow = low
        foundHigh = high
        place = placeOf(macs, mask, low, high | subnetKey)
      }
      if (place < ports) {
        if (place != source && <u32>load<u16>(subnetOf + (<usize>place << 1)) == subnet) {
          direct(k2, k4, place | KEEP_ALL)
          continue
        }
      } else if (place - ports < <u32>TU_PEERS_MAX && external != 0) {
        const peer = place - ports
        const entry = peers + <usize>peer * TP_BYTES
        const size = load<u32>(entry, TP_LENGTH)
        const length = load<u32>(k4, P_LENGTH)
        const copied = <u32>load<u16>(k2, P_HEADER_LENGTH)
        const isIpv4 = load<u32>(entry, TP_IPV4) != 0
        const mtu = load<u32>(block + (isIpv4 ? TU_MTU_IPV4 : TU_MTU_IPV6))
        const l4 = <u32>load<u8>(k1, P_L4)
        let fits = size != 0 && offset >= size && length - ETHERNET <= mtu
        if (clamps && <u32>load<u8>(k1, P_PROTOCOL) == TCP && l4 != 0 && l4 + TCP_HEADER <= copied)
          fits = fits && ((<u32>load<u8>(h + l4, TCP_FLAGS) & SYN) == 0 || (flags & PF_FRAGMENT) != 0)
        if (fits) {
          if (peer != counted) {
            if (frames != 0) count(counters, counted, TC_SENT_FRAMES, frames, bytes)
            counted = peer
            frames = 0
            bytes = 0
          }
          frames++
          bytes += length
          let trafficClass: u32 = 0
          if (flags & PF_IPV4) trafficClass = <u32>load<u8>(h, 15)
          else if (family != 0) trafficClass = (be16(h + 14) >> 4) & 0xff
          const flow = flowOf(k1, k2, h, flags)
          const to = h - size
          copyHeaders(to, entry, size)
          writeIp(to, entry, isIpv4, size - ETHERNET + length, trafficClass)
          const overlay = to + size - OVERLAY
          const vsid = load<u32>(k4, P_VSID)
          store<u32>(overlay, bswap<u32>((vsid << 8) | (isNvgre ? flow & 0xff : 0)), 4)
          const outer = ETHERNET + (isIpv4 ? IPV4 : IPV6)
          let sourceL4: u32 = 0
          if (!isNvgre) {
            sourceL4 = SOURCE_PORTS_FIRST | ((flow ^ (flow >>> 14)) & SOURCE_PORTS_MASK)
            put16(overlay - UDP, sourceL4)
            put16(overlay - UDP + 4, length + OVERLAY + UDP)
          }
          const whole = length + size
          store<u16>(k2, <u16>(offset - size), P_HEADER_OFFSET)
          store<u16>(k2, <u16>(copied + size), P_HEADER_LENGTH)
          store<u32>(k4, whole, P_LENGTH)
          store<u32>(k4, (flags & ~(PARSE_FLAGS | PF_DATA_VALID)) | (isIpv4 ? PF_IPV4 : PF_IPV6), P_FLAGS)
          store<u16>(k2, isIpv4 ? 0x0800 : 0x86dd, P_ETHER_TYPE)
          store<u8>(k1, <u8>outer, P_L4)
          store<u8>(k1, <u8>(isNvgre ? GRE_PROTOCOL : UDP_PROTOCOL), P_PROTOCOL)
          store<u16>(k2, <u16>sourceL4, P_SOURCE_L4)
          store<u16>(k2, <u16>udpPort, P_DESTINATION_L4)
          if (needs) {
            const start = pool + P_VNET + <usize>k * VNET_STRIDE + VNET_CHECKSUM_START
            store<u16>(start, <u16>(<u32>load<u16>(start) + size))
            needsSeen |= needs
          }
          longest = max(longest, whole)
          direct(k2, k4, external)
          continue
        }
      }
    }
    store<u16>(block + (<usize>left << 1), <u16>j, TU_LEFT)
    left++
  }
  if (frames != 0) count(counters, counted, TC_SENT_FRAMES, frames, bytes)
  store<u32>(block, needsSeen, TU_NEEDS)
  store<u32>(block, longest, TU_LONGEST)
  store<u32>(block, stopped, TU_STOPPED_AT)
  return left
}
