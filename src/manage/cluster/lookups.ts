// The look-up records that follow from the network: which customer address is behind which provider address, and to whom floods go.
//
// The rule it must not break: only ports that may be believed make records; ports of this host make none, since no tunnel leads to itself.
import type { ClusterView, Problem } from './view.ts'

/** A look-up record, as an overlay takes it. */
export interface Lookup {
  readonly virtualSubnetId: number
  /** Lower case, with colons. */
  readonly mac: string
  readonly customerAddresses: readonly string[]
  readonly providerAddress: string
}

export const lookupId = ({ virtualSubnetId, mac }: Pick<Lookup, 'virtualSubnetId' | 'mac'>): string => `${virtualSubnetId}/${mac}`

export interface LookupChanges {
  readonly set: readonly Lookup[]
  readonly removed: readonly Lookup[]
  /** Provider addresses to which floods of a virtual subnet go, of those that changed. */
  readonly peers: readonly { readonly virtualSubnetId: number; readonly providerAddresses: readonly string[] }[]
}

/** A port record of another host that is not believed. */
export interface RefusedPort {
  readonly host: string
  readonly port: string
  readonly problem: Problem
}

export class Lookups {
  readonly #own: string
  /** What each source (HOST/PORT, or the key of a static record) makes. */
  readonly #bySource = new Map<string, Lookup>()
  readonly #sources = new Map<string, string[]>()
  readonly #current = new Map<string, Lookup>()
  readonly #peers = new Map<number, Map<string, number>>()
  readonly #refused = new Map<string, RefusedPort>()

  constructor(own: string) {
    this.#own = own
  }

  get current(): ReadonlyMap<string, Lookup> {
    return this.#current
  }

  /** Ports of other hosts that are not believed, by HOST/PORT. */
  get refused(): ReadonlyMap<string, RefusedPort> {
    return this.#refused
  }

  peersOf(virtualSubnetId: number): string[] {
    return [...(this.#peers.get(virtualSubnetId)?.keys() ?? [])].sort()
  }

  /** Takes what was touched in the view since the last time. `refused` in the answer: those that are new. */
  follow(view: ClusterView): LookupChanges & { readonly refused: readonly RefusedPort[] } {
    const ids = new Set<string>()
    const subnets = new Set<number>()
    const refused: RefusedPort[] = []
    for (const source of view.touchedPorts) this.#replace(source, this.#ofPort(view, source, refused), ids, subnets)
    for (const key of view.touchedLookups) {
      const found = view.lookups.get(key)
      this.#replace(key, found === undefined ? null : plainLookup(found), ids, subnets)
    }
    view.touchedPorts.clear()
    view.touchedLookups.clear()
    const set: Lookup[] = []
    const removed: Lookup[] = []
    for (const id of ids) {
      const before = this.#current.get(id)
      const now = this.#chosen(id)
      if (now === null) {
        if (before !== undefined) removed.push(before)
        this.#current.delete(id)
      } else if (before === undefined || !isSame(before, now)) {
        set.push(now)
        this.#current.set(id, now)
      }
    }
    const peers = [...subnets].map((virtualSubnetId) => ({ virtualSubnetId, providerAddresses: this.peersOf(virtualSubnetId) }))
    return { set, removed, peers, refused }
  }

  #ofPort(view: ClusterView, source: string, refused: RefusedPort[]): Lookup | null {
    const at = source.indexOf('/')
    const host = view.hosts.get(source.slice(0, at))
    const port = host?.ports.get(source.slice(at + 1))
    const problem = host === undefined || port === undefined || host.name === this.#own ? null : view.problemOf(host, port)
    if (problem === null) this.#refused.delete(source)
    if (host === undefined || port === undefined || host.name === this.#own) return null
    if (problem !== null) {
      const isKnown = this.#refused.get(source)?.problem.message === problem.message
      this.#refused.set(source, { host: host.name, port: port.record.name, problem })
      if (!isKnown && port.record.movingFrom === undefined) refused.push(this.#refused.get(source)!)
      return null
    }
    const [providerAddress] = host.lease?.providerAddresses ?? []
    if (port.record.virtualSubnetId === 0 || providerAddress === undefined) return null
    return plainLookup({ ...port.record, providerAddress })
  }

  #replace(source: string, lookup: Lookup | null, ids: Set<string>, subnets: Set<number>): void {
    const before = this.#bySource.get(source)
    if (before !== undefined) {
      ids.add(lookupId(before))
      const rest = (this.#sources.get(lookupId(before)) ?? []).filter((one) => one !== source)
      if (rest.length === 0) this.#sources.delete(lookupId(before))
      else this.#sources.set(lookupId(before), rest)
      this.#countPeer(before, -1, subnets)
      this.#bySource.delete(source)
    }
    if (lookup === null) return
    ids.add(lookupId(lookup))
    this.#bySource.set(source, lookup)
    this.#sources.set(lookupId(lookup), [...(this.#sources.get(lookupId(lookup)) ?? []), source])
    this.#countPeer(lookup, 1, subnets)
  }

  // A port comes before a static record of the same address: it is known to be there.
  #chosen(id: string): Lookup | null {
    const sources = this.#sources.get(id) ?? []
    const source = sources.find((one) => one.includes('/')) ?? sources[0]
    return source === undefined ? null : (this.#bySource.get(source) ?? null)
  }

  #countPeer({ virtualSubnetId, providerAddress }: Lookup, change: 1 | -1, subnets: Set<number>): void {
    const peers = this.#peers.get(virtualSubnetId) ?? new Map<string, number>()
    this.#peers.set(virtualSubnetId, peers)
    const before = peers.get(providerAddress) ?? 0
    const now = before + change
    if (now === 0) peers.delete(providerAddress)
    else peers.set(providerAddress, now)
    if (peers.size === 0) this.#peers.delete(virtualSubnetId)
    if ((before === 0) !== (now === 0)) subnets.add(virtualSubnetId)
  }
}

const plainLookup = ({ virtualSubnetId, mac, customerAddresses, providerAddress }: Lookup): Lookup => ({
  virtualSubnetId,
  mac,
  customerAddresses,
  providerAddress,
})

const isSame = (a: Lookup, b: Lookup): boolean => JSON.stringify(a) === JSON.stringify(b)
