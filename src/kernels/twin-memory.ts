// Guest memory as the TypeScript twin sees it: windows with views of their own, found through a guest's region table, and copies
// between them. Offsets stay below 2^30 and travel as small integers: V8 boxes nothing and indexes fast.
//
// The rule it must not break: no address that a guest wrote is used before `translate` has found it, with its length, inside that
// guest's own table.
import type { TwinMemory, Window } from './kernels.ts'
import * as layout from './layout.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const {
  GATHER_MAX,
  Q_FLAGS,
  Q_REGION_COUNT,
  Q_REGIONS,
  QF_FOREIGN,
  REGION_BASE,
  REGION_BYTES,
  REGION_GPA_HIGH,
  REGION_OFFSET,
  REGION_SIZE,
  REGION_WINDOW,
  WINDOW_BYTES,
} = layout

/** Windows 0…3 stand for the four GiB of linear memory. */
export const LINEAR_WINDOWS = 4
export const WINDOW_SHIFT = 30
export const WINDOW_MASK = WINDOW_BYTES - 1
const WORD_COPY_MAX = 256 // up to here a loop over words beats the call of copyWithin

// A ring may lie across the border of two windows: rings have windows of their own, which overlap by half.
const RING_SHIFT = 29
const RING_STEP = 1 << RING_SHIFT

const REGION_WORDS = REGION_BYTES >> 2

/** Views over `length` bytes of `buffer` from `offset` (a multiple of 4; at most WINDOW_BYTES). */
export function windowOf(buffer: ArrayBufferLike, offset: number, length: number): Window {
  return {
    u8: new Uint8Array(buffer, offset, length),
    u16: new Uint16Array(buffer, offset, length >> 1),
    u32: new Uint32Array(buffer, offset, length >> 2),
  }
}

/** The windows 0…3 of linear memory `buffer`; empty ones where it is smaller than 4 GiB. */
export function linearWindows(buffer: ArrayBufferLike): Window[] {
  const windows: Window[] = []
  for (let i = 0; i < LINEAR_WINDOWS; i++) {
    const start = Math.min(i * WINDOW_BYTES, buffer.byteLength)
    windows.push(windowOf(buffer, start, Math.min(WINDOW_BYTES, buffer.byteLength - start)))
  }
  return windows
}

/**
 * What one twin works with. Fields are ordinary ones and hold small integers only: they are read and written per packet. Queue
 * blocks, pools, region tables and lists lie in the first window.
 */
export class TwinState {
  readonly windows: Window[]
  readonly u8: Uint8Array
  readonly u16: Uint16Array
  readonly u32: Uint32Array
  readonly all: Uint8Array
  readonly rings: Window[] = []
  readonly copyForeign: TwinMemory['copyForeign']
  // Region table in use (indices of 32-bit words) and the result of translate.
  table = 0
  end = 0
  hint = 0
  foreign = false
  at = 0
  part = 0
  partOffset = 0
  // Chain in work (twin-chain.ts).
  chainId = 0
  chainElements = 0
  got = 0
  segments = 0
  pieces = 0
  budget = 0
  receiving = false
  packed = false
  indirect = false
  want = 0
  header = 0
  vnet = 0
  segmentTable = 0
  segmentWindows = 0
  readonly pieceWindow = new Int32Array(GATHER_MAX)
  readonly pieceAt = new Int32Array(GATHER_MAX)
  readonly pieceLength = new Int32Array(GATHER_MAX)
  readonly pieceLow = new Int32Array(GATHER_MAX)
  readonly pieceHigh = new Int32Array(GATHER_MAX)
  readonly bufferId = new Int32Array(GATHER_MAX)
  readonly bufferElements = new Int32Array(GATHER_MAX)
  readonly bufferWritten = new Int32Array(GATHER_MAX)
  // Used entries in work (twin-notify.ts).
  mask = 0
  size = 0
  ring: Window
  ringAt = 0
  used = 0
  wrap = 0
  firstAt = -1
  firstWord = 0
  before = 0
  given = 0
  // Receive ring's cursor (twin-receive.ts).
  position = 0
  lap = 0
  limit = 0
  // Results of parsing.
  protocol = 0
  fragment = false
  needsSeen = 0

  constructor(memory: TwinMemory) {
    this.windows = memory.windows
    const first = windowOf(memory.linear, 0, Math.min(WINDOW_BYTES, memory.linear.byteLength))
    this.u8 = first.u8
    this.u16 = first.u16
    this.u32 = first.u32
    this.ring = first
    this.all = new Uint8Array(memory.linear)
    const bytes = memory.linear.byteLength
    for (let at = 0; at < bytes; at += RING_STEP) this.rings.push(windowOf(memory.linear, at, Math.min(WINDOW_BYTES, bytes - at)))
    this.copyForeign = memory.copyForeign
  }
}

/** Chooses the region table of queue `q` (word index). Returns false if it is empty. */
export function enterRegions(s: TwinState, q: number): boolean {
  const u32 = s.u32
  const count = u32[q + (Q_REGION_COUNT >> 2)]! | 0
  s.table = u32[q + (Q_REGIONS >> 2)]! >>> 2
  s.end = s.table + count * REGION_WORDS
  s.hint = s.table
  s.foreign = (u32[q + (Q_FLAGS >> 2)]! & QF_FOREIGN) !== 0
  return count !== 0
}

