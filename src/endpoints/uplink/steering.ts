// Steering: which queue pairs of an uplink the frames to an address come on. What the kernel can't do is named, so that the caller
// classifies those frames itself.
//
// The rule it must not break: steering says where frames come, never who may have them: a frame may come on any queue while rules
// change or an interface comes up, and whoever takes it looks at its address.

import { STEER_BUCKETS } from '../../linux/steering-program.ts'
import type { SteerEntry } from '../../linux/steering-table.ts'
import { parseMac } from '../../packet/addresses.ts'

const VLAN_MIN = 1
const VLAN_MAX = 4094

/** Frames to an address in one VLAN, in none (untagged, or tagged for priority only), or in whatever VLAN no other rule names. */
export interface SteerFilter {
  /** Hardware address, six pairs of hexadecimal digits. */
  readonly mac: string
  /** 1 to 4094, or a word. */
  readonly vlan: number | 'untagged' | 'any'
}

/** … come on one queue pair, or are spread over several by flow: flow bucket b of STEER_BUCKETS on queue `queues[b % length]`. */
export type SteerRule = SteerFilter & ({ readonly queue: number } | { readonly queues: readonly number[] })

/** What became of the rules. */
export interface SteerResult {
  /** Rules that the kernel obeys from now on. */
  readonly inKernel: readonly SteerRule[]
  /** Rules whose frames come on any queue: the caller classifies. */
  readonly inSoftware: readonly SteerRule[]
  /** Why there are rules in software; null if there are none. */
  readonly reason: string | null
}

/** A rule as the kernel's table has it. */
export interface RuleEntry extends SteerEntry {
  readonly rule: SteerRule
}

/** A rule can't be meant. */
export class SteerRuleError extends RangeError {
  override readonly name = 'SteerRuleError'
  readonly code = 'BAD_STEER_RULE'
}

const describe = ({ mac, vlan }: SteerRule): string => `${mac} (VLAN ${vlan})`

function checkQueues(queues: readonly number[], count: number, what: string): readonly number[] {
  if (queues.length < 1 || queues.length > STEER_BUCKETS)
    throw new SteerRuleError(`${what} has 1 to ${STEER_BUCKETS} queues, not ${queues.length}`)
  for (const queue of queues)
    if (!Number.isInteger(queue) || queue < 0 || queue >= count)
      throw new SteerRuleError(`${what}: the uplink has queues 0 to ${count - 1}, not ${queue}`)
  return queues
}

/** Checks rules for an uplink with `count` queue pairs. Throws SteerRuleError. */
export function compileRules(rules: readonly SteerRule[], count: number): RuleEntry[] {
  const known = new Set<string>()
  return rules.map((rule) => {
    const { vlan } = rule
    if (typeof vlan === 'number' && (!Number.isInteger(vlan) || vlan < VLAN_MIN || vlan > VLAN_MAX))
      throw new SteerRuleError(`a rule's VLAN is ${VLAN_MIN} to ${VLAN_MAX}, 'untagged' or 'any', not ${vlan}`)
    const mac = parseMac(rule.mac)
    const key = `${mac}/${vlan}`
    if (known.has(key)) throw new SteerRuleError(`there are two rules for ${describe(rule)}`)
    known.add(key)
    const queues = checkQueues('queues' in rule ? rule.queues : [rule.queue], count, `the rule for ${describe(rule)}`)
    return { mac, vlan: vlan === 'any' ? null : vlan === 'untagged' ? 0 : vlan, queues, rule }
  })
}

/** Checks the queues of frames that no rule names. Throws SteerRuleError. */
export const checkFallback = (queues: readonly number[], count: number): readonly number[] =>
  checkQueues(queues, count, 'what no rule names')
