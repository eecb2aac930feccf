// A filtering extension that gives units of something scarce to ports, by a property of its own. It shows what an extension does about
// validation ports: it checks what is written, takes nothing, and says no only when the operational port comes (spec 2.4, 7.3).
import {
  defineExtension,
  NdisStatus,
  Oid,
  type OidCompletion,
  type OidRequest,
  type PortParameters,
  type PortPropertyParameters,
  type SwitchHandle,
} from 'vmswitch/extension'

export const UNITS = '0d3c1f9f-0010-4c56-9b7e-7b0b6d0e5f10'
const UNITS_MAX = 8

export interface ReservationOptions {
  readonly units: number
  /** Also fails validation ports for which it has nothing left. */
  readonly hasty?: boolean
}

export default defineExtension<ReservationOptions>({
  id: '0d3c1f9f-0011-4c56-9b7e-7b0b6d0e5f11',
  name: 'reservation',
  version: '1.0.0',
  class: 'filtering',
  parseOptions: (raw) => raw as ReservationOptions,
  attach: (sw, options) => new Reservation(sw, options).handlers(),
})

class Reservation {
  readonly #sw: SwitchHandle
  readonly #options: ReservationOptions
  readonly #taken = new Map<number, number>()

  constructor(sw: SwitchHandle, options: ReservationOptions) {
    this.#sw = sw
    this.#options = options
  }

  handlers() {
    return {
      oid: (request: OidRequest) => this.#oid(request),
      oidComplete: ({ oid, payload }: OidRequest, { status }: OidCompletion) => {
        const { portId } = payload as PortParameters
        const undone = oid === Oid.portPropertyAdd && status !== NdisStatus.success
        if (oid === Oid.portDelete || undone) this.#taken.delete(portId)
      },
    }
  }

  #oid({ oid, payload }: OidRequest): OidCompletion | undefined {
    if (oid !== Oid.portPropertyAdd) return undefined
    const { portId, propertyId, property } = payload as PortPropertyParameters
    if (propertyId !== UNITS) return undefined
    if (!Number.isInteger(property) || (property as number) < 0 || (property as number) > UNITS_MAX)
      return { status: NdisStatus.dataNotAccepted } // ES-150: syntax and range are checked for every port
    const units = property as number
    const free = this.#options.units - [...this.#taken.values()].reduce((sum, one) => sum + one, 0)
    const validates = this.#sw.ports().find((port) => port.portId === portId)!.isValidationPort
    const refuses = units > free && (!validates || this.#options.hasty === true)
    if (!validates && !refuses) this.#taken.set(portId, units) // ES-152
    this.#sw.log(`${validates ? 'validation' : 'operational'} ${units} of ${free}${refuses ? ' refused' : ''}`)
    return refuses ? { status: NdisStatus.resources } : undefined // ES-151, ES-153
  }
}