/** Does region `e` hold `n` bytes at guest address `high`:`low`? Then `s.at` is the offset in the region. */
function holds(s: TwinState, e: number, low: number, high: number, n: number): boolean {
  const u32 = s.u32
  const start = u32[e]! | 0
  const borrow = low >>> 0 < start >>> 0 ? 1 : 0
  if (((high - (u32[e + (REGION_GPA_HIGH >> 2)]! | 0) - borrow) | 0) !== 0) return false
  const d = (low - start) | 0
  const size = u32[e + (REGION_SIZE >> 2)]! | 0
  if (d < 0 || d >= size || n < 0 || n > size - d) return false
  s.at = d
  return true
}

/**
 * Window that holds `n` bytes at guest address `high`:`low` (int32 halves), all in one region, with their offset in `s.at`; -1 if
 * there is none.
 */
export function translate(s: TwinState, low: number, high: number, n: number): number {
  let e = s.hint
  if (!holds(s, e, low, high, n)) {
    for (e = s.table; e < s.end; e += REGION_WORDS) if (holds(s, e, low, high, n)) break
    if (e >= s.end) return -1
  }
  const u32 = s.u32
  const base = u32[e + (REGION_BASE >> 2)]! | 0
  if (base !== 0) {
    const linear = (base + s.at) | 0
    s.hint = e
    s.at = linear & WINDOW_MASK
    return linear >>> WINDOW_SHIFT
  }
  if (!s.foreign) return -1
  s.hint = e
  s.at = ((u32[e + (REGION_OFFSET >> 2)]! | 0) + s.at) | 0
  return u32[e + (REGION_WINDOW >> 2)]! | 0
}

/** As translate for one byte, with the bytes from there to the region's end in `s.part`. */
export function translatePart(s: TwinState, low: number, high: number): number {
  const w = translate(s, low, high, 1)
  if (w >= 0) s.part = (s.u32[s.hint + (REGION_SIZE >> 2)]! - ((low - (s.u32[s.hint]! | 0)) | 0)) | 0
  return w
}

/** A 32-bit word at any offset, as int32. */
export function load32(w: Window, at: number): number {
  if ((at & 3) === 0) return w.u32[at >> 2]! | 0
  const u8 = w.u8
  return u8[at]! | (u8[at + 1]! << 8) | (u8[at + 2]! << 16) | (u8[at + 3]! << 24)
}

export function load16(w: Window, at: number): number {
  return w.u8[at]! | (w.u8[at + 1]! << 8)
}

export function store32(w: Window, at: number, value: number): void {
  if ((at & 3) === 0) w.u32[at >> 2] = value
  else {
    const u8 = w.u8
    u8[at] = value
    u8[at + 1] = value >> 8
    u8[at + 2] = value >> 16
    u8[at + 3] = value >> 24
  }
}

/** Copies exactly `n` bytes between windows `tw` and `fw`. */
export function copy(s: TwinState, tw: number, t: number, fw: number, f: number, n: number): void {
  const target = s.windows[tw]!
  const source = s.windows[fw]!
  if (n > WORD_COPY_MAX) {
    if (tw >= LINEAR_WINDOWS || fw >= LINEAR_WINDOWS) s.copyForeign(target, t, source, f, n)
    else if (tw === fw) target.u8.copyWithin(t, f, f + n)
    else {
      const start = fw * WINDOW_BYTES + f
      s.all.copyWithin(tw * WINDOW_BYTES + t, start, start + n)
    }
    return
  }
  let i = 0
  const to = target.u8
  const from = source.u8
  if (((t ^ f) & 3) === 0) {
    for (; ((t + i) & 3) !== 0 && i < n; i++) to[t + i] = from[f + i]!
    const words = (n - i) >> 2
    const tu = target.u32
    const fu = source.u32
    const t4 = (t + i) >> 2
    const f4 = (f + i) >> 2
    for (let j = 0; j < words; j++) tu[t4 + j] = fu[f4 + j]!
    i += words << 2
  } else if (((t ^ f) & 1) === 0) {
    for (; ((t + i) & 1) !== 0 && i < n; i++) to[t + i] = from[f + i]!
    const halves = (n - i) >> 1
    const tu = target.u16
    const fu = source.u16
    const t2 = (t + i) >> 1
    const f2 = (f + i) >> 1
    for (let j = 0; j < halves; j++) tu[t2 + j] = fu[f2 + j]!
    i += halves << 1
  }
  for (; i < n; i++) to[t + i] = from[f + i]!
}

/** Window of the part of a ring whose three words begin at word index `part`; its offset goes to `s.at`. */
export function ringPart(s: TwinState, part: number): Window {
  const linear = s.u32[part]! | 0
  if (linear !== 0) {
    s.at = linear & (RING_STEP - 1)
    return s.rings[linear >>> RING_SHIFT]!
  }
  s.at = s.u32[part + 2]! | 0
  return s.windows[s.u32[part + 1]!]!
}
