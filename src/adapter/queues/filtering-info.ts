// NDIS_NET_BUFFER_LIST_FILTERING_INFO of a packet: what NDIS puts beside each packet of a queue.
import type { PacketPool } from '../../ndis/pool.ts'

const QUEUE_SHIFT = 16

/** The out-of-band word of a packet: filter id in bits 0-15, always zero (VQ-109), queue id in bits 16-31. */
export const filteringInfo = (pool: PacketPool, slot: number): number => (pool.receiveQueue[slot]! << QUEUE_SHIFT) >>> 0

/** NET_BUFFER_SHARED_MEMORY of a packet, in one segment (VQ-111, VQ-113). */
export interface SharedMemoryInfo {
  readonly nextSharedMemorySegment: null
  readonly sharedMemoryHandle: number
  readonly sharedMemoryOffset: number
  readonly sharedMemoryLength: number
}

/** The shared memory that a packet lies in; null if it is not known. For those who look at single packets: it makes an object. */
export function sharedMemoryInfo(pool: PacketPool, slot: number): SharedMemoryInfo | null {
  const sharedMemoryHandle = pool.sharedMemory[slot]!
  if (sharedMemoryHandle === 0) return null
  return {
    nextSharedMemorySegment: null,
    sharedMemoryHandle,
    sharedMemoryOffset: pool.sharedOffset[slot]!,
    sharedMemoryLength: pool.length[slot]!,
  }
}
