// Judges the packets of one processor: what a VM sends by the egress rules of its group, what comes to it by the ingress rules, and lets
// pass what belongs to a connection that was allowed.
//
// The rule it must not break: what no rule, no connection and no need of the network itself allows does not pass; and a connection is let in
// only to the one side that it was opened to. Nothing is allocated for a packet of a known connection.
import { type Batch, EtherType, type Prefix, type SwitchHandle } from '../../extension.ts'
import { Essential, essentialOf, isEssentialFrame } from './essentials.ts'
import { Flow, FlowKind } from './flow.ts'
import { hasPorts } from './headers.ts'
import type { Names } from './names.ts'
import type { FirewallGroup, FirewallRule } from './options.ts'
import { fits, isOfAny } from './rule-match.ts'
import { ELSEWHERE, FROM_VM, type SharedTable, type TableShape, TO_VM } from './shared-table.ts'
import type { Vms } from './vms.ts'

const UDP = 17
const TCP = 6
const ICMP6 = 58
const DNS = 53
const ENDING = 4
const OF_TCP = 8
const BITS = 16
const ANSWERED = FROM_VM | TO_VM
const FRAGMENT_MS = 30_000
const NEIGHBOUR_MS = 3_600_000
const ANY_PEER = 0
const NO_PEER = -1

/** Milliseconds that a connection may be idle, by its bits. */
const idleTimes = Int32Array.from({ length: BITS }, (_, bits) => {
  if ((bits & ENDING) !== 0) return 20_000
  if ((bits & ANSWERED) !== ANSWERED) return 60_000
  return (bits & OF_TCP) !== 0 ? 3_600_000 : 180_000
})

const isDns = (flow: Flow): boolean => flow.destinationPort === DNS || flow.sourcePort === DNS

export const Verdict = {
  /** Known, or needed by the network itself. */
  pass: 0,
  /** Allowed by a rule: `rule` says which. */
  allowed: 1,
  /** Allowed if it goes to a member of a group: to be judged where it leaves. */
  perhaps: 2,
  denied: 3,
  unreadable: 4,
  fragment: 5,
  name: 6,
} as const

/** Room for the neighbours of a VM; whom it has no room for answers to multicasts. */
export const neighbourShape = (lanes: number): TableShape => ({ lanes, entries: 64, keyWords: 4 })

/** What of a group's rules is looked at per packet. */
interface Compiled extends FirewallGroup {
  /** Whom its members ask for names. */
  readonly resolvers: readonly Prefix[]
}

/** Fields are ordinary ones: they are read per packet. */
export class Judge {
  readonly flow = new Flow()
  /** Rule of the last verdict `allowed`; undefined if it came from the switch's own extensions. */
  rule: FirewallRule | undefined
  private readonly sw: SwitchHandle
  private readonly groups: readonly Compiled[]
  /** By group: 1 if its rules name groups that it may reach. */
  private readonly reaching: Uint8Array
  private readonly vms: Vms
  private readonly connections: SharedTable
  private readonly neighbours: SharedTable
  private readonly names: Names
  private nowMs = 0
  // The port whose flow was found to be a known one just before, and 0 if the last packet was another; 0 is no VM's.
  private knownPort = 0

  constructor(
    sw: SwitchHandle,
    groups: readonly FirewallGroup[],
    parts: {
      readonly vms: Vms
      readonly connections: SharedTable
      readonly neighbours: SharedTable
      readonly names: Names
    },
  ) {
    this.sw = sw
    this.vms = parts.vms
    this.connections = parts.connections
    this.neighbours = parts.neighbours
    this.names = parts.names
    this.reaching = Uint8Array.from(groups, ({ egress }) => (egress.some((rule) => rule.groups !== undefined) ? 1 : 0))
    this.groups = groups.map((group) => ({
      ...group,
      resolvers: group.egress.flatMap((rule) => (rule.domains ? rule.resolvers : [])),
    }))
  }

  /** Call it before each batch: all its packets come at one time. Of traced ones (`isTraced`) nothing is remembered. */
  begin(isTraced: boolean): void {
    this.nowMs = this.sw.now()
    this.knownPort = 0
    if (isTraced === this.connections.isFrozen) return
    this.connections.isFrozen = isTraced
    this.neighbours.isFrozen = isTraced
    this.names.freeze(isTraced)
  }

