// What a host knows of the network: the records that came through the watch, who owns what, and which ports may be believed.
//
// The rule it must not break: whoever saw the same entries, and takes the same hosts for lost, has the same owner for every thing. The first
// claim in the order of the bucket owns; one that its host made before it was away counts from its return.
import { ipv4Bytes, isInPrefix, parseIpv4, parseIpv6, parsePrefix } from '../../packet/addresses.ts'
import { ipThing, macThing, placeOf, portThing, type Thing, thingText } from './keys.ts'
import {
  type LeaseRecord,
  type NetworkRecord,
  type PlacedRecord,
  type PolicyRecord,
  type PortRecord,
  readRecord,
  type StaticLookup,
  type SubnetRecord,
} from './records.ts'
import type { SharedEntry } from './shared-store.ts'

/** Bounds on what others can make this host remember. */
export const POLICIES_MAX = 256
export const HOSTS_MAX = 4096
export const KEYS_PER_HOST_MAX = 65_536

export interface ViewedHost {
  readonly name: string
  lease: LeaseRecord | null
  leaseRevision: number
  /** Its lease ran out, as far as this host can tell. */
  lost: boolean
  readonly claims: Map<Thing, ViewedClaim>
  readonly ports: Map<string, ViewedPort>
}

export interface ViewedClaim {
  readonly revision: number
  readonly port: string
}

export interface ViewedPort {
  readonly record: PortRecord
  readonly revision: number
}

export interface Problem {
  readonly code:
    | 'no-lease'
    | 'unclaimed'
    | 'claimed-elsewhere'
    | 'unknown-subnet'
    | 'foreign-subnet'
    | 'foreign-tenant'
    | 'outside'
  readonly message: string
}

/** A record that was not believed. */
export interface RefusedRecord {
  readonly key: string
  readonly code: string
  readonly message: string
}

/** What a port of a host claims. */
export const thingsOf = (port: Pick<PortRecord, 'name' | 'mac' | 'virtualSubnetId' | 'customerAddresses'>): Thing[] => [
  portThing(port.name),
  macThing(port.virtualSubnetId, port.mac),
  ...port.customerAddresses.map((address) => ipThing(port.virtualSubnetId, address)),
]

export class ClusterView {
  network: NetworkRecord | null = null
  readonly hosts = new Map<string, ViewedHost>()
  readonly subnets = new Map<number, SubnetRecord>()
  /** Counts changes of virtual subnets. */
  subnetChanges = 0
  /** What the network imposes on ports, by name. */
  readonly policies = new Map<string, PolicyRecord>()
  readonly lookups = new Map<string, StaticLookup>()
  /** Records that are not believed, by key. */
  readonly refused = new Map<string, RefusedRecord>()
  /** Revision of each key that stands. */
  readonly #revisions = new Map<string, number>()
  readonly #texts = new Map<string, string>()
  readonly #own: string
  readonly #claimants = new Map<Thing, Set<ViewedHost>>()
  /** Ports whose standing may have changed, as HOST/PORT; and static look-ups. */
  readonly touchedPorts = new Set<string>()
  readonly touchedLookups = new Set<string>()
  policiesTouched = true
  /** Something changed of what this host owns or claims. */
  ownTouched = true
  /** A host got its first lease, or has none any more. */
  membersTouched = false
  #ownThings: ReadonlySet<Thing> = new Set()
  #stale: Set<string> | null = null
  revision = 0

  constructor(own: string) {
    this.#own = own
  }

  /** Claims whose fate this host wants to know. */
  watchThings(things: ReadonlySet<Thing>): void {
    this.#ownThings = things
    this.ownTouched = true
  }

  /** Revision at which a key stands; 0: it does not. */
  revisionOf(key: string): number {
    return this.#revisions.get(key) ?? 0
  }

  /** Text of one of this host's own records. */
  ownText(key: string): string | undefined {
    return this.#texts.get(key)
  }

  /** Keys of this host's own records. */
  ownKeys(): Iterable<string> {
    return this.#texts.keys()
  }

  /** All entries come again: what does not is forgotten at `swept`. */
  markAll(): void {
    this.#stale = new Set(this.#revisions.keys())
    this.revision = 0
  }

  swept(): void {
    const gone = this.#stale ?? new Set()
    this.#stale = null
    for (const key of gone) this.#forget(key)
  }

