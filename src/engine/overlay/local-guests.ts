// Guests of virtual subnets behind ports of this switch, on the control thread: their MAC addresses lead to their ports, and the router knows
// their IP addresses.
//
// The rule it must not break: a guest that is here is found here, whatever look-up records say; when it goes, its record counts again.
import { parseMac } from '../../packet/addresses.ts'
import { ipBytes } from '../../packet/build.ts'
import { macText } from '../../switch/mac-table.ts'
import { KnownAs } from '../../switch/overlay/address-answers.ts'
import type { OverlayChange } from '../../switch/overlay/plan.ts'
import type { LookupRecords } from '../../switch/overlay/records.ts'
import { PortFlag, type PortTable } from '../../switch/port-table.ts'
import type { CustomerPlaces } from './customer-places.ts'

const NO_MAC = '00:00:00:00:00:00'

/** What is known of a port in a subnet. */
interface Guest {
  readonly subnet: number
  readonly vsid: number
  readonly mac: string
  readonly addresses: readonly string[]
}

export interface LocalGuestsComponents {
  readonly table: PortTable
  readonly records: LookupRecords
  readonly places: CustomerPlaces
  /** IP addresses of the guest behind a port. */
  readonly addressesOf: (port: number) => readonly string[]
  /** A guest is here no more. */
  readonly departed: (subnet: number, mac: string) => void
}

export class LocalGuests {
  readonly #components: LocalGuestsComponents
  readonly #guests = new Map<number, Guest>()
  readonly #keys = new Map<string, number>()

  constructor(components: LocalGuestsComponents) {
    this.#components = components
  }

  /** True if a port of this switch has the guest. */
  has(subnet: number, mac: string): boolean {
    return this.#keys.has(`${subnet}/${mac}`)
  }

  /** Ports, their subnets, or the addresses of their guests may be others now. Returns what processors are to be told. */
  follow(): OverlayChange['addresses'] {
    const { table, departed } = this.#components
    const told: OverlayChange['addresses'][number][] = []
    const last = Math.max(table.highest, ...this.#guests.keys())
    for (let port = 1; port <= last; port++) {
      const guest = this.#guestOf(port)
      const known = this.#guests.get(port)
      if (isSame(guest, known)) continue
      if (known !== undefined) told.push(...this.#forget(port, known))
      if (guest !== undefined) told.push(...this.#note(port, guest))
      if (known !== undefined && !this.has(known.subnet, known.mac)) departed(known.subnet, known.mac)
    }
    return told
  }

  #guestOf(port: number): Guest | undefined {
    const { table, records, addressesOf } = this.#components
    if (!table.connected(port) || (table.flags(port) & PortFlag.externalSubnet) !== 0) return undefined
    const vsid = table.subnet(port)
    const subnet = records.subnetIndex(vsid)
    const mac = macText(table.macLow(port), table.macHigh(port))
    return subnet === 0 || mac === NO_MAC ? undefined : { subnet, vsid, mac, addresses: addressesOf(port) }
  }

  #note(port: number, guest: Guest): OverlayChange['addresses'] {
    this.#guests.set(port, guest)
    this.#keys.set(`${guest.subnet}/${guest.mac}`, port)
    this.#components.places.set(guest.mac, guest.subnet, port)
    return addressesOf(guest, false)
  }

  #forget(port: number, guest: Guest): OverlayChange['addresses'] {
    const { records, places, table } = this.#components
    const { subnet, vsid, mac } = guest
    this.#guests.delete(port)
    if (this.#keys.get(`${subnet}/${mac}`) !== port) return addressesOf(guest, true)
    this.#keys.delete(`${subnet}/${mac}`)
    places.remove(mac, subnet)
    const isKnown = records.subnetIndex(vsid) === subnet
    const record = isKnown ? records.list({ vsid, mac })[0] : undefined
    const peer = record === undefined ? undefined : records.peers().get(record.provider)
    if (record === undefined || peer === undefined) return addressesOf(guest, true)
    places.set(mac, subnet, table.ports + peer)
    return [...addressesOf(guest, true), ...recordAddresses(record, false)]
  }
}

const isSame = (a: Guest | undefined, b: Guest | undefined): boolean =>
  a?.subnet === b?.subnet && a?.mac === b?.mac && a?.addresses.join() === b?.addresses.join()

const addressesOf = ({ vsid, mac, addresses }: Guest, gone: boolean): OverlayChange['addresses'] =>
  addresses.map((address) => ({ vsid, address: ipBytes(address), mac: parseMac(mac), gone, kind: KnownAs.local }))

/** The addresses of a look-up record as processors are told of them. */
export const recordAddresses = (
  { vsid, mac, addresses }: { readonly vsid: number; readonly mac: string; readonly addresses: readonly string[] },
  gone: boolean,
): OverlayChange['addresses'] => addresses.map((address) => ({ vsid, address: ipBytes(address), mac: parseMac(mac), gone }))
