// Which member of the team a frame leaves by. HyperVPort: that of its source port. Dynamic: flows are spread, in flowlets.
//
// The rules it must not break: a guest's address is the source on its port's member only (what leaves by another one has that member's
// address); a flow changes its member only after a pause, or when its member is gone, so it keeps its order; nothing is allocated.
import * as layout from '../../kernels/layout.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import type { TeamMembers } from './team-members.ts'
import { LoadBalancing, memberBit, TEAM_MEMBERS_MAX, TeamCounter, type TeamTable } from './team-table.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { BURST_SLOTS, HEADER_STRIDE, PF_IPV4, PF_IPV6, PF_MULTICAST } = layout
const { dynamic } = LoadBalancing
const { sentBytes, sentFrames } = TeamCounter
const BUCKETS = 256
const ICMPV6 = 58
const SOURCE_ADDRESS = 6
/** A flow that paused so long has nothing on its way that it could overtake. */
export const FLOWLET_PAUSE_MS = 50
/** The load of members is halved so often. */
const LOAD_HALF_MS = 100
/** A flow moves when its member has so much more load than the least loaded one: a quarter, and so many bytes of the fastest one. */
const IMBALANCE_SHIFT = 2
const IMBALANCE_BYTES = 65_536

/** One processor's. Fields are ordinary ones: they are read per packet. */
export class TeamSender {
  /** The processor that it counts for; -1: none. */
  processor = -1
  private readonly pool: PacketPool
  private readonly table: TeamTable
  private readonly members: TeamMembers
  private readonly nowMs: () => number
  private readonly bucketMember = new Uint8Array(BUCKETS)
  private readonly bucketLast = new Float64Array(BUCKETS)
  private readonly load = new Float64Array(TEAM_MEMBERS_MAX + 1)
  // What a byte counts for a member's load: the speed of the fastest active one in its own. 1 for all where a speed is not known.
  private readonly cost = new Float64Array(TEAM_MEMBERS_MAX + 1).fill(1)
  private halvedAt = 0
  private now = 0
  private isDynamic = false
  // Addresses that were replaced, by place in the header area.
  private readonly replacedAt = new Uint32Array(BURST_SLOTS)
  private readonly replaced = new Uint8Array(BURST_SLOTS * 6)
  private replacedCount = 0

  constructor(pool: PacketPool, table: TeamTable, members: TeamMembers, nowMs: () => number) {
    this.pool = pool
    this.table = table
    this.members = members
    this.nowMs = nowMs
  }

  /** Before the packets of a delivery to `port`. False if that has no team. */
  begin(port: number): boolean {
    if (this.table.port !== port) return false
    this.isDynamic = this.table.loadBalancing === dynamic
    if (this.isDynamic) this.tick()
    return true
  }

  private tick(): void {
    this.now = this.nowMs()
    if (this.now - this.halvedAt < LOAD_HALF_MS) return
    const halves = Math.min(32, Math.floor((this.now - this.halvedAt) / LOAD_HALF_MS))
    for (let nicIndex = 1; nicIndex <= TEAM_MEMBERS_MAX; nicIndex++) this.load[nicIndex] = this.load[nicIndex]! / 2 ** halves
    this.halvedAt = this.now
    this.weigh()
  }

  private weigh(): void {
    const { table, members, cost } = this
    let fastest = 0
    let slowest = Number.POSITIVE_INFINITY
    for (let k = 0; k < members.count; k++) {
      const megabits = table.megabits(members.list[k]!)
      fastest = Math.max(fastest, megabits)
      slowest = Math.min(slowest, megabits)
    }
    for (let k = 0; k < members.count; k++) cost[members.list[k]!] = slowest > 0 ? fastest / table.megabits(members.list[k]!) : 1
  }

  /** NIC index of the member for the packet in `slot`, whose flow has this hash; 0: no member is up. `end` follows the delivery. */
  choose(slot: number, hash: number): number {
    const { pool, members, table, processor } = this
    const source = pool.sourcePort[slot]!
    const home = source === 0 ? members.designated : members.memberOf(source)
    if (home === 0) return 0
    const nicIndex = this.isDynamic && source !== 0 && this.mayMove(slot) ? this.ofFlow(slot, hash & (BUCKETS - 1), home) : home
    table.count(processor, nicIndex, sentFrames, 1)
    table.count(processor, nicIndex, sentBytes, pool.length[slot]!)
    return nicIndex
  }

  // What tells the network where an address is stays with that address: all but unicast IP, and neighbour discovery.
  private mayMove(slot: number): boolean {
    const kind = this.pool.flags[slot]!
    if ((kind & PF_MULTICAST) !== 0) return false
    if ((kind & PF_IPV4) !== 0) return true
    return (kind & PF_IPV6) !== 0 && this.pool.protocol[slot] !== ICMPV6
  }

  private ofFlow(slot: number, bucket: number, home: number): number {
    const { members, load } = this
    let nicIndex = this.bucketMember[bucket]!
    const isGone = nicIndex === 0 || (members.active & memberBit(nicIndex)) === 0
    if (isGone || this.now - this.bucketLast[bucket]! > FLOWLET_PAUSE_MS) {
      let least = home
      for (let k = 0; k < members.count; k++) if (load[members.list[k]!]! < load[least]!) least = members.list[k]!
      const margin = load[least]! / (1 << IMBALANCE_SHIFT) + IMBALANCE_BYTES
      if (isGone || load[nicIndex]! > load[least]! + margin) nicIndex = least
      this.bucketMember[bucket] = nicIndex
    }
    this.bucketLast[bucket] = this.now
    load[nicIndex] = load[nicIndex]! + this.pool.length[slot]! * this.cost[nicIndex]!
    if (nicIndex === home) return home
    return this.replaceSource(slot, nicIndex) ? nicIndex : home
  }

  // False where the member's own address is not known.
  private replaceSource(slot: number, nicIndex: number): boolean {
    const low = this.table.macLow(nicIndex)
    const high = this.table.macHigh(nicIndex)
    if ((low === 0 && high === 0) || this.replacedCount === BURST_SLOTS) return false
    const { header8, headerOffset } = this.pool
    const at = slot * HEADER_STRIDE + headerOffset[slot]! + SOURCE_ADDRESS
    const kept = this.replacedCount * 6
    for (let k = 0; k < 6; k++) this.replaced[kept + k] = header8[at + k]!
    this.replacedAt[this.replacedCount++] = at
    header8[at] = high
    header8[at + 1] = high >> 8
    header8[at + 2] = low
    header8[at + 3] = low >> 8
    header8[at + 4] = low >> 16
    header8[at + 5] = low >> 24
    return true
  }

  /** After the delivery: the packets have their own addresses again. */
  end(): void {
    const { header8 } = this.pool
    while (this.replacedCount > 0) {
      const kept = --this.replacedCount * 6
      const at = this.replacedAt[this.replacedCount]!
      for (let k = 0; k < 6; k++) header8[at + k] = this.replaced[kept + k]!
    }
  }
}
