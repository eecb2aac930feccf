// The extensible switch's OIDs and status indications with their header values (spec sections 4.2 and 4.3), and the payload of
// each as a typed object. Ports, NICs and their states use the enumerations of section 2.2.

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

/** Announcements that no extension may complete: it forwards them (ES-248). */
export const alwaysForwarded: ReadonlySet<number> = new Set([
  Oid.portUpdated,
  Oid.portTeardown,
  Oid.portDelete,
  Oid.nicConnect,
  Oid.nicUpdated,
  Oid.nicDisconnect,
  Oid.nicDelete,
  Oid.nicSaveComplete,
  Oid.nicRestoreComplete,
])

export const StatusIndication = {
  switchPortRemoveVf: 0xc0241001,
  switchNicStatus: 0xc0241002,
} as const

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
  readonly nicName: string
  readonly nicFriendlyName: string
  readonly portId: number
  readonly nicIndex: number
  readonly nicType: NicType
  readonly nicState: NicState
  readonly vmName: string
  readonly vmFriendlyName: string
  readonly mtu: number
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

/** A request on its way down the stack: structured-cloneable. */
export interface OidRequest {
  readonly oid: number
  readonly type: 'query' | 'set' | 'method'
  readonly payload: unknown
}

/** How a request ended, and with what output. */
export interface OidCompletion {
  readonly status: number
  readonly output?: unknown
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
