// An access control list: allows or denies packets by port, ether type, protocol, addresses and ports. It keeps no state between
// packets.
//
// The rule it must not break: each packet is decided by the first rule that matches it, and what cannot be read is not passed as
// if it had been.
import { defineExtension, type ExtensionHandlers, Oid, type PortParameters, type SwitchHandle } from '../../extension.ts'
import { ALLOW, Decider } from './decider.ts'
import { hitsBytes } from './hits.ts'
import { type AclOptions, type AclRule, parseAclOptions } from './options.ts'

export { AclCounter } from './decider.ts'

/** Rules that get a drop reason of their own; the number of reasons is limited. */
const OWN_REASONS_MAX = 16

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
      handlers.ingress = (batch) => (batch.isTraced ? ingress.traceAll(batch) : ingress.decideAll(batch))
    if (egress.program.rules.length > 0)
      handlers.egress = (batch) => {
        egress.isTraced = batch.isTraced
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
