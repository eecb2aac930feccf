// The OIDs and status indications of the SR-IOV interface with their header values (spec 4.1 to 4.4).

export const AdapterOid = {
  genReceiveScaleCapabilities: 0x00010203,
  genReceiveScaleParameters: 0x00010204,
  genReceiveScaleParametersV2: 0x00010214,
  genRssSetIndirectionTableEntries: 0x000102c0,
  receiveFilterHardwareCapabilities: 0x00010221,
  receiveFilterGlobalParameters: 0x00010222,
  receiveFilterAllocateQueue: 0x00010223,
  receiveFilterFreeQueue: 0x00010224,
  receiveFilterEnumQueues: 0x00010225,
  receiveFilterQueueParameters: 0x00010226,
  receiveFilterSetFilter: 0x00010227,
  receiveFilterClearFilter: 0x00010228,
  receiveFilterEnumFilters: 0x00010229,
  receiveFilterParameters: 0x0001022a,
  receiveFilterQueueAllocationComplete: 0x0001022b,
  receiveFilterCurrentCapabilities: 0x0001022d,
  nicSwitchHardwareCapabilities: 0x0001022e,
  nicSwitchCurrentCapabilities: 0x0001022f,
  receiveFilterMoveFilter: 0x00010230,
  nicSwitchCreateSwitch: 0x00010237,
  nicSwitchParameters: 0x00010238,
  nicSwitchDeleteSwitch: 0x00010239,
  nicSwitchEnumSwitches: 0x00010240,
  nicSwitchCreateVPort: 0x00010241,
  nicSwitchVPortParameters: 0x00010242,
  nicSwitchEnumVPorts: 0x00010243,
  nicSwitchDeleteVPort: 0x00010244,
  nicSwitchAllocateVf: 0x00010245,
  nicSwitchFreeVf: 0x00010246,
  nicSwitchVfParameters: 0x00010247,
  nicSwitchEnumVfs: 0x00010248,
  sriovHardwareCapabilities: 0x00010249,
  sriovCurrentCapabilities: 0x00010250,
  sriovReadVfConfigSpace: 0x00010251,
  sriovWriteVfConfigSpace: 0x00010252,
  sriovReadVfConfigBlock: 0x00010253,
  sriovWriteVfConfigBlock: 0x00010254,
  sriovResetVf: 0x00010255,
  sriovSetVfPowerState: 0x00010256,
  sriovVfVendorDeviceId: 0x00010257,
  sriovProbedBars: 0x00010258,
  sriovBarResources: 0x00010259,
  sriovPfLuid: 0x00010260,
  tcpOffloadCurrentConfig: 0xfc01020b,
  tcpOffloadParameters: 0xfc01020c,
  tcpOffloadHardwareCapabilities: 0xfc01020d,
  sriovVfSerialNumber: 0x00010262,
  sriovVfInvalidateConfigBlock: 0x00010269,
} as const
export type AdapterOid = (typeof AdapterOid)[keyof typeof AdapterOid]

export const AdapterStatus = {
  taskOffloadCurrentConfig: 0x40020006,
  receiveQueueState: 0x4002000d,
  receiveFilterQueueParameters: 0x40020030,
  receiveFilterCurrentCapabilities: 0x40020010,
  receiveFilterHardwareCapabilities: 0x40020020,
  nicSwitchCurrentCapabilities: 0x40020040,
  nicSwitchHardwareCapabilities: 0x40020050,
} as const

const names = new Map<number, string>(
  Object.entries(AdapterOid).map(([name, code]) => [
    code,
    `OID_${name.replace('VPort', 'Vport').replace(/[A-Z]/g, '_$&').toUpperCase()}`,
  ]),
)

/** The header name of an OID, or its value in hexadecimal. */
export const adapterOidName = (oid: number): string => names.get(oid) ?? `OID 0x${oid.toString(16)}`
