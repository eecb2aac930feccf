// Dequeue: takes frames from a guest's transmit ring into pool slots, each with a safe copy of its header, parsed, its offload
// request checked. Complete: gives the chains back.
//
// The rule it must not break: what policy reads (header copy, virtio-net header) is read from the guest once; a chain that can't
// be read costs that chain only. The twin of this file is twin-transmit.ts.
import { beginFrame, chainElements, chainId, ENDLESS, got, segments, settleFrame, walk } from './chain.as'
import {
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
  PF_DATA_VALID,
  PF_DROPPED,
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
  QF_FOREIGN,
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
} from './layout'
import { copySmall, enterRegions, translate } from './memory.as'
import { beginGiving, give, isAvailable, publish } from './notify.as'
import { parseHeader } from './parse.as'

const VNET: u32 = VNET_HEADER
const SHORTEST: u32 = FRAME_MIN
const LONGEST: u32 = FRAME_MAX
const COPY: u32 = HEADER_COPY

/** Bytes of a chain's first buffer that are read at once: virtio-net header and header copy. */
const TOUCHED: u32 = VNET_HEADER + HEADER_COPY

let needsSeen: u32 = 0

function broken(q: usize, error: u32): void {
  store<u32>(q, QS_BROKEN, Q_STATE)
  store<u32>(q, error, Q_ERROR)
}

/** Makes slot `k` an empty, dropped packet. */
export function drop(pool: usize, k: u32, reason: u32): void {
  const k4 = pool + (<usize>k << 2)
  const vnet = pool + P_VNET + <usize>k * VNET_STRIDE
  store<u32>(k4, 0, P_ADDRESS)
  store<u32>(k4, 0, P_LENGTH)
  store<u16>(pool + (<usize>k << 1), 0, P_HEADER_LENGTH)
  store<u8>(pool + k, 0, P_SEGMENTS)
  store<u8>(pool + k, 0, P_NEEDS)
  store<u64>(vnet, 0)
  store<u32>(vnet, 0, 8)
  parseHeader(pool, k, pool, 0, PF_DROPPED)
  store<u8>(pool + k, <u8>reason, P_REASON)
}

/**
 * Checks the offload request `v` (virtio-net header, bytes 0…7) and `offset` (bytes 8, 9) of parsed slot `k`, keeps it cleaned in
 * P_VNET. Returns false if it is refused.
 */
export function takeOffloads(pool: usize, k: u32, v: u64, offset: u32, length: u32, allowed: u32): bool {
  const flags = <u32>v & 0xff
  const gso = (<u32>v >>> 8) & 0xff
  const vnet = pool + P_VNET + <usize>k * VNET_STRIDE
  const start = <u32>(v >> 48)
  let needs: u32 = 0
  let low: u64 = 0
  let high: u32 = 0
  if (flags & VNET_NEEDS_CSUM) {
    // The sum may be written only behind what policy has read: the network header and the transport header's ports.
    const l4 = <u32>load<u8>(pool + k, P_L4)
    const l3 = <u32>load<u8>(pool + k, P_L3)
    if (start + offset + 2 > length) return false
    if (l4 != 0 ? start < l4 || start + offset < l4 + 4 : start < l3 + 20) return false
    needs = OFFLOAD_CHECKSUM
    low = VNET_NEEDS_CSUM | ((<u64>start) << 48)
    high = offset
  }
  if (gso != VNET_GSO_NONE) {
    const kind = gso & ~VNET_GSO_ECN
    if (needs == 0 || (v & 0xffff00000000) == 0 || ((<u32>v) >>> 16) > length) return false
    if (kind == VNET_GSO_TCPV4) needs |= OFFLOAD_TSO4
    else if (kind == VNET_GSO_TCPV6) needs |= OFFLOAD_TSO6
    else if (gso == VNET_GSO_UDP_L4) needs |= OFFLOAD_USO
    else return false
    if (gso & VNET_GSO_ECN) needs |= OFFLOAD_ECN
    low |= v & 0x0000ffffffffff00
  }
  if ((needs & ~allowed) != 0) return false
  if ((flags & VNET_DATA_VALID) != 0 && (allowed & OFFLOAD_CHECKSUM) != 0) {
    const at = pool + (<usize>k << 2)
    store<u32>(at, load<u32>(at, P_FLAGS) | PF_DATA_VALID, P_FLAGS)
  }
  store<u64>(vnet, low)
  store<u32>(vnet, high, 8)
  store<u8>(pool + k, <u8>needs, P_NEEDS)
  needsSeen |= needs
  return true
}

