// The way of status indications up through the modules of a stack (spec 4.3), each wrapped in NDIS_SWITCH_NIC_STATUS_INDICATION.
//
// The rule it must not break: capturing and filtering extensions pass every indication on unchanged; only a forwarding extension may
// change, replace or end one (ES-284, ES-285).
import type { NicStatusIndication } from '../../ndis/oids.ts'
import { describeError } from '../describe-error.ts'
import type { Module } from '../module.ts'
import { freezeDeep, takesRequests } from './oid-path.ts'

type Report = (module: string, code: string, message: string) => void

/**
 * Takes an indication up from below `modules[from]` (from = modules.length: from the miniport edge). Returns what reaches the
 * protocol edge, or undefined if a forwarding extension ended it. Runs within the call: FilterStatus passes on at once (ES-293).
 */
export function indicateUp(
  modules: readonly Module[],
  from: number,
  indication: NicStatusIndication,
  report: Report,
): NicStatusIndication | undefined {
  let current = freezeDeep(structuredClone(indication))
  for (let i = from - 1; i >= 0; i--) {
    const module = modules[i]!
    const handler = module.handlers.status
    if (!handler || !takesRequests(module)) continue
    let verdict: ReturnType<typeof handler>
    try {
      verdict = handler.call(module.handlers, current)
    } catch (error) {
      report(module.name, 'status-failed', describeError(error))
      continue
    }
    if (verdict === undefined || verdict === null || verdict === current) continue
    const breach = (rule: string, what: string): void => {
      module.breaches++
      report(module.name, rule, what)
    }
    if (module.class !== 'forwarding') {
      breach(module.class === 'capturing' ? 'ES-284' : 'ES-285', 'changed a status indication')
      continue
    }
    if (verdict === 'discard') return undefined
    if (typeof verdict !== 'object' || !Number.isInteger(verdict.statusIndication?.statusCode)) {
      breach('ES-285', 'replaced a status indication with something else')
      continue
    }
    const kept =
      verdict.sourcePortId === current.sourcePortId &&
      verdict.sourceNicIndex === current.sourceNicIndex &&
      verdict.destinationPortId === current.destinationPortId &&
      verdict.destinationNicIndex === current.destinationNicIndex
    if (!kept) {
      breach(verdict.sourcePortId === current.sourcePortId ? 'ES-288' : 'ES-287', 'changed whom a status indication names')
      continue
    }
    current = freezeDeep(structuredClone(verdict))
  }
  return current
}
