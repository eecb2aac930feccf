// What rules want of the fields of a flow key, as ranges of each.
//
// The rule it must not break: a rule matches a key exactly where each of its fields lies in the rule's range.
import { K_PORTS, K_PROTOCOL } from './flow-key.ts'

/** What a rule wants of an address: the first `bits` bits of four words; an IPv4 address stands in the last, with 96 bits before it. */
export interface AddressMatch {
  readonly words: readonly number[]
  readonly bits: number
}

/** A rule of a program. What is left out matches everything. Smaller ranks come first; rules of one rank have one verdict. */
export interface RuleMatch {
  readonly rank: number
  readonly local?: AddressMatch | undefined
  readonly remote?: AddressMatch | undefined
  /** Only together with a protocol that has ports. */
  readonly localPorts?: readonly [first: number, last: number] | undefined
  readonly remotePorts?: readonly [first: number, last: number] | undefined
  readonly protocol?: number | undefined
  /** 0…2^24-1 */
  readonly isolation?: number | undefined
}

/** What a program is compiled of. Equal lists make equal programs. */
export interface RuleList {
  /** By rank. */
  readonly rules: readonly RuleMatch[]
  /** True if addresses are of IPv6, or MACs. */
  readonly wide: boolean
}

/** Where a field of the key stands. Ports and protocol are parts of a word. */
export interface Field {
  readonly word: number
  readonly shift: number
  readonly last: number
}
const WHOLE_WORD = { shift: 0, last: 0xffffffff }
const LOCAL_PORT: Field = { word: K_PORTS, shift: 16, last: 0xffff }
const REMOTE_PORT: Field = { word: K_PORTS, shift: 0, last: 0xffff }
const PROTOCOL: Field = { word: K_PROTOCOL, shift: 0, last: 0xff }
const ISOLATION: Field = { word: K_PROTOCOL, shift: 16, last: 0xffff }
const others = [LOCAL_PORT, REMOTE_PORT, PROTOCOL, ISOLATION]
const address = (words: readonly number[]): Field[] => words.map((word) => ({ word, ...WHOLE_WORD }))
export const narrowFields: readonly Field[] = [...address([7, 3]), ...others]
export const wideFields: readonly Field[] = [...address([4, 5, 6, 7, 0, 1, 2, 3]), ...others]

/** First and last number that a prefix leaves of word `w` of an address. */
export function wordRange(match: AddressMatch | undefined, w: number): [number, number] {
  const bits = Math.min(32, Math.max(0, (match?.bits ?? 0) - w * 32))
  if (match === undefined || bits === 0) return [0, 0xffffffff]
  const host = bits === 32 ? 0 : 0xffffffff >>> bits
  const first = (match.words[w]! & ~host) >>> 0
  return [first, (first | host) >>> 0]
}

export const maskOf = (match: AddressMatch | undefined, w: number): number => {
  const [first, last] = wordRange(match, w)
  return ~(first ^ last)
}

export function rangeOf(rule: RuleMatch, field: Field): readonly [number, number] {
  switch (field) {
    case LOCAL_PORT:
      return rule.localPorts ?? [0, 0xffff]
    case REMOTE_PORT:
      return rule.remotePorts ?? [0, 0xffff]
    case PROTOCOL:
      return rule.protocol === undefined ? [0, 0xff] : [rule.protocol, rule.protocol]
    case ISOLATION:
      return rule.isolation === undefined ? [0, 0xffff] : [rule.isolation & 0xffff, rule.isolation & 0xffff]
    default:
      return field.word < 4 ? wordRange(rule.local, field.word) : wordRange(rule.remote, field.word - 4)
  }
}