/** Fills in what a slot has once its header copy and payload are known. `v` and `offset` as in takeOffloads. */
@inline
function settle(pool: usize, k: u32, v: u64, offset: u32, length: u32, payloadSegments: u32, allowed: u32): void {
  const h = pool + <usize>k * HEADER_STRIDE + HEADER_START
  const copied = min(length, COPY)
  store<u32>(pool + (<usize>k << 2), length, P_LENGTH)
  store<u16>(pool + (<usize>k << 1), <u16>copied, P_HEADER_LENGTH)
  store<u8>(pool + k, <u8>payloadSegments, P_SEGMENTS)
  store<u8>(pool + k, REASON_NONE, P_REASON)
  parseHeader(pool, k, h, copied, 0)
  if ((v & 0xffff) == 0) {
    const vnet = pool + P_VNET + <usize>k * VNET_STRIDE
    store<u64>(vnet, 0)
    store<u32>(vnet, 0, 8)
    store<u8>(pool + k, 0, P_NEEDS)
  } else if (!takeOffloads(pool, k, v, offset, length, allowed)) drop(pool, k, REASON_BAD_OFFLOAD)
}

/** Takes a frame that lies in one piece: virtio-net header at `vnet`, `length` (> 0) bytes at `p`. */
@inline
function takePlain(pool: usize, k: u32, vnet: usize, p: usize, length: u32, allowed: u32): void {
  if (length - SHORTEST > LONGEST - SHORTEST) drop(pool, k, length < SHORTEST ? REASON_RUNT : REASON_OVERSIZE)
  else {
    const h = pool + <usize>k * HEADER_STRIDE + HEADER_START
    const v = load<u64>(vnet)
    const offset = <u32>load<u16>(vnet, 8)
    if (length >= 128) {
      v128.store(h, v128.load(p))
      v128.store(h, v128.load(p, 16), 16)
      v128.store(h, v128.load(p, 32), 32)
      v128.store(h, v128.load(p, 48), 48)
      v128.store(h, v128.load(p, 64), 64)
      v128.store(h, v128.load(p, 80), 80)
      v128.store(h, v128.load(p, 96), 96)
      v128.store(h, v128.load(p, 112), 112)
    } else copySmall(h, p, length)
    const more = length > COPY
    store<u32>(pool + (<usize>k << 2), more ? <u32>(p + HEADER_COPY) : 0, P_ADDRESS)
    settle(pool, k, v, offset, length, more ? 1 : 0, allowed)
  }
}

/** Takes the chain at descriptor `i`, whatever its shape. Returns false if the ring is broken. */
function takeChain(q: usize, pool: usize, k: u32, i: u32, allowed: u32): bool {
  beginFrame(pool, k)
  const fault = walk(q, i)
  if (fault == ENDLESS) return false
  if (fault == REASON_BAD_CHAIN || (fault == 0 && got < VNET)) {
    store<u32>(q, load<u32>(q, Q_BAD_CHAIN) + 1, Q_BAD_CHAIN)
    drop(pool, k, REASON_BAD_CHAIN)
  } else if (fault != 0) drop(pool, k, fault)
  else if (got - VNET < SHORTEST) drop(pool, k, REASON_RUNT)
  else {
    const vnet = pool + P_VNET + <usize>k * VNET_STRIDE
    settleFrame(pool, k)
    settle(pool, k, load<u64>(vnet), <u32>load<u16>(vnet, 8), got - VNET_HEADER, segments, allowed)
  }
  return true
}

