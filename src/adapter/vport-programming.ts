// Programs the NIC switch: keeps the data path's tables in step with VPorts, their filters and the settings of their functions.
//
// The rule it must not break: a VPort lets nothing pass before it is Activated and has a filter, nor after its last filter went
// (SR-170, SR-214, SR-216).
import { NdisStatus } from '../ndis/status.ts'
import type { DataTables } from './data-tables.ts'
import { ANY_VLAN } from './filter-table.ts'
import { DEFAULT_VPORT_ID } from './identifiers.ts'
import type { Filter } from './receive-filters.ts'
import type { VfFunction } from './vf-function.ts'
import { VPortFlag } from './vport-table.ts'

const PRIORITY_SHIFT = 13

/** A VPort as it is programmed. `vf`: its function, undefined for the PF. */
interface Programmed {
  readonly vf: VfFunction | undefined
  activated: boolean
  readonly filters: Map<number, Filter>
}

export class VPortProgramming {
  readonly #tables: DataTables
  readonly #vports = new Map<number, Programmed>()
  #pfMac: string
  #wireExists = false
  #wireUp = false

  constructor(tables: DataTables, pfMac: string) {
    this.#tables = tables
    this.#pfMac = pfMac
  }

  /** Adds a VPort. */
  add(id: number, vf: VfFunction | undefined, activated: boolean): void {
    this.#vports.set(id, { vf, activated, filters: new Map() })
    this.refresh(id)
  }

  /** Takes a VPort out; its filters are gone already. */
  remove(id: number): void {
    this.#vports.delete(id)
    this.#tables.vports.clear(id)
    this.#tables.rates.set(id, { maxMbps: 0, minMbps: 0 }, 0)
  }

  /** Lets a Deactivated VPort's filters match from now on. */
  activate(id: number): NdisStatus {
    const vport = this.#vports.get(id)!
    if (vport.activated) return NdisStatus.success
    for (const filter of vport.filters.values())
      if (!this.#tables.filters.set(filter.key, id)) {
        for (const undone of vport.filters.values()) this.#tables.filters.clear(undone.key)
        return NdisStatus.resources
      }
    vport.activated = true
    this.refresh(id)
    return NdisStatus.success
  }

  /** SET_FILTER. The filter of a Deactivated VPort does not match yet. */
  setFilter(filter: Filter): NdisStatus {
    const vport = this.#vports.get(filter.vport)!
    const { filters } = this.#tables
    if (!filters.allowSource(filter.key.mac, filter.vport)) return NdisStatus.resources
    if (vport.activated && !filters.set(filter.key, filter.vport)) {
      this.#denyUnused(vport, filter)
      return NdisStatus.resources
    }
    vport.filters.set(filter.id, filter)
    this.refresh(filter.vport)
    return NdisStatus.success
  }

  /** CLEAR_FILTER: it can't fail. */
  clearFilter(filter: Filter): void {
    const vport = this.#vports.get(filter.vport)
    if (!vport) return
    if (vport.activated) this.#tables.filters.clear(filter.key)
    vport.filters.delete(filter.id)
    this.#denyUnused(vport, filter)
    this.refresh(filter.vport)
  }

  /** MOVE_FILTER: the destination is made ready, then one word changes, then the source is told (SR-221). */
  moveFilter(filter: Filter, to: number): NdisStatus {
    const from = this.#vports.get(filter.vport)!
    const target = this.#vports.get(to)!
    const { filters } = this.#tables
    if (!filters.allowSource(filter.key.mac, to)) return NdisStatus.resources
    target.filters.set(filter.id, filter)
    if (target.activated) this.refresh(to)
    if (target.activated && !filters.set(filter.key, to)) {
      target.filters.delete(filter.id)
      this.#denyUnused(target, filter, to)
      this.refresh(to)
      return NdisStatus.resources
    }
    if (!target.activated && from.activated) filters.clear(filter.key)
    from.filters.delete(filter.id)
    this.#denyUnused(from, filter)
    this.refresh(filter.vport)
    return NdisStatus.success
  }

  // An address stays a permitted source while another filter of the VPort has it.
  #denyUnused(vport: Programmed, filter: Filter, id = filter.vport): void {
    for (const other of vport.filters.values()) if (other.key.mac === filter.key.mac) return
    this.#tables.filters.denySource(filter.key.mac, id)
  }

  /** The wire came, went, or changed its link. */
  setWire(exists: boolean, up: boolean): void {
    this.#wireExists = exists
    this.#wireUp = up
    const flags = (exists ? VPortFlag.active : 0) | (up ? 0 : VPortFlag.linkDown)
    this.#tables.vports.set(this.#tables.vports.wire, { flags, mac: undefined, accessTag: 0, admitted: 'all' })
    for (const id of this.#vports.keys()) this.refresh(id)
  }

  /** True if the VF's guest sees a link: as the host set it, or as the wire is. Without a wire VFs reach each other. */
  linkUp(vf: VfFunction): boolean {
    const { linkMode } = vf.settings
    if (linkMode !== 'auto') return linkMode === 'enable'
    return !this.#wireExists || this.#wireUp
  }

  /** Writes what the data path must know of a VPort. */
  refresh(id: number): void {
    const vport = this.#vports.get(id)
    if (!vport) return
    const vlans = new Set([...vport.filters.values()].map(({ key }) => key.vlan))
    const admitted = vlans.has(ANY_VLAN) ? 'all' : vlans
    const { vf } = vport
    const serving = vport.activated && (id === DEFAULT_VPORT_ID || vport.filters.size > 0) // SR-170, SR-214
    const [only] = vlans
    // All filters test one VLAN: the guest does not know it (5.1 step 8).
    const accessVlan = vf && vlans.size === 1 && only !== undefined && only > 0 ? only : 0
    const untaggedOnly = vlans.size === 1 && only === 0
    let flags = serving ? VPortFlag.active : 0
    if (vf) {
      flags |= VPortFlag.vf | this.#functionFlags(vf)
      if (accessVlan !== 0) flags |= VPortFlag.access
      if (accessVlan !== 0 || untaggedOnly) flags |= VPortFlag.strip
    } else if (id !== DEFAULT_VPORT_ID) flags |= VPortFlag.strip // SR-208, SR-211: the tag goes up out of band
    this.#tables.vports.set(id, {
      flags,
      mac: vf ? vf.mac : id === DEFAULT_VPORT_ID ? this.#pfMac : undefined,
      accessTag: accessVlan === 0 ? 0 : accessVlan | ((vf?.settings.qos ?? 0) << PRIORITY_SHIFT),
      admitted: vf ? admitted : 'all',
    })
  }

  #functionFlags(vf: VfFunction): number {
    const { settings } = vf
    let flags = 0
    if (settings.spoofCheck) flags |= VPortFlag.checkSource
    if (settings.trust) flags |= VPortFlag.stackedTags
    if (!this.linkUp(vf)) flags |= VPortFlag.linkDown
    if (vf.asleep) flags |= VPortFlag.asleep // PD-15
    if (vf.allMulticast) flags |= VPortFlag.allMulticast
    if (vf.promiscuous) flags |= VPortFlag.promiscuous
    return flags
  }
}
