// Ones-complement sums and the completion of an L4 checksum: the twin of checksum.as.ts.
//
// The rule it must not break: the sum is written into the header copy only, where the offload request was checked to point.
import type { Window } from './kernels.ts'
import * as layout from './layout.ts'
import { segmentLength, segmentPlace } from './twin-copy.ts'
import type { TwinState } from './twin-memory.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const {
  HEADER_STRIDE,
  OFFLOAD_CHECKSUM,
  OFFLOAD_TSO4,
  OFFLOAD_TSO6,
  OFFLOAD_USO,
  P_FLAGS,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_L4,
  P_NEEDS,
  P_PROTOCOL,
  P_SEGMENTS,
  P_VNET,
  PF_DATA_VALID,
  VNET_STRIDE,
} = layout

const CHUNK = 16384 // words whose sum still is a small integer

/** Folds a sum of 16-bit words (< 2^31) to 16 bits. */
export function fold(sum: number): number {
  sum = (sum & 0xffff) + (sum >>> 16)
  return (sum & 0xffff) + (sum >>> 16)
}

/** Sum of the little-endian 16-bit words of `n` bytes at `p`, folded; an odd last byte counts as a low byte. */
export function sumBytes(window: Window, p: number, n: number): number {
  const words = n >> 1
  let total = 0
  for (let done = 0; done < words; ) {
    const end = Math.min(words, done + CHUNK)
    let sum = total
    if ((p & 1) === 0) {
      const u16 = window.u16
      const at = p >> 1
      for (let i = done; i < end; i++) sum += u16[at + i]!
    } else {
      const u8 = window.u8
      for (let i = done; i < end; i++) sum += u8[p + i * 2]! | (u8[p + i * 2 + 1]! << 8)
    }
    total = fold(sum)
    done = end
  }
  return (n & 1) !== 0 ? fold(total + window.u8[p + n - 1]!) : total
}

/** Folded sum of slot `k`'s frame from byte `from` (inside the header copy) to its end. */
export function sumFrame(s: TwinState, pool: number, k: number, from: number): number {
  const copied = s.u16[((pool + P_HEADER_LENGTH) >> 1) + k]!
  const count = s.u8[pool + P_SEGMENTS + k]!
  const h = pool + k * HEADER_STRIDE + s.u16[((pool + P_HEADER_OFFSET) >> 1) + k]!
  let total = sumBytes(s.windows[0]!, h + from, copied - from)
  let at = copied - from
  for (let i = 0; i < count; i++) {
    const n = segmentLength(s, pool, k, i, count)
    const w = segmentPlace(s, pool, k, i, count)
    const sum = sumBytes(s.windows[w]!, s.at, n)
    total += (at & 1) !== 0 ? ((sum & 0xff) << 8) | (sum >> 8) : sum
    at += n
  }
  return fold(total)
}

/** Kernels.checksum. */
export function checksum(s: TwinState, pool: number, k: number): number {
  const needs = s.u8[pool + P_NEEDS + k]!
  if ((needs & OFFLOAD_CHECKSUM) === 0) return 1
  if ((needs & (OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO)) !== 0) return 0
  const vnet = (pool + P_VNET + k * VNET_STRIDE) >> 1
  const start = s.u16[vnet + 3]!
  const offset = s.u16[vnet + 4]!
  if (start + offset + 2 > s.u16[((pool + P_HEADER_LENGTH) >> 1) + k]!) return 0
  let sum = sumFrame(s, pool, k, start) ^ 0xffff
  if (sum === 0 && offset === 6) sum = 0xffff // UDP: 0 would mean "no checksum"
  const at = pool + k * HEADER_STRIDE + s.u16[((pool + P_HEADER_OFFSET) >> 1) + k]! + start + offset
  s.u8[at] = sum
  s.u8[at + 1] = sum >> 8
  for (let i = 0; i < 6; i++) s.u16[vnet + i] = 0
  s.u8[pool + P_NEEDS + k] = 0
  const protocol = s.u8[pool + P_PROTOCOL + k]!
  // Not the checksum of a frame inside this one.
  if (start === s.u8[pool + P_L4 + k]! && offset === (protocol === 6 ? 16 : protocol === 17 ? 6 : 0)) {
    const flags = ((pool + P_FLAGS) >> 2) + k
    s.u32[flags] = s.u32[flags]! | PF_DATA_VALID
  }
  return 1
}
