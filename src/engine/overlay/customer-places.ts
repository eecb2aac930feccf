// Where guests and the router are, as the control thread writes it into the table of customers: it notes which found no room.
//
// The rule it must not break: what has no room is told of once, and counted until it has or goes.
import type { MacTable } from '../../switch/mac-table.ts'

export interface CustomerPlacesComponents {
  readonly table: MacTable
  /** A guest (MAC address, number of its subnet) found no room. */
  readonly full: (mac: string, subnet: number) => void
}

export class CustomerPlaces {
  readonly #components: CustomerPlacesComponents
  readonly #without = new Set<string>()

  constructor(components: CustomerPlacesComponents) {
    this.#components = components
  }

  /** Guests without room: frames to them are flooded. */
  get unplaced(): number {
    return this.#without.size
  }

  set(mac: string, subnet: number, place: number): void {
    const { table, full } = this.#components
    const key = `${subnet}/${mac}`
    if (table.addStatic(mac, subnet, place)) this.#without.delete(key)
    else if (!this.#without.has(key)) {
      this.#without.add(key)
      full(mac, subnet)
    }
  }

  remove(mac: string, subnet: number): void {
    this.#without.delete(`${subnet}/${mac}`)
    this.#components.table.remove(mac, subnet)
  }

  /** Forgets a subnet. */
  flush(subnet: number): void {
    for (const key of this.#without) if (key.startsWith(`${subnet}/`)) this.#without.delete(key)
    this.#components.table.flush({ vlan: subnet })
  }
}
