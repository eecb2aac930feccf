// Kernels for single packets of one pool: the linear ones wherever the packet's bytes lie in linear memory, the others where not.
// The data path uses these for what it does to packets between rings.
import type { CopyKernels, Kernels } from './kernels.ts'
import { P_FLAGS, PF_FOREIGN, POOL_SLOTS } from './layout.ts'

/** What the data path does to single packets. */
export type PacketKernels = Pick<Kernels, 'parse' | 'checksum' | 'segment' | 'copyFrame'> & Partial<CopyKernels>

/** Kernels over the pool at linear address `pool` of `buffer`; `linear` is the faster set, `any` can reach all memory. */
export function kernelsByPacket(
  buffer: ArrayBufferLike,
  pool: number,
  linear: Kernels & Partial<CopyKernels>,
  any: Kernels,
): PacketKernels {
  const flags = new Uint32Array(buffer, pool + P_FLAGS, POOL_SLOTS)
  const of = (slot: number): Kernels => ((flags[slot]! & PF_FOREIGN) === 0 ? linear : any)
  const { copyPackets, copyDestination, describeRun, takeRun, clearSpan } = linear
  return {
    ...(copyPackets && copyDestination && describeRun && takeRun && clearSpan
      ? { copyPackets, copyDestination, describeRun, takeRun, clearSpan }
      : {}),
    parse: (at, first, count) => linear.parse(at, first, count), // reads the header area only
    checksum: (at, slot) => of(slot).checksum(at, slot),
    segment: (at, slot, slots, room) => of(slot).segment(at, slot, slots, room),
    copyFrame: (at, slot, from, length, target) => of(slot).copyFrame(at, slot, from, length, target),
  }
}
