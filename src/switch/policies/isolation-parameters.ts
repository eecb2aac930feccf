// What the adapter of a VM tells its guest about isolation (spec 2.8): the answer to OID_GEN_ISOLATION_PARAMETERS, from the isolation and
// routing-domain properties of its port. Whoever stands for the guest asks; the guests' own drivers have no such request.
import type { OidCompletion, OidRequest } from '../../ndis/oids.ts'
import type { IsolationProperty, RoutingDomainProperty } from '../../ndis/standard-properties.ts'
import { NdisStatus } from '../../ndis/status.ts'
import type { PropertyInstance } from './property.ts'

export const OID_GEN_ISOLATION_PARAMETERS = 0x00010300
/** NDIS_STATUS_ISOLATION_PARAMETERS_CHANGE: query again. It has no buffer. */
export const ISOLATION_PARAMETERS_CHANGE = 0x40020080

/** sizeof(NDIS_ISOLATION_PARAMETERS), _ROUTING_DOMAIN_ENTRY and _ROUTING_DOMAIN_ISOLATION_ENTRY, revision 1. */
export const ISOLATION_PARAMETERS_BYTES = 24
export const ROUTING_DOMAIN_ENTRY_BYTES = 292
export const ISOLATION_ENTRY_BYTES = 272

/** NDIS_ISOLATION_PARAMETERS with its entries. */
export interface IsolationParameters {
  readonly isolationMode: IsolationProperty['mode']
  readonly allowUntaggedTraffic: boolean
  readonly routingDomains: readonly RoutingDomainProperty[]
}

/** How a query of an adapter ended. */
export interface AdapterCompletion extends OidCompletion {
  readonly bytesWritten: number
}

/** Answers a request of the guest behind a port with these properties. */
export function answerGuest(
  request: Pick<OidRequest, 'oid' | 'type' | 'room'>,
  properties: readonly PropertyInstance[],
): AdapterCompletion {
  if (request.oid !== OID_GEN_ISOLATION_PARAMETERS || request.type !== 'query')
    return { status: NdisStatus.notSupported, bytesWritten: 0 }
  const isolation = properties.find(({ type }) => type === 'isolation')?.property as IsolationProperty | undefined
  const routingDomains = properties
    .filter(({ type }) => type === 'routing-domain')
    .map(({ property }) => property as RoutingDomainProperty)
  if (isolation === undefined && routingDomains.length === 0) return { status: NdisStatus.success, bytesWritten: 0 } // ES-543
  const entries = routingDomains.reduce(
    (sum, { isolationIds }) => sum + ROUTING_DOMAIN_ENTRY_BYTES + isolationIds.length * ISOLATION_ENTRY_BYTES,
    0,
  )
  const bytes = ISOLATION_PARAMETERS_BYTES + entries
  const { room } = request
  if (room !== undefined && !(room >= bytes)) return { status: NdisStatus.invalidLength, bytesNeeded: bytes, bytesWritten: 0 } // ES-544
  const output: IsolationParameters = {
    isolationMode: isolation?.mode ?? 'none',
    allowUntaggedTraffic: isolation?.allowUntaggedTraffic ?? false,
    routingDomains,
  }
  return { status: NdisStatus.success, output, bytesWritten: bytes }
}
