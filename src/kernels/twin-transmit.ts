// Dequeue and complete: the twin of transmit.as.ts.
//
// The rule it must not break: what policy reads (header copy, virtio-net header) is read from the guest once; a chain that can't
// be read costs that chain only.
import type { Window } from './kernels.ts'
import * as layout from './layout.ts'
import { beginFrame, ENDLESS, settleFrame, walk } from './twin-chain.ts'
import { copy, enterRegions, load16, load32, ringPart, type TwinState, translate, WINDOW_SHIFT } from './twin-memory.ts'
import { beginGiving, give, isAvailable, publish } from './twin-notify.ts'
import { parseHeader } from './twin-parse.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const {
  BURST_MAX,
  DESC_INDIRECT,
  DESC_NEXT,
  DESC_WRITE,
  FRAME_MAX,
  FRAME_MIN,
  HEADER_COPY,
  HEADER_START,
  HEADER_STRIDE,
  OFFLOAD_CHECKSUM,
  OFFLOAD_ECN,
  OFFLOAD_TSO4,
  OFFLOAD_TSO6,
  OFFLOAD_USO,
  P_ADDRESS,
  P_CHAIN,
  P_DESTINATION_COUNT,
  P_FLAGS,
  P_HEAD,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_L3,
  P_L4,
  P_LENGTH,
  P_NEEDS,
  P_REASON,
  P_SEGMENTS,
  P_SOURCE_NIC,
  P_SOURCE_PORT,
  P_VNET,
  P_VSID,
  P_WINDOW,
  PF_DATA_VALID,
  PF_DROPPED,
  PF_FOREIGN,
  Q_BAD_CHAIN,
  Q_DESC,
  Q_DRIVER,
  Q_ERROR,
  Q_FLAGS,
  Q_LAST,
  Q_MASK,
  Q_NEEDS_SEEN,
  Q_OFFLOADS,
  Q_PORT,
  Q_SIZE,
  Q_STATE,
  Q_WRAP,
  QE_AVAILABLE_INDEX,
  QE_HEAD,
  QE_PACKED_CHAIN,
  QF_PACKED,
  QS_BROKEN,
  QS_RUNNING,
  QS_STOPPED,
  REASON_BAD_CHAIN,
  REASON_BAD_OFFLOAD,
  REASON_NONE,
  REASON_OVERSIZE,
  REASON_RUNT,
  VNET_DATA_VALID,
  VNET_GSO_ECN,
  VNET_GSO_NONE,
  VNET_GSO_TCPV4,
  VNET_GSO_TCPV6,
  VNET_GSO_UDP_L4,
  VNET_HEADER,
  VNET_NEEDS_CSUM,
  VNET_STRIDE,
} = layout

const SHAPE = DESC_NEXT | DESC_WRITE | DESC_INDIRECT

function broken(s: TwinState, q: number, error: number): void {
  s.u32[q + (Q_STATE >> 2)] = QS_BROKEN
  s.u32[q + (Q_ERROR >> 2)] = error
}

/** Makes slot `k` an empty, dropped packet. */
export function drop(s: TwinState, pool: number, k: number, reason: number): void {
  const k4 = (pool >> 2) + k
  const vnet = (pool + P_VNET + k * VNET_STRIDE) >> 2
  s.u32[k4 + (P_ADDRESS >> 2)] = 0
  s.u32[k4 + (P_LENGTH >> 2)] = 0
  s.u16[(pool >> 1) + k + (P_HEADER_LENGTH >> 1)] = 0
  s.u8[pool + P_SEGMENTS + k] = 0
  s.u8[pool + P_NEEDS + k] = 0
  s.u32[vnet] = 0
  s.u32[vnet + 1] = 0
  s.u32[vnet + 2] = 0
  if (s.foreign) s.u16[(pool >> 1) + k + (P_WINDOW >> 1)] = 0
  parseHeader(s, pool, k, pool, 0, PF_DROPPED)
  s.u8[pool + P_REASON + k] = reason
}

/**
 * Checks the offload request of parsed slot `k`: the virtio-net header's bytes 0…3 in `kind`, 4…7 in `sizes`, 8 and 9 in `offset`;
 * keeps it cleaned in P_VNET. Returns false if it is refused.
 */
