// What the firewall tells of its verdicts: counters, connections by rule, the audit log.
//
// The rule it must not break: for a packet of a known connection it does nothing but count.
import { type Batch, formatIpv4, formatIpv6, type SwitchHandle } from '../../extension.ts'
import { Audit } from './audit.ts'
import { type Flow, ICMP } from './flow.ts'
import { Verdict } from './judge.ts'
import type { SeenAddress } from './names.ts'
import type { FirewallOptions, FirewallRule } from './options.ts'
import type { Vms } from './vms.ts'

export const FirewallCounter = {
  passed: 0,
  opened: 1,
  denied: 2,
  wouldDeny: 3,
  unreadable: 4,
  pinned: 5,
  pinsRefused: 6,
  namesRefused: 7,
} as const
const firewallCounterNames = [
  'passed',
  'opened',
  'denied',
  'would-deny',
  'unreadable',
  'pinned',
  'pins-refused',
  'names-refused',
] as const

/** Names of all counters: the fixed ones, and one for each rule, of the connections that it allowed. */
export const counterNames = ({ ruleNames }: FirewallOptions): readonly string[] => [
  ...firewallCounterNames,
  ...ruleNames.map((name) => `rule ${name}`),
]
const RULES_FIRST = firewallCounterNames.length

const TCP = 6
const protocolNames: Readonly<Record<number, string>> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 132: 'sctp' }
const whyDenied: Readonly<Record<number, string>> = {
  [Verdict.denied]: 'no rule',
  [Verdict.unreadable]: 'unreadable headers',
  [Verdict.fragment]: 'fragment without its first',
  [Verdict.name]: 'name not listed',
}
const NO_RULE = -1

/** Words of the counts by rule. */
export const hitsBytes = (options: FirewallOptions): number => Math.max(1, options.rules) * 4

export class Reporter {
  readonly #sw: SwitchHandle
  readonly #options: FirewallOptions
  readonly #vms: Vms
  readonly #hits: Int32Array
  readonly #audit: Audit | undefined
  #toldHits = 0
  /** Packets that are traced: the switch puts counters back, and nothing is told of them. */
  isTraced = false

  constructor(sw: SwitchHandle, options: FirewallOptions, vms: Vms) {
    this.#sw = sw
    this.#options = options
    this.#vms = vms
    this.#hits = sw.shared('hits')
    this.#audit = options.audit && new Audit(sw, options.audit)
  }

  count(counter: number): void {
    const { counters } = this.#sw
    counters[counter] = counters[counter]! + 1
  }

