// Flags of packet lists (spec 5.9), with their header values. Those without meaning in user space are kept for completeness.

/** Flags of packets on their way down, with their header values: NDIS_SEND_FLAGS_…. */
export const SendFlag = {
  dispatchLevel: 0x00000001,
  checkForLoopback: 0x00000002,
  singleQueue: 0x00000004,
  switchDestinationGroup: 0x00000010,
  switchSingleSource: 0x00000020,
} as const

/** Flags of packets whose way down is done: NDIS_SEND_COMPLETE_FLAGS_…. */
export const SendCompleteFlag = { dispatchLevel: 0x00000001, singleQueue: 0x00000002, switchSingleSource: 0x00000004 } as const

/** Flags of packets on their way up: NDIS_RECEIVE_FLAGS_…. */
export const ReceiveFlag = {
  dispatchLevel: 0x00000001,
  resources: 0x00000002,
  singleEtherType: 0x00000100,
  singleVlan: 0x00000200,
  perfectFiltered: 0x00000400,
  singleQueue: 0x00000800,
  sharedMemoryInfoValid: 0x00001000,
  moreNbls: 0x00002000,
  switchDestinationGroup: 0x00004000,
  switchSingleSource: 0x00008000,
} as const

/** Flags of packets whose way up is done: NDIS_RETURN_FLAGS_…. */
export const ReturnFlag = { dispatchLevel: 0x00000001, singleQueue: 0x00000002, switchSingleSource: 0x00000004 } as const
