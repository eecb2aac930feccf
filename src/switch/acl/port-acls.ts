// The ACLs of the ports on one processor: policies built into the switch that judge what ports send, after the filtering extensions and
// before the forwarding one, and what they get, before it goes up to the filtering extensions again (spec 7.6, ES-335, ES-336).
//
// The rule it must not break: a packet passes only if both the ACL and the extended ACL of the port let it; what can't be read of it is
// dropped, not guessed; nothing is allocated per packet; packets of source port 0 pass (ES-341).
import { NO_RULE } from '../../kernels/classify-layout.ts'
import * as layout from '../../kernels/layout.ts'
import { first } from '../../kernels/twin-classify.ts'
import type { Batch } from '../../ndis/batch.ts'
import { destinationAt } from '../../ndis/destinations.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { UNTRACKED } from '../conntrack/connection-table.ts'
import type { PortTable } from '../port-table.ts'
import { type AclDirection, type AclPlan, COUNTERS_OF_ROW, type ExtendedList, type Ranks } from './acl-plan.ts'
import type { AclTable } from './acl-table.ts'
import { BurstJudge, programOf } from './burst-judge.ts'
import {
  FLOW_KEY_WORDS,
  FRAGMENT_FIRST,
  fillFlowKey,
  fillMacKey,
  HIDDEN,
  isWideKey,
  K_FLAGS,
  LATER_FRAGMENT,
  NOT_IP,
} from './flow-key.ts'
import { NO_VERDICT } from './fragment-verdicts.ts'
import type { Program } from './program.ts'

const { BURST_MAX, DE_EXCLUDED, DE_PORT, PF_DROPPED, PF_IPV4, PF_IPV6 } = layout
const { none: PASSES } = DropReason
const NO_COUNTERS: Float64Array = new Float64Array(0)

export interface AclsOwner {
  /** Drops position `i`, which came in at `port`; `by` says what judged it. */
  refuseBy(batch: Batch, i: number, reason: number, port: number, by: string): void
  /** Number of a drop reason by its name. */
  reasonNumber(name: string): number
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
  private readonly ports: PortTable
  private readonly owner: AclsOwner
  private readonly table: AclTable
  private readonly nowMs: () => number
  private readonly key = new Uint32Array(FLOW_KEY_WORDS)
  private readonly macKey = new Uint32Array(FLOW_KEY_WORDS)
  private generation = -1
  // Reasons by number, once there is an ACL.
  private readonly reasons = { byAcl: 0, byExtendedAcl: 0, unreadable: 0 }
  // Judges what no connection decides about; what one opens may decide about the next packet, so those come one after the other.
  private readonly together: BurstJudge
  // Port that each position of a burst was judged for on its way to it, 0: none.
  private readonly expected = new Uint16Array(BURST_MAX)
  // True if a port has lists without connections for what it gets.
  private togetherInbound = false
  // The port by whose lists the packet at a position is to be judged, 0: none.
  private readonly portOf = new Uint16Array(BURST_MAX)
  private counters = NO_COUNTERS
  private firstCounter = 0

  /** `nowMs`: the switch's clock. */
  constructor(pool: PacketPool, ports: PortTable, table: AclTable, nowMs: () => number, owner: AclsOwner) {
    this.pool = pool
    this.ports = ports
    this.table = table
    this.nowMs = nowMs
    this.owner = owner
    this.together = new BurstJudge(pool, ports, table)
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
    this.togetherInbound = table.plans.some((plan) => plan?.inbound !== undefined && !plan.stateful)
    return this.inbound !== inbound || this.outbound !== outbound
  }

