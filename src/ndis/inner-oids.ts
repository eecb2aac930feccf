// OIDs that travel inside OID_SWITCH_NIC_REQUEST (spec 4.4), with their header values, and what a forwarding extension may do to each.
// An OID that is not in the table is a private one of a vendor: it may be wrapped for any physical adapter (ES-263).

/** OIDs that are carried to an adapter within OID_SWITCH_NIC_REQUEST, with their header values. */
export const InnerOid = {
  addMulticastAddress: 0x01010208,
  deleteMulticastAddress: 0x01010209,
  receiveFilterAllocateQueue: 0x00010223,
  receiveFilterFreeQueue: 0x00010224,
  receiveFilterSetFilter: 0x00010227,
  receiveFilterClearFilter: 0x00010228,
  receiveFilterQueueAllocationComplete: 0x0001022b,
  receiveFilterMoveFilter: 0x00010230,
  nicSwitchCreateVport: 0x00010241,
  nicSwitchDeleteVport: 0x00010244,
  nicSwitchAllocateVf: 0x00010245,
  nicSwitchFreeVf: 0x00010246,
  ipsecOffloadAddSa: 0xfc030202,
  ipsecOffloadDeleteSa: 0xfc030203,
  ipsecOffloadUpdateSa: 0xfc030204,
  ipsecOffloadAddSaEx: 0xfc030205,
} as const

interface InnerOidRule {
  readonly name: string
  /** The technology that the OID belongs to. */
  readonly of: 'multicast' | 'vmq' | 'sr-iov' | 'ipsec'
  /** True if a forwarding extension may fail it. */
  readonly veto: boolean
  /** The rule that says so. */
  readonly rule: string
  /** True for those that clear, free or complete an allocation (ES-271, ES-279). */
  readonly releases?: true
}

const rules: ReadonlyMap<number, InnerOidRule> = new Map<number, InnerOidRule>([
  [InnerOid.addMulticastAddress, { name: 'OID_802_3_ADD_MULTICAST_ADDRESS', of: 'multicast', veto: false, rule: 'ES-257' }],
  [InnerOid.deleteMulticastAddress, { name: 'OID_802_3_DELETE_MULTICAST_ADDRESS', of: 'multicast', veto: false, rule: 'ES-257' }],
  [InnerOid.receiveFilterAllocateQueue, { name: 'OID_RECEIVE_FILTER_ALLOCATE_QUEUE', of: 'vmq', veto: true, rule: 'ES-277' }],
  [InnerOid.receiveFilterSetFilter, { name: 'OID_RECEIVE_FILTER_SET_FILTER', of: 'vmq', veto: true, rule: 'ES-277' }],
  [
    InnerOid.receiveFilterFreeQueue,
    { name: 'OID_RECEIVE_FILTER_FREE_QUEUE', of: 'vmq', veto: false, rule: 'ES-279', releases: true },
  ],
  [
    InnerOid.receiveFilterClearFilter,
    { name: 'OID_RECEIVE_FILTER_CLEAR_FILTER', of: 'vmq', veto: false, rule: 'ES-279', releases: true },
  ],
  [
    InnerOid.receiveFilterQueueAllocationComplete,
    { name: 'OID_RECEIVE_FILTER_QUEUE_ALLOCATION_COMPLETE', of: 'vmq', veto: false, rule: 'ES-279', releases: true },
  ],
  [InnerOid.receiveFilterMoveFilter, { name: 'OID_RECEIVE_FILTER_MOVE_FILTER', of: 'sr-iov', veto: false, rule: 'ES-276' }],
  [InnerOid.nicSwitchCreateVport, { name: 'OID_NIC_SWITCH_CREATE_VPORT', of: 'sr-iov', veto: true, rule: 'ES-276' }],
  [InnerOid.nicSwitchAllocateVf, { name: 'OID_NIC_SWITCH_ALLOCATE_VF', of: 'sr-iov', veto: true, rule: 'ES-276' }],
  [
    InnerOid.nicSwitchDeleteVport,
    { name: 'OID_NIC_SWITCH_DELETE_VPORT', of: 'sr-iov', veto: false, rule: 'ES-279', releases: true },
  ],
  [InnerOid.nicSwitchFreeVf, { name: 'OID_NIC_SWITCH_FREE_VF', of: 'sr-iov', veto: false, rule: 'ES-279', releases: true }],
  [InnerOid.ipsecOffloadAddSa, { name: 'OID_TCP_TASK_IPSEC_OFFLOAD_V2_ADD_SA', of: 'ipsec', veto: false, rule: 'ES-275' }],
  [InnerOid.ipsecOffloadAddSaEx, { name: 'OID_TCP_TASK_IPSEC_OFFLOAD_V2_ADD_SA_EX', of: 'ipsec', veto: false, rule: 'ES-275' }],
  [InnerOid.ipsecOffloadUpdateSa, { name: 'OID_TCP_TASK_IPSEC_OFFLOAD_V2_UPDATE_SA', of: 'ipsec', veto: false, rule: 'ES-275' }],
  [
    InnerOid.ipsecOffloadDeleteSa,
    { name: 'OID_TCP_TASK_IPSEC_OFFLOAD_V2_DELETE_SA', of: 'ipsec', veto: false, rule: 'ES-275', releases: true },
  ],
])

/** What the table says of an inner OID; undefined for private ones. */
export const innerOidRule = (oid: number): InnerOidRule | undefined => rules.get(oid)

/** True for the OIDs of hardware offloads, the only ones for physical adapters that come from above the switch (ES-262). */
export const isOffloadOid = (oid: number): boolean => {
  const rule = rules.get(oid)
  return rule !== undefined && rule.of !== 'multicast'
}

export const isMulticastOid = (oid: number): boolean => rules.get(oid)?.of === 'multicast'
