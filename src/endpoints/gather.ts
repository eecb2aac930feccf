// Describes a packet of the pool to the kernel, piece by piece: the iovecs of one writev or sendmsg, so that a frame leaves with no
// copy of our own.
//
// The rule it must not break: every address that it writes is memory.base plus a linear address of the packet's own pieces, and the
// lengths add up to the packet's length exactly; a packet whose pieces don't is refused.
import type { Kernels } from '../kernels/kernels.ts'
import {
  FRAME_MAX,
  HEADER_STRIDE,
  P_ADDRESS,
  P_FLAGS,
  P_HEADER,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_LENGTH,
  P_SEGMENT,
  P_SEGMENTS,
  PF_FOREIGN,
  SEGMENTS_MAX,
} from '../kernels/layout.ts'
import { putIovec } from '../linux/messages.ts'
import type { SharedMemory } from '../linux/shared-memory.ts'

export const IOVEC_BYTES = 16
/** iovecs that one packet can take: what leads it (vnet header or length), its header, its segments. */
export const PACKET_IOVECS = SEGMENTS_MAX + 2
/** Bytes that hold any one frame. */
export const FRAME_BUFFER = Math.ceil(FRAME_MAX / 4096) * 4096 + 4096

/** Writes iovecs for packets of one pool. One instance per queue; nothing here allocates after construction. */
export class Gatherer {
  readonly u8: Uint8Array
  readonly u16: Uint16Array
  readonly u32: Uint32Array
  readonly base: number
  readonly pool: number
  readonly kernels: Kernels
  readonly bounce: number
  readonly bounceEnd: number
  /** Where the next foreign payload goes; reset when what was gathered has been sent. */
  bounceNext: number

  /** `bounce`: linear address of `bounceBytes` (at least FRAME_BUFFER) for payload that the kernel can't be pointed at. */
  constructor(memory: SharedMemory, pool: number, kernels: Kernels, bounce: number, bounceBytes: number) {
    this.u8 = memory.u8
    this.u16 = new Uint16Array(memory.buffer, 0, memory.u8.length >> 1)
    this.u32 = memory.u32
    this.base = memory.base
    this.pool = pool
    this.kernels = kernels
    this.bounce = bounce
    this.bounceEnd = bounce + bounceBytes
    this.bounceNext = bounce
  }

  /** Forgets the bounced payloads: all gathered packets have been sent. */
  reset(): void {
    this.bounceNext = this.bounce
  }

  /** Writes one iovec at linear address `iovec`: `length` bytes at linear address `address`. */
  put(iovec: number, address: number, length: number): void {
    putIovec(this.u32, iovec, this.base + address, length)
  }

  /** Bytes of the packet in `slot`. */
  lengthOf(slot: number): number {
    return this.u32[(this.pool >> 2) + (P_LENGTH >> 2) + slot]!
  }

  /** True if the packet must be bounced and the bounce area is too full for it: send first, then reset. */
  needsRoom(slot: number): boolean {
    return (
      (this.u32[(this.pool >> 2) + (P_FLAGS >> 2) + slot]! & PF_FOREIGN) !== 0 &&
      this.bounceEnd - this.bounceNext < this.lengthOf(slot)
    )
  }

  /**
   * Writes the iovecs of the packet in `slot` from linear address `iovec` on (room for PACKET_IOVECS - 1). Returns how many, or 0 if
   * the packet's pieces don't make up its length.
   */
  gather(slot: number, iovec: number): number {
    const { u8, u16, u32, pool } = this
    const length = u32[(pool >> 2) + (P_LENGTH >> 2) + slot]!
    const headerLength = u16[(pool >> 1) + (P_HEADER_LENGTH >> 1) + slot]!
    const headerOffset = u16[(pool >> 1) + (P_HEADER_OFFSET >> 1) + slot]!
    if (headerLength > length || length > FRAME_MAX || headerOffset + headerLength > HEADER_STRIDE) return 0
    let count = 0
    if (headerLength > 0) {
      this.put(iovec, pool + P_HEADER + slot * HEADER_STRIDE + headerOffset, headerLength)
      count = 1
    }
    let rest = length - headerLength
    if (rest === 0) return count
    const segments = u8[pool + P_SEGMENTS + slot]!
    if ((u32[(pool >> 2) + (P_FLAGS >> 2) + slot]! & PF_FOREIGN) !== 0) {
      const target = this.bounceNext
      if (this.bounceEnd - target < rest || this.kernels.copyFrame(pool, slot, headerLength, rest, target) !== rest) return 0
      this.bounceNext = target + rest
      this.put(iovec + count * IOVEC_BYTES, target, rest)
      return count + 1
    }
    if (segments === 1) {
      this.put(iovec + count * IOVEC_BYTES, u32[(pool >> 2) + (P_ADDRESS >> 2) + slot]!, rest)
      return count + 1
    }
    if (segments > SEGMENTS_MAX) return 0
    let entry = (pool + P_SEGMENT + slot * SEGMENTS_MAX * 8) >> 2
    for (let i = 0; i < segments; i++, entry += 2) {
      const bytes = u32[entry + 1]!
      if (bytes > rest) return 0
      if (bytes === 0) continue
      this.put(iovec + count * IOVEC_BYTES, u32[entry]!, bytes)
      count++
      rest -= bytes
    }
    return rest === 0 ? count : 0
  }
}
