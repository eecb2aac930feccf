// Copies a stretch of a frame, wherever its bytes stand, to linear memory: the twin of copy.as.ts. Also where a packet's payload
// stands, for the other twins.
import * as layout from './layout.ts'
import { copy, type TwinState, WINDOW_MASK, WINDOW_SHIFT } from './twin-memory.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const {
  HEADER_STRIDE,
  P_ADDRESS,
  P_FLAGS,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_LENGTH,
  P_SEGMENT,
  P_SEGMENT_WINDOW,
  P_SEGMENTS,
  P_WINDOW,
  PF_FOREIGN,
  SEGMENTS_MAX,
} = layout

/** Window of payload segment `i` of slot `k` (the only one if `count` is 1); its offset goes to `s.at`. */
export function segmentPlace(s: TwinState, pool: number, k: number, i: number, count: number): number {
  const foreign = (s.u32[((pool + P_FLAGS) >> 2) + k]! & PF_FOREIGN) !== 0
  const entry = count === 1 ? ((pool + P_ADDRESS) >> 2) + k : ((pool + P_SEGMENT) >> 2) + (k * SEGMENTS_MAX + i) * 2
  const address = s.u32[entry]! | 0
  if (!foreign) {
    s.at = address & WINDOW_MASK
    return address >>> WINDOW_SHIFT
  }
  s.at = address
  return s.u16[count === 1 ? ((pool + P_WINDOW) >> 1) + k : ((pool + P_SEGMENT_WINDOW) >> 1) + k * SEGMENTS_MAX + i]!
}

/** Bytes of payload segment `i` of slot `k`. */
export function segmentLength(s: TwinState, pool: number, k: number, i: number, count: number): number {
  if (count !== 1) return s.u32[((pool + P_SEGMENT) >> 2) + (k * SEGMENTS_MAX + i) * 2 + 1]!
  return (s.u32[((pool + P_LENGTH) >> 2) + k]! - s.u16[((pool + P_HEADER_LENGTH) >> 1) + k]!) | 0
}

/** Kernels.copyFrame. */
export function copyFrame(s: TwinState, pool: number, k: number, from: number, length: number, target: number): number {
  const total = s.u32[((pool + P_LENGTH) >> 2) + k]!
  if (from >>> 0 >= total) return 0
  const wanted = Math.min(length >>> 0, total - from)
  const copied = s.u16[((pool + P_HEADER_LENGTH) >> 1) + k]!
  const count = s.u8[pool + P_SEGMENTS + k]!
  const h = pool + k * HEADER_STRIDE + s.u16[((pool + P_HEADER_OFFSET) >> 1) + k]!
  const tw = target >>> WINDOW_SHIFT
  const t = target & WINDOW_MASK
  let done = 0
  if (from < copied) {
    done = Math.min(wanted, copied - from)
    copy(s, tw, t, 0, h + from, done)
  }
  let skip = from + done - copied
  for (let i = 0; i < count && done < wanted; i++) {
    const n = segmentLength(s, pool, k, i, count)
    if (skip >= n) {
      skip -= n
      continue
    }
    const m = Math.min(n - skip, wanted - done)
    const w = segmentPlace(s, pool, k, i, count)
    copy(s, tw, t + done, w, s.at + skip, m)
    done += m
    skip = 0
  }
  return done
}
