// The twin of queued.as.ts: what a burst of a receive ring has in common, one destination for all of it, and of a mixed one the queue
// and the destination of each frame.
//
// The rule it must not break: it decides as the kernel does, to the bit.
import type { QueueKernels } from './kernels.ts'
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
} from './layout.ts'

const NOT_PLAIN = PF_DROPPED | PF_MULTICAST | PF_TAGGED | PF_VLAN_OOB

/** The twin over linear memory `buffer`. */
export function createQueueTwin(buffer: ArrayBufferLike): QueueKernels {
  const view = new DataView(buffer)
  const u16 = (at: number): number => view.getUint16(at, true)
  const u32 = (at: number): number => view.getUint32(at, true)
  const put16 = (at: number, value: number): void => view.setUint16(at, value, true)
  const put32 = (at: number, value: number): void => view.setUint32(at, value, true)
  const headerOf = (pool: number, k: number): number => pool + k * HEADER_STRIDE + u16(pool + P_HEADER_OFFSET + k * 2)
  const isOneSender = (one: number, other: number): boolean => u16(one + 6) === u16(other + 6) && u32(one + 8) === u32(other + 8)
  return {
    alike(pool, count) {
      const start = pool + u16(pool + P_HEADER_OFFSET)
      let isOne = true
      let bytes = 0
      let k = 0
      for (; k < count; k++) {
        const offset = u16(pool + P_HEADER_OFFSET + k * 2)
        if ((u32(pool + P_FLAGS + k * 4) & NOT_PLAIN) !== 0 || (offset & 3) !== 0) break
        const header = pool + k * HEADER_STRIDE + offset
        if (u32(header) !== u32(start) || u16(header + 4) !== u16(start + 4)) break
        if (!isOneSender(header, start)) isOne = false
        bytes += u32(pool + P_LENGTH + k * 4)
      }
      return k | (isOne ? ALIKE_ONE_SENDER : 0) | (bytes << ALIKE_BYTES_SHIFT)
    },
    aim(pool, count, entry) {
      for (let k = 0; k < count; k++) {
        view.setUint32(pool + P_DESTINATION + k * 4, entry, true)
        view.setUint16(pool + P_DESTINATION_COUNT + k * 2, 1, true)
        view.setUint16(pool + P_DESTINATION_ROOM + k * 2, 0, true)
      }
    },
    assign(pool, first, count, block) {
      for (let k = first; k < count; k++) {
        const header = headerOf(pool, k)
        if ((u32(pool + P_FLAGS + k * 4) & NOT_PLAIN) !== 0 || ((header - pool) & 3) !== 0) return k
        const rest = u16(header + 4)
        const place = (rest ^ (rest >>> 8)) & (QUEUE_IDS - 1)
        const queue = u16(block + QB_RECENT_QUEUE + place * 2)
        const isKnown =
          u32(block + QB_RECENT_REST + place * 4) === rest && u32(block + QB_RECENT_FIRST + place * 4) === u32(header)
        if (!isKnown || queue >= QUEUE_IDS) return k
        put16(pool + P_RECEIVE_QUEUE + k * 2, queue)
        const [frames, bytes] = [block + QB_FRAMES + queue * 4, block + QB_BYTES + queue * 4]
        if (u32(frames) === 0) {
          const touched = u32(block + QB_TOUCHED_COUNT)
          put16(block + QB_TOUCHED + touched * 2, queue)
          put32(block + QB_TOUCHED_COUNT, touched + 1)
        }
        put32(frames, u32(frames) + 1)
        put32(bytes, u32(bytes) + u32(pool + P_LENGTH + k * 4))
      }
      return count
    },
    aimEach(pool, list, count, targets) {
      let left = 0
      let isOne = true
      let example = -1
      for (let j = 0; j < count; j++) {
        const k = u16(list + j * 2)
        const target = targets + (u16(pool + P_RECEIVE_QUEUE + k * 2) & (QUEUE_IDS - 1)) * 4
        const entry = u32(target + QT_ENTRY)
        const header = headerOf(pool, k)
        const kind = u32(pool + P_FLAGS + k * 4)
        const isOpen = u16(pool + P_DESTINATION_COUNT + k * 2) === 0 && (kind & PF_MULTICAST) === 0
        const isMeant = u32(header) === u32(target + QT_FIRST) && u16(header + 4) === u32(target + QT_SECOND)
        if (entry === 0 || !isOpen || !isMeant || ((header - pool) & 3) !== 0) {
          left++
          continue
        }
        put32(pool + P_DESTINATION + k * 4, entry)
        put16(pool + P_DESTINATION_COUNT + k * 2, 1)
        put16(pool + P_DESTINATION_ROOM + k * 2, 0)
        if (example < 0) example = header
        if ((kind & PF_TAGGED) !== 0 || !isOneSender(header, example)) isOne = false
      }
      return left | (isOne ? AIMED_ONE_SENDER : 0)
    },
  }
}
