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
import { UNTRACKED } from '../conntrack/connection-table.ts'
import type { PortTable } from '../port-table.ts'
import type { AclDirection, AclList, AclPlan, ExtendedList } from './acl-plan.ts'
import { COUNTERS_OF_ROW } from './acl-plan.ts'
import type { AclTable } from './acl-table.ts'
import { first, NO_RULE } from './classifier.ts'
import { FLOW_KEY_WORDS, fillFlowKey, fillMacKey, HIDDEN, LATER_FRAGMENT, NOT_IP } from './flow-key.ts'
import { LookUps, NOT_ASKED, UNREADABLE } from './look-ups.ts'

const { BURST_MAX, DE_PORT, PF_DROPPED, PF_IPV4, PF_IPV6 } = layout
const { none: PASSES } = DropReason
const NO_COUNTERS: Float64Array = new Float64Array(0)

// True for lists of extended rules alone, which need no more than a rank: packets of a burst are looked up together.
const areSimple = (plan: AclPlan, { byMac, byIp, extended }: AclDirection): boolean =>
  extended !== undefined && !plan.stateful && byMac.length + byIp.length === 0

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
  private byAcl = 0
  private byExtendedAcl = 0
  private unreadable = 0
  private readonly lookUps: LookUps
  // Port that each position of a burst was looked up for on its way to it, 0: none.
  private readonly expected = new Uint16Array(BURST_MAX)
  // True if a port has a simple list for what it gets.
  private simpleInbound = false
  private counters = NO_COUNTERS
  private firstCounter = 0

  /** `nowMs`: the switch's clock. */
  constructor(pool: PacketPool, ports: PortTable, table: AclTable, nowMs: () => number, owner: AclsOwner) {
    this.pool = pool
    this.ports = ports
    this.table = table
    this.nowMs = nowMs
    this.owner = owner
    this.lookUps = new LookUps(pool, ports)
  }

  /** A burst begins. Notes anew what ports have, if one changed: true if `inbound` or `outbound` did. */
  refresh(): boolean {
    const { table } = this
    if (table.connections !== undefined) table.connections.begin(this.nowMs())
    if (table.generation === this.generation) return false
    this.generation = table.generation
    const { inbound, outbound } = this
    this.inbound = table.plans.some((plan) => plan?.inbound !== undefined)
    this.outbound = table.plans.some((plan) => plan?.outbound !== undefined)
    if ((this.inbound || this.outbound) && this.byAcl === 0) {
      this.byAcl = this.owner.reasonNumber('port-acl')
      this.byExtendedAcl = this.owner.reasonNumber('extended-acl')
      this.unreadable = this.owner.reasonNumber('acl-unreadable')
    }
    this.simpleInbound = table.plans.some((plan) => plan?.inbound !== undefined && areSimple(plan, plan.inbound))
    this.lookUps.forget()
    return this.inbound !== inbound || this.outbound !== outbound
  }

  /** Drops what the packets' source ports must not send. */
  judge(batch: Batch): void {
    const { slots } = batch
    const { sourcePort, flags } = this.pool
    const { plans } = this.table
    if (batch.oneSource) {
      const port = sourcePort[slots[0]!]!
      const plan = plans[port]
      if (plan?.outbound === undefined) return
      if (areSimple(plan, plan.outbound)) {
        for (let from = 0; from < batch.length; from += BURST_MAX)
          this.judgeSimply(batch, from, Math.min(BURST_MAX, batch.length - from), port, plan, plan.outbound.extended!)
        return
      }
    }
    for (let i = 0; i < batch.length; i++) {
      const slot = slots[i]!
      const port = sourcePort[slot]!
      const plan = plans[port] // port 0 has none: ES-341
      if (plan?.outbound === undefined || (flags[slot]! & PF_DROPPED) !== 0) continue
      const reason = this.reasonFor(slot, port, plan, plan.outbound, false)
      if (reason !== PASSES) this.owner.refuseBy(batch, i, reason, port, this.by)
    }
  }

  // Packets of one port whose extended list alone decides.
  private judgeSimply(batch: Batch, from: number, count: number, port: number, plan: AclPlan, list: ExtendedList): void {
    const { lookUps } = this
    const { flags, length } = this.pool
    const { slots } = batch
    lookUps.begin()
    for (let n = 0; n < count; n++) {
      const slot = slots[from + n]!
      if ((flags[slot]! & PF_DROPPED) === 0) lookUps.add(n, slot, port, false, list)
      else lookUps.ranks[n] = NOT_ASKED
    }
    lookUps.decide()
    const { ranks } = lookUps
    const { rows, denies } = list
    const counters = this.table.counters[port]!
    const firstCounter = this.table.processor * plan.rows * COUNTERS_OF_ROW
    for (let n = 0; n < count; n++) {
      const rank = ranks[n]!
      if (rank === NO_RULE || rank === NOT_ASKED) continue
      if (rank === UNREADABLE) {
        this.owner.refuseBy(batch, from + n, this.hidden(), port, this.by)
        continue
      }
      const row = rows[rank]!
      const at = firstCounter + row * COUNTERS_OF_ROW
      counters[at] = counters[at]! + 1
      counters[at + 1] = counters[at + 1]! + length[slots[from + n]!]!
      if (denies[rank] !== 0) this.owner.refuseBy(batch, from + n, this.byExtendedAcl, port, plan.names[row]!)
    }
  }

  /** What `admits` will be asked about packets of `batch`, each for its first destination: they are looked up together. */
  expect(batch: Batch): void {
    const { expected, lookUps, pool } = this
    if (!this.simpleInbound) return
    expected.fill(0)
    const count = Math.min(BURST_MAX, batch.length)
    lookUps.begin()
    for (let i = 0; i < count; i++) {
      const slot = batch.slots[i]!
      if (pool.destinationCount[slot] === 0 || pool.sourcePort[slot] === 0) continue
      const port = destinationAt(pool, slot, 0) & DE_PORT
      const plan = this.table.plans[port]
      if (plan?.inbound === undefined || !areSimple(plan, plan.inbound)) continue
      lookUps.add(i, slot, port, true, plan.inbound.extended!)
      expected[i] = port
    }
    lookUps.decide()
  }

  /** The reason for which `port` must not get the packet in `slot`, at position `i`, PASSES if it may; `by` is what judged. */
  admits(i: number, slot: number, port: number): number {
    const plan = this.table.plans[port]
    if (plan?.inbound === undefined) return PASSES
    if (!this.simpleInbound || i >= BURST_MAX || this.expected[i] !== port)
      return this.reasonFor(slot, port, plan, plan.inbound, true)
    const rank = this.lookUps.ranks[i]!
    if (rank === UNREADABLE) return this.hidden()
    this.countersOf(port, plan)
    return rank === NOT_ASKED ? PASSES : this.byRank(slot, plan, plan.inbound.extended!, rank)
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
        if (!this.passes(slot, plan, list, list.mac, true, this.macKey)) return this.byAcl
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
      if (!this.passes(slot, plan, list, isIpv4 ? list.ipv4 : list.ipv6, !isIpv4, this.key)) return this.byAcl
    }
    return extended === undefined ? PASSES : this.byRules(slot, plan, extended, state, inbound)
  }

  // False if the entry with the longest prefix denies.
  private passes(
    slot: number,
    plan: AclPlan,
    list: AclList,
    program: Int32Array | undefined,
    wide: boolean,
    key: Uint32Array,
  ): boolean {
    if (program === undefined) return true
    const rank = first(program, wide, key)
    if (rank === NO_RULE) return true
    const row = list.rows[rank]!
    this.count(slot, row)
    if (list.denies[rank] === 0) return true
    this.by = plan.names[row]!
    return false
  }

  private byRules(slot: number, plan: AclPlan, list: ExtendedList, state: number, inbound: boolean): number {
    if (state === HIDDEN) return this.hidden()
    const { key } = this
    const isLater = state === LATER_FRAGMENT
    const connections = plan.stateful ? this.table.connections : undefined
    if (connections !== undefined) {
      const found = connections.find(key, inbound, this.pool, slot)
      if (found !== UNTRACKED) {
        this.by = ''
        return found
      }
    }
    const rank = this.lookUps.rankOf(list, key, isLater, inbound)
    const reason = this.byRank(slot, plan, list, rank)
    if (reason !== PASSES || rank === NO_RULE || connections === undefined) return reason
    const idle = list.idleSeconds[rank]!
    if (idle === 0) return PASSES
    const opened = connections.open(key, inbound, this.pool, slot, idle)
    this.by = opened === PASSES ? '' : plan.names[list.rows[rank]!]!
    return opened
  }

  private byRank(slot: number, plan: AclPlan, list: ExtendedList, rank: number): number {
    if (rank === NO_RULE) return PASSES
    const row = list.rows[rank]!
    this.count(slot, row)
    if (list.denies[rank] === 0) return PASSES
    this.by = plan.names[row]!
    return this.byExtendedAcl
  }

  private hidden(): number {
    this.by = ''
    return this.unreadable
  }

  private count(slot: number, row: number): void {
    const { counters } = this
    const at = this.firstCounter + row * COUNTERS_OF_ROW
    counters[at] = counters[at]! + 1
    counters[at + 1] = counters[at + 1]! + this.pool.length[slot]!
  }
}