/**
 * Reads one byte at both ends of what the next `n` chains begin with. The guest's processor wrote those lines last: fetched one after
 * the other, in the loop that copies, each costs a trip to its cache; here many are on their way at once (64 B frames: a sixth more a
 * second). Nothing is taken from what is read.
 */
export function touchAhead(avail: usize, desc: usize, mask: u32, last: u32, n: u32): void {
  for (let i: u32 = 0; i < n; i++) {
    const head = <u32>load<u16>(avail + 4 + (<usize>((last + i) & mask) << 1)) & mask
    const d = desc + (<usize>head << 4)
    const l = load<u32>(d, 8)
    const p = translate(load<u64>(d), l)
    if (p != 0 && l != 0) {
      load<u8>(p)
      load<u8>(p + min(l, TOUCHED) - 1)
    }
  }
}

function dequeueSplit(q: usize, pool: usize, first: u32, max: u32): u32 {
  const avail = <usize>load<u32>(q, Q_DRIVER)
  const desc = <usize>load<u32>(q, Q_DESC)
  const mask = load<u32>(q, Q_MASK)
  const allowed = load<u32>(q, Q_OFFLOADS)
  const last = load<u32>(q, Q_LAST)
  let n = (<u32>atomic.load<u16>(avail + 2) - last) & 0xffff
  if (n > mask + 1) {
    broken(q, QE_AVAILABLE_INDEX)
    return 0
  }
  n = min(n, max)
  touchAhead(avail, desc, mask, last, n)
  let taken: u32 = 0
  for (; taken < n; taken++) {
    const head = <u32>load<u16>(avail + 4 + (<usize>((last + taken) & mask) << 1))
    if (head > mask) {
      broken(q, QE_HEAD)
      break
    }
    const k = first + taken
    store<u32>(pool + (<usize>k << 2), head, P_HEAD)
    const d = desc + (<usize>head << 4)
    const l = load<u32>(d, 8)
    const word = load<u32>(d, 12)
    const kind = word & (DESC_NEXT | DESC_WRITE | DESC_INDIRECT)
    if (kind == 0 && l > VNET) {
      const p = translate(load<u64>(d), l)
      if (p != 0) {
        takePlain(pool, k, p, p + VNET_HEADER, l - VNET_HEADER, allowed)
        continue
      }
    } else if (kind == DESC_NEXT && l == VNET_HEADER && word >>> 16 <= mask) {
      const e = desc + (<usize>(word >>> 16) << 4)
      const m = load<u32>(e, 8)
      if ((load<u32>(e, 12) & (DESC_NEXT | DESC_WRITE | DESC_INDIRECT)) == 0 && m != 0) {
        const vnet = translate(load<u64>(d), VNET_HEADER)
        const p = vnet != 0 ? translate(load<u64>(e), m) : 0
        if (p != 0) {
          takePlain(pool, k, vnet, p, m, allowed)
          continue
        }
      }
    }
    takeChain(q, pool, k, head, allowed)
  }
  store<u32>(q, (last + taken) & 0xffff, Q_LAST)
  return taken
}