export function takeOffloads(
  s: TwinState,
  pool: number,
  k: number,
  kind: number,
  sizes: number,
  offset: number,
  length: number,
  allowed: number,
): boolean {
  const flags = kind & 0xff
  const gso = (kind >>> 8) & 0xff
  const start = sizes >>> 16
  const vnet = (pool + P_VNET + k * VNET_STRIDE) >> 2
  let needs = 0
  let word0 = 0
  let word1 = 0
  let word2 = 0
  if ((flags & VNET_NEEDS_CSUM) !== 0) {
    // The sum may be written only behind what policy has read: the network header and the transport header's ports.
    const l4 = s.u8[pool + P_L4 + k]!
    const l3 = s.u8[pool + P_L3 + k]!
    if (start + offset + 2 > length) return false
    if (l4 !== 0 ? start < l4 || start + offset < l4 + 4 : start < l3 + 20) return false
    needs = OFFLOAD_CHECKSUM
    word0 = VNET_NEEDS_CSUM
    word1 = start << 16
    word2 = offset
  }
  if (gso !== VNET_GSO_NONE) {
    const type = gso & ~VNET_GSO_ECN
    if (needs === 0 || (sizes & 0xffff) === 0 || kind >>> 16 > length) return false
    if (type === VNET_GSO_TCPV4) needs |= OFFLOAD_TSO4
    else if (type === VNET_GSO_TCPV6) needs |= OFFLOAD_TSO6
    else if (gso === VNET_GSO_UDP_L4) needs |= OFFLOAD_USO
    else return false
    if ((gso & VNET_GSO_ECN) !== 0) needs |= OFFLOAD_ECN
    word0 |= kind & 0xffffff00
    word1 |= sizes & 0xffff
  }
  if ((needs & ~allowed) !== 0) return false
  if ((flags & VNET_DATA_VALID) !== 0 && (allowed & OFFLOAD_CHECKSUM) !== 0)
    s.u32[((pool + P_FLAGS) >> 2) + k] = s.u32[((pool + P_FLAGS) >> 2) + k]! | PF_DATA_VALID
  s.u32[vnet] = word0
  s.u32[vnet + 1] = word1
  s.u32[vnet + 2] = word2
  s.u8[pool + P_NEEDS + k] = needs
  s.needsSeen |= needs
  return true
}

/** Fills in what a slot has once its header copy and payload are known. `kind`, `sizes`, `offset` as in takeOffloads. */
function settle(
  s: TwinState,
  pool: number,
  k: number,
  kind: number,
  sizes: number,
  offset: number,
  length: number,
  payloadSegments: number,
  allowed: number,
): void {
  const copied = Math.min(length, HEADER_COPY)
  s.u32[((pool + P_LENGTH) >> 2) + k] = length
  s.u16[((pool + P_HEADER_LENGTH) >> 1) + k] = copied
  s.u8[pool + P_SEGMENTS + k] = payloadSegments
  s.u8[pool + P_REASON + k] = REASON_NONE
  parseHeader(s, pool, k, pool + k * HEADER_STRIDE + HEADER_START, copied, s.foreign ? PF_FOREIGN : 0)
  if ((kind & 0xffff) === 0) {
    const vnet = (pool + P_VNET + k * VNET_STRIDE) >> 2
    s.u32[vnet] = 0
    s.u32[vnet + 1] = 0
    s.u32[vnet + 2] = 0
    s.u8[pool + P_NEEDS + k] = 0
  } else if (!takeOffloads(s, pool, k, kind, sizes, offset, length, allowed)) drop(s, pool, k, REASON_BAD_OFFLOAD)
}

/** Takes a frame that lies in one piece: virtio-net header at `vw`:`vnet`, `length` (> 0) bytes at `w`:`p`. */
function takePlain(
  s: TwinState,
  pool: number,
  k: number,
  vw: number,
  vnet: number,
  w: number,
  p: number,
  length: number,
  allowed: number,
): void {
  if (length < FRAME_MIN) drop(s, pool, k, REASON_RUNT)
  else if (length > FRAME_MAX) drop(s, pool, k, REASON_OVERSIZE)
  else {
    const header = s.windows[vw]!
    const kind = load32(header, vnet)
    const sizes = load32(header, vnet + 4)
    const offset = load16(header, vnet + 8)
    const more = length > HEADER_COPY
    const h = pool + k * HEADER_STRIDE + HEADER_START
    if ((p & 3) === 0) {
      // As copy does it, without the call: this is every packet.
      const from = s.windows[w]!
      const words = more ? HEADER_COPY >> 2 : length >> 2
      const source = from.u32
      const target = s.u32
      const p4 = p >> 2
      const h4 = h >> 2
      for (let i = 0; i < words; i++) target[h4 + i] = source[p4 + i]!
      if (!more) for (let i = words << 2; i < length; i++) s.u8[h + i] = from.u8[p + i]!
    } else copy(s, 0, h, w, p, more ? HEADER_COPY : length)
    const payload = p + HEADER_COPY
    if (s.foreign) {
      s.u32[((pool + P_ADDRESS) >> 2) + k] = more ? payload : 0
      s.u16[((pool + P_WINDOW) >> 1) + k] = more ? w : 0
    } else s.u32[((pool + P_ADDRESS) >> 2) + k] = more ? (w << WINDOW_SHIFT) | payload : 0
    settle(s, pool, k, kind, sizes, offset, length, more ? 1 : 0, allowed)
  }
}

