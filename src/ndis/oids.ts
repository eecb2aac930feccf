// The extensible switch's OIDs and status indications with their header values (spec sections 4.2 and 4.3), and the payload of
// each as a typed object. Ports, NICs and their states use the enumerations of section 2.2.

/** OIDs of the extensible switch, with their header values. */
export const Oid = {
  switchPropertyAdd: 0x00010263,
  switchPropertyUpdate: 0x00010264,
  switchPropertyDelete: 0x00010265,
  switchPropertyEnum: 0x00010266,
  switchFeatureStatusQuery: 0x00010267,
  nicRequest: 0x00010270,
  portPropertyAdd: 0x00010271,
  portPropertyUpdate: 0x00010272,
  portPropertyDelete: 0x00010273,
  portPropertyEnum: 0x00010274,
  switchParameters: 0x00010275,
  portArray: 0x00010276,
  nicArray: 0x00010277,
  portCreate: 0x00010278,
  portDelete: 0x00010279,
  nicCreate: 0x0001027a,
  nicConnect: 0x0001027b,
  nicDisconnect: 0x0001027c,
  nicDelete: 0x0001027d,
  portFeatureStatusQuery: 0x0001027e,
  portTeardown: 0x0001027f,
  nicSave: 0x00010290,
  nicSaveComplete: 0x00010291,
  nicRestore: 0x00010292,
  nicRestoreComplete: 0x00010293,
  nicUpdated: 0x00010294,
  portUpdated: 0x00010295,
} as const

/** NDIS_STATUS_… codes of indications (spec 4.3). */
export const StatusIndication = {
  switchPortRemoveVf: 0xc0241001,
  switchNicStatus: 0xc0241002,
} as const

/** NDIS_SWITCH_DEFAULT_PORT_ID: no port; the switch itself as source, the extensions as destination (ES-009). */
export const DEFAULT_PORT_ID = 0
/** NDIS_SWITCH_DEFAULT_NIC_INDEX: the adapter directly connected to a port (ES-154). */
export const DEFAULT_NIC_INDEX = 0
/** Highest index of a physical adapter under the external adapter (ES-159). */
export const PHYSICAL_NICS_MAX = 32
/** NDIS_SWITCH_NIC_FLAGS_NIC_INITIALIZING: the first NIC_CREATE in the life of a synthetic adapter (ES-173). */
export const NIC_INITIALIZING = 0x1

/** NDIS_SWITCH_PORT_TYPE */
export const PortType = { generic: 0, external: 1, synthetic: 2, emulated: 3, internal: 4 } as const
export type PortType = (typeof PortType)[keyof typeof PortType]

/** NDIS_SWITCH_PORT_STATE */
export const PortState = { unknown: 0, created: 1, teardown: 2, deleted: 3 } as const
export type PortState = (typeof PortState)[keyof typeof PortState]

/** NDIS_SWITCH_NIC_TYPE */
export const NicType = { external: 0, synthetic: 1, emulated: 2, internal: 3 } as const
export type NicType = (typeof NicType)[keyof typeof NicType]

/** NDIS_SWITCH_NIC_STATE */
export const NicState = { unknown: 0, created: 1, connected: 2, disconnected: 3, deleted: 4 } as const
export type NicState = (typeof NicState)[keyof typeof NicState]

/** NDIS_SWITCH_PORT_PARAMETERS (spec 2.4) */
export interface PortParameters {
  readonly portId: number
  readonly portName: string
  readonly portFriendlyName: string
  readonly portType: PortType
  readonly isValidationPort: boolean
  readonly portState: PortState
}

/** NDIS_SWITCH_NIC_PARAMETERS (spec 2.5). MAC addresses are written 02:00:…; '' = none. */
export interface NicParameters {
  /** NIC_INITIALIZING or 0. */
  readonly flags: number
  readonly nicName: string
  readonly nicFriendlyName: string
  readonly portId: number
  readonly nicIndex: number
  readonly nicType: NicType
  readonly nicState: NicState
  readonly vmName: string
  readonly vmFriendlyName: string
  /** GUID of an external or internal adapter; '' for others (ES-228). */
  readonly netCfgInstanceId: string
  /** Bytes. */
  readonly mtu: number
  /** Preferred NUMA node of a VM's adapter; 0 for others (ES-229). */
  readonly numaNodeId: number
  readonly permanentMacAddress: string
  readonly vmMacAddress: string
  readonly currentMacAddress: string
  readonly vfAssigned: boolean
}

/** NDIS_SWITCH_PARAMETERS (spec 2.3) */
export interface SwitchParameters {
  readonly switchName: string
  readonly switchFriendlyName: string
  readonly numSwitchPorts: number
  readonly isActive: boolean
}

/** NDIS_SWITCH_PORT_ARRAY and NDIS_SWITCH_NIC_ARRAY (spec 2.6): what OID_SWITCH_PORT_ARRAY and OID_SWITCH_NIC_ARRAY return. */
export interface ParameterArray<Element> {
  readonly numElements: number
  /** Bytes of one element in the buffer that the query's room stands for. */
  readonly elementSize: number
  readonly elements: readonly Element[]
}

/** NDIS_SWITCH_NIC_OID_REQUEST (spec 2.10): another OID, wrapped, and for whom it is. */
export interface NicOidRequest {
  readonly sourcePortId: number
  readonly sourceNicIndex: number
  readonly destinationPortId: number
  readonly destinationNicIndex: number
  readonly oidRequest: OidRequest
}

/** NDIS_STATUS_INDICATION. `statusBuffer` null is a buffer of size 0. */
export interface InnerStatusIndication {
  readonly statusCode: number
  readonly statusBuffer: unknown
}

/** NDIS_SWITCH_NIC_STATUS_INDICATION (spec 2.10), the buffer of NDIS_STATUS_SWITCH_NIC_STATUS: what travels up the stack. */
export interface NicStatusIndication {
  readonly sourcePortId: number
  readonly sourceNicIndex: number
  readonly destinationPortId: number
  readonly destinationNicIndex: number
  readonly statusIndication: InnerStatusIndication
}

/** A request on its way down the stack: structured-cloneable. */
export interface OidRequest {
  readonly oid: number
  readonly type: 'query' | 'set' | 'method'
  readonly payload: unknown
  /** Bytes of the buffer that the output must fit into (InformationBufferLength); without it there is room enough. */
  readonly room?: number
}

/** How a request ended, and with what output. */
export interface OidCompletion {
  readonly status: number
  readonly output?: unknown
  /** Bytes that the output needs, with NDIS_STATUS_INVALID_LENGTH and BUFFER_TOO_SHORT. */
  readonly bytesNeeded?: number
  /** Revision of the structure that was handled: set by whoever handled a set request (ES-070, ES-071). */
  readonly supportedRevision?: number
  /** Name of the extension that completed the request; absent if it reached the miniport edge. Set by the stack, not by extensions. */
  readonly by?: string
}

const oidNames = new Map<number, string>(
  Object.entries(Oid).map(([name, code]) => [
    code,
    `OID_SWITCH_${name
      .replace(/^switch(?=[A-Z])/, '')
      .replace(/[A-Z]/g, '_$&')
      .toUpperCase()
      .replace(/^_/, '')}`,
  ]),
)

/** The header name of an OID, or its value in hexadecimal. */
export const oidName = (oid: number): string => oidNames.get(oid) ?? `OID 0x${oid.toString(16)}`
