// Snooping of IGMP and MLD on one processor (RFC 4541): what guests and routers say about groups is noted, and multicast frames go to members
// and routers alone. A part of the switch's own forwarding: with a forwarding extension it is not asked.
//
// The rule it must not break: what it cannot judge is flooded, as without it; switched off, it does not exist.
import * as layout from '../../kernels/layout.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { GuardBit } from '../guards/guard-table.ts'
import type { PortTable } from '../port-table.ts'
import { GroupCounter, GroupPort, GroupTable, type GroupTableSize, groupMeta } from './group-table.ts'
import { isMldType, MembershipMessage, MessageKind, RecordAction } from './membership-message.ts'
import { QuerierTable, type SnoopingTimers } from './querier-table.ts'

const { HEADER_STRIDE, PF_IPV4, PF_IPV6 } = layout
const IGMP = 2
const ICMPV6 = 58
const PIM = 103
/** Bytes of a message that are read; longer ones are refused. */
export const MESSAGE_BYTES_MAX = 2048
/** Tenths that a router counts as there after a hello, at the most. */
const HOLD_TENTHS_MAX = 36_000

/** What the data path's clock may be behind. */
const CLOCK_TENTHS = 10

/** What becomes of a frame: flooded, sent to `targets`, or (positive) dropped for a reason. */
export const FLOOD = 0
export const TO_TARGETS = -1

/** What processors are told of snooping; the buffers are shared. */
export interface SnoopingPlan {
  readonly groups: SharedArrayBuffer
  readonly queriers: SharedArrayBuffer
  readonly size: GroupTableSize
  readonly timers: SnoopingTimers
  readonly igmp: boolean
  readonly mld: boolean
  /** Frames of groups without members go to all ports. */
  readonly floodUnregistered: boolean
}

export interface SnoopingComponents {
  readonly pool: PacketPool
  readonly ports: PortTable
  /** Copies bytes of the frame in a slot, wherever they are. Returns how many. */
  readonly copy: (slot: number, from: number, length: number, target: Uint8Array) => number
}

/** Fields are ordinary ones: `place` runs per multicast frame. */
export class Snooping {
  /** Where the frame that `place` looked at last goes, if it said so. */
  readonly targets: Uint16Array
  targetCount = 0
  /** Why it is dropped, if none of them takes it. */
  emptyReason: number = DropReason.noGroupMember
  private readonly plan: SnoopingPlan
  private readonly pool: PacketPool
  private readonly ports: PortTable
  private readonly copy: SnoopingComponents['copy']
  private readonly groups: GroupTable
  private readonly queriers: QuerierTable
  private readonly message = new MembershipMessage()
  private readonly bytes = new Uint8Array(MESSAGE_BYTES_MAX)

  constructor(plan: SnoopingPlan, { pool, ports, copy }: SnoopingComponents) {
    this.plan = plan
    this.pool = pool
    this.ports = ports
    this.copy = copy
    this.groups = new GroupTable(plan.groups, plan.size)
    this.queriers = new QuerierTable(plan.queriers, plan.timers)
    this.targets = new Uint16Array(plan.size.ports)
  }

  /**
   * Says what becomes of the multicast frame in `slot` from port `source` (0: of an extension or the switch) in `vlan`, at `now` (tenths).
   * `learns`: what it says about groups is noted. Allocates nothing.
   */
  place(slot: number, source: number, vlan: number, now: number, learns: boolean): number {
    const { pool } = this
    const kind = pool.flags[slot]!
    const l3 = pool.l3[slot]!
    const at = slot * HEADER_STRIDE + pool.headerOffset[slot]! + l3
    const bytes = pool.headerLength[slot]! - l3
    if ((kind & PF_IPV4) !== 0 && this.plan.igmp && bytes >= 20) return this.placeIpv4(slot, at, source, vlan, now, learns)
    if ((kind & PF_IPV6) !== 0 && this.plan.mld && bytes >= 40) return this.placeIpv6(slot, at, source, vlan, now, learns)
    return FLOOD
  }

