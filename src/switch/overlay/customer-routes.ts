// Customer routes on the control thread: which prefixes virtual subnets have, the router's addresses in them, and routes beyond, which of several
// routes to a prefix is taken, and what processors are to be told when that changes.
//
// The rule it must not break: a call that throws changed nothing; one routing domain has no two subnets with the same prefix.
import { formatPrefix, isInPrefix, type Prefix, parsePrefix } from '../../packet/addresses.ts'
import { KnownAs } from './address-answers.ts'
import { addressOf, isGroup, OverlayError, type OverlayRoute, type OverlaySubnet } from './options.ts'
import type { OverlayChange, RoutingChange } from './plan.ts'
import { addressText } from './records.ts'
import { ROUTER_MAC } from './routing.ts'

/** Routes that are given, beside those to the prefixes of subnets. */
export const CUSTOMER_ROUTES_MAX = 16_384
export const ROUTE_METRIC_MAX = 0xffff

export interface RoutesChange {
  readonly routing: RoutingChange
  /** The router's own addresses. */
  readonly addresses: OverlayChange['addresses']
}

/** Which routes are meant; all without a filter. */
export interface RouteFilter {
  readonly vsid?: number | undefined
  readonly routingDomain?: string | undefined
}

/** A way to a prefix of a routing domain. */
interface Candidate {
  readonly domain: number
  readonly prefix: Prefix
  readonly subnet: number
  readonly vsid: number
  readonly nextHop: Uint8Array | undefined
  readonly metric: number
}

interface Subnet {
  readonly index: number
  readonly vsid: number
  readonly routingDomain: string | undefined
  readonly domain: number
  readonly prefixes: readonly Candidate[]
  readonly gateways: readonly Uint8Array[]
}

interface Route {
  readonly given: OverlayRoute
  readonly candidate: Candidate
}

const bad = (message: string): OverlayError => new OverlayError('bad-overlay', message)
const keyOf = ({ domain, prefix }: Pick<Candidate, 'domain' | 'prefix'>): string => `${domain}/${formatPrefix(prefix)}`
const isLinkLocal = (address: Uint8Array): boolean =>
  address.length === 16 && address[0] === 0xfe && (address[1]! & 0xc0) === 0x80

/** The prefix that `text` names; throws OverlayError. */
export function prefixOf(text: string): Prefix {
  try {
    if (!text.includes('/')) throw bad('')
    return parsePrefix(text)
  } catch {
    throw bad(`"${text}" is not a prefix: write one like 10.1.0.0/24 or fd00:1::/64, without bits behind its length`)
  }
}

// A next hop of zeros means the same as none: addresses are in the subnet itself.
function nextHopOf(text: string | undefined, prefix: Prefix): Uint8Array | undefined {
  if (text === undefined) return undefined
  const address = addressOf(text, 'next hop')
  if (address.every((octet) => octet === 0)) return undefined
  if (isGroup(address)) throw bad(`next hop ${text} is not the address of one guest`)
  if (address.length !== prefix.bytes.length) throw bad(`next hop ${text} is of another family than ${formatPrefix(prefix)}`)
  return address
}

/** The route in its normal form; throws OverlayError. */
export function normalRoute({ vsid, prefix: text, nextHop, metric = 0 }: OverlayRoute): OverlayRoute {
  const prefix = prefixOf(text)
  const hop = nextHopOf(nextHop, prefix)
  if (!(Number.isInteger(metric) && metric >= 0 && metric <= ROUTE_METRIC_MAX))
    throw bad(`metric ${metric}: it is a whole number from 0 to ${ROUTE_METRIC_MAX}`)
  return { vsid, prefix: formatPrefix(prefix), metric, ...(hop === undefined ? {} : { nextHop: addressText(hop) }) }
}

const routeId = ({ vsid, prefix, nextHop = '' }: OverlayRoute): string => `${vsid} ${prefix} ${nextHop}`

/** `changed` is called after each change that processors are to know of. */
export class CustomerRoutes {
  readonly #changed: (change: RoutesChange) => void
  readonly #subnets = new Map<number, Subnet>()
  readonly #routes = new Map<string, Route>()
  readonly #domains = new Map<string, { readonly domain: number; subnets: number }>()
  readonly #freeDomains: number[] = []
  // Ways to each prefix of each domain, the one that is taken first.
  readonly #ways = new Map<string, readonly Candidate[]>()
  // What was taken before the change in work.
  readonly #touched = new Map<string, Candidate | undefined>()
  #lastDomain = 0

  constructor({ changed }: { readonly changed: (change: RoutesChange) => void }) {
    this.#changed = changed
  }

