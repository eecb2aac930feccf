// Runs of packets of a batch that are kept as one: packets in a row of one source and, on egress, of one and the same destination.
//
// The rule it must not break: a run is whole or none; what is known of it holds for each of its packets.
import * as layout from '../kernels/layout.ts'
import { blocksOf } from './block-store.ts'
import { copyAllDestinations, copyPackets, copyPayload } from './packet-copies.ts'
import { LEFT_TO_GO_ON, type PacketPool } from './pool.ts'

// V8 folds constants of a module, not imported ones.
const { DE_PORT, OWN_PLACE, PF_DROPPED, PF_FOREIGN, RUN_BLOCKS, RUN_ENTRY, RUN_FLAGS, RUN_LONGEST, RUN_NEEDS } = layout

/** What is known of a run. Fields are ordinary ones: they are read per run. */
export class RunFacts {
  source = 0
  /** The port of the one destination; 0 on ingress. */
  target = 0
  /** OR of the offload needs, and of the flags. */
  needs = 0
  flags = 0
  /** Bytes of the longest frame. */
  longest = 0
  /** Blocks of the store that copies of them take. */
  blocks = 0

  /** Looks at the `count` packets in `slots` from index `first` on. False if they are no run: one is dropped, or differs. */
  describe(pool: PacketPool, slots: Uint16Array, first: number, count: number, ingress: boolean): boolean {
    const { run, base, kernels, sourcePort } = pool
    const isRun =
      kernels.describeRun === undefined
        ? describeRun(pool, slots, first, count, ingress)
        : kernels.describeRun(base, slots.byteOffset + (first << 1), count, ingress ? 0 : 1, run.byteOffset) === 1
    if (!isRun) return false
    this.source = sourcePort[slots[first]!]!
    this.target = run[RUN_ENTRY >> 2]! & DE_PORT
    this.needs = run[RUN_NEEDS >> 2]!
    this.flags = run[RUN_FLAGS >> 2]!
    this.longest = run[RUN_LONGEST >> 2]!
    this.blocks = run[RUN_BLOCKS >> 2]!
    return true
  }
}

// Kernels.describeRun, to the pool's `run`.
function describeRun(pool: PacketPool, slots: Uint16Array, first: number, count: number, ingress: boolean): boolean {
  const { sourcePort, destination, destinationCount, destinationRoom, needs, flags, length, headerLength, run } = pool
  const source = sourcePort[slots[first]!]!
  const entry = ingress ? 0 : destination[slots[first]!]!
  let needed = 0
  let seen = 0
  let longest = 0
  let blocks = 0
  for (let i = first; i < first + count; i++) {
    const slot = slots[i]!
    if (sourcePort[slot] !== source) return false
    if (!ingress && (destination[slot] !== entry || destinationCount[slot] !== 1 || destinationRoom[slot] !== 0)) return false
    needed |= needs[slot]!
    seen |= flags[slot]!
    const bytes = length[slot]!
    if (bytes > longest) longest = bytes
    const payload = bytes - headerLength[slot]!
    if (payload > 0) blocks += blocksOf(payload)
  }
  run[RUN_ENTRY >> 2] = entry
  run[RUN_NEEDS >> 2] = needed
  run[RUN_FLAGS >> 2] = seen
  run[RUN_LONGEST >> 2] = longest
  run[RUN_BLOCKS >> 2] = blocks
  return (seen & PF_DROPPED) === 0
}

/**
 * Takes the packets of a run out of their batch: copies of them, with their destination, stand in the first `count` of the pool's `copies`.
 * False, and nothing is done, without room for all of them.
 */
export function takeRun(
  pool: PacketPool,
  slots: Uint16Array,
  first: number,
  count: number,
  facts: RunFacts,
  ingress: boolean,
): boolean {
  const { base, copies, kernels, flags, free, store } = pool
  if (count > free.count || facts.blocks > store.count) return false
  free.takeAll(copies, count)
  if (facts.blocks !== 0) takeBlocks(pool, slots, first, count)
  if (kernels.takeRun === undefined) {
    copyRun(pool, slots, first, count, ingress)
    return true
  }
  const from = slots.byteOffset + (first << 1)
  if (kernels.takeRun(base, from, copies.byteOffset, count, ingress ? 0 : 1, LEFT_TO_GO_ON) === 0) return true
  for (let i = 0; i < count; i++)
    if ((flags[slots[first + i]!]! & PF_FOREIGN) !== 0) copyPayload(pool, slots[first + i]!, copies[i]!)
  return true
}

function takeBlocks(pool: PacketPool, slots: Uint16Array, first: number, count: number): void {
  const { copies, length, headerLength } = pool
  for (let i = 0; i < count; i++) {
    const payload = length[slots[first + i]!]! - headerLength[slots[first + i]!]!
    if (payload > OWN_PLACE) pool.reserve(copies[i]!, payload)
  }
}

// Kernels.takeRun.
function copyRun(pool: PacketPool, slots: Uint16Array, first: number, count: number, ingress: boolean): void {
  const { originals, flags, leftAt, reason } = pool
  for (let i = 0; i < count; i++) originals[i] = slots[first + i]!
  copyPackets(pool, count)
  if (!ingress) copyAllDestinations(pool, count) // each has one: they find room
  for (let i = 0; i < count; i++) {
    const slot = originals[i]!
    flags[slot] = flags[slot]! | PF_DROPPED
    reason[slot] = 0
    leftAt[slot] = LEFT_TO_GO_ON
  }
}