  /** Drops what the packets' source ports must not send. */
  judge(batch: Batch): void {
    const { plans } = this.table
    if (batch.oneSource && plans[this.pool.sourcePort[batch.slots[0]!]!]?.outbound === undefined) return
    for (let from = 0; from < batch.length; from += BURST_MAX)
      this.judgeFrom(batch, from, Math.min(BURST_MAX, batch.length - from))
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
      if (!plan.stateful) {
        this.judgeTogether(slots, from, n, count, port, plan, plan.outbound, false)
        for (let i = n; i < count; i++) {
          if (portOf[i] !== port) continue
          portOf[i] = 0
          if (together.reasons[i] !== PASSES)
            this.owner.refuseBy(batch, from + i, together.reasons[i]!, port, this.nameOf(plan, i))
        }
        continue
      }
      const reason = this.reasonFor(slots[from + n]!, port, plan, plan.outbound, false)
      if (reason !== PASSES) this.owner.refuseBy(batch, from + n, reason, port, this.by)
    }
  }

  // Judges the packets of `slots` from `from` on, those of positions `first` to before `count` that `portOf` says are of `port`.
  private judgeTogether(
    slots: Uint16Array,
    from: number,
    first: number,
    count: number,
    port: number,
    plan: AclPlan,
    lists: AclDirection,
    inbound: boolean,
  ): void {
    const { portOf, together } = this
    together.begin()
    for (let i = first; i < count; i++) if (portOf[i] === port) together.add(i, slots[from + i]!)
    together.decide(port, inbound, plan, lists, this.reasons)
  }

  private nameOf(plan: AclPlan, i: number): string {
    const row = this.together.rows[i]!
    return row < 0 ? '' : plan.names[row]!
  }

  /**
   * `admits` will be asked about packets of `batch` for each of their destinations that is not excluded, in order: for the first of each they
   * are judged and counted together. `certain`: false if it may not be asked.
   */
  expect(batch: Batch, certain: boolean): void {
    const { expected, portOf, pool } = this
    const { plans } = this.table
    if (!certain || !this.togetherInbound) {
      expected.fill(0)
      return
    }
    const count = Math.min(BURST_MAX, batch.length)
    for (let i = 0; i < count; i++) {
      const slot = batch.slots[i]!
      const isAsked = pool.destinationCount[slot] !== 0 && pool.sourcePort[slot] !== 0
      const entry = isAsked ? destinationAt(pool, slot, 0) : 0
      const port = (entry & DE_EXCLUDED) === 0 ? entry & DE_PORT : 0
      const plan = plans[port]
      expected[i] = portOf[i] = plan?.inbound === undefined || plan.stateful ? 0 : port
    }
    for (let i = 0; i < count; i++) {
      const port = portOf[i]!
      if (port === 0) continue
      const plan = plans[port]!
      this.judgeTogether(batch.slots, 0, i, count, port, plan, plan.inbound!, true)
      for (let k = i; k < count; k++) if (portOf[k] === port) portOf[k] = 0
    }
  }

  /** The reason for which `port` must not get the packet in `slot`, at position `i`, PASSES if it may; `by` is what judged. */
  admits(i: number, slot: number, port: number): number {
    const plan = this.table.plans[port]
    if (plan?.inbound === undefined) return PASSES
    if (i >= BURST_MAX || this.expected[i] !== port) return this.reasonFor(slot, port, plan, plan.inbound, true)
    this.expected[i] = 0
    const reason = this.together.reasons[i]!
    if (reason !== PASSES) this.by = this.nameOf(plan, i)
    return reason
  }

  private countersOf(port: number, plan: AclPlan): void {
    this.counters = this.table.counters[port]!
    this.firstCounter = this.table.processor * plan.rows * COUNTERS_OF_ROW
  }

  private reasonFor(slot: number, port: number, plan: AclPlan, lists: AclDirection, inbound: boolean): number {
    const { byMac, byIp, extended } = lists
    this.countersOf(port, plan)
    if (byMac.length !== 0) {
      fillMacKey(this.pool, slot, inbound, this.macKey)
      for (let n = 0; n < byMac.length; n++) {
        const list = byMac[n]!
        if (!this.passes(slot, plan, list, list.mac, this.macKey)) return this.reasons.byAcl
      }
    }
    if (byIp.length === 0 && extended === undefined) return PASSES
    const state = fillFlowKey(this.pool, this.ports, slot, port, inbound, this.key)
    if (state === NOT_IP) return PASSES
    const kind = this.pool.flags[slot]! & (PF_IPV4 | PF_IPV6)
    if (kind === 0) return this.hidden()
    const isIpv4 = kind === PF_IPV4
    for (let n = 0; n < byIp.length; n++) {
      const list = byIp[n]!
      if (!this.passes(slot, plan, list, isIpv4 ? list.ipv4 : list.ipv6, this.key)) return this.reasons.byAcl
    }
    return extended === undefined ? PASSES : this.byRules(slot, port, plan, extended, state, inbound)
  }

  // False if the entry with the longest prefix denies.
  private passes(slot: number, plan: AclPlan, list: Ranks, program: Program | undefined, key: Uint32Array): boolean {
    if (program === undefined) return true
    const rank = first(program.words, key)
    if (rank === NO_RULE) return true
    const row = list.rows[rank]!
    this.count(slot, row)
    if (list.denies[rank] === 0) return true
    this.by = plan.names[row]!
    return false
  }

  private byRules(slot: number, port: number, plan: AclPlan, list: ExtendedList, state: number, inbound: boolean): number {
    if (state === HIDDEN) return this.hidden()
    const { key, table } = this
    const isLater = state === LATER_FRAGMENT
    const connections = plan.stateful ? table.connections : undefined
    if (connections !== undefined) {
      const found = connections.find(key, inbound, this.pool, slot)
      if (found !== UNTRACKED) {
        this.by = ''
        return found
      }
    }
    let rank = isLater && list.ported ? table.fragments.rankOf(port, key, inbound, this.pool, slot) : NO_VERDICT
    if (rank === NO_VERDICT) rank = first(programOf(list, isWideKey(key), isLater).words, key)
    const reason = this.byRank(slot, plan, list, rank)
    const idle = reason !== PASSES || rank === NO_RULE || connections === undefined ? 0 : list.idleSeconds[rank]!
    if (idle !== 0) {
      // Fragments of what is followed are known to the table of connections.
      const opened = connections!.open(key, inbound, this.pool, slot, idle)
      this.by = opened === PASSES ? '' : plan.names[list.rows[rank]!]!
      return opened
    }
    if (list.ported && !table.dry && key[K_FLAGS]! >>> 8 === FRAGMENT_FIRST)
      table.fragments.note(port, key, inbound, this.pool, slot, rank)
    return reason
  }

  private byRank(slot: number, plan: AclPlan, list: ExtendedList, rank: number): number {
    if (rank === NO_RULE) return PASSES
    const row = list.rows[rank]!
    this.count(slot, row)
    if (list.denies[rank] === 0) return PASSES
    this.by = plan.names[row]!
    return this.reasons.byExtendedAcl
  }

  private hidden(): number {
    this.by = ''
    return this.reasons.unreadable
  }

  private count(slot: number, row: number): void {
    const { counters } = this
    const at = this.firstCounter + row * COUNTERS_OF_ROW
    counters[at] = counters[at]! + 1
    counters[at + 1] = counters[at + 1]! + this.pool.length[slot]!
  }
}
