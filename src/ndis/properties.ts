// Port and switch properties and feature status as OID payloads (spec 2.7 to 2.9): what in the header files are structures with a
// buffer behind them are typed objects here, the buffer a typed value.

/** NDIS_SWITCH_PORT_PROPERTY_TYPE */
export const PortPropertyType = {
  undefined: 0,
  custom: 1,
  security: 2,
  vlan: 3,
  profile: 4,
  isolation: 5,
  routingDomain: 6,
} as const
export type PortPropertyType = (typeof PortPropertyType)[keyof typeof PortPropertyType]

/** NDIS_SWITCH_PROPERTY_TYPE: there are no standard properties of switches. ES-547 */
export const SwitchPropertyType = { undefined: 0, custom: 1 } as const
export type SwitchPropertyType = (typeof SwitchPropertyType)[keyof typeof SwitchPropertyType]

/** NDIS_SWITCH_(PORT_)FEATURE_STATUS_TYPE: always custom. ES-562 */
export const FEATURE_STATUS_CUSTOM = 1

/** NDIS_SWITCH_OBJECT_SERIALIZATION_VERSION_1. ES-518 */
export const SERIALIZATION_VERSION_1 = 1

/** The GUID that stands for none. */
export const NO_GUID = '00000000-0000-0000-0000-000000000000'

/** NDIS_SWITCH_PROPERTY_PARAMETERS with its buffer: payload of PROPERTY_ADD and _UPDATE. */
export interface SwitchPropertyParameters {
  readonly propertyType: number
  /** Of a custom property; NO_GUID, and to be ignored, for a standard one (ES-504). */
  readonly propertyId: string
  /** (major << 8) + minor. ES-519 */
  readonly propertyVersion: number
  readonly serializationVersion: typeof SERIALIZATION_VERSION_1
  readonly propertyInstanceId: string
  /** The property: one of the standard types, or what the defining extension's `parse` made of it. Not to be changed (ES-502). */
  readonly property: unknown
}

/** NDIS_SWITCH_PORT_PROPERTY_PARAMETERS with its buffer: payload of PORT_PROPERTY_ADD and _UPDATE. */
export interface PortPropertyParameters extends SwitchPropertyParameters {
  readonly portId: number
}

/** NDIS_SWITCH_PROPERTY_DELETE_PARAMETERS: payload of PROPERTY_DELETE. */
export interface SwitchPropertyDeleteParameters {
  readonly propertyType: number
  readonly propertyId: string
  readonly propertyInstanceId: string
}

/** NDIS_SWITCH_PORT_PROPERTY_DELETE_PARAMETERS: payload of PORT_PROPERTY_DELETE. */
export interface PortPropertyDeleteParameters extends SwitchPropertyDeleteParameters {
  readonly portId: number
}

/** NDIS_SWITCH_(PORT_)PROPERTY_ENUM_INFO: one property of an enumeration. */
export interface PropertyInfo {
  readonly propertyType: number
  readonly propertyId: string
  readonly propertyVersion: number
  readonly propertyInstanceId: string
  readonly property: unknown
}

/** NDIS_SWITCH_(PORT_)PROPERTY_ENUM_PARAMETERS: payload of PORT_PROPERTY_ENUM and, without `portId`, of PROPERTY_ENUM. */
export interface PropertyEnum {
  readonly portId?: number
  readonly propertyType: number
  /** Of custom properties. */
  readonly propertyId?: string
}

/** What an enumeration returns. */
export interface PropertyEnumeration {
  readonly numProperties: number
  readonly properties: readonly PropertyInfo[]
}

/** NDIS_SWITCH_FEATURE_STATUS_PARAMETERS: payload of FEATURE_STATUS_QUERY. */
export interface FeatureStatusParameters {
  readonly featureStatusType: typeof FEATURE_STATUS_CUSTOM
  readonly featureStatusId: string
  readonly featureStatusInstanceId: string
  readonly serializationVersion: typeof SERIALIZATION_VERSION_1
  /** Bytes that the answer may have. ES-557 */
  readonly bufferLength: number
}

/** NDIS_SWITCH_PORT_FEATURE_STATUS_PARAMETERS: payload of PORT_FEATURE_STATUS_QUERY. */
export interface PortFeatureStatusParameters extends FeatureStatusParameters {
  readonly portId: number
}

/** What the managing extension completes a feature status query with. ES-561 */
export interface FeatureStatus {
  /** (major << 8) + minor of the status definition. */
  readonly featureStatusVersion: number
  /** At most `bufferLength` bytes. */
  readonly data: Uint8Array
}

const guidPattern = /^\{?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\}?$/i

/** A GUID in its normal form, lower case and without braces; undefined if `text` is none. */
export const normalizeGuid = (text: string): string | undefined => guidPattern.exec(text)?.[1]?.toLowerCase()

/** "1" → 0x0100, "1.1" → 0x0101; undefined if `text` is no version (two numbers of 0 to 255). ES-519 */
export function parsePropertyVersion(text: string): number | undefined {
  const match = /^(\d{1,3})(?:\.(\d{1,3}))?$/.exec(text)
  const major = Number(match?.[1])
  const minor = Number(match?.[2] ?? 0)
  return match && major <= 255 && minor <= 255 ? (major << 8) + minor : undefined
}

/** 0x0101 → "1.1". */
export const formatPropertyVersion = (version: number): string => `${version >> 8}.${version & 255}`