function dequeuePacked(q: usize, pool: usize, first: u32, max: u32): u32 {
  const desc = <usize>load<u32>(q, Q_DESC)
  const size = load<u32>(q, Q_SIZE)
  const allowed = load<u32>(q, Q_OFFLOADS)
  let at = load<u32>(q, Q_LAST)
  let lap = load<u32>(q, Q_WRAP) & 1
  let taken: u32 = 0
  for (; taken < max; taken++) {
    if (!isAvailable(desc, at, lap)) break
    const k = first + taken
    const d = desc + (<usize>at << 4)
    const l = load<u32>(d, 8)
    const word = load<u32>(d, 12)
    const kind = (word >>> 16) & (DESC_NEXT | DESC_WRITE | DESC_INDIRECT)
    let id: u32 = 0
    let elements: u32 = 0
    if (kind == 0 && l > VNET) {
      const p = translate(load<u64>(d), l)
      if (p != 0) {
        takePlain(pool, k, p, p + VNET_HEADER, l - VNET_HEADER, allowed)
        id = word & 0xffff
        elements = 1
      }
    } else if (kind == DESC_NEXT && l == VNET_HEADER && size > 1) {
      const e = desc + (<usize>(at + 1 == size ? 0 : at + 1) << 4)
      const m = load<u32>(e, 8)
      const second = load<u32>(e, 12)
      if (((second >>> 16) & (DESC_NEXT | DESC_WRITE | DESC_INDIRECT)) == 0 && m != 0) {
        const vnet = translate(load<u64>(d), VNET_HEADER)
        const p = vnet != 0 ? translate(load<u64>(e), m) : 0
        if (p != 0) {
          takePlain(pool, k, vnet, p, m, allowed)
          id = second & 0xffff
          elements = 2
        }
      }
    }
    if (elements == 0) {
      if (!takeChain(q, pool, k, at, allowed)) {
        broken(q, QE_PACKED_CHAIN)
        break
      }
      id = chainId
      elements = chainElements
    }
    store<u32>(pool + (<usize>k << 2), id, P_HEAD)
    store<u16>(pool + (<usize>k << 1), <u16>elements, P_CHAIN)
    at += elements
    if (at >= size) {
      at -= size
      lap ^= 1
    }
  }
  store<u32>(q, at, Q_LAST)
  store<u32>(q, (load<u32>(q, Q_WRAP) & 2) | lap, Q_WRAP)
  return taken
}

export function dequeue(q: usize, pool: usize, first: u32, max: u32): u32 {
  const flags = load<u32>(q, Q_FLAGS)
  store<u32>(q, 0, Q_NEEDS_SEEN)
  if (load<u32>(q, Q_STATE) != QS_RUNNING || (flags & QF_FOREIGN) != 0 || !enterRegions(q)) return 0
  max = min(max, <u32>BURST_MAX)
  needsSeen = 0
  const n = flags & QF_PACKED ? dequeuePacked(q, pool, first, max) : dequeueSplit(q, pool, first, max)
  if (n == 0) return 0
  store<u32>(q, needsSeen, Q_NEEDS_SEEN)
  // What all frames of a burst share.
  const port = <u16>load<u32>(q, Q_PORT)
  const k4 = pool + (<usize>first << 2)
  const k2 = pool + (<usize>first << 1)
  for (let i: u32 = 0; i < n; i++) {
    store<u32>(k4 + (<usize>i << 2), 0, P_VSID)
    store<u16>(k2 + (<usize>i << 1), 0, P_DESTINATION_COUNT)
    store<u16>(k2 + (<usize>i << 1), port, P_SOURCE_PORT)
    store<u16>(k2 + (<usize>i << 1), HEADER_START, P_HEADER_OFFSET)
    store<u8>(pool + first + i, 0, P_SOURCE_NIC)
  }
  return n
}

export function complete(q: usize, pool: usize, first: u32, count: u32): u32 {
  const flags = load<u32>(q, Q_FLAGS)
  if (load<u32>(q, Q_STATE) == QS_STOPPED || (flags & QF_FOREIGN) != 0 || !enterRegions(q)) return 0
  beginGiving(q)
  const heads = pool + P_HEAD + (<usize>first << 2)
  const chains = pool + P_CHAIN + (<usize>first << 1)
  for (let i: u32 = 0; i < count; i++) give(load<u32>(heads + (<usize>i << 2)), <u32>load<u16>(chains + (<usize>i << 1)), 0)
  return publish(q)
}
