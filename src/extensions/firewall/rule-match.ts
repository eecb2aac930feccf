// Whether a flow is what a rule speaks of: its protocol and ports, its addresses as words of a flow.
//
// The rule it must not break: nothing is allocated, and an address of one family is of no prefix of the other.
import type { Prefix } from '../../extension.ts'
import type { Flow } from './flow.ts'
import type { FirewallRule } from './options.ts'

const isOfPrefix = (words: Int32Array, family: number, prefix: Prefix): boolean => {
  if (prefix.family !== family) return false
  const { bytes, length } = prefix
  for (let k = 0; k * 8 < length; k++) {
    const octet = (words[family === 4 ? 3 : k >> 2]! >>> (24 - (k & 3) * 8)) & 255
    const rest = length - k * 8
    if (((octet ^ bytes[k]!) & (rest >= 8 ? 255 : (0xff00 >> rest) & 255)) !== 0) return false
  }
  return true
}

/** Whether an address is of one of the prefixes. Allocates nothing. */
export const isOfAny = (words: Int32Array, family: number, prefixes: readonly Prefix[]): boolean => {
  for (let n = 0; n < prefixes.length; n++) if (isOfPrefix(words, family, prefixes[n]!)) return true
  return false
}

/** Whether protocol and destination port of the flow are those of the rule. */
export function fits(rule: FirewallRule, flow: Flow): boolean {
  if (rule.protocol !== 0 && rule.protocol !== flow.protocol) return false
  const { ports } = rule
  if (ports === undefined) return true
  for (let n = 0; n < ports.length; n++)
    if (flow.destinationPort >= ports[n]![0] && flow.destinationPort <= ports[n]![1]) return true
  return false
}