  list({ vsid, routingDomain }: RouteFilter = {}): readonly OverlayRoute[] {
    return [...this.#routes.values()]
      .map(({ given }) => given)
      .filter(
        (route) =>
          (vsid ?? route.vsid) === route.vsid &&
          (routingDomain === undefined || this.#subnets.get(route.vsid)?.routingDomain === routingDomain),
      )
  }

  /** What `setSubnet` will throw, if it will: OverlayError bad-overlay, in-use. Returns the subnet's prefixes and gateways in normal form. */
  checkSubnet({
    vsid,
    routingDomain,
    prefixes = [],
    gateways = [],
  }: OverlaySubnet): Pick<OverlaySubnet, 'prefixes' | 'gateways'> {
    const all = prefixes.map(prefixOf)
    const texts = all.map(formatPrefix)
    for (const text of texts) {
      if (texts.indexOf(text) !== texts.lastIndexOf(text)) throw bad(`prefix ${text} is there twice`)
      const owner = routingDomain === undefined ? undefined : this.#ownerOf(routingDomain, text)
      if (owner !== undefined && owner !== vsid)
        throw bad(`virtual subnet ${owner} of routing domain ${routingDomain} has the prefix ${text} already`)
    }
    const own = gateways.map((text) => {
      const address = addressOf(text, 'gateway')
      if (isGroup(address) || address.every((octet) => octet === 0))
        throw bad(`gateway ${text} is not the address of one station`)
      if (routingDomain === undefined) throw bad(`virtual subnet ${vsid} has a gateway: it needs a routing domain`)
      if (!isLinkLocal(address) && !all.some((prefix) => isInPrefix(prefix, address)))
        throw bad(`gateway ${text} is in none of the prefixes of virtual subnet ${vsid}`)
      return addressText(address)
    })
    const before = this.#subnets.get(vsid)
    if (before !== undefined && before.routingDomain !== routingDomain) this.checkRoutes(vsid)
    return { prefixes: texts, gateways: [...new Set(own)] }
  }

  #ownerOf(routingDomain: string, prefix: string): number | undefined {
    const domain = this.#domains.get(routingDomain)?.domain
    const ways = this.#ways.get(`${domain}/${prefix}`) ?? []
    return ways.find((way) => this.#subnets.get(way.vsid)?.prefixes.includes(way))?.vsid
  }

  /** Throws OverlayError in-use while routes lead through the subnet. */
  checkRoutes(vsid: number): void {
    const { length } = this.list({ vsid })
    if (length > 0) throw new OverlayError('in-use', `virtual subnet ${vsid} has ${length} customer routes: remove them first`)
  }

  /** `index`: its number in the data path. Throws as checkSubnet does. */
  setSubnet(index: number, given: OverlaySubnet): void {
    const { vsid, routingDomain } = given
    const { prefixes = [], gateways = [] } = this.checkSubnet(given)
    const before = this.#subnets.get(vsid)
    const domain = this.#join(routingDomain)
    const subnet: Subnet = {
      index,
      vsid,
      routingDomain,
      domain,
      prefixes: domain === 0 ? [] : prefixes.map((text) => this.#direct(domain, prefixOf(text), index, vsid)),
      gateways: gateways.map((text) => addressOf(text, 'gateway')),
    }
    for (const way of before?.prefixes ?? []) this.#drop(way)
    this.#subnets.set(vsid, subnet)
    for (const way of subnet.prefixes) this.#add(way)
    this.#leave(before?.routingDomain)
    this.#tell(before, subnet)
  }

  #direct(domain: number, prefix: Prefix, subnet: number, vsid: number): Candidate {
    return { domain, prefix, subnet, vsid, nextHop: undefined, metric: 0 }
  }

  /** Throws OverlayError in-use while routes lead through it. */
  removeSubnet(vsid: number): void {
    const before = this.#subnets.get(vsid)
    if (before === undefined) return
    this.checkRoutes(vsid)
    for (const way of before.prefixes) this.#drop(way)
    this.#subnets.delete(vsid)
    this.#leave(before.routingDomain)
    this.#tell(before, undefined)
  }

  /** Sets a route, or gives the one with its subnet, prefix and next hop another metric. Throws OverlayError: bad-overlay, no-such-subnet, full. */
  set(input: OverlayRoute): OverlayRoute {
    const given = normalRoute(input)
    const subnet = this.#subnets.get(given.vsid)
    if (subnet === undefined)
      throw new OverlayError('no-such-subnet', `the overlay has no virtual subnet ${given.vsid}: add it first`)
    if (subnet.domain === 0) throw bad(`virtual subnet ${given.vsid} is in no routing domain: nothing is routed to it`)
    const prefix = prefixOf(given.prefix)
    const nextHop = nextHopOf(given.nextHop, prefix)
    if (nextHop !== undefined && subnet.gateways.some((own) => addressText(own) === given.nextHop))
      throw bad(`next hop ${given.nextHop} is the router itself`)
    const id = routeId(given)
    const before = this.#routes.get(id)
    if (before === undefined && this.#routes.size >= CUSTOMER_ROUTES_MAX)
      throw new OverlayError('full', `a switch has at most ${CUSTOMER_ROUTES_MAX} customer routes`)
    if (before !== undefined) this.#drop(before.candidate)
    const { domain, index, vsid } = subnet
    const candidate = { domain, prefix, subnet: index, vsid, nextHop, metric: given.metric ?? 0 }
    this.#routes.set(id, { given, candidate })
    this.#add(candidate)
    this.#tell(undefined, undefined)
    return given
  }

  /** Throws OverlayError no-such-customer-route. */
  remove(input: OverlayRoute): OverlayRoute {
    const given = normalRoute(input)
    const id = routeId(given)
    const route = this.#routes.get(id)
    if (route === undefined) {
      const hop = given.nextHop === undefined ? 'directly' : `through ${given.nextHop}`
      throw new OverlayError('no-such-customer-route', `virtual subnet ${given.vsid} has no route to ${given.prefix} ${hop}`)
    }
    this.#routes.delete(id)
    this.#drop(route.candidate)
    this.#tell(undefined, undefined)
    return route.given
  }

  // ---- domains ----------------------------------------------------------------------------------------------------------------

  #join(name: string | undefined): number {
    if (name === undefined) return 0
    const known = this.#domains.get(name) ?? { domain: this.#freeDomains.pop() ?? ++this.#lastDomain, subnets: 0 }
    known.subnets++
    this.#domains.set(name, known)
    return known.domain
  }

  #leave(name: string | undefined): void {
    const known = name === undefined ? undefined : this.#domains.get(name)
    if (name === undefined || known === undefined || --known.subnets > 0) return
    this.#domains.delete(name)
    this.#freeDomains.push(known.domain)
  }

  // ---- ways -------------------------------------------------------------------------------------------------------------------

  #touch(key: string): readonly Candidate[] {
    const ways = this.#ways.get(key) ?? []
    if (!this.#touched.has(key)) this.#touched.set(key, ways[0])
    return ways
  }

  #add(way: Candidate): void {
    const key = keyOf(way)
    const ways = this.#touch(key)
    // Of ways that cost the same, that into a subnet itself is taken, then that of the lowest subnet.
    const rank = ({ metric, nextHop, vsid }: Candidate): number => (metric * 2 + (nextHop === undefined ? 0 : 1)) * 2 ** 24 + vsid
    this.#ways.set(
      key,
      [...ways, way].sort((a, b) => rank(a) - rank(b)),
    )
  }

  #drop(way: Candidate): void {
    const key = keyOf(way)
    const left = this.#touch(key).filter((one) => one !== way)
    if (left.length === 0) this.#ways.delete(key)
    else this.#ways.set(key, left)
  }

  // ---- what processors are told -----------------------------------------------------------------------------------------------

  #tell(before: Subnet | undefined, after: Subnet | undefined): void {
    const routes: RoutingChange['routes'][number][] = []
    for (const [key, was] of this.#touched) {
      const is = this.#ways.get(key)?.[0]
      if (is === was) continue
      const { domain, prefix, subnet, vsid, nextHop } = (is ?? was)!
      const { bytes, length } = prefix
      routes.push({ domain, prefix: bytes, length, subnet, vsid, nextHop, gone: is === undefined })
    }
    this.#touched.clear()
    const domains = before?.domain === after?.domain ? [] : [{ subnet: (after ?? before)!.index, domain: after?.domain ?? 0 }]
    const [gone, come] = [
      (before?.gateways ?? []).filter((one) => !has(after, one)),
      (after?.gateways ?? []).filter((one) => !has(before, one)),
    ]
    const addresses = [...gone.map((one) => own(before!, one, true)), ...come.map((one) => own(after!, one, false))]
    const gateways = addresses.length === 0 ? [] : gatewaysOf((after ?? before)!.index, after?.gateways ?? [])
    if (routes.length + domains.length + addresses.length > 0)
      this.#changed({ routing: { domains, gateways, routes }, addresses })
  }
}

const has = (subnet: Subnet | undefined, address: Uint8Array): boolean =>
  subnet?.gateways.some((one) => addressText(one) === addressText(address)) ?? false

const own = ({ vsid }: Subnet, address: Uint8Array, gone: boolean): OverlayChange['addresses'][number] => ({
  vsid,
  address,
  mac: ROUTER_MAC,
  gone,
  kind: KnownAs.router,
})

const gatewaysOf = (subnet: number, addresses: readonly Uint8Array[]): RoutingChange['gateways'] =>
  [true, false].map((isIpv4) => ({ subnet, isIpv4, address: addresses.find(({ length }) => (length === 4) === isIpv4) }))
