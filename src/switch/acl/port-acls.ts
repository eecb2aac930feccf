// The ACLs of the ports on one processor: policies built into the switch that judge what ports send, after the filtering extensions and
// before the forwarding one, and what they get, before it goes up to the filtering extensions again (spec 7.6, ES-335, ES-336).
//
// The rule it must not break: a packet passes only if both the ACL and the extended ACL of the port let it; what can't be read of it is
// dropped, not guessed; nothing is allocated per packet; packets of source port 0 pass (ES-341).
import * as layout from '../../kernels/layout.ts'
import type { Batch } from '../../ndis/batch.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { UNTRACKED } from '../conntrack/connection-table.ts'
import type { PortTable } from '../port-table.ts'
import type { AclDirection, AclList, AclPlan, ExtendedList } from './acl-plan.ts'
import { COUNTERS_OF_ROW } from './acl-plan.ts'
import type { AclTable } from './acl-table.ts'
import { first, NO_RULE } from './classifier.ts'
import { FLOW_KEY_WORDS, fillFlowKey, fillMacKey, HIDDEN, LATER_FRAGMENT, NOT_IP } from './flow-key.ts'
import { FlowMemo, NOT_KNOWN } from './flow-memo.ts'

const { PF_DROPPED, PF_IPV4, PF_IPV6 } = layout
const { none: PASSES } = DropReason
/** Rule sets up to here are looked up for each packet. */
const UNREMEMBERED_RULES = 32
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
  private memo: FlowMemo | undefined
  private counters = NO_COUNTERS
  private firstCounter = 0

  /** `nowMs`: the switch's clock. */
  constructor(pool: PacketPool, ports: PortTable, table: AclTable, nowMs: () => number, owner: AclsOwner) {
    this.pool = pool
    this.ports = ports
    this.table = table
    this.nowMs = nowMs
    this.owner = owner
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
      this.memo = new FlowMemo()
    }
    this.memo?.clear()
    return this.inbound !== inbound || this.outbound !== outbound
  }

  /** Drops what the packets' source ports must not send. */
  judge(batch: Batch): void {
    const { slots } = batch
    const { sourcePort, flags } = this.pool
    const { plans } = this.table
    if (batch.oneSource && plans[sourcePort[slots[0]!]!]?.outbound === undefined) return
    for (let i = 0; i < batch.length; i++) {
      const slot = slots[i]!
      const port = sourcePort[slot]!
      const plan = plans[port] // port 0 has none: ES-341
      if (plan?.outbound === undefined || (flags[slot]! & PF_DROPPED) !== 0) continue
      const reason = this.reasonFor(slot, port, plan, plan.outbound, false)
      if (reason !== PASSES) this.owner.refuseBy(batch, i, reason, port, this.by)
    }
  }

  /** The reason for which `port` must not get the packet in `slot`, PASSES if it may; `by` is what judged. */
  admits(slot: number, port: number): number {
    const plan = this.table.plans[port]
    return plan?.inbound === undefined ? PASSES : this.reasonFor(slot, port, plan, plan.inbound, true)
  }

  private reasonFor(slot: number, port: number, plan: AclPlan, lists: AclDirection, inbound: boolean): number {
    const { byMac, byIp, extended } = lists
    this.counters = this.table.counters[port]!
    this.firstCounter = this.table.processor * plan.rows * COUNTERS_OF_ROW
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
    return extended === undefined ? PASSES : this.byRules(slot, plan, extended, state, isIpv4, inbound)
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

  private byRules(slot: number, plan: AclPlan, list: ExtendedList, state: number, isIpv4: boolean, inbound: boolean): number {
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
    const rank = this.rankOf(list, isIpv4, isLater, inbound)
    if (rank === NO_RULE) return PASSES
    const row = list.rows[rank]!
    this.count(slot, row)
    if (list.denies[rank] !== 0) {
      this.by = plan.names[row]!
      return this.byExtendedAcl
    }
    const idle = list.idleSeconds[rank]!
    if (idle === 0 || connections === undefined) return PASSES
    const opened = connections.open(key, inbound, this.pool, slot, idle)
    this.by = opened === PASSES ? '' : plan.names[row]!
    return opened
  }

  // Few rules are looked up faster than remembered.
  private rankOf(list: ExtendedList, isIpv4: boolean, isLater: boolean, inbound: boolean): number {
    const { key, memo } = this
    const program = isIpv4 ? (isLater ? list.later4 : list.ipv4) : isLater ? list.later6 : list.ipv6
    if (list.rows.length <= UNREMEMBERED_RULES || memo === undefined) return first(program, !isIpv4, key)
    const lookup = 1 + (inbound ? 1 : 0) + (isLater ? 2 : 0)
    const at = memo.placeOf(key, !isIpv4)
    const known = memo.find(at, key, !isIpv4, lookup)
    if (known !== NOT_KNOWN) return known
    const rank = first(program, !isIpv4, key)
    memo.note(at, key, lookup, rank)
    return rank
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