  private placeIpv4(slot: number, at: number, source: number, vlan: number, now: number, learns: boolean): number {
    const { header8 } = this.pool
    const group = this.word(at + 16)
    if (group >>> 28 !== 0xe) return FLOOD
    const protocol = header8[at + 9]!
    if (protocol === IGMP) return this.said(slot, true, source, vlan, now, learns)
    const isLocal = group >>> 8 === 0xe00000
    if (protocol === PIM && isLocal) return this.hello(slot, true, source, vlan, now, learns)
    if (isLocal) return FLOOD // RFC 4541 2.1.2: 224.0.0.x
    return this.ofGroup(groupMeta(vlan, true), group, 0, 0, 0, this.plan.floodUnregistered, now)
  }

  private placeIpv6(slot: number, at: number, source: number, vlan: number, now: number, learns: boolean): number {
    const { pool } = this
    const group = this.word(at + 24)
    if (group >>> 24 !== 0xff) return FLOOD
    const l4 = pool.l4[slot]!
    const protocol = pool.protocol[slot]!
    const type = l4 !== 0 && l4 < pool.headerLength[slot]! ? pool.header8[at - pool.l3[slot]! + l4]! : 0
    if (protocol === ICMPV6 && isMldType(type)) return this.said(slot, false, source, vlan, now, learns)
    const scope = (group >>> 16) & 15
    if (protocol === PIM && scope === 2) return this.hello(slot, false, source, vlan, now, learns)
    const second = this.word(at + 28)
    const third = this.word(at + 32)
    const fourth = this.word(at + 36)
    if (scope < 2 || (group === 0xff020000 && (second | third) === 0 && fourth === 1)) return FLOOD // RFC 4541 3: all nodes
    // Those of the link that nobody joined, of solicited nodes first of all, are flooded whatever the setting: a neighbour may be silent.
    const floods = this.plan.floodUnregistered || scope === 2
    return this.ofGroup(groupMeta(vlan, false), group, second, third, fourth, floods, now)
  }

  // ---- frames of groups -------------------------------------------------------------------------------------------------------

  private ofGroup(meta: number, a: number, b: number, c: number, d: number, floods: boolean, now: number): number {
    const { groups } = this
    const isIpv4 = meta === groupMeta(meta & 0xfff, true)
    if (!this.queriers.restricts(meta & 0xfff, isIpv4, now)) return FLOOD
    const slot = groups.find(meta, a, b, c, d)
    if (slot < 0 && floods) return FLOOD
    this.emptyReason = DropReason.noGroupMember
    this.toRouters(meta)
    if (slot >= 0) {
      this.add(groups.membersAt(slot))
      if (!groups.isOf(slot, meta, a)) return FLOOD // its place was given away meanwhile
    }
    this.list()
    return TO_TARGETS
  }

  // Bitmaps of ports, or-ed word by word.
  private readonly sum = new Int32Array(64)

  private toRouters(meta: number): void {
    const { groups, sum } = this
    for (let word = 0; word < groups.bitmap; word++) sum[word] = groups.words[groups.routersAt + word]!
    const slot = groups.find(meta, 0, 0, 0, 0)
    if (slot >= 0) this.add(groups.membersAt(slot))
  }

  private add(from: number): void {
    const { groups, sum } = this
    for (let word = 0; word < groups.bitmap; word++) sum[word]! |= groups.words[from + word]!
  }

  private list(): void {
    const { groups, sum, targets, ports } = this
    let count = 0
    for (let word = 0; word < groups.bitmap; word++)
      for (let bits = sum[word]!; bits !== 0; bits &= bits - 1) {
        const port = word * 32 + 31 - Math.clz32(bits & -bits)
        if (ports.connected(port)) targets[count++] = port
      }
    this.targetCount = count
  }

  // ---- what is said about groups -----------------------------------------------------------------------------------------------

  private read(slot: number, isIpv4: boolean): number {
    const { pool, bytes, message } = this
    const length = pool.length[slot]!
    if (length > MESSAGE_BYTES_MAX || this.copy(slot, 0, length, bytes) < length) return MessageKind.invalid
    return message.read(bytes, length, pool.l3[slot]!, isIpv4)
  }

