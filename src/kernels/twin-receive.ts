// Deliver: the twin of receive.as.ts.
//
// The rule it must not break: never a byte beyond the frame's length is written into a guest (it would show another guest's
// data), and no part of a packet is published before all of it stands in its buffers.
import type { Window } from './kernels.ts'
import * as layout from './layout.ts'
import { beginGather, ENDLESS, walk } from './twin-chain.ts'
import { segmentLength, segmentPlace } from './twin-copy.ts'
import { copy, enterRegions, ringPart, store32, type TwinState, translate } from './twin-memory.ts'
import { beginGiving, give, isAvailable, logPieces, publish } from './twin-notify.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const {
  DELIVER_NOTIFY,
  DESC_INDIRECT,
  DESC_NEXT,
  DESC_WRITE,
  GATHER_MAX,
  HEADER_STRIDE,
  OFFLOAD_CHECKSUM,
  OFFLOAD_TSO4,
  OFFLOAD_TSO6,
  OFFLOAD_USO,
  P_FLAGS,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_LENGTH,
  P_NEEDS,
  P_SCRATCH,
  P_SEGMENTS,
  P_VNET,
  PF_DATA_VALID,
  Q_BAD_BUFFER,
  Q_DESC,
  Q_DRIVER,
  Q_ERROR,
  Q_FLAGS,
  Q_LAST,
  Q_LOG,
  Q_MASK,
  Q_NO_BUFFER,
  Q_OFFLOADS,
  Q_SIZE,
  Q_STATE,
  Q_TOO_BIG,
  Q_WRAP,
  QE_AVAILABLE_INDEX,
  QE_HEAD,
  QE_PACKED_CHAIN,
  QF_MERGEABLE,
  QF_PACKED,
  QS_BROKEN,
  QS_RUNNING,
  VNET_DATA_VALID,
  VNET_HEADER,
  VNET_NEEDS_CSUM,
  VNET_STRIDE,
} = layout

const DELIVERED = 0
const LOST = 1 // this packet is lost, the next may fit
const EMPTY = 2 // no buffers left
const BROKEN = 3

const SEGMENTATION = OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO

function broken(s: TwinState, q: number, error: number): number {
  s.u32[q + (Q_STATE >> 2)] = QS_BROKEN
  s.u32[q + (Q_ERROR >> 2)] = error
  return BROKEN
}

function count(s: TwinState, q: number, counter: number, n: number): void {
  s.u32[q + (counter >> 2)] = s.u32[q + (counter >> 2)]! + n
}

/** The virtio-net header for slot `k`, with the number of buffers, to `h` in `target`. */
function writeVnet(s: TwinState, pool: number, k: number, target: Window, h: number, offloads: number, buffers: number): void {
  const needs = s.u8[pool + P_NEEDS + k]!
  let word0 = 0
  let word1 = 0
  let word2 = buffers << 16
  if (needs === 0) {
    const valid = (s.u32[((pool + P_FLAGS) >> 2) + k]! & PF_DATA_VALID) !== 0 && (offloads & OFFLOAD_CHECKSUM) !== 0
    if (valid) word0 = VNET_DATA_VALID
  } else {
    const vnet = (pool + P_VNET + k * VNET_STRIDE) >> 2
    const cut = (needs & SEGMENTATION) !== 0
    word0 = (cut ? s.u32[vnet]! & 0xffffff00 : 0) | ((needs & OFFLOAD_CHECKSUM) !== 0 ? VNET_NEEDS_CSUM : 0)
    word1 = s.u32[vnet + 1]! & (cut ? 0xffffffff : 0xffff0000)
    word2 |= s.u32[vnet + 2]! & 0xffff
  }
  store32(target, h, word0)
  store32(target, h + 4, word1)
  store32(target, h + 8, word2)
}