  /** Takes an entry. Returns the lease if it is one, so that its time can be kept. */
  take({ key, value, revision }: SharedEntry): PlacedRecord | null {
    this.#stale?.delete(key)
    if (revision <= this.revision) return null // it came twice
    this.revision = revision
    if (value === null) {
      this.#forget(key)
      return null
    }
    const read = readRecord(key, value)
    if (read.kind === 'refused') {
      // A policy that can't be read is no reason to let go of what was imposed.
      if (placeOf(key)?.kind !== 'policy') this.#forget(key)
      this.#refuse(key, read.code, read.message)
      return null
    }
    if (!this.#hasRoom(key, read)) return null
    this.refused.delete(key)
    this.#revisions.set(key, revision)
    this.#put(key, read, revision, value)
    return read
  }

  /** The host that owns a thing; null: nobody. */
  owner(thing: Thing): string | null {
    let best: ViewedHost | null = null
    let bestRank = 0
    for (const host of this.#claimants.get(thing) ?? []) {
      const rank = this.#rank(host, thing)
      if (rank === 0) continue
      if (best === null || Number(host.lost) < Number(best.lost) || (host.lost === best.lost && rank < bestRank)) {
        best = host
        bestRank = rank
      }
    }
    return best?.name ?? null
  }

  /** Hosts that claim a thing, owner or not. */
  claimantsOf(thing: Thing): string[] {
    return [...(this.#claimants.get(thing) ?? [])].map(({ name }) => name)
  }

  setLost(name: string, lost: boolean): void {
    const host = this.hosts.get(name)
    if (host === undefined || host.lost === lost) return
    host.lost = lost
    this.#touchHost(host)
  }

  /** Why the record of a port is not believed; null: it is. */
  problemOf(host: ViewedHost, { record }: ViewedPort): Problem | null {
    if (host.lease === null) return { code: 'no-lease', message: `host ${host.name} has no lease` }
    for (const thing of thingsOf(record)) {
      const owner = this.owner(thing)
      if (owner === host.name) continue
      if (owner === null) return { code: 'unclaimed', message: `${host.name} does not claim ${thingText(thing)}` }
      return { code: 'claimed-elsewhere', message: `${thingText(thing)} is claimed by host ${owner}` }
    }
    return this.subnetProblem(host.name, record)
  }

  /** Why a host can't have such a port in its virtual subnet; null: it can. */
  subnetProblem(
    host: string,
    { virtualSubnetId, tenant, customerAddresses }: Pick<PortRecord, 'virtualSubnetId' | 'tenant' | 'customerAddresses'>,
  ): Problem | null {
    if (virtualSubnetId === 0) return null
    const subnet = this.subnets.get(virtualSubnetId)
    const at = `virtual subnet ${virtualSubnetId}`
    if (subnet === undefined) return { code: 'unknown-subnet', message: `the network has no ${at}` }
    if (subnet.hosts !== undefined && !subnet.hosts.includes(host))
      return { code: 'foreign-subnet', message: `host ${host} may have no ports in ${at}` }
    if (subnet.tenant !== undefined && subnet.tenant !== tenant)
      return { code: 'foreign-tenant', message: `${at} belongs to tenant ${subnet.tenant}, not to "${tenant}"` }
    const outside = customerAddresses.find((address) => !(subnet.prefixes?.some((one) => isWithin(address, one)) ?? true))
    return outside === undefined ? null : { code: 'outside', message: `${outside} lies in no prefix of ${at}` }
  }

  /** Where a claim stands in the order; 0: it does not count. */
  #rank(host: ViewedHost, thing: Thing): number {
    const claim = host.claims.get(thing)
    if (claim === undefined || host.lease === null) return 0
    return Math.max(claim.revision, host.lease.aliveSince || host.leaseRevision)
  }

  #put(key: string, read: PlacedRecord, revision: number, text: string): void {
    switch (read.kind) {
      case 'network':
        this.network = read.record
        return
      case 'subnet':
        this.subnets.set(read.record.virtualSubnetId, read.record)
        this.subnetChanges++
        this.#touchSubnet(read.record.virtualSubnetId)
        return
      case 'policy':
        this.policies.set(read.record.name, read.record)
        this.policiesTouched = true
        return
      case 'lookup':
        this.lookups.set(key, read.record)
        this.touchedLookups.add(key)
        return
      default:
    }
    const host = this.#host(read.place.host)
    if (host.name === this.#own) {
      this.ownTouched = true
      this.#texts.set(key, text)
    }
    if (read.kind === 'lease') {
      const { lease: before, leaseRevision: revisionBefore } = host
      if (before === null) this.membersTouched = true
      host.lease = read.record
      host.leaseRevision = revision
      // The order of its claims changes only where it was away, and the tunnels only where they end elsewhere.
      const isOther =
        before === null ||
        (read.record.aliveSince || revision) !== (before.aliveSince || revisionBefore) ||
        JSON.stringify(before.providerAddresses) !== JSON.stringify(read.record.providerAddresses)
      if (isOther) this.#touchHost(host)
    } else if (read.kind === 'port') {
      host.ports.set(read.record.name, { record: read.record, revision })
      this.touchedPorts.add(`${host.name}/${read.record.name}`)
    } else if (read.kind === 'claim') {
      const { thing } = read.place
      host.claims.set(thing, { revision, port: read.record.port })
      const claimants = this.#claimants.get(thing) ?? new Set()
      this.#claimants.set(thing, claimants.add(host))
      this.#touchThing(thing)
    }
  }

  #forget(key: string): void {
    this.refused.delete(key)
    if (!this.#revisions.delete(key)) return
    this.#texts.delete(key)
    const place = placeOf(key)!
    if (place.kind === 'network') this.network = null
    if (place.kind === 'subnet') {
      this.subnets.delete(place.virtualSubnetId)
      this.subnetChanges++
      this.#touchSubnet(place.virtualSubnetId)
    }
    if (place.kind === 'policy') {
      this.policies.delete(place.name)
      this.policiesTouched = true
    }
    if (place.kind === 'lookup') {
      this.lookups.delete(key)
      this.touchedLookups.add(key)
    }
    if (!('host' in place)) return
    const host = this.hosts.get(place.host)!
    if (host.name === this.#own) this.ownTouched = true
    if (place.kind === 'lease') {
      host.lease = null
      host.lost = false
      this.membersTouched = true
      this.#touchHost(host)
    } else if (place.kind === 'port') {
      host.ports.delete(place.port)
      this.touchedPorts.add(`${host.name}/${place.port}`)
    } else {
      this.#touchThing(place.thing)
      host.claims.delete(place.thing)
      const claimants = this.#claimants.get(place.thing)
      claimants?.delete(host)
      if (claimants?.size === 0) this.#claimants.delete(place.thing)
    }
    if (host.lease === null && host.ports.size + host.claims.size === 0) this.hosts.delete(host.name)
  }

  #host(name: string): ViewedHost {
    const known = this.hosts.get(name)
    if (known !== undefined) return known
    const host: ViewedHost = { name, lease: null, leaseRevision: 0, lost: false, claims: new Map(), ports: new Map() }
    this.hosts.set(name, host)
    return host
  }

  #hasRoom(key: string, { place }: PlacedRecord): boolean {
    if (this.#revisions.has(key)) return true
    if (place.kind === 'policy' && this.policies.size >= POLICIES_MAX)
      return this.#refuse(key, 'too-many', `a network has at most ${POLICIES_MAX} policies`)
    if (!('host' in place)) return true
    const host = this.hosts.get(place.host)
    if (host === undefined && this.hosts.size >= HOSTS_MAX)
      return this.#refuse(key, 'too-many', `a network has at most ${HOSTS_MAX} hosts`)
    if (host !== undefined && host.ports.size + host.claims.size >= KEYS_PER_HOST_MAX)
      return this.#refuse(key, 'too-many', `a host has at most ${KEYS_PER_HOST_MAX} records`)
    return true
  }

  #refuse(key: string, code: string, message: string): false {
    if (this.refused.size < KEYS_PER_HOST_MAX) this.refused.set(key, { key, code, message })
    return false
  }

  /** Everything that hangs on who owns a thing. */
  #touchThing(thing: Thing): void {
    if (this.#ownThings.has(thing)) this.ownTouched = true
    for (const host of this.#claimants.get(thing) ?? []) {
      const port = host.claims.get(thing)?.port
      if (port !== undefined) this.touchedPorts.add(`${host.name}/${port}`)
    }
  }

  #touchHost(host: ViewedHost): void {
    for (const thing of host.claims.keys()) this.#touchThing(thing)
    for (const port of host.ports.keys()) this.touchedPorts.add(`${host.name}/${port}`)
  }

  #touchSubnet(virtualSubnetId: number): void {
    this.ownTouched = true
    for (const host of this.hosts.values())
      for (const [name, { record }] of host.ports)
        if (record.virtualSubnetId === virtualSubnetId) this.touchedPorts.add(`${host.name}/${name}`)
  }
}

const bytesOf = (address: string): Uint8Array => (address.includes(':') ? parseIpv6(address) : ipv4Bytes(parseIpv4(address)))

function isWithin(address: string, prefix: string): boolean {
  try {
    const bytes = bytesOf(address)
    return isInPrefix(parsePrefix(prefix), bytes, 0, bytes.length)
  } catch {
    return false
  }
}