  /** Whether packet `i` of a member of `group` has to be looked at where it leaves, whoever gets it. */
  isSeenLeaving(batch: Batch, i: number, group: number): boolean {
    const { pool } = batch
    const slot = batch.slots[i]!
    const protocol = pool.protocol[slot]
    return this.reaching[group] === 1 || protocol === ICMP6 || (protocol === UDP && pool.destinationL4[slot] === DNS)
  }

  /** Whether it may not go wherever it goes. */
  hasPeers(batch: Batch, i: number, group: number): boolean {
    return this.reaching[group] === 1 || batch.protocol(i) === ICMP6
  }

  /** Packet `i` of a VM, as it comes in. `flow` is set for IP packets. */
  outbound(batch: Batch, i: number, port: number): number {
    const { flow, vms, nowMs } = this
    if (this.knownPort === port && flow.isSame(batch, i)) return Verdict.pass
    this.knownPort = 0
    if (!batch.isIpv4(i) && !batch.isIpv6(i)) return this.judgeFrame(batch, i)
    const group = vms.groupOf[port]!
    flow.read(batch, i, true)
    const known = this.known(batch, i, true, port, ANY_PEER, nowMs)
    const verdict = known >= 0 ? known : this.byEgressRules(group, port, nowMs)
    if (verdict === Verdict.allowed) this.open(batch, i, true, port, ANY_PEER, nowMs)
    // Later ones in the same burst come in before it is known where they may leave.
    const lane = vms.laneOf(port)
    if (verdict === Verdict.perhaps && flow.isFragment && lane >= 0) this.openFragments(batch, i, true, lane, NO_PEER, nowMs)
    if (verdict > Verdict.perhaps || flow.protocol !== UDP || flow.destinationPort !== DNS) return verdict
    return this.ask(batch, i, group, port, nowMs) ? verdict : Verdict.name
  }

  private judgeFrame(batch: Batch, i: number): number {
    if (isEssentialFrame(batch, i)) return Verdict.pass
    const etherType = batch.etherType(i)
    return etherType === EtherType.ipv4 || etherType === EtherType.ipv6 ? Verdict.unreadable : Verdict.denied
  }

  // Whether a question to a resolver may be asked. Of those that rules have use for the answer is awaited.
  private ask(batch: Batch, i: number, group: number, port: number, nowMs: number): boolean {
    const { egress, resolvers, dnsQueries } = this.groups[group]!
    const lane = this.vms.laneOf(port)
    const { flow } = this
    if (lane < 0 || !isOfAny(flow.remote, flow.family, resolvers)) return true
    return this.names.asked(batch, i, flow, lane, egress, nowMs) === 'listed' || dnsQueries === 'any'
  }

  // A verdict that needs no rule, or -1. `peer`: the port on the other side; ANY_PEER where it is not known yet.
  private known(batch: Batch, i: number, outbound: boolean, port: number, peer: number, nowMs: number): number {
    const { flow, connections, neighbours } = this
    this.rule = undefined
    if (flow.kind === FlowKind.unreadable) return Verdict.unreadable
    const lane = this.vms.laneOf(port)
    const essential = essentialOf(batch, i, outbound)
    if (essential === Essential.yes) return Verdict.pass
    if (lane < 0) return essential === Essential.fromNeighbour ? Verdict.pass : -1
    if (essential === Essential.fromNeighbour) return this.meet(lane, peer, nowMs)
    const strange = outbound ? Verdict.denied : -1
    if (essential === Essential.toNeighbour) {
      neighbours.key.set(flow.remote)
      const found = neighbours.find(lane, nowMs, 0, undefined, peer)
      return found >= 0 ? Verdict.pass : found === ELSEWHERE ? strange : -1
    }
    if (flow.kind === FlowKind.laterFragment) {
      flow.writeFragment(connections.key, batch, i, outbound)
      return connections.find(lane, nowMs, 0, undefined, peer) >= 0 ? Verdict.pass : Verdict.fragment
    }
    if (flow.kind === FlowKind.icmpError) {
      const found = flow.writeInner(connections.key, batch, i, outbound)
        ? connections.find(lane, nowMs, 0, undefined, outbound ? peer : ANY_PEER)
        : -1
      return found >= 0 ? Verdict.pass : found === ELSEWHERE ? strange : -1
    }
    flow.write(connections.key)
    const side = outbound ? FROM_VM : TO_VM
    const bits = connections.find(lane, nowMs, side | (flow.isEnd ? ENDING : 0), idleTimes, peer)
    if (bits === ELSEWHERE) return strange
    // Who begins anew where a connection has ended is judged anew.
    if (bits < 0 || (flow.isBegin && (bits & ENDING) !== 0)) return -1
    if (flow.isFragment) this.openFragments(batch, i, outbound, lane, connections.value, nowMs)
    else if (!flow.isEnd && connections.value === ANY_PEER && flow.isPlain && hasPorts(flow.protocol) && !isDns(flow))
      this.knownPort = port
    return Verdict.pass
  }

