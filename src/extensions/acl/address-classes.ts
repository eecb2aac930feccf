// Classes of IP addresses: the stretches of the address line within which the same prefixes match, found by binary search.
//
// The rule it must not break: look-ups allocate nothing and take at most log2 of twice the prefixes.
import type { Batch, Prefix } from '../../extension.ts'
import type { SetPool } from './rule-sets.ts'

const SIGN = 0x80000000
const TWO_64 = 1n << 64n

interface Stretches {
  /** First addresses, ascending. */
  readonly starts: readonly bigint[]
  readonly sets: readonly number[]
}

const numberOf = (bytes: Uint8Array): bigint => bytes.reduce((value, octet) => value * 256n + BigInt(octet), 0n)

/** True if the address lies in the prefix. */
export const prefixHolds = (prefix: Prefix, address: bigint): boolean => {
  const host = BigInt(prefix.bytes.length * 8 - prefix.length)
  return address >> host === numberOf(prefix.bytes) >> host
}

function stretchesOf(prefixes: readonly (Prefix | undefined)[], family: 4 | 6, pool: SetPool): Stretches {
  const bits = family === 4 ? 32n : 128n
  const starts = new Set<bigint>([0n])
  for (const prefix of prefixes) {
    if (prefix?.family !== family) continue
    const first = numberOf(prefix.bytes)
    const behind = first + (1n << (bits - BigInt(prefix.length)))
    starts.add(first)
    if (behind < 1n << bits) starts.add(behind)
  }
  const sorted = [...starts].sort((a, b) => (a < b ? -1 : 1))
  const sets = sorted.map((start) =>
    pool.number(prefixes.length, (rule) => {
      const prefix = prefixes[rule]
      return prefix === undefined || (prefix.family === family && prefixHolds(prefix, start))
    }),
  )
  return { starts: sorted, sets }
}

/** Looks addresses of one field (source or destination) up. Fields are ordinary ones: they are read per packet. */
export class AddressClasses {
  /** Whether any rule names a prefix. */
  readonly isUsed: boolean
  private readonly notIp: number
  private readonly starts4: Int32Array
  private readonly sets4: Uint16Array
  /** Four words per stretch. */
  private readonly starts6: Int32Array
  private readonly sets6: Uint16Array
  /** Offset of the address in the IPv4 and IPv6 header. */
  private readonly at4: number
  private readonly at6: number

  /** `prefixes`: that of each rule, or undefined for any. */
  constructor(prefixes: readonly (Prefix | undefined)[], field: 'source' | 'destination', pool: SetPool) {
    this.isUsed = prefixes.some((prefix) => prefix !== undefined)
    this.at4 = field === 'source' ? 12 : 16
    this.at6 = field === 'source' ? 8 : 24
    this.notIp = pool.number(prefixes.length, (rule) => prefixes[rule] === undefined)
    const ipv4 = stretchesOf(prefixes, 4, pool)
    const ipv6 = stretchesOf(prefixes, 6, pool)
    // The sign bit is turned over so that signed numbers compare like unsigned ones.
    this.starts4 = Int32Array.from(ipv4.starts, (start) => Number(start) ^ SIGN)
    this.sets4 = Uint16Array.from(ipv4.sets)
    this.starts6 = Int32Array.from(
      ipv6.starts.flatMap((start) => {
        const [high, low] = [start / TWO_64, start % TWO_64]
        return [high >> 32n, high & 0xffffffffn, low >> 32n, low & 0xffffffffn].map((word) => Number(word) ^ SIGN)
      }),
    )
    this.sets6 = Uint16Array.from(ipv6.sets)
  }

  /** Number of the set of rules that match packet `i` in this field. */
  setOf(batch: Batch, i: number): number {
    if (batch.isIpv4(i)) return this.set4(batch.u32(i, batch.networkOffset(i) + this.at4) ^ SIGN)
    if (!batch.isIpv6(i)) return this.notIp
    const at = batch.networkOffset(i) + this.at6
    const a = batch.u32(i, at) ^ SIGN
    const b = batch.u32(i, at + 4) ^ SIGN
    const c = batch.u32(i, at + 8) ^ SIGN
    const d = batch.u32(i, at + 12) ^ SIGN
    return this.set6(a, b, c, d)
  }

  // The last stretch that begins at or before the address.
  private set4(address: number): number {
    const starts4 = this.starts4
    let low = 0
    let high = starts4.length
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (starts4[middle]! <= address) low = middle
      else high = middle
    }
    return this.sets4[low]!
  }

  private set6(a: number, b: number, c: number, d: number): number {
    const words = this.starts6
    let low = 0
    let high = words.length >> 2
    while (high - low > 1) {
      const middle = (low + high) >> 1
      const at = middle << 2
      let order = words[at]! - a
      if (order === 0) order = words[at + 1]! - b
      if (order === 0) order = words[at + 2]! - c
      if (order === 0) order = words[at + 3]! - d
      if (order <= 0) low = middle
      else high = middle
    }
    return this.sets6[low]!
  }
}
