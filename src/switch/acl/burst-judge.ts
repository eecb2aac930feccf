// Judges packets of a burst that one port sends, or gets, by its lists, one list after the other: in each all packets are looked up together.
// At a port with stateful rules those that are plainly of connections never come to the rules; the others are decided about one after the
// other, since what one opens decides about the next.
//
// The rule it must not break: a packet meets the lists in the order in which it would by itself, and none behind one that denies it, so
// each is judged and counted as though it came alone (burst-judge.test.ts, stateful-bursts.test.ts); nothing is allocated per packet.
import * as classifyLayout from '../../kernels/classify-layout.ts'
import * as layout from '../../kernels/layout.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { type ConnectionTable, UNTRACKED } from '../conntrack/connection-table.ts'
import type { PortTable } from '../port-table.ts'
import { type AclDirection, type AclPlan, COUNTERS_OF_ROW, type ExtendedList, type Ranks } from './acl-plan.ts'
import type { AclTable } from './acl-table.ts'
import { FRAGMENT_FIRST, fillFlowKey, fillMacKey, HIDDEN, K_FLAGS, LATER_FRAGMENT, NOT_IP, plainIsolation } from './flow-key.ts'
import { NO_VERDICT } from './fragment-verdicts.ts'
import { LookUps } from './look-ups.ts'
import type { Program } from './program.ts'

const { BURST_MAX, PF_FRAGMENT, PF_IPV4, PF_IPV6 } = layout
const { KIND_LATER: LATER, KIND_LEFT: LEFT, KIND_WIDE: WIDE, NO_RULE } = classifyLayout
const { none: PASSES } = DropReason

/** Kinds of keys that have programs of their own. */
const KINDS = 4
/** A bit beside the kind of a key that is not whole. */
const UNREADABLE = 8

/** Numbers of reasons why a packet does not pass. */
export interface AclReasons {
  byAcl: number
  byExtendedAcl: number
  unreadable: number
}

/** Fields are ordinary ones: they are read per packet. */
export class BurstJudge {
  /** By position of a packet that was added: why it must not pass, 0 if it may; and the row of the entry that says so, -1: none does. */
  readonly reasons = new Uint16Array(BURST_MAX)
  readonly rows = new Int32Array(BURST_MAX)
  private readonly pool: PacketPool
  private readonly ports: PortTable
  private readonly table: AclTable
  private readonly lookUps: LookUps
  private readonly slots: Uint16Array
  private readonly kinds: Uint8Array
  // Positions that nothing has denied yet.
  private readonly open = new Uint8Array(BURST_MAX)
  private count = 0
  /** Positions that were refused since `begin`. */
  refused = 0
  // Kinds that keys have: a bit for each.
  private found = 0
  // True if there may be fragments among them.
  private hasFragments = false

  constructor(pool: PacketPool, ports: PortTable, table: AclTable) {
    this.pool = pool
    this.ports = ports
    this.table = table
    this.lookUps = new LookUps(table.kernel)
    this.slots = this.lookUps.slots
    this.kinds = this.lookUps.kinds
  }

  /** Packets of another port, or direction, follow. */
  begin(): void {
    this.count = 0
    this.refused = 0
  }

  /** Position `i` (once, below BURST_MAX) is the packet in `slot`. */
  add(i: number, slot: number): void {
    this.slots[i] = slot
    this.reasons[i] = PASSES
    this.open[this.count++] = i
  }

  /** Judges all that were added since `begin` by `lists` of the plan of `port`. */
  decide(port: number, inbound: boolean, plan: AclPlan, lists: AclDirection, reasons: AclReasons): void {
    const { byMac, byIp, extended } = lists
    if (byMac.length !== 0) this.judgeByMac(port, inbound, plan, lists, reasons)
    if (byIp.length === 0 && extended === undefined) return
    this.readFlows(port, inbound, reasons)
    for (let n = 0; n < byIp.length; n++) {
      const list = byIp[n]!
      this.lookUp(list.ipv4, list.ipv6, list.ipv4, list.ipv6)
      this.settle(port, plan, list, reasons.byAcl)
    }
    if (extended === undefined) return
    if ((this.found & (1 << UNREADABLE)) !== 0) this.refuseHidden(reasons.unreadable)
    const connections = plan.stateful ? this.table.connections : undefined
    if (connections !== undefined && !this.follow(connections, inbound)) return
    this.lookUp(extended.ipv4, extended.ipv6, extended.later4, extended.later6)
    if (connections !== undefined) {
      this.decideEach(port, inbound, plan, extended, connections, reasons)
      return
    }
    if (extended.ported && this.hasFragments) this.followFragments(port, inbound)
    this.settle(port, plan, extended, reasons.byExtendedAcl)
  }