  // Who is on the link, since it says so with 255 hops, may be asked whether it still is: at the port where it is.
  private meet(lane: number, peer: number, nowMs: number): number {
    const { flow, neighbours } = this
    if (!flow.hasNoSource) {
      neighbours.key.set(flow.remote)
      neighbours.put(lane, nowMs, 0, NEIGHBOUR_MS, peer)
    }
    return Verdict.pass
  }

  private byEgressRules(group: number, port: number, nowMs: number): number {
    const { flow } = this
    const { egress } = this.groups[group]!
    let isPerhaps = false
    for (let n = 0; n < egress.length; n++) {
      const rule = egress[n]!
      if (!fits(rule, flow)) continue
      if (rule.groups !== undefined) isPerhaps = true
      const isOpen =
        (rule.prefixes !== undefined && isOfAny(flow.remote, flow.family, rule.prefixes)) ||
        (rule.domains !== undefined && this.isPinned(rule, group, port, nowMs))
      if (!isOpen) continue
      this.rule = rule
      return Verdict.allowed
    }
    return isPerhaps ? Verdict.perhaps : Verdict.denied
  }

  // The answers that any member of the group got count for all of them; each has room of its own, so none can push out another's.
  private isPinned(rule: FirewallRule, group: number, port: number, nowMs: number): boolean {
    const { names, flow, vms } = this
    const own = vms.laneOf(port)
    if (own >= 0 && names.isPinned(rule, flow, own, nowMs)) return true
    const members = vms.members[group]!
    for (let n = 0; n < members.length; n++) {
      const lane = vms.laneOf(members[n]!)
      if (lane >= 0 && lane !== own && names.isPinned(rule, flow, lane, nowMs)) return true
    }
    return false
  }

  /** Remembers the packet's flow as allowed, to `peer` alone or to whomever it goes. */
  open(batch: Batch, i: number, outbound: boolean, port: number, peer: number, nowMs: number): void {
    const { flow, connections } = this
    const lane = this.vms.laneOf(port)
    if (lane < 0 || flow.kind !== FlowKind.whole) return
    const bits = (outbound ? FROM_VM : TO_VM) | (flow.protocol === TCP ? OF_TCP : 0) | (flow.isEnd ? ENDING : 0)
    flow.write(connections.key)
    connections.put(lane, nowMs, bits, idleTimes[bits]!, peer)
    if (flow.isFragment) this.openFragments(batch, i, outbound, lane, peer, nowMs)
  }

  /** Remembers the flow of a packet that was refused in name only, so that it is told once and not for each of its packets. */
  letPass(batch: Batch, i: number, outbound: boolean, port: number): void {
    if (batch.isIpv4(i) || batch.isIpv6(i)) this.open(batch, i, outbound, port, ANY_PEER, this.nowMs)
  }

  // The fragments of a datagram go where its first one may go, and nowhere else.
  private openFragments(batch: Batch, i: number, outbound: boolean, lane: number, peer: number, nowMs: number): void {
    const { flow, connections } = this
    flow.writeFragment(connections.key, batch, i, outbound)
    connections.put(lane, nowMs, outbound ? FROM_VM : TO_VM, FRAGMENT_MS, peer)
  }

