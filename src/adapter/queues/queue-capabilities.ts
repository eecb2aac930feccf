// The check of what a miniport reports of its receive filters and queues.
import { FilterCaps } from '../identifiers.ts'
import type { ReceiveFilterCapabilities } from '../payloads.ts'
import { QUEUES_MAX } from './queue-words.ts'

const MANDATORY: readonly (readonly [keyof ReceiveFilterCapabilities, number, string, string])[] = [
  ['supportedQueueProperties', FilterCaps.msiXSupported, 'VQ-006', 'MSI-X'],
  ['supportedQueueProperties', FilterCaps.vmQueueSupported, 'VQ-007', 'VM queues'],
  ['supportedFilterTests', FilterCaps.testEqual, 'VQ-008', 'the test for equality'],
  ['supportedHeaders', FilterCaps.macHeader, 'VQ-009', 'the MAC header'],
  ['supportedMacHeaderFields', FilterCaps.destinationAddress, 'VQ-010', 'the destination address'],
]

/** The first rule that a report breaks, and what is wrong with it; undefined for a good one. */
export function queueCapabilitiesProblem(caps: ReceiveFilterCapabilities): { rule: string; message: string } | undefined {
  const { numQueues, maxMacHeaderFilters } = caps
  if (numQueues > maxMacHeaderFilters)
    return { rule: 'VQ-003', message: `NumQueues is ${numQueues}: only ${maxMacHeaderFilters} addresses can be filtered` } // VQ-005
  if (numQueues > QUEUES_MAX - 1)
    return { rule: 'VQ-002', message: `NumQueues is ${numQueues}: at most ${QUEUES_MAX - 1} are served` }
  if ((caps.supportedQueueProperties & FilterCaps.lookaheadSplitSupported) !== 0)
    return { rule: 'VQ-013', message: 'lookahead split is gone since NDIS 6.30' }
  if (caps.minLookaheadSplitSize !== 0 || caps.maxLookaheadSplitSize !== 0)
    return { rule: 'VQ-012', message: 'lookahead sizes are 0 since NDIS 6.30' }
  for (const [member, flag, rule, name] of MANDATORY)
    if (numQueues > 0 && (caps[member] & flag) === 0) return { rule, message: `${member} lacks ${name}` }
  return undefined
}
