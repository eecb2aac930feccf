// An access control list: allows or denies packets by port, ether type, protocol, addresses and ports. It keeps no state between
// packets.
//
// The rule it must not break: each packet is decided by the first rule that matches it, and what cannot be read is not passed as
// if it had been.
import {
  type Batch,
  defineExtension,
  type ExtensionHandlers,
  Oid,
  type PortParameters,
  type SwitchHandle,
} from '../../extension.ts'
import { judgeHeaders, LATER_FRAGMENT, READABLE, UNREADABLE } from './headers.ts'
import { hitsBytes, hitsRow } from './hits.ts'
import { type AclOptions, type AclRule, parseAclOptions } from './options.ts'
import { AclProgram } from './program.ts'

export const AclCounter = { allowed: 0, denied: 1, fragments: 2, unreadable: 3 } as const

/** Rules that get a drop reason of their own; the number of reasons is limited. */
const OWN_REASONS_MAX = 16
const ALLOW = -1

/** Decides packets in one direction on one processor. Fields are ordinary ones: they are read per packet. */
class Decider {
  readonly program: AclProgram
  private readonly counters: Float64Array
  private readonly hits: Int32Array
  /** Where in `hits` the rules of this program count. */
  private readonly hitAt: Int32Array
  private readonly defaultHitAt: number
  /** Drop reason of each rule, or ALLOW. */
  private readonly verdicts: Int32Array
  private readonly defaultVerdict: number
  private readonly fragmentReason: number
  private readonly unreadableReason: number

  constructor(sw: SwitchHandle, options: AclOptions, direction: 'ingress' | 'egress', reasons: ReadonlyMap<AclRule, number>) {
    const rules = options.rules.filter((rule) => rule.direction === 'both' || rule.direction === direction)
    const row = hitsRow(options, sw.processor)
    this.program = new AclProgram(rules)
    this.counters = sw.counters
    this.hits = sw.shared('hits')
    this.hitAt = Int32Array.from(rules, (rule) => row + options.rules.indexOf(rule))
    this.defaultHitAt = row + options.rules.length
    this.verdicts = Int32Array.from(rules, (rule) => (rule.action === 'allow' ? ALLOW : reasons.get(rule)!))
    this.defaultVerdict = options.defaultAction === 'allow' ? ALLOW : sw.registerReason('acl: denied by default')
    this.fragmentReason = options.fragments === 'pass' ? ALLOW : sw.registerReason('acl: fragment')
    this.unreadableReason = options.unreadable === 'pass' ? ALLOW : sw.registerReason('acl: unreadable headers')
  }

  /** The reason to drop packet `i`, or ALLOW, at switch port `port`. Allocates nothing. */
  decide(batch: Batch, i: number, port: number): number {
    const { counters, program } = this
    if (batch.transportOffset(i) === 0) {
      const verdict = this.hidden(batch, i)
      if (verdict !== ALLOW) return verdict
    }
    const rule = program.match(batch, i, port)
    const verdict = rule < 0 ? this.defaultVerdict : this.verdicts[rule]!
    const at = rule < 0 ? this.defaultHitAt : this.hitAt[rule]!
    this.hits[at] = this.hits[at]! + 1
    const counter = verdict === ALLOW ? AclCounter.allowed : AclCounter.denied
    counters[counter] = counters[counter]! + 1
    return verdict
  }

  // A packet without a transport header to read.
  private hidden(batch: Batch, i: number): number {
    const judged = judgeHeaders(batch, i)
    if (judged === READABLE) return ALLOW
    const { program, counters } = this
    if (judged === LATER_FRAGMENT && this.fragmentReason !== ALLOW) {
      counters[AclCounter.fragments] = counters[AclCounter.fragments]! + 1
      return this.fragmentReason
    }
    // A malformed IP header hides addresses too; a transport header that cannot be read hides protocol and ports only.
    const isHidden = program.looksAtTransport || (program.looksAtIp && !batch.isIpv4(i) && !batch.isIpv6(i))
    if (judged !== UNREADABLE || !isHidden || this.unreadableReason === ALLOW) return ALLOW
    counters[AclCounter.unreadable] = counters[AclCounter.unreadable]! + 1
    return this.unreadableReason
  }
}

// The reasons of rules that deny: their own for the first that have names, a common one for the others.
function registerReasons(sw: SwitchHandle, rules: readonly AclRule[]): Map<AclRule, number> {
  const reasons = new Map<AclRule, number>()
  let own = 0
  for (const rule of rules) {
    if (rule.action !== 'deny') continue
    const isOwn = rule.isNamed && own++ < OWN_REASONS_MAX
    reasons.set(rule, sw.registerReason(isOwn ? `acl: ${rule.name}` : 'acl: denied by rule'))
  }
  return reasons
}

export default defineExtension<AclOptions>({
  id: '7b0b6d0e-5f0c-4c56-9b7e-0d3c1f9f6a03',
  name: 'acl',
  version: '1.0.0',
  class: 'filtering',
  description: 'Allows and denies packets by rules',
  counters: ['allowed', 'denied', 'fragments-dropped', 'unreadable-dropped'],
  shared: (options) => ({ hits: hitsBytes(options) }),
  parseOptions: parseAclOptions,
  attach(sw, options) {
    const reasons = registerReasons(sw, options.rules)
    const ingress = new Decider(sw, options, 'ingress', reasons)
    const egress = new Decider(sw, options, 'egress', reasons)
    const { namesPorts } = egress.program
    const setPort = (id: number, name: string | undefined): void => {
      ingress.program.setPort(id, name)
      egress.program.setPort(id, name)
    }
    for (const { portId, portName } of sw.ports()) setPort(portId, portName)

    // The default action is for directions that have rules; without any rules, for ingress.
    const handlers: ExtensionHandlers = {
      oidComplete({ oid, payload }) {
        if (oid !== Oid.portCreate && oid !== Oid.portDelete) return
        const { portId, portName } = payload as PortParameters
        setPort(portId, oid === Oid.portCreate ? portName : undefined)
      },
    }
    if (egress.program.rules.length === 0 || ingress.program.rules.length > 0)
      handlers.ingress = (batch) => {
        for (let i = 0; i < batch.length; i++) {
          const port = batch.sourcePortId(i)
          if (port === 0) continue // ES-341: packets of extensions bypass port policies
          const verdict = ingress.decide(batch, i, port)
          if (verdict !== ALLOW) batch.drop(i, verdict)
        }
      }
    if (egress.program.rules.length > 0)
      handlers.egress = (batch) => {
        for (let i = 0; i < batch.length; i++) {
          if (batch.sourcePortId(i) === 0) continue
          const destinations = batch.destinationCount(i)
          const common = namesPorts ? ALLOW : egress.decide(batch, i, 0)
          if (!namesPorts && common === ALLOW) continue
          for (let k = 0; k < destinations; k++) {
            if (batch.isExcluded(i, k)) continue
            const verdict = namesPorts ? egress.decide(batch, i, batch.destinationPortId(i, k)) : common
            if (verdict !== ALLOW) batch.exclude(i, k, verdict)
          }
        }
      }
    return handlers
  },
})
