// Ones-complement sums over a frame's bytes, wherever they stand, and the completion of an L4 checksum that the sender left to us.
// The twin of this file is twin-checksum.ts.
//
// The rule it must not break: the sum is written into the header copy only, where the offload request was checked to point.
import {
  HEADER_STRIDE,
  OFFLOAD_CHECKSUM,
  OFFLOAD_TSO4,
  OFFLOAD_TSO6,
  OFFLOAD_USO,
  P_ADDRESS,
  P_FLAGS,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_L4,
  P_LENGTH,
  P_NEEDS,
  P_PROTOCOL,
  P_SEGMENT,
  P_SEGMENTS,
  P_VNET,
  PF_DATA_VALID,
  PF_FOREIGN,
  SEGMENTS_MAX,
  VNET_STRIDE,
} from './layout'

/** Folds a sum of 16-bit words to 16 bits. */
@inline
export function fold(sum: u64): u32 {
  sum = (sum & 0xffffffff) + (sum >> 32)
  let s = <u32>((sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32))
  s = (s & 0xffff) + (s >> 16)
  return (s & 0xffff) + (s >> 16)
}

/** Sum of the little-endian 16-bit words of `n` (≤ 1 MiB) bytes, folded; an odd last byte counts as a low byte. */
export function sumBytes(p: usize, n: u32): u32 {
  let lanes = i32x4.splat(0)
  let o: u32 = 0
  for (; o + 16 <= n; o += 16) lanes = i32x4.add(lanes, i32x4.extadd_pairwise_i16x8_u(v128.load(p + o)))
  let total: u64 =
    <u64>(<u32>i32x4.extract_lane(lanes, 0)) +
    <u64>(<u32>i32x4.extract_lane(lanes, 1)) +
    <u64>(<u32>i32x4.extract_lane(lanes, 2)) +
    <u64>(<u32>i32x4.extract_lane(lanes, 3))
  for (; o + 2 <= n; o += 2) total += <u64>load<u16>(p + o)
  if (o < n) total += <u64>load<u8>(p + o)
  return fold(total)
}

/** Folded sum of slot `k`'s frame from byte `from` (inside the header copy) to its end. */
export function sumFrame(pool: usize, k: u32, from: u32): u32 {
  const copied = <u32>load<u16>(pool + (<usize>k << 1), P_HEADER_LENGTH)
  const count = <u32>load<u8>(pool + k, P_SEGMENTS)
  let total = <u64>sumBytes(pool + <usize>k * HEADER_STRIDE + <usize>load<u16>(pool + (<usize>k << 1), P_HEADER_OFFSET) + from, copied - from)
  let at = copied - from
  let segment = pool + P_SEGMENT + <usize>k * (SEGMENTS_MAX * 8)
  for (let i: u32 = 0; i < count; i++, segment += 8) {
    const one = count == 1
    const p = one ? load<u32>(pool + (<usize>k << 2), P_ADDRESS) : load<u32>(segment)
    const n = one ? load<u32>(pool + (<usize>k << 2), P_LENGTH) - copied : load<u32>(segment, 4)
    const s = sumBytes(<usize>p, n)
    total += <u64>(at & 1 ? ((s & 0xff) << 8) | (s >> 8) : s)
    at += n
  }
  return fold(total)
}

export function checksum(pool: usize, k: u32): u32 {
  const needs = <u32>load<u8>(pool + k, P_NEEDS)
  if ((needs & OFFLOAD_CHECKSUM) == 0) return 1
  if (needs & (OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO)) return 0
  const vnet = pool + P_VNET + <usize>k * VNET_STRIDE
  const start = <u32>load<u16>(vnet, 6)
  const offset = <u32>load<u16>(vnet, 8)
  const copied = <u32>load<u16>(pool + (<usize>k << 1), P_HEADER_LENGTH)
  if (start + offset + 2 > copied) return 0
  if ((load<u32>(pool + (<usize>k << 2), P_FLAGS) & PF_FOREIGN) != 0 && load<u8>(pool + k, P_SEGMENTS) != 0) return 0
  let sum = sumFrame(pool, k, start) ^ 0xffff
  if (sum == 0 && offset == 6) sum = 0xffff // UDP: 0 would mean "no checksum"
  const h = pool + <usize>k * HEADER_STRIDE + <usize>load<u16>(pool + (<usize>k << 1), P_HEADER_OFFSET)
  store<u16>(h + start + offset, <u16>sum)
  store<u64>(vnet, 0)
  store<u32>(vnet, 0, 8)
  store<u8>(pool + k, 0, P_NEEDS)
  const protocol = <u32>load<u8>(pool + k, P_PROTOCOL)
  // Not the checksum of a frame inside this one.
  if (start == <u32>load<u8>(pool + k, P_L4) && offset == (protocol == 6 ? 16 : protocol == 17 ? 6 : 0)) {
    const at = pool + (<usize>k << 2)
    store<u32>(at, load<u32>(at, P_FLAGS) | PF_DATA_VALID, P_FLAGS)
  }
  return 1
}
