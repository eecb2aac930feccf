// Customer routes as one processor knows them: to which virtual subnet of a routing domain an IP address leads, by the longest prefix.
//
// The rule it must not break: a look-up finds routes of its own routing domain only, ends after one try per prefix length that the domain
// has, and allocates nothing.
import { get32 } from '../../packet/bytes.ts'
import type { RoutingChange } from './plan.ts'

const WORD_BITS = 32
/** Keys of a Map in this range are no objects of their own. */
const KEY_SHIFT = 2

export interface Route {
  readonly domain: number
  /** Its first `length` bits count, the others are zero. An IPv4 prefix is the first word. */
  readonly words: Uint32Array
  readonly isIpv4: boolean
  readonly length: number
  readonly subnet: number
  readonly vsid: number
  /** 4 or 16 octets; undefined: addresses are in the subnet itself. */
  readonly nextHop: Uint8Array | undefined
}

/** Fields are ordinary ones: `find` runs per packet. */
export class RouteTable {
  /** Routes in all. */
  size = 0
  private readonly buckets = new Map<number, Route[]>()
  // Prefix lengths of each domain and family, the longest first, and how many routes have each.
  private readonly lengths = new Map<number, number[]>()
  private readonly uses = new Map<number, Map<number, number>>()
  private readonly address = new Uint32Array(4)
  private readonly masked = new Uint32Array(4)

  change({ domain, prefix, length, subnet, vsid, nextHop, gone }: RoutingChange['routes'][number]): void {
    const isIpv4 = prefix.length === 4
    this.read(prefix, 0, isIpv4)
    this.mask(length)
    this.remove(domain, length, isIpv4)
    if (!gone) this.add({ domain, words: this.masked.slice(), isIpv4, length, subnet, vsid, nextHop })
  }

  /** The route in `domain` for the address in `bytes[at…]`, 4 or 16 octets. */
  find(domain: number, bytes: Uint8Array, at: number, isIpv4: boolean): Route | undefined {
    const lengths = this.lengths.get(family(domain, isIpv4))
    if (lengths === undefined) return undefined
    this.read(bytes, at, isIpv4)
    for (let k = 0; k < lengths.length; k++) {
      this.mask(lengths[k]!)
      const route = this.exact(domain, lengths[k]!, isIpv4)
      if (route !== undefined) return route
    }
    return undefined
  }

  private add(route: Route): void {
    const key = this.key(route.domain, route.length)
    const bucket = this.buckets.get(key)
    if (bucket === undefined) this.buckets.set(key, [route])
    else bucket.push(route)
    this.count(route, 1)
  }

  private remove(domain: number, length: number, isIpv4: boolean): void {
    const route = this.exact(domain, length, isIpv4)
    if (route === undefined) return
    const key = this.key(domain, length)
    const left = this.buckets.get(key)!.filter((one) => one !== route)
    if (left.length === 0) this.buckets.delete(key)
    else this.buckets.set(key, left)
    this.count(route, -1)
  }

  private count({ domain, length, isIpv4 }: Route, by: 1 | -1): void {
    this.size += by
    const place = family(domain, isIpv4)
    const uses = this.uses.get(place) ?? new Map<number, number>()
    const left = (uses.get(length) ?? 0) + by
    if (left === 0) uses.delete(length)
    else uses.set(length, left)
    if (uses.size === 0) {
      this.uses.delete(place)
      this.lengths.delete(place)
      return
    }
    this.uses.set(place, uses)
    this.lengths.set(
      place,
      [...uses.keys()].sort((a, b) => b - a),
    )
  }

  // The route whose prefix is `masked`.
  private exact(domain: number, length: number, isIpv4: boolean): Route | undefined {
    const bucket = this.buckets.get(this.key(domain, length))
    if (bucket === undefined) return undefined
    const { masked } = this
    for (let k = 0; k < bucket.length; k++) {
      const route = bucket[k]!
      if (route.domain !== domain || route.length !== length || route.isIpv4 !== isIpv4) continue
      const { words } = route
      if (words[0] === masked[0] && words[1] === masked[1] && words[2] === masked[2] && words[3] === masked[3]) return route
    }
    return undefined
  }

  private read(bytes: Uint8Array, at: number, isIpv4: boolean): void {
    const { address } = this
    address[0] = get32(bytes, at)
    for (let word = 1; word < 4; word++) address[word] = isIpv4 ? 0 : get32(bytes, at + 4 * word)
  }

  private mask(length: number): void {
    const { address, masked } = this
    for (let word = 0; word < 4; word++) {
      const bits = length - word * WORD_BITS
      masked[word] = bits >= WORD_BITS ? address[word]! : bits <= 0 ? 0 : address[word]! & -(1 << (WORD_BITS - bits))
    }
  }

  private key(domain: number, length: number): number {
    let hash = (domain << 8) ^ length
    for (let word = 0; word < 4; word++) {
      hash = Math.imul(hash ^ this.masked[word]!, 0x9e3779b1)
      hash ^= hash >>> 15
    }
    return hash >>> KEY_SHIFT
  }
}

const family = (domain: number, isIpv4: boolean): number => domain * 2 + (isIpv4 ? 0 : 1)
