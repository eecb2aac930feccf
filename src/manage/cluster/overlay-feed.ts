// Keeps the look-up records of the running switch's overlay as the network has them: those of virtual subnets in which this host has ports.
//
// The rule it must not break: records that somebody else gave the overlay are not touched; a switch that starts anew gets all of them again.
import type { OverlayControl } from '../../switch/overlay/overlay-control.ts'
import type { Lookup } from './lookups.ts'
import { lookupId } from './lookups.ts'

export interface FeedWish {
  /** Virtual subnets of this host's ports. */
  readonly subnets: ReadonlyMap<number, { readonly routingDomainId?: string | undefined }>
  readonly lookups: ReadonlyMap<string, Lookup>
}

export class OverlayFeed {
  readonly #overlay: () => OverlayControl | null
  #fed: OverlayControl | null = null
  readonly #records = new Map<string, Lookup>()
  readonly #subnets = new Set<number>()
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
    if (isOther) await this.#bringSubnets(overlay, subnets)
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
    for (const vsid of this.#subnets)
      if (!subnets.has(vsid)) {
        this.#subnets.delete(vsid)
        await overlay.removeSubnet(vsid)
      }
    this.#subnetText = subnetText
  }

  async #bringSubnets(overlay: OverlayControl, subnets: FeedWish['subnets']): Promise<void> {
    const there = new Set(overlay.subnets().map(({ vsid }) => vsid))
    for (const [vsid, { routingDomainId }] of subnets) {
      if (there.has(vsid)) continue
      await overlay.setSubnet({ vsid, peers: [], ...(routingDomainId === undefined ? {} : { routingDomain: routingDomainId }) })
      this.#subnets.add(vsid)
    }
  }
}

/** Removes a record, if somebody has not done so already. */
async function removed(overlay: OverlayControl, { virtualSubnetId: vsid, mac }: Lookup): Promise<void> {
  try {
    await overlay.remove({ vsid, mac })
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'no-such-record') throw error
  }
}
