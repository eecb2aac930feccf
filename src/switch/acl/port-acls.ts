// The ACLs of the ports on one processor: policies built into the switch that judge what ports send, after the filtering extensions and
// before the forwarding one, and what they get, before it goes up to the filtering extensions again (spec 7.6, ES-335, ES-336).
//
// The rule it must not break: a packet passes only if both the ACL and the extended ACL of the port let it; what can't be read of it is
// dropped, not guessed; nothing is allocated per packet; packets of source port 0 pass (ES-341).
import * as layout from '../../kernels/layout.ts'
import type { Batch } from '../../ndis/batch.ts'
import { destinationAt } from '../../ndis/destinations.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import type { PortTable } from '../port-table.ts'
import type { AclDirection, AclPlan } from './acl-plan.ts'
import type { AclTable } from './acl-table.ts'
import { BurstJudge } from './burst-judge.ts'

const { BURST_MAX, DE_EXCLUDED, DE_PORT, PF_DROPPED } = layout
const { none: PASSES } = DropReason

export interface AclsOwner {
  /** Drops position `i`, which came in at `port`; `by` says what judged it. */
  refuseBy(batch: Batch, i: number, reason: number, port: number, by: string): void
  /** Number of a drop reason by its name. */
  reasonNumber(name: string): number
}

// What refused position `i`.
function nameOf(plan: AclPlan, { rows }: BurstJudge, i: number): string {
  const row = rows[i]!
  return row < 0 ? '' : plan.names[row]!
}

/** Fields are ordinary ones: they are read per packet. */
export class PortAcls {
  /** True if a port of the switch has rules for what it sends, and for what it gets. */
  outbound = false
  inbound = false
  /** A bit for each port with rules for what it gets, its id modulo 32, as in `Batch.reached`. */
  receivers = 0
  /** What dropped the last packet that was refused. */
  by = ''
  private readonly pool: PacketPool
  private readonly owner: AclsOwner
  private readonly table: AclTable
  private readonly nowMs: () => number
  private generation = -1
  // Reasons by number, once there is an ACL.
  private readonly reasons = { byAcl: 0, byExtendedAcl: 0, unreadable: 0 }
  // Packets of a burst together, and single ones.
  private readonly together: BurstJudge
  private readonly alone: BurstJudge
  // Port that each position of a burst was judged for on its way to it, 0: none.
  private readonly expected = new Uint16Array(BURST_MAX)
  // The port by whose lists the packet at a position is to be judged, 0: none.
  private readonly portOf = new Uint16Array(BURST_MAX)

  /** `nowMs`: the switch's clock. */
  constructor(pool: PacketPool, ports: PortTable, table: AclTable, nowMs: () => number, owner: AclsOwner) {
    this.pool = pool
    this.table = table
    this.nowMs = nowMs
    this.owner = owner
    this.together = new BurstJudge(pool, ports, table)
    this.alone = new BurstJudge(pool, ports, table)
  }

  /** A burst begins. Notes anew what ports have, if one changed: true if `inbound` or `outbound` did. */
  refresh(): boolean {
    const { table } = this
    const changed = table.generation !== this.generation && this.takePlans()
    if (this.inbound || this.outbound) {
      const nowMs = this.nowMs()
      table.connections?.begin(nowMs)
      table.fragments.begin(nowMs)
    }
    return changed
  }

  private takePlans(): boolean {
    const { table } = this
    this.generation = table.generation
    const { inbound, outbound } = this
    this.receivers = 0
    for (const [port, plan] of table.plans.entries()) if (plan?.inbound !== undefined) this.receivers |= 1 << port
    this.inbound = this.receivers !== 0
    this.outbound = table.plans.some((plan) => plan?.outbound !== undefined)
    if ((this.inbound || this.outbound) && this.reasons.byAcl === 0) {
      this.reasons.byAcl = this.owner.reasonNumber('port-acl')
      this.reasons.byExtendedAcl = this.owner.reasonNumber('extended-acl')
      this.reasons.unreadable = this.owner.reasonNumber('acl-unreadable')
    }
    return this.inbound !== inbound || this.outbound !== outbound
  }

  /** Drops what the packets' source ports must not send. */
  judge(batch: Batch): void {
    const source = batch.oneSource ? this.pool.sourcePort[batch.slots[0]!]! : 0
    const plan = this.table.plans[source]
    if (batch.oneSource && plan?.outbound === undefined) return
    for (let from = 0; from < batch.length; from += BURST_MAX) {
      const count = Math.min(BURST_MAX, batch.length - from)
      if (plan === undefined) this.judgeFrom(batch, from, count)
      else this.judgeOf(source, plan, batch, from, count)
    }
  }

