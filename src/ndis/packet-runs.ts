// Runs of packets of a batch that are kept as one: packets in a row of one source and, on egress, of one and the same destination.
//
// The rule it must not break: a run is whole or none; what is known of it holds for each of its packets.
import * as layout from '../kernels/layout.ts'
import { blocksOf } from './block-store.ts'
import { copyAllDestinations, copyPackets } from './packet-copies.ts'
import { LEFT_TO_GO_ON, type PacketPool } from './pool.ts'

// V8 folds constants of a module, not imported ones.
const { DE_PORT, PF_DROPPED } = layout

/** What is known of a run. Fields are ordinary ones: they are written per packet. */
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
    const { sourcePort, destination, destinationCount, destinationRoom, needs, flags, length, headerLength } = pool
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
    this.source = source
    this.target = entry & DE_PORT
    this.needs = needed
    this.flags = seen
    this.longest = longest
    this.blocks = blocks
    return (seen & PF_DROPPED) === 0
  }
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
  const { originals, copies, length, headerLength, flags, leftAt, reason, free, store } = pool
  if (count > free.count || facts.blocks > store.count) return false
  free.takeAll(copies, count)
  for (let i = 0; i < count; i++) originals[i] = slots[first + i]!
  if (facts.blocks !== 0)
    for (let i = 0; i < count; i++) {
      const payload = length[originals[i]!]! - headerLength[originals[i]!]!
      if (payload > 0) pool.fillBlocks(copies[i]!, payload, blocksOf(payload))
    }
  copyPackets(pool, count)
  if (!ingress) copyAllDestinations(pool, count) // each has one: they find room
  for (let i = 0; i < count; i++) {
    const slot = originals[i]!
    flags[slot] = flags[slot]! | PF_DROPPED
    reason[slot] = 0
    leftAt[slot] = LEFT_TO_GO_ON
  }
  return true
}
