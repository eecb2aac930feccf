// The twin of queued.as.ts: what a burst of a receive ring has in common, and one destination for all of it.
//
// The rule it must not break: it decides as the kernel does, to the bit.
import type { QueueKernels } from './kernels.ts'
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
} from './layout.ts'

const NOT_PLAIN = PF_DROPPED | PF_MULTICAST | PF_TAGGED | PF_VLAN_OOB

/** The twin over linear memory `buffer`. */
export function createQueueTwin(buffer: ArrayBufferLike): QueueKernels {
  const view = new DataView(buffer)
  const u16 = (at: number): number => view.getUint16(at, true)
  const u32 = (at: number): number => view.getUint32(at, true)
  return {
    alike(pool, count) {
      const start = pool + u16(pool + P_HEADER_OFFSET)
      let isOneSender = true
      let bytes = 0
      let k = 0
      for (; k < count; k++) {
        const offset = u16(pool + P_HEADER_OFFSET + k * 2)
        if ((u32(pool + P_FLAGS + k * 4) & NOT_PLAIN) !== 0 || (offset & 3) !== 0) break
        const header = pool + k * HEADER_STRIDE + offset
        if (u32(header) !== u32(start) || u16(header + 4) !== u16(start + 4)) break
        if (u16(header + 6) !== u16(start + 6) || u32(header + 8) !== u32(start + 8)) isOneSender = false
        bytes += u32(pool + P_LENGTH + k * 4)
      }
      return k | (isOneSender ? ALIKE_ONE_SENDER : 0) | (bytes << ALIKE_BYTES_SHIFT)
    },
    aim(pool, count, entry) {
      for (let k = 0; k < count; k++) {
        view.setUint32(pool + P_DESTINATION + k * 4, entry, true)
        view.setUint16(pool + P_DESTINATION_COUNT + k * 2, 1, true)
        view.setUint16(pool + P_DESTINATION_ROOM + k * 2, 0, true)
      }
    },
  }
}
