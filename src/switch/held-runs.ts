// Runs of packets that a module holds under one handle: packets of one source and, on egress, one destination. What they have in common is
// kept once, so that to hold them and to let them go takes no look at each.
//
// The rule it must not break: a run has its packets from `begin` to `end`, in order; nothing is allocated per packet. Of packets whose slots follow
// each other, as they mostly do, the first says where all are.
import * as layout from '../kernels/layout.ts'
import type { RunFacts } from '../ndis/packet-runs.ts'

// V8 folds constants of a module, not imported ones.
const { BURST_MAX, POOL_SLOTS } = layout
/** Runs that modules hold at the most. */
const RUNS = 1024
const MEMBERS_SHIFT = 31 - Math.clz32(BURST_MAX)

/** Fields are ordinary ones: they are read per packet. */
export class HeldRuns {
  private readonly members = new Uint16Array(RUNS << MEMBERS_SHIFT)
  /** Of each run: the slot of its first packet; 1 if those of the others follow it. */
  readonly firsts = new Uint16Array(RUNS)
  readonly inRow = new Uint8Array(RUNS)
  // The run of each first packet.
  private readonly runs = new Uint16Array(POOL_SLOTS)
  private readonly free = Uint16Array.from({ length: RUNS }, (_, run) => RUNS - 1 - run)
  private freeCount = RUNS
  /** Of each run: its packets, their source, their one destination port (0: none yet), and what `RunFacts` says. */
  readonly sizes = new Uint8Array(RUNS)
  readonly sources = new Uint16Array(RUNS)
  readonly targets = new Uint16Array(RUNS)
  readonly needs = new Uint8Array(RUNS)
  readonly flags = new Uint32Array(RUNS)
  readonly longest = new Uint32Array(RUNS)

  /** True if one more run finds room. */
  get hasRoom(): boolean {
    return this.freeCount !== 0
  }

  /** A run of the packets in the first `count` of `slots`, which ascend. Call only while there is room. */
  begin(slots: Uint16Array, count: number, facts: RunFacts): void {
    const { members } = this
    const run = this.free[--this.freeCount]!
    const slot = slots[0]!
    const isInRow = slots[count - 1]! - slot === count - 1
    this.firsts[run] = slot
    this.inRow[run] = isInRow ? 1 : 0
    if (!isInRow) for (let i = 0, at = run << MEMBERS_SHIFT; i < count; i++) members[at + i] = slots[i]!
    this.runs[slot] = run
    this.sizes[run] = count
    this.sources[run] = facts.source
    this.targets[run] = facts.target
    this.needs[run] = facts.needs
    this.flags[run] = facts.flags
    this.longest[run] = facts.longest
  }

  /** The run whose first packet is in `slot`. */
  of(slot: number): number {
    return this.runs[slot]!
  }

  /** Writes the slots of a run's packets to `slots` from `at` on. Returns how many. */
  list(run: number, slots: Uint16Array, at: number): number {
    const { members } = this
    const size = this.sizes[run]!
    if (this.inRow[run] === 1) {
      for (let i = 0, slot = this.firsts[run]!; i < size; i++) slots[at + i] = slot + i
      return size
    }
    const first = run << MEMBERS_SHIFT
    for (let i = 0; i < size; i++) slots[at + i] = members[first + i]!
    return size
  }

  /** Packet `i` of a run. */
  member(run: number, i: number): number {
    return this.inRow[run] === 1 ? this.firsts[run]! + i : this.members[(run << MEMBERS_SHIFT) + i]!
  }

  /** Takes stock: all runs but `live` are free. */
  reset(live: ReadonlySet<number>): void {
    this.freeCount = 0
    for (let run = RUNS - 1; run >= 0; run--) if (!live.has(run)) this.end(run)
  }

  /** The run is no more. */
  end(run: number): void {
    this.free[this.freeCount++] = run
  }
}
