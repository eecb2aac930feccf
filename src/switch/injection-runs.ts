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
  /** The port that all packets come from which a module held, or -1. */
  source = UNKNOWN

  constructor(pool: PacketPool, injections: Injections) {
    this.pool = pool
    this.injections = injections
  }

  /** Takes the next run into `batch`. Returns its packets. Call only while some wait. */
  next(batch: Batch): number {
    const { pool, injections, slots } = this
    const count = injections.next(slots)
    const { sourcePort, length, flags, needs } = pool
    const source = sourcePort[slots[0]!]!
    let seen = 0
    let needed = 0
    let longest = 0
    let others = 0
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      batch.slots[i] = slot
      needed |= needs[slot]!
      seen |= flags[slot]!
      others |= sourcePort[slot]! ^ source
      const bytes = length[slot]!
      if (bytes > longest) longest = bytes
    }
    this.count = count
    this.module = injections.module
    this.ingress = injections.ingress
    this.maker = injections.isOwn(slots[0]!) ? injections.module : UNKNOWN
    this.needs = needed
    this.longest = longest
    this.source = others === 0 && source !== 0 && this.maker === UNKNOWN ? source : UNKNOWN
    batch.length = count
    batch.dirty = false
    batch.oneSource = this.source !== UNKNOWN // ES-445
    batch.mayBeTagged = (seen & (PF_TAGGED | PF_VLAN_OOB)) !== 0
    batch.ingress = injections.ingress
    return count
  }

  /** The run is over: its packets are free. ES-354 */
  done(): void {
    this.injections.freeAll(this.slots, this.count)
    this.count = 0
  }
}
