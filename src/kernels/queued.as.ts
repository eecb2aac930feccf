// What a burst that an adapter's receive ring brought has in common, and one destination for all of it: frames in a row are mostly for
// one guest, and then one look at a queue's filter decides about all of them.
//
// The rule it must not break: frames are alike only if a filter of addresses and VLANs can't tell them apart. The twin of this file is
// twin-queued.ts.
import {
  ALIKE_BYTES_SHIFT,
  ALIKE_ONE_SENDER,
  HEADER_STRIDE,
  P_DESTINATION,
  P_DESTINATION_COUNT,
  P_DESTINATION_ROOM,
  P_FLAGS,
  P_HEADER_OFFSET,
  P_LENGTH,
  PF_DROPPED,
  PF_MULTICAST,
  PF_TAGGED,
  PF_VLAN_OOB,
} from './layout'

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
