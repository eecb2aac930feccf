// Bursts that an adapter's receive ring brought: what the frames have in common, and one destination for all of them, since frames in a
// row are mostly for one guest; and of bursts for several guests the queue, and the destination, of each frame.
//
// The rule it must not break: frames are alike only if a filter of addresses and VLANs can't tell them apart. The twin of this file is
// twin-queued.ts.
import {
  AIMED_ONE_SENDER,
  ALIKE_BYTES_SHIFT,
  ALIKE_ONE_SENDER,
  HEADER_STRIDE,
  P_DESTINATION,
  P_DESTINATION_COUNT,
  P_DESTINATION_ROOM,
  P_FLAGS,
  P_HEADER_OFFSET,
  P_LENGTH,
  P_RECEIVE_QUEUE,
  PF_DROPPED,
  PF_MULTICAST,
  PF_TAGGED,
  PF_VLAN_OOB,
  QB_BYTES,
  QB_FRAMES,
  QB_RECENT_FIRST,
  QB_RECENT_QUEUE,
  QB_RECENT_REST,
  QB_TOUCHED,
  QB_TOUCHED_COUNT,
  QT_ENTRY,
  QT_FIRST,
  QT_SECOND,
  QUEUE_IDS,
} from './layout'

const QUEUES: u32 = QUEUE_IDS

/** See QueueKernels. */
export function alike(pool: usize, count: u32): u32 {
  const start = pool + <usize>load<u16>(pool, P_HEADER_OFFSET)
  const first = load<u32>(start)
  const second = load<u32>(start, 4)
  const third = load<u32>(start, 8)
  let others: u32 = 0
  let bytes: u32 = 0
  let k: u32 = 0
  for (; k < count; k++) {
    const offset = <u32>load<u16>(pool + (<usize>k << 1), P_HEADER_OFFSET)
    const kind = load<u32>(pool + (<usize>k << 2), P_FLAGS)
    if ((kind & (PF_DROPPED | PF_MULTICAST | PF_TAGGED | PF_VLAN_OOB)) != 0 || (offset & 3) != 0) break
    const h = pool + <usize>k * HEADER_STRIDE + <usize>offset
    const word = load<u32>(h, 4)
    if (load<u32>(h) != first || ((word ^ second) & 0xffff) != 0) break
    others |= (word ^ second) | (load<u32>(h, 8) ^ third)
    bytes += load<u32>(pool + (<usize>k << 2), P_LENGTH)
  }
  return k | (others == 0 ? ALIKE_ONE_SENDER : 0) | (bytes << ALIKE_BYTES_SHIFT)
}

/** See QueueKernels. */
export function aim(pool: usize, count: u32, entry: u32): void {
  for (let k: u32 = 0; k < count; k++) {
    store<u32>(pool + (<usize>k << 2), entry, P_DESTINATION)
    store<u16>(pool + (<usize>k << 1), 1, P_DESTINATION_COUNT)
    store<u16>(pool + (<usize>k << 1), 0, P_DESTINATION_ROOM)
  }
}

/** See QueueKernels. */
export function assign(pool: usize, first: u32, count: u32, block: usize): u32 {
  let touched = load<u32>(block, QB_TOUCHED_COUNT)
  let k = first
  for (; k < count; k++) {
    const k2 = pool + (<usize>k << 1)
    const k4 = pool + (<usize>k << 2)
    const offset = <u32>load<u16>(k2, P_HEADER_OFFSET)
    if ((load<u32>(k4, P_FLAGS) & (PF_DROPPED | PF_MULTICAST | PF_TAGGED | PF_VLAN_OOB)) != 0 || (offset & 3) != 0) break
    const h = pool + <usize>k * HEADER_STRIDE + <usize>offset
    const rest = <u32>load<u16>(h, 4)
    const place = <usize>((rest ^ (rest >>> 8)) & (QUEUES - 1))
    if (load<u32>(block + (place << 2), QB_RECENT_REST) != rest) break
    if (load<u32>(block + (place << 2), QB_RECENT_FIRST) != load<u32>(h)) break
    const queue = <u32>load<u16>(block + (place << 1), QB_RECENT_QUEUE)
    if (queue >= QUEUES) break
    store<u16>(k2, <u16>queue, P_RECEIVE_QUEUE)
    const own = block + (<usize>queue << 2)
    const frames = load<u32>(own, QB_FRAMES)
    if (frames == 0) {
      store<u16>(block + (<usize>touched << 1), <u16>queue, QB_TOUCHED)
      touched++
    }
    store<u32>(own, frames + 1, QB_FRAMES)
    store<u32>(own, load<u32>(own, QB_BYTES) + load<u32>(k4, P_LENGTH), QB_BYTES)
  }
  store<u32>(block, touched, QB_TOUCHED_COUNT)
  return k
}

/** See QueueKernels. */
export function aimEach(pool: usize, list: usize, count: u32, targets: usize): u32 {
  let left: u32 = 0
  let others: u32 = 0
  let isFirst = true
  let second: u32 = 0
  let third: u32 = 0
  for (let j: u32 = 0; j < count; j++) {
    const k = <usize>load<u16>(list + (<usize>j << 1))
    const k2 = pool + (k << 1)
    const k4 = pool + (k << 2)
    const target = targets + (<usize>(<u32>load<u16>(k2, P_RECEIVE_QUEUE) & (QUEUES - 1)) << 2)
    const entry = load<u32>(target, QT_ENTRY)
    const offset = <u32>load<u16>(k2, P_HEADER_OFFSET)
    const kind = load<u32>(k4, P_FLAGS)
    if (entry == 0 || (offset & 3) != 0 || (kind & PF_MULTICAST) != 0 || load<u16>(k2, P_DESTINATION_COUNT) != 0) {
      left++
      continue
    }
    const h = pool + k * HEADER_STRIDE + <usize>offset
    const word = load<u32>(h, 4)
    if (load<u32>(h) != load<u32>(target, QT_FIRST) || (word & 0xffff) != load<u32>(target, QT_SECOND)) {
      left++
      continue
    }
    store<u32>(k4, entry, P_DESTINATION)
    store<u16>(k2, 1, P_DESTINATION_COUNT)
    store<u16>(k2, 0, P_DESTINATION_ROOM)
    if (isFirst) {
      isFirst = false
      second = word >>> 16
      third = load<u32>(h, 8)
    }
    others |= ((word >>> 16) ^ second) | (load<u32>(h, 8) ^ third) | (kind & PF_TAGGED)
  }
  return others == 0 ? left | AIMED_ONE_SENDER : left
}