  // Lets go of what is plainly of connections; false if nothing is left.
  private follow(connections: ConnectionTable, inbound: boolean): boolean {
    const { lookUps, open } = this
    lookUps.chosen.set(open)
    const left = lookUps.follow(this.pool.base, this.count, connections, inbound)
    if (left !== this.count) open.set(lookUps.chosen)
    this.count = left
    return left !== 0
  }

  // What a packet opens, or ends, decides about those behind it: one after the other, with ranks that are known.
  private decideEach(
    port: number,
    inbound: boolean,
    plan: AclPlan,
    list: ExtendedList,
    connections: ConnectionTable,
    reasons: AclReasons,
  ): void {
    const { open, pool, slots, table } = this
    const { keys, ranks } = this.lookUps
    for (let n = 0; n < this.count; n++) {
      const i = open[n]!
      const slot = slots[i]!
      const key = keys[i]!
      const isFragment = (pool.flags[slot]! & PF_FRAGMENT) !== 0
      if (!isFragment) key[K_FLAGS] = 0 // the kernel makes keys without
      const found = connections.find(key, inbound, pool, slot)
      if (found !== UNTRACKED) {
        if (found !== PASSES) this.refuse(i, found, -1)
        continue
      }
      const rank = isFragment && list.ported ? this.rankOfLater(port, inbound, i) : ranks[i]!
      let idleSeconds = 0
      if (rank !== NO_RULE) {
        const verdict = list.verdicts[rank]!
        const row = verdict >> 1
        this.tally(port, plan, row, 1, pool.length[slot]!)
        if ((verdict & 1) !== 0) this.refuse(i, reasons.byExtendedAcl, row)
        else idleSeconds = list.idleSeconds[rank]!
      }
      if (idleSeconds !== 0) {
        // Fragments of what is followed are known to the table of connections.
        const opened = connections.open(key, inbound, pool, slot, idleSeconds)
        if (opened !== PASSES) this.refuse(i, opened, list.verdicts[rank]! >> 1)
      } else if (isFragment && list.ported && !table.dry) this.noteFirst(port, inbound, i, rank)
    }
  }

  private tally(port: number, plan: AclPlan, row: number, packets: number, bytes: number): void {
    const { table } = this
    const counters = table.counters[port]!
    const at = (table.processor * plan.rows + row) * COUNTERS_OF_ROW
    counters[at] = counters[at]! + packets
    counters[at + 1] = counters[at + 1]! + bytes
  }

  private judgeByMac(port: number, inbound: boolean, plan: AclPlan, { byMac }: AclDirection, reasons: AclReasons): void {
    const { lookUps, open, slots, pool } = this
    for (let n = 0; n < this.count; n++) fillMacKey(pool, slots[open[n]!]!, inbound, lookUps.keys[open[n]!]!)
    for (let k = 0; k < byMac.length; k++) {
      const list = byMac[k]!
      if (list.mac === undefined) continue
      lookUps.chosen.set(open)
      lookUps.classify(list.mac, this.count)
      this.settle(port, plan, list, reasons.byAcl)
    }
  }

  // Makes the keys of flows, and lets go of what is no IP.
  private readFlows(port: number, inbound: boolean, reasons: AclReasons): void {
    const { lookUps, open, slots, kinds, pool, ports } = this
    lookUps.chosen.set(open)
    let found = lookUps.fillKeys(pool.base, this.count, port, plainIsolation(ports, port, inbound), inbound)
    this.hasFragments = false
    if ((found & (1 << LEFT)) === 0) {
      this.found = found
      return
    }
    found &= ~(1 << LEFT)
    let left = 0
    for (let n = 0; n < this.count; n++) {
      const i = open[n]!
      if (kinds[i] !== LEFT) {
        open[left++] = i
        continue
      }
      const slot = slots[i]!
      const state = fillFlowKey(pool, ports, slot, port, inbound, lookUps.keys[i]!)
      if (state === NOT_IP) continue
      const flags = pool.flags[slot]!
      if ((flags & PF_FRAGMENT) !== 0) this.hasFragments = true
      const family = flags & (PF_IPV4 | PF_IPV6)
      if (family === 0) {
        this.refuse(i, reasons.unreadable, -1)
        continue
      }
      let kind = family === PF_IPV4 ? 0 : WIDE
      if (state === LATER_FRAGMENT) kind |= LATER
      else if (state === HIDDEN) {
        kind |= UNREADABLE
        found |= 1 << UNREADABLE
      }
      found |= 1 << (kind & (KINDS - 1))
      kinds[i] = kind
      open[left++] = i
    }
    this.count = left
    this.found = found
  }

  // What the extended list can't be asked about.
  private refuseHidden(reason: number): void {
    const { open, kinds } = this
    let left = 0
    for (let n = 0; n < this.count; n++) {
      const i = open[n]!
      if ((kinds[i]! & UNREADABLE) !== 0) this.refuse(i, reason, -1)
      else open[left++] = i
    }
    this.count = left
  }

