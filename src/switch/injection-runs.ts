// Packets that extensions sent, originated or gave back, as the data path takes them: in order, those in a row that join at one place
// together (ES-065).
//
// The rule it must not break: each packet that is taken is given back once, after its run (ES-354); nothing is allocated.
import * as layout from '../kernels/layout.ts'
import type { Batch } from '../ndis/batch.ts'
import type { PacketPool } from '../ndis/pool.ts'
import type { Injections } from './injections.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { BURST_MAX, PF_TAGGED, PF_VLAN_OOB } = layout
const UNKNOWN = -1

/** The run in work of one data path. Fields are ordinary ones: they are read per run. */
export class InjectionRuns {
  private readonly pool: PacketPool
  private readonly injections: Injections
  private readonly slots = new Uint16Array(BURST_MAX)
  private count = 0
  /** The module that the packets come from, and whether they go down from there. */
  module = UNKNOWN
  ingress = true
  /** Index of the module that made the packets, or -1: they are others, which it held. */
  maker = UNKNOWN
  /** OR of the packets' offload needs, and bytes of the longest. */
  needs = 0
  longest = 0
  // OR of the packets' flags.
  private seen = 0
  /** The port that all packets come from which a module held, or -1. */
  source = UNKNOWN

  constructor(pool: PacketPool, injections: Injections) {
    this.pool = pool
    this.injections = injections
  }

  /** Takes the next run into `batch`. Returns its packets. Call only while some wait. */
  next(batch: Batch): number {
    const { injections, slots } = this
    const areRuns = injections.beginsWithRun // they know their slots themselves
    const count = injections.next(areRuns ? batch.slots : slots)
    if (!areRuns) for (let i = 0; i < count; i++) batch.slots[i] = slots[i]!
    this.count = count
    this.module = injections.module
    this.ingress = injections.ingress
    this.maker = injections.isOwn(batch.slots[0]!) ? injections.module : UNKNOWN
    if (injections.takenRuns !== 0) this.describeRuns()
    else this.describe()
    batch.length = count
    batch.dirty = false
    batch.oneSource = this.source !== UNKNOWN // ES-445
    batch.mayBeTagged = (this.seen & (PF_TAGGED | PF_VLAN_OOB)) !== 0
    batch.ingress = injections.ingress
    return count
  }

  private describe(): void {
    const { slots, count } = this
    const { sourcePort, length, flags, needs } = this.pool
    const source = sourcePort[slots[0]!]!
    let seen = 0
    let needed = 0
    let longest = 0
    let others = 0
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      needed |= needs[slot]!
      seen |= flags[slot]!
      others |= sourcePort[slot]! ^ source
      const bytes = length[slot]!
      if (bytes > longest) longest = bytes
    }
    this.seen = seen
    this.needs = needed
    this.longest = longest
    this.source = others === 0 && source !== 0 && this.maker === UNKNOWN ? source : UNKNOWN
  }

  // What was held as runs is known by the run.
  private describeRuns(): void {
    const { runs, taken, takenRuns } = this.injections
    const source = runs.sources[taken[0]!]!
    this.seen = 0
    this.needs = 0
    this.longest = 0
    let others = 0
    for (let i = 0; i < takenRuns; i++) {
      const run = taken[i]!
      this.seen |= runs.flags[run]!
      this.needs |= runs.needs[run]!
      this.longest = Math.max(this.longest, runs.longest[run]!)
      others |= runs.sources[run]! ^ source
    }
    this.source = others === 0 && source !== 0 ? source : UNKNOWN
  }

  /** The run is over: its packets are free. ES-354 */
  done(): void {
    this.injections.freeAll(this.slots, this.count)
    this.count = 0
  }
}