/** Copies the whole of slot `k`, virtio-net header (in the scratch area) first, into the pieces gathered. */
function writePieces(s: TwinState, pool: number, k: number): void {
  const length = s.u32[((pool + P_LENGTH) >> 2) + k]! | 0
  const copied = s.u16[((pool + P_HEADER_LENGTH) >> 1) + k]!
  const parts = s.u8[pool + P_SEGMENTS + k]!
  let piece = 0
  let toWindow = s.pieceWindow[0]!
  let to = s.pieceAt[0]!
  let room = s.pieceLength[0]!
  let left = length + VNET_HEADER
  for (let source = 0; left !== 0; source++) {
    let fromWindow = 0
    let from = 0
    let n = 0
    if (source === 0) {
      from = pool + P_SCRATCH
      n = VNET_HEADER
    } else if (source === 1) {
      from = pool + k * HEADER_STRIDE + s.u16[((pool + P_HEADER_OFFSET) >> 1) + k]!
      n = copied
    } else if (source - 2 >= parts)
      return // the slot's own arrays contradict each other
    else {
      fromWindow = segmentPlace(s, pool, k, source - 2, parts)
      from = s.at
      n = segmentLength(s, pool, k, source - 2, parts)
    }
    n = Math.min(n, left)
    left -= n
    while (n !== 0) {
      while (room === 0) {
        piece++
        toWindow = s.pieceWindow[piece]!
        to = s.pieceAt[piece]!
        room = s.pieceLength[piece]!
      }
      const m = Math.min(n, room)
      copy(s, toWindow, to, fromWindow, from, m)
      to += m
      from += m
      room -= m
      n -= m
    }
  }
}

function advance(s: TwinState, packed: boolean, elements: number, size: number): void {
  if (!packed) s.position = (s.position + 1) & 0xffff
  else {
    s.position += elements
    if (s.position >= size) {
      s.position -= size
      s.lap ^= 1
    }
  }
}

/** Delivers slot `k` into buffers of any shape. */
function deliverAny(s: TwinState, q: number, pool: number, k: number, flags: number, offloads: number): number {
  const u32 = s.u32
  const total = (u32[((pool + P_LENGTH) >> 2) + k]! | 0) + VNET_HEADER
  const size = u32[q + (Q_SIZE >> 2)]! | 0
  const packed = (flags & QF_PACKED) !== 0
  const mergeable = (flags & QF_MERGEABLE) !== 0
  const desc = ringPart(s, q + (Q_DESC >> 2))
  const descAt = s.at >> 2
  const avail = ringPart(s, q + (Q_DRIVER >> 2)).u16
  const availAt = s.at >> 1
  const startAt = s.position
  const startLap = s.lap
  let buffers = 0
  let bad = false
  beginGather(s, total)
  while (s.got < total && !bad) {
    let i = s.position
    if (packed) {
      if (!isAvailable(desc, descAt, s.position, s.lap)) break
    } else {
      if (s.position === s.limit) break
      i = avail[availAt + 2 + (s.position & (size - 1))]!
      if (i >= size) {
        s.position = startAt
        return broken(s, q, QE_HEAD)
      }
    }
    const before = s.got
    const fault = walk(s, q, i)
    if (fault === ENDLESS) {
      s.position = startAt
      s.lap = startLap
      return broken(s, q, QE_PACKED_CHAIN)
    }
    if (fault !== 0) bad = true
    else if (mergeable) bad = s.got === before || s.got < VNET_HEADER || buffers === GATHER_MAX - 1
    else if (s.got < total) {
      count(s, q, Q_TOO_BIG, 1)
      return LOST
    }
    s.bufferId[buffers] = packed ? s.chainId : i
    s.bufferElements[buffers] = s.chainElements
    s.bufferWritten[buffers] = s.got - before
    buffers++
    advance(s, packed, s.chainElements, size)
  }
  if (!bad && s.got < total) {
    // Nothing of it was published: the buffers stay the driver's.
    s.position = startAt
    s.lap = startLap
    return EMPTY
  }
  if (!bad) {
    writeVnet(s, pool, k, s.windows[0]!, pool + P_SCRATCH, offloads, buffers)
    writePieces(s, pool, k)
    if (u32[q + (Q_LOG >> 2)] !== 0) logPieces(s, q)
  } else count(s, q, Q_BAD_BUFFER, buffers)
  for (let c = 0; c < buffers; c++) give(s, s.bufferId[c]!, s.bufferElements[c]!, bad ? 0 : s.bufferWritten[c]!)
  return bad ? LOST : DELIVERED
}

