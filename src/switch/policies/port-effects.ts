// What the standard properties of a port mean for the data path: the fields of the port table that the switch enforces where no
// forwarding extension does (spec 7.5).

import { inVlanRanges, type VlanProperty, type VlanRange } from '../../ndis/standard-properties.ts'
import { NO_VLAN, type PortTable, type VlanEntry, VlanMode } from '../port-table.ts'
import type { PortPolicy } from './property-control.ts'

const VLAN_MAX = 4094

function* vlansOf(ranges: readonly VlanRange[], except: readonly VlanRange[] = []): Generator<number> {
  const blocked = new Set<number>()
  for (const [first, last] of except) for (let vlan = first; vlan <= last; vlan++) blocked.add(vlan)
  for (const [first, last] of ranges)
    for (let vlan = first; vlan <= last && vlan <= VLAN_MAX; vlan++) if (!blocked.has(vlan)) yield vlan
}

/** A VLAN property as the port table takes it. ES-531…ES-540 */
export function vlanEntry(vlan: VlanProperty): VlanEntry {
  switch (vlan.mode) {
    case 'access':
      return { mode: VlanMode.access, primary: vlan.accessVlanId }
    case 'trunk': {
      const pruned = inVlanRanges(vlan.pruneVlanIds, vlan.nativeVlanId)
      const set = vlansOf(vlan.trunkVlanIds, vlan.pruneVlanIds)
      return { mode: VlanMode.trunk, primary: pruned ? NO_VLAN : vlan.nativeVlanId, set } // ES-535
    }
    case 'private':
      if (vlan.pvlanMode === 'promiscuous')
        return { mode: VlanMode.promiscuous, primary: vlan.primaryVlanId, set: vlansOf(vlan.secondaryVlanIds) }
      return {
        mode: vlan.pvlanMode === 'isolated' ? VlanMode.isolated : VlanMode.community,
        primary: vlan.primaryVlanId,
        secondary: vlan.secondaryVlanId,
      }
  }
}

/** Writes the properties of a port into the port table; those that are absent take their defaults. */
export function applyPolicy(table: PortTable, portId: number, { security, vlan, isolation }: PortPolicy): void {
  // Access mode with VLAN 0 is the state of a port without the property: untagged.
  const plain = vlan === undefined || (vlan.mode === 'access' && vlan.accessVlanId === 0)
  table.setVlan(portId, plain ? undefined : vlanEntry(vlan))
  table.setSubnet(portId, security?.virtualSubnetId ?? 0, isolation?.mode === 'external-virtual-subnet') // ES-529, ES-542
  table.setPriorityTag(portId, security?.allowIeeePriorityTag ?? true) // ES-528; without the property priority passes
}
