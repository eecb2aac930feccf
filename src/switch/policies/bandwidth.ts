// The accounts of bandwidth, a policy that is built into the switch: ports reserve of what the switch has (spec 7.6). Who may send how
// much is a matter of switch/bandwidth.
//
// The rules it must not break: what ports reserved is never more than the switch has; a validation port takes nothing of it (ES-524);
// no extension hears of it (ES-253).
import type { BandwidthProperty } from '../../ndis/standard-properties.ts'
import { NdisStatus } from '../../ndis/status.ts'
import { PropertyError } from './property.ts'
import { type PropertyStore, SWITCH_SCOPE } from './property-store.ts'

const BITS_PER_MEGABIT = 1e6

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

  /** What is set for the switch. */
  get ofSwitch(): BandwidthProperty | undefined {
    return this.#of(SWITCH_SCOPE)
  }

  // Without what `except` reserves.
  #reserved(except = SWITCH_SCOPE): number {
    let sum = 0
    for (const scope of this.#store.scopes())
      if (scope !== SWITCH_SCOPE && scope !== except && !this.#isValidationPort(scope))
        sum += (this.#of(scope)?.minimumBandwidthAbsolute ?? 0) / BITS_PER_MEGABIT
    return sum
  }

  /** The accounts now. */
  get now(): Bandwidth {
    const capacityMbps = (this.#of(SWITCH_SCOPE)?.capacity ?? Number.POSITIVE_INFINITY) / BITS_PER_MEGABIT
    const reservedMbps = this.#reserved()
    return { capacityMbps, reservedMbps, availableMbps: capacityMbps - reservedMbps }
  }

  /** Throws PropertyError PROPERTY_VETOED with status RESOURCES if the switch can't give what a scope is to have. */
  check(scope: number, wanted: BandwidthProperty, port: string): void {
    const { capacityMbps: capacity } = this.now
    if (scope === SWITCH_SCOPE) {
      const reserved = this.#reserved()
      if (wanted.capacity !== undefined && wanted.capacity / BITS_PER_MEGABIT < reserved)
        throw refusal(`ports have reserved ${reserved} Mbit/s already, more than ${wanted.capacity / BITS_PER_MEGABIT}`)
      this.#checkMode(wanted)
      return
    }
    this.#checkKind(wanted, `port "${port}"`, this.#of(SWITCH_SCOPE)?.minimumBandwidthMode)
    const reservation = (wanted.minimumBandwidthAbsolute ?? 0) / BITS_PER_MEGABIT
    // ES-151, ES-524: of a validation port only the range is checked.
    const available = this.#isValidationPort(scope) ? capacity : capacity - this.#reserved(scope)
    if (reservation > available)
      throw refusal(`port "${port}" can't reserve ${reservation} Mbit/s: the switch has ${available} of ${capacity} left`)
  }

  // A mode that ports' settings don't fit is refused too.
  #checkMode(wanted: BandwidthProperty): void {
    const { minimumBandwidthMode: mode } = wanted
    const { defaultFlowMinimumBandwidthAbsolute: absolute, defaultFlowMinimumBandwidthWeight: weight } = wanted
    this.#checkKind({ minimumBandwidthAbsolute: absolute, minimumBandwidthWeight: weight }, 'the default flow', mode)
    for (const scope of this.#store.scopes())
      if (scope !== SWITCH_SCOPE) this.#checkKind(this.#of(scope) ?? {}, `port ${scope}`, mode)
  }

  #checkKind(
    { minimumBandwidthAbsolute: absolute, minimumBandwidthWeight: weight }: BandwidthProperty,
    whose: string,
    mode: BandwidthProperty['minimumBandwidthMode'],
  ): void {
    if (mode === undefined) return
    const is =
      absolute !== undefined && mode !== 'absolute' ? 'absolute' : weight !== undefined && mode !== 'weight' ? 'a weight' : ''
    if (is !== '') throw refusal(`the minimum bandwidth of ${whose} is ${is}, and minimumBandwidthMode of the switch is ${mode}`)
  }
}

const refusal = (message: string): PropertyError => new PropertyError('PROPERTY_VETOED', message, NdisStatus.resources)
