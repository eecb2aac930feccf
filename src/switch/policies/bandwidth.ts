// The bandwidth policy, one that is built into the switch: ports reserve of what the switch has (spec 7.6). It keeps the accounts;
// packets are not shaped by it.
//
// The rules it must not break: what ports reserved is never more than the switch has; a validation port takes nothing of it (ES-524);
// no extension hears of it (ES-253).
import type { BandwidthProperty } from '../../ndis/standard-properties.ts'
import { NdisStatus } from '../../ndis/status.ts'
import { PropertyError } from './property.ts'
import { type PropertyStore, SWITCH_SCOPE } from './property-store.ts'

/** Mbit/s. */
export interface Bandwidth {
  /** What the switch has; without a bandwidth property of the switch there is no end to it. */
  readonly capacityMbps: number
  readonly reservedMbps: number
  readonly availableMbps: number
}

export class BandwidthAccounts {
  readonly #store: PropertyStore
  readonly #isValidationPort: (portId: number) => boolean

  constructor(store: PropertyStore, isValidationPort: (portId: number) => boolean) {
    this.#store = store
    this.#isValidationPort = isValidationPort
  }

  #of(scope: number): BandwidthProperty | undefined {
    return this.#store.list(scope).find(({ type }) => type === 'bandwidth')?.property as BandwidthProperty | undefined
  }

  // Without what `except` reserves.
  #reserved(except = SWITCH_SCOPE): number {
    let sum = 0
    for (const scope of this.#store.scopes())
      if (scope !== SWITCH_SCOPE && scope !== except && !this.#isValidationPort(scope))
        sum += this.#of(scope)?.reservationMbps ?? 0
    return sum
  }

  /** The accounts now. */
  get now(): Bandwidth {
    const capacityMbps = this.#of(SWITCH_SCOPE)?.capacityMbps ?? Number.POSITIVE_INFINITY
    const reservedMbps = this.#reserved()
    return { capacityMbps, reservedMbps, availableMbps: capacityMbps - reservedMbps }
  }

  /** Throws PropertyError PROPERTY_VETOED with status RESOURCES if the switch can't give what a scope is to have. */
  check(scope: number, { capacityMbps, reservationMbps = 0 }: BandwidthProperty, port: string): void {
    const { capacityMbps: capacity } = this.now
    if (scope === SWITCH_SCOPE) {
      const reserved = this.#reserved()
      if (capacityMbps !== undefined && capacityMbps < reserved)
        throw refusal(`ports have reserved ${reserved} Mbit/s already, more than ${capacityMbps}`)
      return
    }
    // ES-151, ES-524: of a validation port only the range is checked.
    const available = this.#isValidationPort(scope) ? capacity : capacity - this.#reserved(scope)
    if (reservationMbps > available)
      throw refusal(`port "${port}" can't reserve ${reservationMbps} Mbit/s: the switch has ${available} of ${capacity} left`)
  }
}

const refusal = (message: string): PropertyError => new PropertyError('PROPERTY_VETOED', message, NdisStatus.resources)