  /** A rule allowed a connection, from or to the VM at `port`. */
  allowed(batch: Batch, i: number, flow: Flow, rule: FirewallRule | undefined, port: number, outbound: boolean): void {
    this.count(FirewallCounter.opened)
    if (this.isTraced) batch.explain(i, rule === undefined ? "the switch's own extensions may" : `rule ${rule.name} allows it`)
    if (rule === undefined) return
    this.count(RULES_FIRST + rule.number)
    if (this.isTraced) return
    Atomics.add(this.#hits, rule.number, 1)
    if (this.#audit?.allowed) this.#tell('allow', batch, i, flow, { rule: rule.name }, rule.number, port, outbound)
  }

  /** A packet passes without a rule. */
  passed(batch: Batch, i: number): void {
    this.count(FirewallCounter.passed)
    if (this.isTraced)
      batch.explain(i, 'of a connection that was allowed, or judged where it leaves, or needed by the network itself')
  }

  /** A packet was refused, or would have been. */
  denied(batch: Batch, i: number, flow: Flow, verdict: number, port: number, outbound: boolean): void {
    const isEnforced = this.#options.mode === 'enforce'
    this.count(isEnforced ? FirewallCounter.denied : FirewallCounter.wouldDeny)
    if (verdict === Verdict.unreadable) this.count(FirewallCounter.unreadable)
    if (verdict === Verdict.name) this.count(FirewallCounter.namesRefused)
    if (this.isTraced) {
      const group = this.#options.groups[this.#vms.groupOf[port]!]?.name ?? ''
      const rules = `the ${outbound ? 'egress' : 'ingress'} rules of group ${group}`
      const why = verdict === Verdict.denied ? `none of ${rules} allows it` : `${rules}: ${whyDenied[verdict]}`
      batch.explain(i, isEnforced ? why : `${why}, which is told and not enforced`)
    }
    const action = isEnforced ? 'deny' : 'would-deny'
    if (this.#audit && !this.isTraced)
      this.#tell(action, batch, i, flow, { reason: whyDenied[verdict] }, NO_RULE - verdict, port, outbound)
  }

  #tell(
    action: string,
    batch: Batch,
    i: number,
    flow: Flow,
    why: Readonly<Record<string, unknown>>,
    code: number,
    port: number,
    outbound: boolean,
  ): void {
    const isIp = batch.isIpv4(i) || batch.isIpv6(i)
    const audit = this.#audit!
    let kind = Math.imul(port ^ (code << 12), 0x9e3779b1)
    if (isIp) {
      kind = Math.imul(kind ^ (flow.protocol << 16) ^ flow.destinationPort, 0x85ebca6b)
      for (let k = 0; k < 4; k++) kind = Math.imul(kind ^ flow.remote[k]! ^ (kind >>> 15), 0x9e3779b1)
    } else kind = Math.imul(kind ^ batch.etherType(i), 0x85ebca6b)
    const packets = audit.isDue(kind)
    if (packets === 0) return
    const what = {
      action,
      direction: outbound ? 'egress' : 'ingress',
      port: this.#vms.names.get(port),
      group: this.#options.groups[this.#vms.groupOf[port]!]?.name,
      ...why,
      ...(isIp ? this.#describe(flow, outbound) : { etherType: `0x${batch.etherType(i).toString(16).padStart(4, '0')}` }),
    }
    audit.tellKind(what, 'packets', packets)
  }

  #describe(flow: Flow, outbound: boolean): Readonly<Record<string, unknown>> {
    const text = (words: Int32Array): string => {
      const octets = flow.octets(words)
      return octets.length === 4 ? formatIpv4(new DataView(octets.buffer).getUint32(0)) : formatIpv6(octets)
    }
    const ports =
      flow.protocol === TCP || flow.destinationPort !== 0
        ? { sourcePort: flow.sourcePort, destinationPort: flow.destinationPort }
        : flow.protocol === ICMP
          ? { icmpType: flow.icmpType }
          : {}
    return {
      protocol: protocolNames[flow.protocol] ?? flow.protocol,
      source: text(outbound ? flow.local : flow.remote),
      destination: text(outbound ? flow.remote : flow.local),
      ...ports,
    }
  }

  /** Addresses that an answer to the VM at `port` gave. */
  seen(addresses: readonly SeenAddress[], port: number): void {
    for (const { rule, name, address, ttl, refusal } of addresses) {
      const isPinned = refusal === undefined
      this.count(isPinned ? FirewallCounter.pinned : FirewallCounter.pinsRefused)
      if (!this.#audit || (isPinned && !this.#audit.allowed)) continue
      let kind = Math.imul(port ^ (rule.number << 12), 0x9e3779b1)
      for (let k = 0; k < address.length; k++) kind = Math.imul(kind ^ address.charCodeAt(k), 0x01000193)
      const answers = this.#audit.isDue(kind)
      if (answers === 0) continue
      const about = isPinned ? { seconds: ttl } : { reason: refusal }
      const action = isPinned ? 'pin' : 'refuse-pin'
      const what = { action, port: this.#vms.names.get(port), rule: rule.name, name, address, ...about }
      this.#audit.tellKind(what, 'answers', answers)
    }
  }

  /** Writes how many connections each rule allowed, if that has changed since. */
  tellRules(): void {
    const all = this.#hits.reduce((sum, count) => sum + count, 0)
    if (!this.#audit || all === this.#toldHits) return
    this.#toldHits = all
    const connections: Record<string, number> = {}
    for (const [number, name] of this.#options.ruleNames.entries()) connections[name] = this.#hits[number]!
    this.#audit.tell({ action: 'rules', connections })
  }

  /** Writes what the log does not have yet: the module pauses, or ends. */
  end(isFirst: boolean): void {
    if (isFirst) this.tellRules()
    this.#audit?.end()
  }
}
