// The payloads of the SR-IOV interface's requests as typed objects (spec 2.2 to 2.7). Members that are reserved, headers and buffer
// offsets are left out: an object knows its own length. MAC addresses are written 02:00:….
import type { InterruptModeration, PowerState, VPortState } from './identifiers.ts'

/** NDIS_SRIOV_CAPABILITIES */
export interface SriovCapabilities {
  readonly sriovCapabilities: number
}

/** NDIS_NIC_SWITCH_CAPABILITIES, revision 3 */
export interface NicSwitchCapabilities {
  readonly nicSwitchCapabilities: number
  readonly maxNumSwitches: number
  /** The default one included. */
  readonly maxNumVPorts: number
  readonly maxNumVFs: number
  /** Over all VPorts, the default one included. */
  readonly maxNumQueuePairs: number
  readonly maxNumQueuePairsPerNonDefaultVPort: number
  readonly maxNumMacAddresses: number
  /** 0: no RSS on VPorts of the PF. */
  readonly maxNumRssCapableNonDefaultPfVPorts: number
  readonly numberOfIndirectionTableEntriesForDefaultVPort: number
  readonly numberOfIndirectionTableEntriesPerNonDefaultPfVPort: number
  /** Given at CREATE_SWITCH. */
  readonly maxNumQueuePairsForDefaultVPort: number
}

/** NDIS_RECEIVE_FILTER_CAPABILITIES */
export interface ReceiveFilterCapabilities {
  readonly enabledFilterTypes: number
  readonly enabledQueueTypes: number
  readonly numQueues: number
  readonly supportedQueueProperties: number
  readonly supportedFilterTests: number
  readonly supportedHeaders: number
  readonly supportedMacHeaderFields: number
  readonly maxMacHeaderFilters: number
  /** Zero since NDIS 6.30. */
  readonly minLookaheadSplitSize: number
  readonly maxLookaheadSplitSize: number
}

/** NDIS_NIC_SWITCH_PARAMETERS, revision 2 */
export interface SwitchParameters {
  readonly flags: number
  readonly switchType: number
  readonly switchId: number
  readonly switchFriendlyName: string
  readonly numVFs: number
  /** Left out, as by a caller that knows revision 1 alone: 1. */
  readonly numQueuePairsForDefaultVPort?: number
}

/** NDIS_NIC_SWITCH_INFO */
export interface SwitchInfo {
  readonly switchType: number
  readonly switchId: number
  readonly switchFriendlyName: string
  readonly numVFs: number
  readonly numAllocatedVFs: number
  readonly numVPorts: number
  readonly numActiveVPorts: number
  readonly numQueuePairsForDefaultVPort: number
  readonly numQueuePairsForNonDefaultVPorts: number
  readonly numActiveDefaultVPortMacAddresses: number
  readonly numActiveNonDefaultVPortMacAddresses: number
  readonly numActiveDefaultVPortVlanIds: number
  readonly numActiveNonDefaultVPortVlanIds: number
}

/** NDIS_NIC_SWITCH_VPORT_PARAMETERS */
export interface VPortParameters {
  readonly flags: number
  readonly switchId: number
  readonly vPortId: number
  readonly vPortName: string
  readonly attachedFunctionId: number
  readonly numQueuePairs: number
  readonly interruptModeration: InterruptModeration
  readonly vPortState: VPortState
  /** Host processors of a PF VPort, by number; empty for a VF's. */
  readonly processorAffinity: readonly number[]
  readonly lookaheadSize: number
}

/** NDIS_NIC_SWITCH_VPORT_INFO */
export interface VPortInfo extends Omit<VPortParameters, 'flags'> {
  readonly numFilters: number
}

/** NDIS_NIC_SWITCH_VF_PARAMETERS and NDIS_NIC_SWITCH_VF_INFO */
export interface VfParameters {
  readonly switchId: number
  readonly vmName: string
  readonly vmFriendlyName: string
  readonly nicName: string
  readonly permanentMacAddress: string
  readonly currentMacAddress: string
  readonly vfId: number
  readonly requestorId: number
}

/** NDIS_RECEIVE_FILTER_FIELD_PARAMETERS. `fieldValue`: bytes in network order (SR-212). */
export interface FieldParameters {
  readonly flags: number
  readonly frameHeader: number
  readonly receiveFilterTest: number
  readonly headerField: number
  readonly fieldValue: readonly number[]
}

/** NDIS_RECEIVE_FILTER_PARAMETERS */
export interface FilterParameters {
  readonly flags: number
  readonly filterType: number
  readonly queueId: number
  readonly filterId: number
  readonly fieldParameters: readonly FieldParameters[]
  readonly requestedFilterIdBitCount: number
  readonly vPortId: number
}

/** NDIS_RECEIVE_FILTER_MOVE_FILTER_PARAMETERS */
export interface MoveFilterParameters {
  readonly filterId: number
  readonly sourceQueueId: number
  readonly sourceVPortId: number
  readonly destQueueId: number
  readonly destVPortId: number
}

/** NDIS_RECEIVE_FILTER_CLEAR_PARAMETERS */
export interface ClearFilterParameters {
  readonly queueId: number
  readonly filterId: number
}

/** NDIS_RECEIVE_FILTER_INFO */
export interface FilterInfo {
  readonly filterType: number
  readonly filterId: number
}

/** Selectors of the enumerations. */
export interface EnumVPortsInput {
  readonly flags: number
  readonly switchId: number
  readonly attachedFunctionId: number
}
export interface EnumVfsInput {
  readonly flags: number
  readonly switchId: number
}
export interface EnumFiltersInput {
  readonly flags: number
  readonly queueId: number
  readonly vPortId: number
}

export interface DeleteSwitchParameters {
  readonly switchId: number
}
export interface DeleteVPortParameters {
  readonly vPortId: number
}
export interface VfReference {
  readonly vfId: number
}

/** NDIS_SRIOV_READ/WRITE_VF_CONFIG_SPACE_PARAMETERS. `room`: bytes that the caller's buffer holds for the data of a read. */
export interface ReadConfigSpace extends VfReference {
  readonly offset: number
  readonly length: number
  readonly room: number
}
export interface WriteConfigSpace extends VfReference {
  readonly offset: number
  readonly data: Uint8Array
}

/** NDIS_SRIOV_READ/WRITE_VF_CONFIG_BLOCK_PARAMETERS */
export interface ReadConfigBlock extends VfReference {
  readonly blockId: number
  readonly length: number
  readonly room: number
}
export interface WriteConfigBlock extends VfReference {
  readonly blockId: number
  readonly data: Uint8Array
}

/** NDIS_SRIOV_SET_VF_POWER_STATE_PARAMETERS */
export interface SetPowerState extends VfReference {
  readonly powerState: PowerState
  readonly wakeEnable: boolean
}

/** NDIS_SRIOV_BAR_RESOURCES_INFO */
export interface BarResourcesInput extends VfReference {
  readonly barIndex: number
}

/** CM_PARTIAL_RESOURCE_DESCRIPTOR of type CmResourceTypeMemory: a window of the adapter's address space. */
export interface BarResources {
  readonly type: 'memory'
  readonly start: number
  readonly length: number
}