/** Takes the chain at descriptor `i`, whatever its shape. Returns false if the ring is broken. */
function takeChain(s: TwinState, q: number, pool: number, k: number, i: number, allowed: number): boolean {
  beginFrame(s, pool, k)
  const fault = walk(s, q, i)
  if (fault === ENDLESS) return false
  if (fault === REASON_BAD_CHAIN || (fault === 0 && s.got < VNET_HEADER)) {
    s.u32[q + (Q_BAD_CHAIN >> 2)] = s.u32[q + (Q_BAD_CHAIN >> 2)]! + 1
    drop(s, pool, k, REASON_BAD_CHAIN)
  } else if (fault !== 0) drop(s, pool, k, fault)
  else if (s.got - VNET_HEADER < FRAME_MIN) drop(s, pool, k, REASON_RUNT)
  else {
    const vnet = (pool + P_VNET + k * VNET_STRIDE) >> 2
    settleFrame(s, pool, k)
    const kind = s.u32[vnet]! | 0
    const sizes = s.u32[vnet + 1]! | 0
    settle(s, pool, k, kind, sizes, s.u32[vnet + 2]! & 0xffff, s.got - VNET_HEADER, s.segments, allowed)
  }
  return true
}

/**
 * Takes the chain whose first descriptor stands at word `desc + i * 4` of `ring` if it has one of the two common shapes: header and
 * frame in one, or header and frame in two whose second is descriptor `next`. Returns its elements, 0 if it has another shape.
 */
function takeCommon(
  s: TwinState,
  pool: number,
  k: number,
  u32: Uint32Array,
  d: number,
  kind: number,
  e: number,
  shift: number,
  allowed: number,
): number {
  const l = u32[d + 2]! | 0
  if (kind === 0) {
    if (l <= VNET_HEADER) return 0
    const w = translate(s, u32[d]! | 0, u32[d + 1]! | 0, l)
    if (w < 0) return 0
    takePlain(s, pool, k, w, s.at, w, s.at + VNET_HEADER, l - VNET_HEADER, allowed)
    return 1
  }
  if (kind !== DESC_NEXT || l !== VNET_HEADER || e < 0) return 0
  const m = u32[e + 2]! | 0
  const word = u32[e + 3]! | 0
  if (((word >>> shift) & SHAPE) !== 0 || m <= 0) return 0
  const vw = translate(s, u32[d]! | 0, u32[d + 1]! | 0, VNET_HEADER)
  if (vw < 0) return 0
  const vnet = s.at
  const w = translate(s, u32[e]! | 0, u32[e + 1]! | 0, m)
  if (w < 0) return 0
  s.chainId = word & 0xffff
  takePlain(s, pool, k, vw, vnet, w, s.at, m, allowed)
  return 2
}

function dequeueSplit(s: TwinState, q: number, pool: number, first: number, max: number): number {
  const u32 = s.u32
  const driver: Window = ringPart(s, q + (Q_DRIVER >> 2))
  const avail = driver.u16
  const availAt = s.at >> 1
  const desc = ringPart(s, q + (Q_DESC >> 2)).u32
  const descAt = s.at >> 2
  const mask = u32[q + (Q_MASK >> 2)]! | 0
  const allowed = u32[q + (Q_OFFLOADS >> 2)]! | 0
  const last = u32[q + (Q_LAST >> 2)]! | 0
  let n = (Atomics.load(avail, availAt + 1) - last) & 0xffff
  if (n > mask + 1) {
    broken(s, q, QE_AVAILABLE_INDEX)
    return 0
  }
  n = Math.min(n, max)
  let taken = 0
  for (; taken < n; taken++) {
    const head = avail[availAt + 2 + ((last + taken) & mask)]!
    if (head > mask) {
      broken(s, q, QE_HEAD)
      break
    }
    const k = first + taken
    u32[((pool + P_HEAD) >> 2) + k] = head
    const d = descAt + (head << 2)
    const word = desc[d + 3]! | 0
    const next = word >>> 16
    const e = next <= mask ? descAt + (next << 2) : -1
    if (takeCommon(s, pool, k, desc, d, word & SHAPE, e, 0, allowed) === 0) takeChain(s, q, pool, k, head, allowed)
  }
  u32[q + (Q_LAST >> 2)] = (last + taken) & 0xffff
  return taken
}

