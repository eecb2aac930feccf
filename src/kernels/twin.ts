// The burst kernels in TypeScript: the oracle of the differential fuzz, the engine where WebAssembly can't be used, and the only one
// that serves guests whose memory lies outside linear memory. Each twin-*.ts beside this file is one *.as.ts, step by step.
//
// The rule it must not break: it agrees with the wasm kernels to the byte.
import type { DirectKernels, FrameRingKernels, Kernels, TwinMemory } from './kernels.ts'
import { checksum } from './twin-checksum.ts'
import { copyFrame } from './twin-copy.ts'
import { direct } from './twin-direct.ts'
import { TwinState } from './twin-memory.ts'
import { arm, disarm } from './twin-notify.ts'
import { giveFrames, takeFrames } from './twin-packet-ring.ts'
import { parse } from './twin-parse.ts'
import { deliver } from './twin-receive.ts'
import { segment } from './twin-segment.ts'
import { complete, dequeue } from './twin-transmit.ts'

export { LINEAR_WINDOWS, linearWindows, windowOf } from './twin-memory.ts'

/**
 * Kernels over `memory`. Queue blocks, pools, region tables and lists must lie in the first GiB of linear memory, 4-byte aligned; a
 * region entry, and each part of a ring outside linear memory, within one window. `memory.windows` is read at each use: windows may be added later.
 */
export function createTwin(memory: TwinMemory): Kernels & DirectKernels & FrameRingKernels {
  const s = new TwinState(memory)
  return {
    dequeue: (queue, pool, first, max) => dequeue(s, queue >>> 2, pool, first, max),
    complete: (queue, pool, first, count) => complete(s, queue >>> 2, pool, first, count),
    deliver: (queue, pool, list, count) => deliver(s, queue >>> 2, pool, list, count),
    arm: (queue) => arm(s, queue >>> 2),
    disarm: (queue) => disarm(s, queue >>> 2),
    parse: (pool, first, count) => parse(s, pool, first, count),
    checksum: (pool, slot) => checksum(s, pool, slot),
    segment: (pool, slot, slots, room) => segment(s, pool, slot, slots, room),
    direct: (block, queue, vport, max) => direct(s, block >>> 2, queue >>> 2, vport, max),
    takeFrames: (ring, slotBytes, slots, next, pool, first, max, port) =>
      takeFrames(s, { ring, slotBytes, slots }, next, pool, first, max, port),
    giveFrames: (ring, slotBytes, slots, from, to) => giveFrames(s, { ring, slotBytes, slots }, from, to),
    copyFrame: (pool, slot, from, length, target) => copyFrame(s, pool, slot, from, length, target),
  }
}