  private said(slot: number, isIpv4: boolean, source: number, vlan: number, now: number, learns: boolean): number {
    const kind = this.read(slot, isIpv4)
    if (kind === MessageKind.invalid) {
      if (learns) this.groups.count(GroupCounter.invalid)
      return DropReason.membershipInvalid
    }
    if (kind === MessageKind.query) return this.query(source, vlan, now, learns)
    if (kind !== MessageKind.report) return FLOOD // RFC 4541 2.1.1: types that are not known
    this.emptyReason = DropReason.noRouterPort
    if (learns && source !== 0) this.report(source, vlan, now)
    this.toRouters(groupMeta(vlan, isIpv4))
    const querier = this.queriers.port(vlan, isIpv4, now)
    if (querier !== 0) this.sum[querier >> 5]! |= 1 << (querier & 31)
    this.list()
    return this.targetCount === 0 && !this.queriers.restricts(vlan, isIpv4, now) ? FLOOD : TO_TARGETS
  }

  private report(source: number, vlan: number, now: number): void {
    const { groups, queriers, message, plan } = this
    groups.count(GroupCounter.reports)
    const meta = groupMeta(vlan, message.isIpv4)
    const ends = now + queriers.membershipTenths(vlan, message.isIpv4, now)
    for (let action = message.next(); action !== RecordAction.end; action = message.next()) {
      const { group0, group1, group2, group3 } = message
      if (action === RecordAction.none || this.isUnsnooped()) continue
      if (action === RecordAction.join) {
        groups.join(meta, group0, group1, group2, group3, source, ends)
        continue
      }
      const slot = groups.find(meta, group0, group1, group2, group3)
      if (slot < 0 || groups.ends(slot, source) === 0) continue
      if (action === RecordAction.leave && (groups.portFlags(source) & GroupPort.fastLeave) !== 0) groups.leave(slot, source)
      else if (queriers.isOwn(vlan, message.isIpv4)) {
        groups.lower(slot, source, now + CLOCK_TENTHS + plan.timers.robustness * plan.timers.lastMemberTenths)
        groups.want(slot, plan.timers.robustness)
      }
    }
  }

  // Groups that are flooded in any case take no room.
  private isUnsnooped(): boolean {
    const { message } = this
    if (message.isIpv4) return message.group0 >>> 8 === 0xe00000
    const scope = (message.group0 >>> 16) & 15
    return scope < 2 || (message.group0 === 0xff020000 && (message.group1 | message.group2) === 0 && message.group3 === 1)
  }

  private query(source: number, vlan: number, now: number, learns: boolean): number {
    const { groups, queriers, message, plan } = this
    if (source === 0) return FLOOD // the built-in querier's own
    if (this.isGuarded(source)) return DropReason.routerGuard
    if (!learns) return FLOOD
    groups.count(GroupCounter.queries)
    const { isIpv4, group0, group1, group2, group3 } = message
    const meta = groupMeta(vlan, isIpv4)
    if ((group0 | group1 | group2 | group3) === 0) queriers.heard(vlan, source, message, now)
    else if (!message.keepsTimers && queriers.port(vlan, isIpv4, now) === source) {
      const slot = groups.find(meta, group0, group1, group2, group3)
      if (slot >= 0) groups.lower(slot, 0, now + CLOCK_TENTHS + plan.timers.robustness * message.responseTenths)
    }
    // RFC 4541 2.1.1: who asks without an address is a switch, not a router.
    if (message.source0 !== 0) groups.join(meta, 0, 0, 0, 0, source, now + queriers.routerTenths(vlan, isIpv4, now))
    return FLOOD
  }

  private hello(slot: number, isIpv4: boolean, source: number, vlan: number, now: number, learns: boolean): number {
    if (source === 0 || !learns) return FLOOD
    if (this.isGuarded(source)) return FLOOD
    const { groups, message } = this
    if (this.read(slot, isIpv4) !== MessageKind.hello) return FLOOD
    groups.count(GroupCounter.hellos)
    const hold = Math.min(HOLD_TENTHS_MAX, message.holdSeconds * 10)
    const meta = groupMeta(vlan, isIpv4)
    const known = groups.find(meta, 0, 0, 0, 0)
    if (hold !== 0) {
      if (known < 0 || groups.ends(known, source) < now + hold) groups.join(meta, 0, 0, 0, 0, source, now + hold)
    } else if (known >= 0) groups.leave(known, source)
    return FLOOD
  }

  private isGuarded(source: number): boolean {
    return (this.ports.guards.bits(source) & GuardBit.router) !== 0
  }

  private word(at: number): number {
    const { header8 } = this.pool
    return ((header8[at]! << 24) | (header8[at + 1]! << 16) | (header8[at + 2]! << 8) | header8[at + 3]!) >>> 0
  }
}
