// Copies a stretch of a frame, wherever its bytes stand, to linear memory. The twin of this file is twin-copy.ts.
import {
  HEADER_STRIDE,
  P_ADDRESS,
  P_FLAGS,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_LENGTH,
  P_SEGMENT,
  P_SEGMENTS,
  PF_FOREIGN,
  SEGMENTS_MAX,
} from './layout'
import { copyLong } from './memory.as'

export function copyFrame(pool: usize, k: u32, from: u32, length: u32, target: usize): u32 {
  const total = load<u32>(pool + (<usize>k << 2), P_LENGTH)
  if (from >= total) return 0
  const wanted = min(length, total - from)
  const copied = <u32>load<u16>(pool + (<usize>k << 1), P_HEADER_LENGTH)
  const count = <u32>load<u8>(pool + k, P_SEGMENTS)
  let done: u32 = 0
  if (from < copied) {
    done = min(wanted, copied - from)
    copyLong(target, pool + <usize>k * HEADER_STRIDE + <usize>load<u16>(pool + (<usize>k << 1), P_HEADER_OFFSET) + from, done)
  }
  if (done == wanted || (load<u32>(pool + (<usize>k << 2), P_FLAGS) & PF_FOREIGN) != 0) return done
  let skip = from + done - copied
  if (count == 1) {
    copyLong(target + done, <usize>load<u32>(pool + (<usize>k << 2), P_ADDRESS) + skip, wanted - done)
    return wanted
  }
  let segment = pool + P_SEGMENT + <usize>k * (SEGMENTS_MAX * 8)
  for (let i: u32 = 0; i < count && done < wanted; i++, segment += 8) {
    const n = load<u32>(segment, 4)
    if (skip >= n) {
      skip -= n
      continue
    }
    const m = min(n - skip, wanted - done)
    copyLong(target + done, <usize>load<u32>(segment) + skip, m)
    done += m
    skip = 0
  }
  return done
}
