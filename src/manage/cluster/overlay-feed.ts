// Keeps the look-up records of the running switch's overlay as the network has them: those of virtual subnets in which this host has ports,
// and of those that they are routed to.
//
// The rule it must not break: records that somebody else gave the overlay are not touched; a switch that starts anew gets all of them again.
import type { OverlayControl } from '../../switch/overlay/overlay-control.ts'
import type { Lookup } from './lookups.ts'
import { lookupId } from './lookups.ts'

/** What the network knows of a virtual subnet that matters to an overlay. */
export interface FedSubnet {
  readonly routingDomainId?: string | undefined
  readonly prefixes?: readonly string[] | undefined
  readonly gateways?: readonly string[] | undefined
}

export interface FeedWish {
  /** Virtual subnets of this host's ports, and those that share a routing domain with one of them. */
  readonly subnets: ReadonlyMap<number, FedSubnet>
  readonly lookups: ReadonlyMap<string, Lookup>
}

export class OverlayFeed {
  readonly #overlay: () => OverlayControl | null
  #fed: OverlayControl | null = null
  readonly #records = new Map<string, Lookup>()
  // Virtual subnets that the overlay has from here, as they were given.
  readonly #subnets = new Map<number, string>()
  #subnetText = ''

  constructor(overlay: () => OverlayControl | null) {
    this.#overlay = overlay
  }

  /** Records that the overlay was given. */
  get size(): number {
    return this.#records.size
  }

  /**
   * Brings the overlay to what is wished for. `touched`: look-ups that changed since the last time; without it all are compared. Throws what the
   * overlay does; whatever it took is kept.
   */
  async bring({ subnets, lookups }: FeedWish, touched?: readonly Lookup[]): Promise<void> {
    const overlay = this.#overlay()
    const subnetText = JSON.stringify([...subnets].sort(([a], [b]) => a - b))
    const isOther = overlay !== this.#fed || subnetText !== this.#subnetText
    if (overlay !== this.#fed) {
      this.#fed = overlay
      this.#records.clear()
      this.#subnets.clear()
    }
    if (overlay === null) return
    let problem = isOther ? await this.#bringSubnets(overlay, subnets) : undefined
    const ids = touched === undefined || isOther ? [...this.#records.keys(), ...lookups.keys()] : touched.map(lookupId)
    const set: Lookup[] = []
    for (const id of new Set(ids)) {
      const before = this.#records.get(id)
      const found = lookups.get(id)
      const wanted = found !== undefined && subnets.has(found.virtualSubnetId) ? found : undefined
      if (wanted !== undefined && wanted !== before) set.push(wanted)
      else if (wanted === undefined && before !== undefined) {
        this.#records.delete(id)
        await removed(overlay, before)
      }
    }
    if (set.length > 0) {
      await overlay.set(
        set.map(({ virtualSubnetId, mac, customerAddresses, providerAddress }) => ({
          vsid: virtualSubnetId,
          mac,
          addresses: customerAddresses,
          provider: providerAddress,
        })),
      )
      for (const lookup of set) this.#records.set(lookupId(lookup), lookup)
    }
    for (const vsid of this.#subnets.keys())
      if (!subnets.has(vsid)) {
        this.#subnets.delete(vsid)
        await overlay.removeSubnet(vsid)
      }
    // What was contradicted may be gone now.
    if (problem !== undefined) problem = await this.#bringSubnets(overlay, subnets)
    this.#subnetText = subnetText
    if (problem !== undefined) throw problem
  }

  // Returns what the overlay says of one that contradicts itself or another one: that is without routing then.
  async #bringSubnets(overlay: OverlayControl, subnets: FeedWish['subnets']): Promise<Error | undefined> {
    let problem: Error | undefined
    const there = new Set(overlay.subnets().map(({ vsid }) => vsid))
    for (const [vsid, subnet] of subnets) {
      const text = JSON.stringify(subnet)
      const known = this.#subnets.get(vsid)
      if (known === text || (known === undefined && there.has(vsid))) continue
      const { routingDomainId: routingDomain, prefixes, gateways } = subnet
      try {
        await overlay.setSubnet({ vsid, peers: [], routingDomain, prefixes, gateways })
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'bad-overlay') throw error
        problem = error as Error
        await overlay.setSubnet({ vsid, peers: [], routingDomain })
        this.#subnets.set(vsid, '')
        continue
      }
      this.#subnets.set(vsid, text)
    }
    return problem
  }
}

/** The virtual subnets of `ports`, and those of the network that share a routing domain with one of them. */
export function fedSubnets(
  ports: readonly { readonly virtualSubnetId: number }[],
  known: ReadonlyMap<number, FedSubnet>,
): Map<number, FedSubnet> {
  const fed = new Map<number, FedSubnet>()
  const domains = new Set<string>()
  const add = (id: number): void => {
    const { routingDomainId, prefixes, gateways } = known.get(id) ?? {}
    fed.set(id, { routingDomainId, prefixes, gateways })
    if (routingDomainId !== undefined) domains.add(routingDomainId)
  }
  for (const { virtualSubnetId: id } of ports) if (id !== 0) add(id)
  for (const [id, { routingDomainId }] of known) if (routingDomainId !== undefined && domains.has(routingDomainId)) add(id)
  return fed
}

/** Removes a record, if somebody has not done so already. */
async function removed(overlay: OverlayControl, { virtualSubnetId: vsid, mac }: Lookup): Promise<void> {
  try {
    await overlay.remove({ vsid, mac })
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'no-such-record') throw error
  }
}
