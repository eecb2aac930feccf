// The addresses that a port may send from, in shared memory: IPv4 and IPv6 prefixes of its source guard.
//
// The rule it must not break: what is not in the list is not allowed; nothing is allocated.
import type { AddressPrefix } from '../../ndis/standard-properties.ts'

/** Prefixes that a port may have. */
export const SOURCE_PREFIXES_MAX = 16

const W_COUNT = 0
const W_LEARNS = 1
const W_PREFIXES = 2
const PREFIX_WORDS = 5
const IPV6_FLAG = 0x100
const BITS_MASK = 0xff

export const SOURCE_WORDS = W_PREFIXES + SOURCE_PREFIXES_MAX * PREFIX_WORDS

/** Writes the prefixes of a port into `words` from `at` on. Control thread only. */
export function setSourcePrefixes(words: Int32Array, at: number, prefixes: readonly AddressPrefix[], learns: boolean): void {
  words.fill(0, at, at + SOURCE_WORDS)
  for (const [k, { address, bits }] of prefixes.slice(0, SOURCE_PREFIXES_MAX).entries()) {
    const prefix = at + W_PREFIXES + k * PREFIX_WORDS
    words[prefix] = bits | (address.length === 16 ? IPV6_FLAG : 0)
    for (const [octet, value] of address.entries()) words[prefix + 1 + (octet >> 2)]! |= value << (24 - 8 * (octet & 3))
  }
  words[at + W_LEARNS] = learns ? 1 : 0
  words[at + W_COUNT] = Math.min(prefixes.length, SOURCE_PREFIXES_MAX)
}

/** A prefix of the list: four words, of IPv4 the first. */
export interface SourcePrefix {
  readonly words: readonly number[]
  readonly bits: number
  readonly isIpv6: boolean
}

/** The prefixes of a port. */
export const sourcePrefixes = (words: Int32Array, at: number): SourcePrefix[] =>
  Array.from({ length: words[at + W_COUNT]! }, (_, k) => {
    const prefix = at + W_PREFIXES + k * PREFIX_WORDS
    const kind = words[prefix]!
    return {
      words: [...words.subarray(prefix + 1, prefix + PREFIX_WORDS)],
      bits: kind & BITS_MASK,
      isIpv6: (kind & IPV6_FLAG) !== 0,
    }
  })

/** True if addresses that are learned of the port are allowed too. */
export const learnsSources = (words: Int32Array, at: number): boolean => words[at + W_LEARNS] !== 0

// Whether the first `bits` (any number; at most 32 count) of two words are the same.
const agrees = (a: number, b: number, bits: number): boolean => bits <= 0 || (a ^ b) >>> (bits >= 32 ? 0 : 32 - bits) === 0

/** True if an IPv4 address, as a number, is in the list. */
export function allowsIpv4(words: Int32Array, at: number, address: number): boolean {
  const end = at + W_PREFIXES + words[at + W_COUNT]! * PREFIX_WORDS
  for (let prefix = at + W_PREFIXES; prefix < end; prefix += PREFIX_WORDS) {
    const kind = words[prefix]!
    if ((kind & IPV6_FLAG) === 0 && agrees(words[prefix + 1]!, address, kind)) return true
  }
  return false
}

/** True if an IPv6 address, as four numbers, is in the list. */
export function allowsIpv6(words: Int32Array, at: number, a: number, b: number, c: number, d: number): boolean {
  const end = at + W_PREFIXES + words[at + W_COUNT]! * PREFIX_WORDS
  for (let prefix = at + W_PREFIXES; prefix < end; prefix += PREFIX_WORDS) {
    const kind = words[prefix]!
    const bits = kind & BITS_MASK
    if (
      (kind & IPV6_FLAG) !== 0 &&
      agrees(words[prefix + 1]!, a, bits) &&
      agrees(words[prefix + 2]!, b, bits - 32) &&
      agrees(words[prefix + 3]!, c, bits - 64) &&
      agrees(words[prefix + 4]!, d, bits - 96)
    )
      return true
  }
  return false
}
