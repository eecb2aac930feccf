// The sending side of a ring whose driver is about to stop: once the ring is off, frames wait in another queue, in order, for whoever
// takes them over.
//
// The rule it must not break: after the first frame that was parked no frame goes to the ring.
import type { EndpointQueue } from '../endpoints/endpoint.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import type { SinkQueue } from '../switch/delivery.ts'

export class ParkingSink implements SinkQueue {
  refusal: number = DropReason.none
  readonly #ring: SinkQueue | null
  readonly #place: Pick<EndpointQueue, 'offloads' | 'deliver' | 'refusal'>
  #isOff: boolean

  /** `ring`: null where it is off already. */
  constructor(ring: SinkQueue | null, place: Pick<EndpointQueue, 'offloads' | 'deliver' | 'refusal'>) {
    this.#ring = ring
    this.#place = place
    this.#isOff = ring === null
  }

  get offloads(): number {
    return this.#ring === null ? this.#place.offloads : this.#ring.offloads & this.#place.offloads
  }

  deliver(list: number, count: number): number {
    if (this.#ring !== null && !this.#isOff) {
      const taken = this.#ring.deliver(list, count)
      this.refusal = this.#ring.refusal
      if (taken !== 0 || this.refusal !== DropReason.linkDown) return taken
      this.#isOff = true
    }
    const parked = this.#place.deliver(list, count)
    this.refusal = this.#place.refusal
    return parked
  }
}