  // All packets are of one port.
  private judgeOf(port: number, plan: AclPlan, batch: Batch, from: number, count: number): void {
    const { together } = this
    const { slots } = batch
    const { flags } = this.pool
    together.begin()
    for (let i = 0; i < count; i++) {
      const slot = slots[from + i]!
      if ((flags[slot]! & PF_DROPPED) === 0) together.add(i, slot)
      else together.reasons[i] = PASSES
    }
    together.decide(port, false, plan, plan.outbound!, this.reasons)
    if (together.refused === 0) return
    for (let i = 0; i < count; i++)
      if (together.reasons[i] !== PASSES)
        this.owner.refuseBy(batch, from + i, together.reasons[i]!, port, nameOf(plan, together, i))
  }

  private judgeFrom(batch: Batch, from: number, count: number): void {
    const { portOf, together } = this
    const { slots } = batch
    const { sourcePort, flags } = this.pool
    const { plans } = this.table
    for (let n = 0; n < count; n++) {
      const slot = slots[from + n]!
      portOf[n] = (flags[slot]! & PF_DROPPED) === 0 ? sourcePort[slot]! : 0
    }
    for (let n = 0; n < count; n++) {
      const port = portOf[n]!
      const plan = plans[port] // port 0 has none: ES-341
      if (plan?.outbound === undefined) continue
      this.judgeTogether(slots, from, n, count, port, plan, plan.outbound, false)
      for (let i = n; i < count; i++) {
        if (portOf[i] !== port) continue
        portOf[i] = 0
        if (together.reasons[i] !== PASSES)
          this.owner.refuseBy(batch, from + i, together.reasons[i]!, port, nameOf(plan, together, i))
      }
    }
  }

  // Judges the packets of `slots` from `from` on, those of positions `first` to before `count` that `portOf` says are of `port`: true if
  // there are others.
  private judgeTogether(
    slots: Uint16Array,
    from: number,
    first: number,
    count: number,
    port: number,
    plan: AclPlan,
    lists: AclDirection,
    inbound: boolean,
  ): boolean {
    const { portOf, together } = this
    let others = false
    together.begin()
    for (let i = first; i < count; i++)
      if (portOf[i] === port) together.add(i, slots[from + i]!)
      else others = true
    together.decide(port, inbound, plan, lists, this.reasons)
    return others
  }

  /**
   * `admits` will be asked about packets of `batch` for each of their destinations that is not excluded, in order: for the first of each they
   * are judged and counted together. `certain`: false if it may not be asked. True if it would let all of them pass, and need not be asked.
   */
  expect(batch: Batch, certain: boolean): boolean {
    const { expected, portOf, pool } = this
    const { plans } = this.table
    if (!certain) {
      expected.fill(0)
      return false
    }
    const { destinationCount, sourcePort } = pool
    const { slots } = batch
    const count = Math.min(BURST_MAX, batch.length)
    // A port that follows connections gets packets in their order, also those that go to others before.
    let several = false
    // Most have the destination of the one before.
    let last = 0
    let judged = 0
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      if (destinationCount[slot]! > 1) several = true
      const isAsked = destinationCount[slot] !== 0 && sourcePort[slot] !== 0
      const entry = isAsked ? destinationAt(pool, slot, 0) : 0
      const port = (entry & DE_EXCLUDED) === 0 ? entry & DE_PORT : 0
      if (port !== last || several) {
        const plan = plans[port]
        last = port
        judged = plan?.inbound === undefined || (plan.stateful && several) ? 0 : port
      }
      expected[i] = portOf[i] = judged
    }
    let refused = 0
    for (let i = 0; i < count; i++) {
      const port = portOf[i]!
      if (port === 0) continue
      const plan = plans[port]!
      const others = this.judgeTogether(slots, 0, i, count, port, plan, plan.inbound!, true)
      refused += this.together.refused
      if (!others) break
      for (let k = i; k < count; k++) if (portOf[k] === port) portOf[k] = 0
    }
    return !several && refused === 0 && batch.length <= BURST_MAX
  }

  /** The reason for which `port` must not get the packet in `slot`, at position `i`, PASSES if it may; `by` is what judged. */
  admits(i: number, slot: number, port: number): number {
    const plan = this.table.plans[port]
    if (plan?.inbound === undefined) return PASSES
    const isExpected = i < BURST_MAX && this.expected[i] === port
    const judge = isExpected ? this.together : this.alone
    const at = isExpected ? i : 0
    if (isExpected) this.expected[i] = 0
    else {
      judge.begin()
      judge.add(0, slot)
      judge.decide(port, true, plan, plan.inbound, this.reasons)
    }
    const reason = judge.reasons[at]!
    if (reason !== PASSES) this.by = nameOf(plan, judge, at)
    return reason
  }
}