function dequeuePacked(s: TwinState, q: number, pool: number, first: number, max: number): number {
  const u32 = s.u32
  const ring = ringPart(s, q + (Q_DESC >> 2))
  const desc = ring.u32
  const descAt = s.at >> 2
  const size = u32[q + (Q_SIZE >> 2)]! | 0
  const allowed = u32[q + (Q_OFFLOADS >> 2)]! | 0
  let at = u32[q + (Q_LAST >> 2)]! | 0
  let lap = u32[q + (Q_WRAP >> 2)]! & 1
  let taken = 0
  for (; taken < max; taken++) {
    if (!isAvailable(ring, descAt, at, lap)) break
    const k = first + taken
    const d = descAt + (at << 2)
    const word = desc[d + 3]! | 0
    const kind = (word >>> 16) & SHAPE
    s.chainId = word & 0xffff
    const e = size > 1 ? descAt + ((at + 1 === size ? 0 : at + 1) << 2) : -1
    let elements = takeCommon(s, pool, k, desc, d, kind, e, 16, allowed)
    if (elements === 0) {
      if (!takeChain(s, q, pool, k, at, allowed)) {
        broken(s, q, QE_PACKED_CHAIN)
        break
      }
      elements = s.chainElements
    }
    u32[((pool + P_HEAD) >> 2) + k] = s.chainId
    s.u16[((pool + P_CHAIN) >> 1) + k] = elements
    at += elements
    if (at >= size) {
      at -= size
      lap ^= 1
    }
  }
  u32[q + (Q_LAST >> 2)] = at
  u32[q + (Q_WRAP >> 2)] = (u32[q + (Q_WRAP >> 2)]! & 2) | lap
  return taken
}

/** Kernels.dequeue. `q` is a word index. */
export function dequeue(s: TwinState, q: number, pool: number, first: number, max: number): number {
  const u32 = s.u32
  u32[q + (Q_NEEDS_SEEN >> 2)] = 0
  if (u32[q + (Q_STATE >> 2)] !== QS_RUNNING || !enterRegions(s, q)) return 0
  const most = Math.min(max, BURST_MAX)
  s.needsSeen = 0
  const packed = (u32[q + (Q_FLAGS >> 2)]! & QF_PACKED) !== 0
  const n = packed ? dequeuePacked(s, q, pool, first, most) : dequeueSplit(s, q, pool, first, most)
  u32[q + (Q_NEEDS_SEEN >> 2)] = s.needsSeen
  // What all frames of a burst share.
  const port = u32[q + (Q_PORT >> 2)]!
  const k4 = (pool >> 2) + first
  const k2 = (pool >> 1) + first
  for (let i = 0; i < n; i++) {
    u32[k4 + (P_VSID >> 2) + i] = 0
    s.u16[k2 + (P_DESTINATION_COUNT >> 1) + i] = 0
    s.u16[k2 + (P_SOURCE_PORT >> 1) + i] = port
    s.u16[k2 + (P_HEADER_OFFSET >> 1) + i] = HEADER_START
    s.u8[pool + P_SOURCE_NIC + first + i] = 0
  }
  return n
}

/** Kernels.complete. `q` is a word index. */
export function complete(s: TwinState, q: number, pool: number, first: number, count: number): number {
  const u32 = s.u32
  if (u32[q + (Q_STATE >> 2)] === QS_STOPPED || !enterRegions(s, q)) return 0
  beginGiving(s, q)
  const heads = ((pool + P_HEAD) >> 2) + first
  const chains = ((pool + P_CHAIN) >> 1) + first
  for (let i = 0; i < count; i++) give(s, u32[heads + i]! & 0xffff, s.u16[chains + i]!, 0)
  return publish(s, q)
}
