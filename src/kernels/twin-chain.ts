// Walks one descriptor chain of any shape: the twin of chain.as.ts, step by step.
//
// The rule it must not break: a guest's field is read once, and every walk is bounded (DESCRIPTORS_MAX, the ring's size).
import type { Window } from './kernels.ts'
import * as layout from './layout.ts'
import { copy, load32, ringPart, type TwinState, translate, translatePart, WINDOW_SHIFT } from './twin-memory.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const {
  DESC_INDIRECT,
  DESC_NEXT,
  DESC_WRITE,
  DESCRIPTORS_MAX,
  FRAME_MAX,
  GATHER_MAX,
  HEADER_COPY,
  HEADER_START,
  HEADER_STRIDE,
  P_ADDRESS,
  P_SEGMENT,
  P_SEGMENT_WINDOW,
  P_VNET,
  P_WINDOW,
  Q_DESC,
  Q_FLAGS,
  Q_SIZE,
  QF_INDIRECT,
  QF_PACKED,
  REASON_BAD_CHAIN,
  REASON_OVERSIZE,
  SEGMENTS_MAX,
  VNET_HEADER,
  VNET_STRIDE,
} = layout

/** Fault of `walk`: a packed chain that never ends breaks the ring. */
export const ENDLESS = -1

const LIMIT = VNET_HEADER + FRAME_MAX
const COPIED = VNET_HEADER + HEADER_COPY

/** Begins a transmit chain whose frame goes to slot `k`. */
export function beginFrame(s: TwinState, pool: number, k: number): void {
  s.receiving = false
  s.got = 0
  s.segments = 0
  s.header = pool + k * HEADER_STRIDE + HEADER_START
  s.vnet = pool + P_VNET + k * VNET_STRIDE
  s.segmentTable = ((pool + P_SEGMENT) >> 2) + k * SEGMENTS_MAX * 2
  s.segmentWindows = ((pool + P_SEGMENT_WINDOW) >> 1) + k * SEGMENTS_MAX
}

/** Begins to gather receive buffers for `bytes` bytes; more walks may follow until `s.got` is `bytes`. */
export function beginGather(s: TwinState, bytes: number): void {
  s.receiving = true
  s.got = 0
  s.pieces = 0
  s.want = bytes
}

function carry(before: number, after: number): number {
  return after >>> 0 < before >>> 0 ? 1 : 0
}

function takeFrame(s: TwinState, low: number, high: number, l: number): number {
  if (l < 0 || l > LIMIT - s.got) return REASON_OVERSIZE
  while (l !== 0) {
    const w = translatePart(s, low, high)
    if (w < 0) return REASON_BAD_CHAIN
    let p = s.at
    let n = Math.min(l, s.part)
    l -= n
    const next = (low + n) | 0
    high = (high + carry(low, next)) | 0
    low = next
    if (s.got < VNET_HEADER) {
      const m = Math.min(n, VNET_HEADER - s.got)
      copy(s, 0, s.vnet + s.got, w, p, m)
      s.got += m
      p += m
      n -= m
    }
    if (n !== 0 && s.got < COPIED) {
      const m = Math.min(n, COPIED - s.got)
      copy(s, 0, s.header + s.got - VNET_HEADER, w, p, m)
      s.got += m
      p += m
      n -= m
    }
    if (n !== 0) {
      if (s.segments === SEGMENTS_MAX) return REASON_BAD_CHAIN
      const entry = s.segmentTable + s.segments * 2
      if (s.foreign) {
        s.u32[entry] = p
        s.u16[s.segmentWindows + s.segments] = w
      } else s.u32[entry] = (w << WINDOW_SHIFT) | p
      s.u32[entry + 1] = n
      s.segments++
      s.got += n
    }
  }
  return 0
}

function gather(s: TwinState, low: number, high: number, l: number): number {
  const wanted = s.want - s.got
  if (l < 0 || l > wanted) l = wanted
  while (l !== 0) {
    const w = translatePart(s, low, high)
    if (w < 0 || s.pieces === GATHER_MAX) return REASON_BAD_CHAIN
    const n = Math.min(l, s.part)
    const i = s.pieces
    s.pieceWindow[i] = w
    s.pieceAt[i] = s.at
    s.pieceLength[i] = n
    s.pieceLow[i] = low
    s.pieceHigh[i] = high
    s.pieces++
    s.got += n
    l -= n
    const next = (low + n) | 0
    high = (high + carry(low, next)) | 0
    low = next
  }
  return 0
}

