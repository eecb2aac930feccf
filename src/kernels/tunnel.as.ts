// Network virtualization for a burst of one port: which packets it takes, headers of tunnels put before packets and taken off, look-ups
// by subnet and address. What is not simple is left undecided, untouched, to src/switch/overlay, which does the same for all cases.
//
// The rule it must not break: it decides exactly as src/switch/overlay does, or leaves the packet as it was; nothing is read of a frame but
// its header copy, and every field of it is checked.
import {
  DE_PRESERVE_PRIORITY,
  DE_PRESERVE_VLAN,
  HEADER_STRIDE,
  MAC_KEY_MASK,
  MAC_KEY_STATIC,
  MAC_KEY_VALID,
  OFFLOAD_CHECKSUM,
  P_DESTINATION,
  P_DESTINATION_COUNT,
  P_DESTINATION_L4,
  P_DESTINATION_ROOM,
  P_ETHER_TYPE,
  P_FLAGS,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_L3,
  P_L4,
  P_LENGTH,
  P_NEEDS,
  P_PROTOCOL,
  P_SOURCE_L4,
  P_SOURCE_PORT,
  P_VLAN,
  P_VNET,
  P_VSID,
  PARSE_FLAGS,
  PF_DATA_VALID,
  PF_DROPPED,
  PF_FRAGMENT,
  PF_GROWN,
  PF_IPV4,
  PF_IPV6,
  PF_MULTICAST,
  PF_NATIVE_FORWARDING,
  PF_TAGGED,
  PF_VLAN_OOB,
  VNET_STRIDE,
} from './layout'
import { find } from './mac-table.as'
import { be16, parse, parseHeader } from './parse.as'
import {
  TC_BYTES,
  TC_RECEIVED_BYTES,
  TC_RECEIVED_FRAMES,
  TC_SENT_BYTES,
  TC_SENT_FRAMES,
  TP_ADDRESS,
  TP_ADDRESS_BYTES,
  TP_BYTES,
  TP_HASH_MIX,
  TP_IPV4,
  TP_LENGTH,
  TP_NEXT,
  TP_SUM,
  TS_BYTES,
  TS_ENTRIES,
  TS_HASH_MIX,
  TS_HASH_SHIFT,
  TU_ANSWERS,
  TU_CHAINS,
  TU_CHECKS,
  TU_CLAMPS,
  TU_COUNTERS,
  TU_EXTERNAL,
  TU_FORMAT,
  TU_FORMAT_NVGRE,
  TU_FORMAT_VXLAN,
  TU_LEARNS,
  TU_LEFT,
  TU_LONGEST,
  TU_MAC_HIGH,
  TU_MAC_LOW,
  TU_MAC_MASK,
  TU_MACS,
  TU_MTU_IPV4,
  TU_MTU_IPV6,
  TU_NEEDS,
  TU_NOW,
  TU_OWN_FAMILIES,
  TU_OWN_IPV4,
  TU_OWN_IPV6,
  TU_PEERS,
  TU_PEERS_MAX,
  TU_PORTS,
  TU_SOURCE,
  TU_SOURCE_HIGH,
  TU_SOURCE_LOW,
  TU_STOPPED_AT,
  TU_SUBNET,
  TU_SUBNET_OF,
  TU_SUBNETS,
  TU_UDP_PORT,
} from './tunnel-layout'

const KEEP_ALL: u32 = DE_PRESERVE_VLAN | DE_PRESERVE_PRIORITY
const NOT_SIMPLE: u32 = PF_MULTICAST | PF_TAGGED | PF_VLAN_OOB | PF_GROWN
const ETHERNET: u32 = 14
const IPV4: u32 = 20
const IPV6: u32 = 40
const UDP: u32 = 8
const OVERLAY: u32 = 8
const TCP: u32 = 6
const UDP_PROTOCOL: u32 = 17
const ICMPV6: u32 = 58
const GRE_PROTOCOL: u32 = 47
const SYN: u32 = 2
const TCP_FLAGS: u32 = 13
const TCP_HEADER: u32 = 20
const VNET_CHECKSUM_START: usize = 6
const MIX: u32 = 0x9e3779b1
const SOURCE_PORTS_FIRST: u32 = 0xc000
const SOURCE_PORTS_MASK: u32 = 0x3fff
// Little-endian: ether type 0x0800, version 4, five words of header.
const PLAIN_IPV4: u32 = 0x450008
/** Nobody. */
const NONE: u32 = 0xffffffff

