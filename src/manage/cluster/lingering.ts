// Virtual subnets that the last port of this host left a moment ago: their records stay with the overlay for a while, so that frames which still
// come for a guest that moved find its new host.
//
// The rule it must not break: a subnet stays for a bounded time only, and is done away with when it ends, though nothing else happens.
import { type FedSubnet, fedSubnets } from './overlay-feed.ts'

/** How long a virtual subnet stays behind its last port: longer than frames are sent on (src/switch/overlay/departures.ts). */
export const LINGER_MS = 10_000

export interface LingeringComponents {
  readonly nowMs: () => number
  /** Calls `work` once, in `ms` milliseconds. */
  readonly after: (ms: number, work: () => void) => void
  /** A time is over: what there is has to be looked at again. */
  readonly ended: () => void
}

export class Lingering {
  readonly #components: LingeringComponents
  #last: ReadonlySet<number> = new Set()
  readonly #ends = new Map<number, number>()

  constructor(components: LingeringComponents) {
    this.#components = components
  }

  /** `now`: virtual subnets that ports are in. Returns those that ports were in until a moment ago. */
  follow(now: ReadonlySet<number>): readonly number[] {
    const { nowMs, after, ended } = this.#components
    const time = nowMs()
    for (const id of this.#last)
      if (!now.has(id)) {
        this.#ends.set(id, time + LINGER_MS)
        after(LINGER_MS, ended)
      }
    this.#last = now
    for (const [id, end] of this.#ends) if (now.has(id) || end <= time) this.#ends.delete(id)
    return [...this.#ends.keys()]
  }

  /**
   * The virtual subnets that an overlay is to have, of those that the network knows. `ports`: those of this host; undefined: it is in no network
   * any more.
   */
  fed(
    ports: readonly { readonly virtualSubnetId: number }[] | undefined,
    known: ReadonlyMap<number, FedSubnet>,
  ): Map<number, FedSubnet> {
    if (ports === undefined) {
      this.#last = new Set()
      this.#ends.clear()
      return new Map()
    }
    const now = new Set(ports.map(({ virtualSubnetId }) => virtualSubnetId).filter((id) => id !== 0))
    const left = this.follow(now).filter((id) => known.has(id))
    return fedSubnets(
      [...now, ...left].map((virtualSubnetId) => ({ virtualSubnetId })),
      known,
    )
  }
}
