// The usable NIC switch as NDIS keeps it: its parameters, VFs, VPorts and filters, and the report on it (SR-121).
import { DEFAULT_VPORT_ID, SwitchCaps } from './identifiers.ts'
import type { NicSwitchCapabilities, SwitchInfo, SwitchParameters } from './payloads.ts'
import { ReceiveFilters } from './receive-filters.ts'
import { Vfs } from './vfs.ts'
import { VPorts } from './vports.ts'

export interface SwitchState {
  parameters: SwitchParameters
  readonly capabilities: NicSwitchCapabilities
  readonly vfs: Vfs
  readonly vports: VPorts
  readonly filters: ReceiveFilters
}

export const createSwitchState = (parameters: SwitchParameters, capabilities: NicSwitchCapabilities): SwitchState => ({
  parameters: Object.freeze({ ...parameters }),
  capabilities,
  vfs: new Vfs(),
  vports: new VPorts(capabilities, parameters.numQueuePairsForDefaultVPort),
  filters: new ReceiveFilters(
    capabilities.maxNumMacAddresses,
    (capabilities.nicSwitchCapabilities & SwitchCaps.vlanSupported) !== 0,
  ),
})

/** NDIS_NIC_SWITCH_INFO */
export function describeSwitch(state: SwitchState): SwitchInfo {
  const { parameters, capabilities, vports, filters, vfs } = state
  const all = vports.list()
  const others = all.filter(({ id }) => id !== DEFAULT_VPORT_ID)
  const onDefault = filters.list(DEFAULT_VPORT_ID)
  const onOthers = filters.list().filter(({ vport }) => vport !== DEFAULT_VPORT_ID)
  const withVlan = (list: typeof onDefault): number => list.filter(({ key }) => key.vlan > 0).length
  return {
    switchType: parameters.switchType,
    switchId: parameters.switchId,
    switchFriendlyName: parameters.switchFriendlyName,
    numVFs: parameters.numVFs,
    numAllocatedVFs: vfs.size,
    numVPorts: capabilities.maxNumVPorts,
    numActiveVPorts: all.length,
    numQueuePairsForDefaultVPort: vports.get(DEFAULT_VPORT_ID)!.parameters.numQueuePairs,
    numQueuePairsForNonDefaultVPorts: others.reduce((sum, { parameters: p }) => sum + p.numQueuePairs, 0),
    numActiveDefaultVPortMacAddresses: onDefault.length,
    numActiveNonDefaultVPortMacAddresses: onOthers.length,
    numActiveDefaultVPortVlanIds: withVlan(onDefault),
    numActiveNonDefaultVPortVlanIds: withVlan(onOthers),
  }
}