@inline
function put16(p: usize, v: u32): void {
  store<u16>(p, <u16>(((v & 0xff) << 8) | ((v >> 8) & 0xff)))
}

@inline
function count(counters: usize, peer: u32, frames: usize, frameCount: u32, bytes: u32): void {
  const at = counters + <usize>peer * TC_BYTES + frames
  store<f64>(at, load<f64>(at) + <f64>frameCount)
  store<f64>(at, load<f64>(at, TC_SENT_BYTES - TC_SENT_FRAMES) + <f64>bytes, TC_SENT_BYTES - TC_SENT_FRAMES)
}

@inline
function direct(k2: usize, k4: usize, entry: u32): void {
  store<u32>(k4, entry, P_DESTINATION)
  store<u16>(k2, 1, P_DESTINATION_COUNT)
  store<u16>(k2, 0, P_DESTINATION_ROOM)
}

/** The place that the table knows for an address, or NONE: there is none, or a writer was here meanwhile. */
@inline
function placeOf(table: usize, mask: u32, low: u32, key: u32): u32 {
  const at = find(table, mask, low, key)
  if (at == 0) return NONE
  const place = load<u32>(at, 8)
  return (atomic.load<u32>(at, 4) & MAC_KEY_MASK) == key && load<u32>(at) == low ? place : NONE
}

/** True if the table knows that the address is at `place`; then it was seen `now`. */
@inline
function isLearned(table: usize, mask: u32, low: u32, key: u32, place: u32, now: u32): bool {
  const at = find(table, mask, low, key)
  if (at == 0 || load<u32>(at, 8) != place) return false
  if (load<u32>(at, 12) != now) store<u32>(at, now, 12)
  return true
}

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

/**
 * Marks the packets of `list`, all from one port, that network virtualization takes (PF_NATIVE_FORWARDING). `all`: that port is in a
 * subnet; else it is the external one, and those to the providers' address are taken. Group addresses are left: their positions stand in
 * TU_LEFT. Returns how many were marked in the low 16 bits, and how many are left above.
 */