  // Later fragments meet what their first one met, also if that came just before.
  private followFragments(port: number, inbound: boolean): void {
    const { open, slots, pool, table } = this
    const { ranks } = this.lookUps
    for (let n = 0; n < this.count; n++) {
      const i = open[n]!
      if ((pool.flags[slots[i]!]! & PF_FRAGMENT) === 0) continue
      ranks[i] = this.rankOfLater(port, inbound, i)
      if (!table.dry) this.noteFirst(port, inbound, i, ranks[i]!)
    }
  }

  // The rank of a fragment: of a later one that of its first one, where that is known.
  private rankOfLater(port: number, inbound: boolean, i: number): number {
    const { ranks, keys } = this.lookUps
    if ((this.kinds[i]! & LATER) === 0) return ranks[i]!
    const rank = this.table.fragments.rankOf(port, keys[i]!, inbound, this.pool, this.slots[i]!)
    return rank === NO_VERDICT ? ranks[i]! : rank
  }

  private noteFirst(port: number, inbound: boolean, i: number, rank: number): void {
    const key = this.lookUps.keys[i]!
    if (key[K_FLAGS]! >>> 8 === FRAGMENT_FIRST) this.table.fragments.note(port, key, inbound, this.pool, this.slots[i]!, rank)
  }

  // Each kind in its program: mostly there is one only.
  private lookUp(
    ipv4: Program | undefined,
    ipv6: Program | undefined,
    later4: Program | undefined,
    later6: Program | undefined,
  ): void {
    const { lookUps, open, found } = this
    const only = found & ((1 << KINDS) - 1)
    for (let kind = 0; kind < KINDS; kind++) {
      if ((only & (1 << kind)) === 0) continue
      const program = (kind & LATER) !== 0 ? ((kind & WIDE) !== 0 ? later6 : later4) : (kind & WIDE) !== 0 ? ipv6 : ipv4
      if (only === 1 << kind && program !== undefined) {
        lookUps.chosen.set(open)
        lookUps.classify(program, this.count)
      } else this.lookUpSome(kind, program)
    }
  }

  private lookUpSome(kind: number, program: Program | undefined): void {
    const { lookUps, open, kinds } = this
    let some = 0
    for (let n = 0; n < this.count; n++) {
      const i = open[n]!
      if ((kinds[i]! & (KINDS - 1)) !== kind) continue
      if (program === undefined) lookUps.ranks[i] = NO_RULE
      else lookUps.chosen[some++] = i
    }
    if (program !== undefined && some !== 0) lookUps.classify(program, some)
  }

  // True if all of the burst meet one rule, or none: those of one connection do.
  private meetOne(): boolean {
    const { open, count } = this
    const { ranks } = this.lookUps
    const rank = ranks[open[0]!]
    for (let n = 1; n < count; n++) if (ranks[open[n]!] !== rank) return false
    return count !== 0
  }

  // `settle` where all meet one rule: its counters are written once, since each addition to them would wait for the one before.
  private settleAll(port: number, plan: AclPlan, { verdicts }: Ranks, reason: number): void {
    const { open, slots, count, pool } = this
    const rank = this.lookUps.ranks[open[0]!]!
    if (rank === NO_RULE) return
    const verdict = verdicts[rank]!
    let bytes = 0
    for (let n = 0; n < count; n++) bytes += pool.length[slots[open[n]!]!]!
    this.tally(port, plan, verdict >> 1, count, bytes)
    if ((verdict & 1) === 0) return
    for (let n = 0; n < count; n++) this.refuse(open[n]!, reason, verdict >> 1)
    this.count = 0
  }

  // Counts what was found, and denies for `reason`.
  private settle(port: number, plan: AclPlan, list: Ranks, reason: number): void {
    if (this.meetOne()) {
      this.settleAll(port, plan, list, reason)
      return
    }
    const { verdicts } = list
    const { open, slots, table } = this
    const { ranks } = this.lookUps
    const { length } = this.pool
    const counters = table.counters[port]!
    const first = table.processor * plan.rows * COUNTERS_OF_ROW
    let left = 0
    for (let n = 0; n < this.count; n++) {
      const i = open[n]!
      const rank = ranks[i]!
      if (rank !== NO_RULE) {
        const verdict = verdicts[rank]!
        const row = verdict >> 1
        const at = first + row * COUNTERS_OF_ROW
        counters[at] = counters[at]! + 1
        counters[at + 1] = counters[at + 1]! + length[slots[i]!]!
        if ((verdict & 1) !== 0) {
          this.refuse(i, reason, row)
          continue
        }
      }
      open[left++] = i
    }
    this.count = left
  }

  private refuse(i: number, reason: number, row: number): void {
    this.refused++
    this.reasons[i] = reason
    this.rows[i] = row
  }
}