/** Delivers slot `k` into one buffer at `w`:`t`, which has room for it. */
function writePlain(s: TwinState, pool: number, k: number, w: number, t: number, length: number, offloads: number): void {
  const copied = s.u16[((pool + P_HEADER_LENGTH) >> 1) + k]!
  const h = pool + k * HEADER_STRIDE + s.u16[((pool + P_HEADER_OFFSET) >> 1) + k]!
  const to = s.windows[w]!
  if (((t | h) & 3) === 0 && s.u8[pool + P_NEEDS + k] === 0 && (s.u32[((pool + P_FLAGS) >> 2) + k]! & PF_DATA_VALID) === 0) {
    // As writeVnet and copy do it, without the calls: this is nearly every packet.
    const target = to.u32
    const source = s.u32
    const t4 = (t >> 2) + 3
    const h4 = h >> 2
    const words = copied >> 2
    target[t4 - 3] = 0
    target[t4 - 2] = 0
    target[t4 - 1] = 0x10000
    for (let i = 0; i < words; i++) target[t4 + i] = source[h4 + i]!
    for (let i = words << 2; i < copied; i++) to.u8[t + VNET_HEADER + i] = s.u8[h + i]!
  } else {
    writeVnet(s, pool, k, to, t, offloads, 1)
    copy(s, w, t + VNET_HEADER, 0, h, copied)
  }
  if (length > copied) {
    const fw = segmentPlace(s, pool, k, 0, 1)
    copy(s, w, t + VNET_HEADER + copied, fw, s.at, length - copied)
  }
}

/** Kernels.deliver. `q` is a word index. */
export function deliver(s: TwinState, q: number, pool: number, list: number, n: number): number {
  const u32 = s.u32
  if (u32[q + (Q_STATE >> 2)] !== QS_RUNNING || !enterRegions(s, q)) return 0
  const flags = u32[q + (Q_FLAGS >> 2)]!
  const size = u32[q + (Q_SIZE >> 2)]! | 0
  const mask = u32[q + (Q_MASK >> 2)]! | 0
  const offloads = u32[q + (Q_OFFLOADS >> 2)]!
  const plain = u32[q + (Q_LOG >> 2)] === 0
  const packed = (flags & QF_PACKED) !== 0
  const shape = packed ? DESC_WRITE | DESC_INDIRECT | DESC_NEXT : DESC_WRITE | DESC_INDIRECT
  const ring = ringPart(s, q + (Q_DESC >> 2))
  const desc = ring.u32
  const descAt = s.at >> 2
  const avail = ringPart(s, q + (Q_DRIVER >> 2)).u16
  const availAt = s.at >> 1
  s.position = u32[q + (Q_LAST >> 2)]! | 0
  s.lap = u32[q + (Q_WRAP >> 2)]! & 1
  if (!packed) {
    s.limit = Atomics.load(avail, availAt + 1)
    if (((s.limit - s.position) & 0xffff) > mask + 1) {
      broken(s, q, QE_AVAILABLE_INDEX)
      return 0
    }
  }
  beginGiving(s, q)
  let delivered = 0
  for (let j = 0; j < n; j++) {
    const k = s.u16[(list >> 1) + j]!
    if (plain && s.u8[pool + P_SEGMENTS + k]! <= 1) {
      let i = s.position
      if (packed ? !isAvailable(ring, descAt, i, s.lap) : i === s.limit) {
        count(s, q, Q_NO_BUFFER, n - j)
        break
      }
      if (!packed) {
        i = avail[availAt + 2 + (i & mask)]!
        if (i > mask) {
          broken(s, q, QE_HEAD)
          break
        }
      }
      const d = descAt + (i << 2)
      const word = desc[d + 3]! | 0
      const length = u32[((pool + P_LENGTH) >> 2) + k]! | 0
      const total = length + VNET_HEADER
      if (((packed ? word >>> 16 : word) & shape) === DESC_WRITE && desc[d + 2]! >= total) {
        const w = translate(s, desc[d]! | 0, desc[d + 1]! | 0, total)
        if (w >= 0) {
          writePlain(s, pool, k, w, s.at, length, offloads)
          give(s, packed ? word & 0xffff : i, 1, total)
          advance(s, packed, 1, size)
          delivered++
          continue
        }
      }
    }
    const result = deliverAny(s, q, pool, k, flags, offloads)
    if (result === DELIVERED) delivered++
    else if (result === BROKEN) break
    else if (result === EMPTY) {
      count(s, q, Q_NO_BUFFER, n - j)
      break
    }
  }
  u32[q + (Q_LAST >> 2)] = s.position
  u32[q + (Q_WRAP >> 2)] = (u32[q + (Q_WRAP >> 2)]! & 2) | s.lap
  return publish(s, q) !== 0 ? delivered | DELIVER_NOTIFY : delivered
}
