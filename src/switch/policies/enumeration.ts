// What the miniport edge answers OID_SWITCH_PORT_PROPERTY_ENUM and OID_SWITCH_PROPERTY_ENUM with: the provisioned properties that match
// type and id, if the request has room for them (spec 2.7).
import { Oid, type OidCompletion, type OidRequest } from '../../ndis/oids.ts'
import { NO_GUID, normalizeGuid, PortPropertyType, type PropertyEnum, type PropertyInfo } from '../../ndis/properties.ts'
import { NdisStatus } from '../../ndis/status.ts'

/** sizeof(NDIS_SWITCH_PORT_PROPERTY_ENUM_PARAMETERS) and of the info before each property, revision 1. */
export const ENUM_PARAMETERS_BYTES = 48
export const ENUM_INFO_BYTES = 40
/** The scope of switch properties, as in property-store.ts. */
const SWITCH_SCOPE = 0

/** Bytes that a property counts for: those of its JSON text, rounded up to 8 as QwordAlignedPropertyBufferLength is. ES-095 */
const alignedLength = ({ property }: PropertyInfo): number => Math.ceil((JSON.stringify(property)?.length ?? 0) / 8) * 8

/** Those of `properties` that have a type and, if custom, an id. ES-097 */
export function matching(properties: readonly PropertyInfo[], propertyType: number, propertyId: string): readonly PropertyInfo[] {
  const id = propertyType === PortPropertyType.custom ? normalizeGuid(propertyId) : NO_GUID
  return properties.filter((property) => property.propertyType === propertyType && property.propertyId === id)
}

/** The answer to an enumeration, from the properties of a scope (a port id, 0 = the switch); undefined for other OIDs. */
export function answerEnumeration(
  request: OidRequest,
  propertiesOf: (scope: number) => readonly PropertyInfo[],
): OidCompletion | undefined {
  const ofPort = request.oid === Oid.portPropertyEnum
  if (!ofPort && request.oid !== Oid.switchPropertyEnum) return undefined
  const { portId, propertyType, propertyId } = (request.payload ?? {}) as Partial<PropertyEnum>
  const scope = ofPort ? portId : SWITCH_SCOPE
  if (!Number.isInteger(scope) || (ofPort && !(scope! > 0)) || typeof propertyType !== 'number')
    return { status: NdisStatus.failure } // ES-089
  const properties = matching(propertiesOf(scope!), propertyType, propertyId ?? NO_GUID)
  const bytes = properties.reduce((sum, info) => sum + ENUM_INFO_BYTES + alignedLength(info), ENUM_PARAMETERS_BYTES)
  const { room } = request
  if (room !== undefined && !(room >= bytes)) return { status: NdisStatus.invalidLength, bytesNeeded: bytes }
  return { status: NdisStatus.success, output: { numProperties: properties.length, properties } } // ES-098
}
