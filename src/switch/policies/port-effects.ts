// What the standard properties of a port mean for the data path: the fields of the port table that the switch enforces where no
// forwarding extension does (spec 7.5); and its protection, which the switch enforces always (spec 7.6).

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

// What isolation makes of a port: its guest tags with isolation ids, or has none at all (ES-541). Undefined: nothing.
function isolationEntry({ security, isolation, routingDomains = [] }: PortPolicy): VlanEntry | undefined {
  if (isolation === undefined || isolation.mode === 'none') return undefined
  const { mode, allowUntaggedTraffic, defaultIsolationId } = isolation
  if (mode !== 'vlan') {
    const hasId = (security?.virtualSubnetId ?? 0) !== 0
    return hasId || allowUntaggedTraffic ? undefined : { mode: VlanMode.trunk, primary: NO_VLAN }
  }
  const ids = routingDomains.flatMap(({ isolationIds }) =>
    isolationIds.map(({ isolationId }): VlanRange => [isolationId, isolationId]),
  )
  const set = vlansOf(routingDomains.length === 0 ? [[1, VLAN_MAX]] : ids)
  return { mode: VlanMode.trunk, primary: allowUntaggedTraffic ? defaultIsolationId : NO_VLAN, set }
}

/** Writes the properties of a port into the port table; those that are absent take their defaults. */
export function applyPolicy(table: PortTable, portId: number, policy: PortPolicy): void {
  const { security, vlan, isolation } = policy
  // Access mode with VLAN 0 is the state of a port without the property: untagged.
  const plain = vlan === undefined || (vlan.mode === 'access' && vlan.accessVlanId === 0)
  table.setVlan(portId, isolationEntry(policy) ?? (plain ? undefined : vlanEntry(vlan)))
  const external = isolation?.mode === 'external-virtual-subnet'
  const bySubnet = external || isolation?.mode === 'native-virtual-subnet'
  const untagged = bySubnet && isolation.allowUntaggedTraffic ? isolation.defaultIsolationId : 0 // ES-541
  table.setSubnet(portId, security?.virtualSubnetId || untagged, external) // ES-529, ES-542
  table.setGuards(portId, policy.protection)
  table.bandwidth.set(portId, policy.bandwidth)
  table.setIpLimit(portId, security?.dynamicIpAddressLimit ?? 0) // ES-530
  table.setPriorityTag(portId, security?.allowIeeePriorityTag ?? true) // ES-528; without the property priority passes
}