function takeTable(s: TwinState, low: number, high: number, l: number): number {
  const n = l >>> 4
  let i = 0
  while (true) {
    if (s.budget-- === 0) return REASON_BAD_CHAIN
    const d = (low + (i << 4)) | 0
    const w = translate(s, d, (high + carry(low, d)) | 0, 16)
    if (w < 0) return REASON_BAD_CHAIN
    const at = s.at
    const window = s.windows[w]!
    const addressLow = load32(window, at)
    const addressHigh = load32(window, at + 4)
    const bytes = load32(window, at + 8)
    const word = load32(window, at + 12)
    const flags = s.packed ? word >>> 16 : word & 0xffff
    if ((flags & DESC_INDIRECT) !== 0 || ((flags & DESC_WRITE) !== 0) !== s.receiving) return REASON_BAD_CHAIN
    if (bytes !== 0) {
      const fault = s.receiving ? gather(s, addressLow, addressHigh, bytes) : takeFrame(s, addressLow, addressHigh, bytes)
      if (fault !== 0) return fault
    }
    if (s.receiving && s.got >= s.want) return 0
    if (s.packed) {
      if (++i === n) return 0
    } else {
      if ((flags & DESC_NEXT) === 0) return 0
      i = word >>> 16
      if (i >= n) return REASON_BAD_CHAIN
    }
  }
}

function take(s: TwinState, low: number, high: number, l: number, flags: number): number {
  if (s.budget-- === 0) return REASON_BAD_CHAIN
  if ((flags & DESC_INDIRECT) !== 0) {
    if (!s.indirect || (flags & DESC_NEXT) !== 0 || l === 0 || (l & 15) !== 0) return REASON_BAD_CHAIN
    return takeTable(s, low, high, l)
  }
  if (((flags & DESC_WRITE) !== 0) !== s.receiving) return REASON_BAD_CHAIN
  if (l === 0) return 0
  return s.receiving ? gather(s, low, high, l) : takeFrame(s, low, high, l)
}

/**
 * Walks the chain that starts at descriptor `i` (< size) of queue `q` (word index). Returns 0, the reason why the chain is
 * refused, or ENDLESS. A packed chain is followed to its end in any case: its elements have to be given back.
 */
export function walk(s: TwinState, q: number, i: number): number {
  const flags = s.u32[q + (Q_FLAGS >> 2)]!
  const size = s.u32[q + (Q_SIZE >> 2)]!
  const ring: Window = ringPart(s, q + (Q_DESC >> 2))
  const desc = s.at >> 2
  const u32 = ring.u32
  s.packed = (flags & QF_PACKED) !== 0
  s.indirect = (flags & QF_INDIRECT) !== 0
  s.budget = DESCRIPTORS_MAX
  let elements = 0
  let fault = 0
  while (true) {
    if (s.packed && elements === size) return ENDLESS
    elements++
    const d = desc + (i << 2)
    const low = u32[d]! | 0
    const high = u32[d + 1]! | 0
    const l = u32[d + 2]! | 0
    const word = u32[d + 3]! | 0
    const f = s.packed ? word >>> 16 : word & 0xffff
    if (fault === 0 && !(s.receiving && s.got >= s.want)) fault = take(s, low, high, l, f)
    if (s.packed) {
      s.chainId = word & 0xffff
      if ((f & DESC_NEXT) === 0) break
      if (++i === size) i = 0
    } else {
      if (fault !== 0 || (f & DESC_NEXT) === 0 || (s.receiving && s.got >= s.want)) break
      i = word >>> 16
      if (i >= size) {
        fault = REASON_BAD_CHAIN
        break
      }
    }
  }
  s.chainElements = elements
  return fault
}

/** Puts the address of a one-segment payload where one-segment packets have it. */
export function settleFrame(s: TwinState, pool: number, k: number): void {
  const one = s.segments === 1
  s.u32[((pool + P_ADDRESS) >> 2) + k] = one ? s.u32[s.segmentTable]! : 0
  if (s.foreign) s.u16[((pool + P_WINDOW) >> 1) + k] = one ? s.u16[s.segmentWindows]! : 0
}