  /**
   * Packet `i` of the VM behind `source`, whose group reaches others or which speaks to a neighbour, on its way to port `target`: whether its
   * rules let it go there. It was judged when it came in.
   */
  toPeer(batch: Batch, i: number, source: number, target: number): number {
    if (!batch.isIpv4(i) && !batch.isIpv6(i)) return Verdict.pass
    const { flow, vms, nowMs } = this
    const group = vms.groupOf[source]!
    flow.read(batch, i, true)
    const known = this.known(batch, i, true, source, target, nowMs)
    this.knownPort = 0 // what comes next is read the other way round
    if (known >= 0) return known
    const verdict = this.byEgressRules(group, source, nowMs)
    if (verdict !== Verdict.perhaps) return verdict
    const rule = this.groupRule(this.groups[group]!.egress, vms.groupOf[target]!)
    if (rule === undefined) return Verdict.denied
    this.rule = rule
    this.open(batch, i, true, source, target, nowMs)
    return Verdict.allowed
  }

  private groupRule(rules: readonly FirewallRule[], group: number): FirewallRule | undefined {
    for (let n = 0; n < rules.length; n++) {
      const rule = rules[n]!
      if (rule.groups?.includes(group) && fits(rule, this.flow)) return rule
    }
    return undefined
  }

  /** Packet `i` from port `source` (0: the switch) on its way to the VM behind `target`. */
  inbound(batch: Batch, i: number, source: number, target: number): number {
    const { flow, vms, nowMs } = this
    if (this.knownPort === target && flow.isSame(batch, i)) return Verdict.pass
    this.knownPort = 0
    if (!batch.isIpv4(i) && !batch.isIpv6(i)) return source === 0 ? Verdict.pass : this.judgeFrame(batch, i)
    flow.read(batch, i, false)
    const known = this.known(batch, i, false, target, source, nowMs)
    if (known >= 0 && known !== Verdict.unreadable && known !== Verdict.fragment) return known
    if (source === 0) return Verdict.pass // ES-341: what extensions send
    if (known >= 0) return known
    const sourceGroup = vms.groupOf[source]!
    const rule =
      this.byIngressRules(this.groups[vms.groupOf[target]!]!.ingress, sourceGroup) ??
      (sourceGroup < 0 ? undefined : this.groupRule(this.groups[sourceGroup]!.egress, vms.groupOf[target]!))
    if (rule === undefined) return Verdict.denied
    this.rule = rule
    this.open(batch, i, false, target, ANY_PEER, nowMs)
    return Verdict.allowed
  }

  private byIngressRules(rules: readonly FirewallRule[], sourceGroup: number): FirewallRule | undefined {
    const { flow } = this
    for (let n = 0; n < rules.length; n++) {
      const rule = rules[n]!
      if (!fits(rule, flow)) continue
      if (rule.prefixes !== undefined && isOfAny(flow.remote, flow.family, rule.prefixes)) return rule
      if (sourceGroup >= 0 && rule.groups?.includes(sourceGroup)) return rule
    }
    return undefined
  }

  /** Whether the packet that was judged last is an answer that rules of `target`'s group may have use for. */
  isAnswer(batch: Batch, i: number, target: number): boolean {
    const { flow } = this
    if (flow.protocol !== UDP || flow.sourcePort !== DNS || !(batch.isIpv4(i) || batch.isIpv6(i))) return false
    const { resolvers } = this.groups[this.vms.groupOf[target]!]!
    return resolvers.length > 0 && isOfAny(flow.remote, flow.family, resolvers)
  }

  /** Takes the addresses of an answer that came from port `source`. */
  takeAnswer(batch: Batch, i: number, source: number, target: number): ReturnType<Names['answered']> {
    const lane = this.vms.laneOf(target)
    if (lane < 0) return []
    const { egress } = this.groups[this.vms.groupOf[target]!]!
    return this.names.answered(batch, i, { flow: this.flow, lane, rules: egress, nowMs: this.nowMs, source })
  }

  /** Whether packet `i`, of a member of `group`, may be a question to one of its resolvers. */
  isQuestion(batch: Batch, i: number, group: number): boolean {
    return batch.destinationPort(i) === DNS && batch.protocol(i) === UDP && this.groups[group]!.resolvers.length > 0
  }

  /** A question of the VM behind `source` leaves for port `target`: only from there its answer counts. */
  questionLeaves(batch: Batch, i: number, source: number, target: number): void {
    const { flow } = this
    const lane = this.vms.laneOf(source)
    this.knownPort = 0 // what comes next is read the other way round
    flow.read(batch, i, true)
    if (lane >= 0 && isOfAny(flow.remote, flow.family, this.groups[this.vms.groupOf[source]!]!.resolvers))
      this.names.leaves(batch, i, flow, lane, target, this.nowMs)
  }
}
