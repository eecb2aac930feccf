// What the properties of a VM's port mean for a VF: the VLAN of its filters, its rates, and what a VF can't carry out, so that the VM stays on the
// synthetic path (SR-256).
//
// The rule it must not break: a policy that the NIC switch does not enforce is never passed by with a VF.
import { ANY_VLAN } from '../../adapter/filter-table.ts'
import type { VfSettings } from '../../adapter/vf-settings.ts'
import type {
  BandwidthProperty,
  IsolationProperty,
  ProtectionProperty,
  SecurityProperty,
  VlanProperty,
} from '../../ndis/standard-properties.ts'
import type { InForce } from '../../switch/policies/imposed.ts'
import { isGuarded } from '../../switch/policies/protection.ts'
import { MonitorMode, type PortTable } from '../../switch/port-table.ts'

const BITS_PER_MBIT = 1e6

/** What is in force at a port. */
export type PropertiesOf = (portId: number) => readonly InForce[]

export class VmPolicies {
  readonly #propertiesOf: PropertiesOf
  readonly #table: Pick<PortTable, 'monitorMode' | 'tenants'>

  constructor(propertiesOf: PropertiesOf, table: Pick<PortTable, 'monitorMode' | 'tenants'>) {
    this.#propertiesOf = propertiesOf
    this.#table = table
  }

  #property<T>(portId: number, type: string): T | undefined {
    return this.#propertiesOf(portId).find((property) => property.type === type)?.property as T | undefined
  }

  /** VLAN of the VM's filters: that of an access port; 0 = untagged; ANY_VLAN without the property: tags are the guest's own. */
  vlan(portId: number): number {
    const vlan = this.#property<VlanProperty>(portId, 'vlan')
    if (vlan === undefined) return ANY_VLAN
    return vlan.mode === 'access' ? vlan.accessVlanId : 0
  }

  /**
   * Megabits per second that the VM's VF may send at the most, and has in any case; 0 = no limit, none kept. A VF is held to whole megabits: a
   * maximum is rounded down, a minimum up.
   */
  rates(portId: number): Pick<VfSettings, 'maxRateMbps' | 'minRateMbps'> {
    const { maximumBandwidth = 0, minimumBandwidthAbsolute = 0 } = this.#property<BandwidthProperty>(portId, 'bandwidth') ?? {}
    const maxRateMbps = Math.floor(maximumBandwidth / BITS_PER_MBIT)
    const minRateMbps = Math.ceil(minimumBandwidthAbsolute / BITS_PER_MBIT)
    return { maxRateMbps, minRateMbps: maxRateMbps === 0 ? minRateMbps : Math.min(minRateMbps, maxRateMbps) }
  }

  // What of a port's bandwidth a VF has no means for.
  #unmanaged(portId: number): string | undefined {
    const { maximumBandwidth, maximumReceiveBandwidth, minimumBandwidthWeight } =
      this.#property<BandwidthProperty>(portId, 'bandwidth') ?? {}
    if (maximumReceiveBandwidth !== undefined) return 'what it may get is limited (maximumReceiveBandwidth), which a VF is not'
    if (minimumBandwidthWeight !== undefined) return 'it has a weight of the uplink (minimumBandwidthWeight), which a VF has not'
    if (maximumBandwidth !== undefined && maximumBandwidth < BITS_PER_MBIT)
      return 'its maximumBandwidth is below 1 Mbit/s, the least that a VF can be held to'
    return undefined
  }

  /** Why the VM behind the port can't have a VF, as half a sentence; undefined: it can. */
  obstacle(portId: number): string | undefined {
    const vlan = this.#property<VlanProperty>(portId, 'vlan')
    if (vlan !== undefined && vlan.mode !== 'access') return `its VLAN property is of mode ${vlan.mode}`
    const security = this.#property<SecurityProperty>(portId, 'security')
    if (security !== undefined && security.virtualSubnetId !== 0) return 'it is in a virtual subnet'
    const protection = this.#property<ProtectionProperty>(portId, 'protection')
    if (protection !== undefined && isGuarded(protection)) return 'its frames pass guards of the switch'
    if (['acl', 'extended-acl'].some((type) => this.#property(portId, type) !== undefined))
      return 'its frames pass ACLs of the switch'
    const unmanaged = this.#unmanaged(portId)
    if (unmanaged !== undefined) return unmanaged
    const isolation = this.#property<IsolationProperty>(portId, 'isolation')
    if (isolation !== undefined && isolation.mode !== 'none') return `its isolation mode is ${isolation.mode}`
    if (this.#property(portId, 'routing-domain') !== undefined) return 'it is in a routing domain'
    if (this.#table.tenants[portId]! !== 0) return 'tenants are isolated'
    if (this.#table.monitorMode(portId) !== MonitorMode.none) return 'it takes part in port mirroring'
    return undefined
  }
}
