// Constants, enumerations and flags of the SR-IOV interface with their header values (spec 1.3, 2.5, 2.6, 2.9).

export const DEFAULT_SWITCH_ID = 0
export const DEFAULT_VPORT_ID = 0
/** AttachedFunctionId of a VPort of the PF. */
export const PF_FUNCTION_ID = 0xffff
/** VFId in the input of ALLOCATE_VF: the same number as PF_FUNCTION_ID. */
export const INVALID_VF_FUNCTION_ID = 0xffff
/** RequestorId in the input of ALLOCATE_VF. */
export const INVALID_RID = 0xffffffff
export const DEFAULT_RECEIVE_QUEUE_ID = 0
/** FilterId in the input of SET_FILTER: "a new filter"; never a real one. */
export const DEFAULT_RECEIVE_FILTER_ID = 0
/** Base address registers of a function (PCI_TYPE0_ADDRESSES). */
export const BARS_MAX = 6
/** Bytes of one configuration block transfer (VPCI_MAX_READ_WRITE_BLOCK_SIZE). */
export const CONFIG_BLOCK_BYTES_MAX = 128
/** Blocks that can be invalidated. */
export const INVALIDATABLE_BLOCKS = 64
/** Bytes of a PCIe function's configuration space. */
export const CONFIG_SPACE_BYTES = 4096
/** Characters of a name (IF_MAX_STRING_SIZE). */
export const NAME_CHARACTERS_MAX = 256
export const MAC_ADDRESS_BYTES = 6

/** NDIS_NIC_SWITCH_TYPE: only external is legal. */
export const SwitchType = { unspecified: 0, external: 1 } as const

/** NDIS_NIC_SWITCH_VPORT_STATE */
export const VPortState = { undefined: 0, activated: 1, deactivated: 2 } as const
export type VPortState = (typeof VPortState)[keyof typeof VPortState]

/** NDIS_NIC_SWITCH_VPORT_INTERRUPT_MODERATION */
export const InterruptModeration = { undefined: 0, adaptive: 1, off: 2, low: 100, medium: 200, high: 300 } as const
export type InterruptModeration = (typeof InterruptModeration)[keyof typeof InterruptModeration]

/** NDIS_DEVICE_POWER_STATE */
export const PowerState = { unspecified: 0, d0: 1, d1: 2, d2: 3, d3: 4 } as const
export type PowerState = (typeof PowerState)[keyof typeof PowerState]

/** NDIS_SRIOV_CAPABILITIES.SriovCapabilities */
export const SriovCaps = { sriovSupported: 0x1, pfMiniport: 0x2, vfMiniport: 0x4 } as const

/** NDIS_NIC_SWITCH_CAPABILITIES.NicSwitchCapabilities */
export const SwitchCaps = {
  vlanSupported: 0x1,
  perVPortInterruptModeration: 0x2,
  asymmetricQueuePairs: 0x4,
  vfRss: 0x8,
  singleVPortPool: 0x10,
  nicSwitchWithoutIov: 0x40,
  rssOnPfVPorts: 0x80,
  rssPerVPortTable: 0x100,
  rssPerVPortHashFunction: 0x200,
  rssPerVPortHashType: 0x400,
  rssPerVPortHashKey: 0x800,
  rssTableSizeRestricted: 0x1000,
} as const

/** NDIS_NIC_SWITCH_PARAMETERS.Flags */
export const SWITCH_NAME_CHANGED = 0x00010000

/** NDIS_NIC_SWITCH_VPORT_PARAMETERS.Flags */
export const VPortParams = {
  lookaheadSplitEnabled: 0x1,
  flagsChanged: 0x00010000,
  nameChanged: 0x00020000,
  interruptModerationChanged: 0x00040000,
  stateChanged: 0x00080000,
  processorAffinityChanged: 0x00100000,
  numQueuePairsChanged: 0x00800000,
} as const

/** Selector flags of ENUM_VPORTS, ENUM_VFS and ENUM_FILTERS. */
export const EnumVPorts = { onSpecificFunction: 0x1, onSpecificSwitch: 0x2 } as const
export const ENUM_VFS_ON_SPECIFIC_SWITCH = 0x1
export const ENUM_FILTERS_VPORT_SPECIFIED = 0x1

/** NDIS_RECEIVE_FILTER_TYPE */
export const FilterType = { undefined: 0, vmQueue: 1, packetCoalescing: 2 } as const
/** NDIS_RECEIVE_FILTER_TEST */
export const FilterTest = { undefined: 0, equal: 1, maskEqual: 2, notEqual: 3 } as const
/** NDIS_FRAME_HEADER */
export const FrameHeader = { undefined: 0, mac: 1, arp: 2, ipv4: 3, ipv6: 4, udp: 5 } as const
/** NDIS_MAC_HEADER_FIELD */
export const MacField = { undefined: 0, destinationAddress: 1, sourceAddress: 2, protocol: 3, vlanId: 4 } as const
/** NDIS_RECEIVE_FILTER_PARAMETERS.Flags: the MAC test is for the inner Ethernet header. */
export const FILTER_PACKET_ENCAPSULATION = 0x2
/** NDIS_RECEIVE_FILTER_FIELD_PARAMETERS.Flags */
export const FIELD_VLAN_UNTAGGED_OR_ZERO = 0x1

/** NDIS_RECEIVE_FILTER_CAPABILITIES members */
export const FilterCaps = {
  vmqFiltersEnabled: 0x1,
  vmQueuesEnabled: 0x1,
  msiXSupported: 0x1,
  vmQueueSupported: 0x2,
  lookaheadSplitSupported: 0x4,
  dynamicAffinitySupported: 0x8,
  interruptCoalescingSupported: 0x10,
  anyVlanSupported: 0x20,
  testEqual: 0x1,
  macHeader: 0x1,
  destinationAddress: 0x1,
  vlanId: 0x8,
} as const

/** Partition that a driver finds itself in (NDIS_HYPERVISOR_PARTITION_TYPE). */
export const PartitionType = { unknown: 0, parent: 1, child: 2 } as const
export type PartitionType = (typeof PartitionType)[keyof typeof PartitionType]

/** The requester id of a function: segment, bus and function number (NDIS_MAKE_RID). */
export const makeRid = (segment: number, bus: number, fn: number): number => ((segment << 16) | (bus << 8) | fn) >>> 0