export function claim(pool: usize, list: usize, packets: u32, block: usize, all: u32): u32 {
  const low = load<u32>(block, TU_MAC_LOW)
  const high = load<u32>(block, TU_MAC_HIGH)
  let marked: u32 = 0
  let left: u32 = 0
  for (let j: u32 = 0; j < packets; j++) {
    const k = <u32>load<u16>(list + (<usize>j << 1))
    const k4 = pool + (<usize>k << 2)
    const flags = load<u32>(k4, P_FLAGS)
    if (!all) {
      if (flags & PF_TAGGED) continue
      if (flags & PF_MULTICAST) {
        store<u16>(block + (<usize>left << 1), <u16>j, TU_LEFT)
        left++
        continue
      }
      const h = pool + <usize>k * HEADER_STRIDE + <usize>load<u16>(pool + (<usize>k << 1), P_HEADER_OFFSET)
      if (<u32>load<u16>(h) != high || load<u32>(h, 2) != low) continue
    }
    store<u32>(k4, flags | PF_NATIVE_FORWARDING, P_FLAGS)
    marked++
  }
  return marked | (left << 16)
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
  let left: u32 = 0
  let stopped = packets
  let needsSeen: u32 = 0
  let longest: u32 = 0
  // Counters of a peer are added up while packets for it follow each other.
  let counted: u32 = NONE
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
    const h = pool + <usize>k * HEADER_STRIDE + <usize>offset
    const senderHigh = <u32>load<u16>(h, 6)
    const senderLow = load<u32>(h, 8)
    if (
      <u32>load<u16>(k2, P_SOURCE_PORT) != source ||
      (checks && (senderLow != load<u32>(block, TU_SOURCE_LOW) || senderHigh != load<u32>(block, TU_SOURCE_HIGH))) ||
      ((senderHigh & 1) == 0 && !isLearned(macs, mask, senderLow, senderHigh | subnetKey, source, now))
    ) {
      // What is learned of it decides about the packets behind it: they have to wait.
      stopped = j
      break
    }
    const needs = <u32>load<u8>(k1, P_NEEDS)
    const type = <u32>load<u16>(k2, P_ETHER_TYPE)
    const family = flags & (PF_IPV4 | PF_IPV6)
    let simple = (flags & NOT_SIMPLE) == 0 && (needs & ~OFFLOAD_CHECKSUM) == 0
    if (family == 0) simple = simple && type != 0x0800 && type != 0x86dd && !(answers && type == 0x0806)
    else if (answers && (flags & PF_IPV6) != 0) simple = simple && <u32>load<u8>(h, 20) != ICMPV6
    if (simple) {
      const low = load<u32>(h, 2)
      const place = placeOf(macs, mask, low, <u32>load<u16>(h) | subnetKey)
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
          const above = size - ETHERNET + length
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
          const overlay = to + size - OVERLAY
          const vsid = load<u32>(k4, P_VSID)
          store<u32>(overlay, bswap<u32>((vsid << 8) | (isNvgre ? flow & 0xff : 0)), 4)
          const outer = ETHERNET + (isIpv4 ? IPV4 : IPV6)
          let ports: u32 = 0
          if (!isNvgre) {
            const sourceL4 = SOURCE_PORTS_FIRST | ((flow ^ (flow >>> 14)) & SOURCE_PORTS_MASK)
            put16(overlay - UDP, sourceL4)
            put16(overlay - UDP + 4, length + OVERLAY + UDP)
            ports = sourceL4
          }
          const whole = length + size
          store<u16>(k2, <u16>(offset - size), P_HEADER_OFFSET)
          store<u16>(k2, <u16>(copied + size), P_HEADER_LENGTH)
          store<u32>(k4, whole, P_LENGTH)
          store<u32>(k4, (flags & ~(PARSE_FLAGS | PF_DATA_VALID)) | (isIpv4 ? PF_IPV4 : PF_IPV6), P_FLAGS)
          store<u16>(k2, 0, P_VLAN)
          store<u16>(k2, isIpv4 ? 0x0800 : 0x86dd, P_ETHER_TYPE)
          store<u8>(k1, <u8>ETHERNET, P_L3)
          store<u8>(k1, <u8>outer, P_L4)
          store<u8>(k1, <u8>(isNvgre ? GRE_PROTOCOL : UDP_PROTOCOL), P_PROTOCOL)
          store<u16>(k2, <u16>ports, P_SOURCE_L4)
          store<u16>(k2, <u16>(isNvgre ? 0 : be16(to + outer + 2)), P_DESTINATION_L4)
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

@inline
function isSame16(a: usize, b: usize): bool {
  return !v128.any_true(v128.xor(v128.load(a), v128.load(b)))
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
    const isIpv6 = <u32>load<u16>(h, 12) == 0xdd86 && (families & 2) != 0
    const headers = ETHERNET + (isIpv4 ? IPV4 : IPV6) + (isNvgre ? 0 : UDP) + OVERLAY
    // The whole of both Ethernet headers and what is between them is read from here on.
    let sound =
      (flags & NOT_SIMPLE) == 0 &&
      load<u8>(k1, P_NEEDS) == 0 &&
      <u32>load<u16>(k2, P_SOURCE_PORT) == source &&
      (isIpv4 || isIpv6) &&
      copied >= headers + ETHERNET
    let ecn: u32 = 0
    let from: usize = h + 26
    if (sound) {
      let payload: u32 = 0
      if (isIpv4) {
        payload = be16(h + 16) - IPV4
        ecn = <u32>load<u8>(h, 15) & 3
        sound =
          <u32>load<u8>(h, 23) == protocol &&
          (be16(h + 20) & 0x3fff) == 0 &&
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
      if (isNvgre) sound = sound && load<u32>(overlay) == 0x58650020
      else {
        sound = sound && be16(overlay - UDP + 2) == udpPort && be16(overlay - UDP + 4) == payload
        if (format == TU_FORMAT_VXLAN) sound = sound && (load<u8>(overlay) & 8) != 0
        else sound = sound && (load<u32>(overlay) & 0xffffc0ff) == 0x58650000
      }
      if (sound) {
        const vsid = bswap<u32>(load<u32>(overlay, 4)) >>> 8
        if (vsid != lastVsid) {
          lastVsid = vsid
          lastSubnet = subnetOfVsid(subnets, vsid)
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
        const place = placeOf(macs, mask, low, high | key)
        if (place < ports && <u32>load<u16>(subnetOf + (<usize>place << 1)) == lastSubnet) {
          let sender: usize = 0
          if (learns && (senderHigh & 1) == 0) {
            sender = find(macs, mask, load<u32>(e, 8), senderHigh | key)
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
            if (sender != 0 && load<u32>(sender, 12) != now) store<u32>(sender, now, 12)
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
