// The edges of the stack on the control side: what the miniport edge does with a request that concerns an adapter, and the wrapping of
// OIDs and status indications (spec 4.3, 4.4).
import { isMulticastOid, isOffloadOid } from '../../ndis/inner-oids.ts'
import {
  DEFAULT_NIC_INDEX,
  DEFAULT_PORT_ID,
  type InnerStatusIndication,
  type NicOidRequest,
  type NicStatusIndication,
  Oid,
  type OidCompletion,
  type OidRequest,
  oidName,
} from '../../ndis/oids.ts'
import { NdisStatus } from '../../ndis/status.ts'
import { SwitchControlError } from './errors.ts'

/** What the edges of a switch lead to; without a part, requests for it are answered as not supported. */
export interface EdgeComponents {
  /** Carries out an OID for the external adapter (index 0) or a physical one; adapters with offloads answer here. */
  readonly adapterRequest?: (portId: number, nicIndex: number, request: OidRequest) => OidCompletion | Promise<OidCompletion>
  /** Answers requests that need more than the configuration: enumerations of properties. */
  readonly miniportRequest?: (request: OidRequest) => OidCompletion | Promise<OidCompletion> | undefined
  /** An unwrapped indication, for drivers above the switch. ES-282 */
  readonly statusIndicated?: (indication: InnerStatusIndication, from: NicStatusIndication) => void
  /** The adapter of a VM indicates a status to its guest: its routing domains changed. ES-545 */
  readonly adapterIndicated?: (portId: number, indication: InnerStatusIndication) => void
  /** NDIS_STATUS_SWITCH_PORT_REMOVE_VF: the connection's traffic comes through its port again. ES-297 */
  readonly vfRemoved?: (portId: number, nicIndex: number) => void
}

/** Completes a request that no extension completed. ES-117, ES-185, ES-246 */
export async function completeAtEdge(request: OidRequest, components: EdgeComponents): Promise<OidCompletion> {
  const answered = await components.miniportRequest?.(request)
  if (answered) return answered
  if (request.oid === Oid.nicRequest) return carryOut(request.payload as NicOidRequest, components)
  if (request.type === 'set') return { status: NdisStatus.success, supportedRevision: 1 }
  if (request.oid === Oid.portPropertyEnum || request.oid === Oid.switchPropertyEnum)
    return { status: NdisStatus.success, output: { numProperties: 0, properties: [] } } // ES-098
  return { status: NdisStatus.success }
}

// ES-280: the wrapper completes as the inner request does.
async function carryOut(request: NicOidRequest, { adapterRequest }: EdgeComponents): Promise<OidCompletion> {
  if (request.destinationPortId === DEFAULT_PORT_ID) return { status: NdisStatus.success } // ES-259: it was for the extensions
  if (!adapterRequest) return { status: NdisStatus.notSupported }
  return adapterRequest(request.destinationPortId, request.destinationNicIndex, request.oidRequest)
}

/** Wraps an OID that was issued above the switch. Throws for one that does not belong into the stack. */
export function wrapRequest(
  oidRequest: OidRequest,
  source: { readonly portId: number; readonly nicIndex: number },
  externalPortId: number | undefined,
): OidRequest {
  const wrap = (destinationPortId: number): OidRequest => {
    const payload: NicOidRequest = {
      sourcePortId: source.portId, // ES-256, ES-258, ES-260
      sourceNicIndex: source.nicIndex,
      destinationPortId,
      destinationNicIndex: DEFAULT_NIC_INDEX,
      oidRequest,
    }
    return { oid: Oid.nicRequest, type: 'method', payload }
  }
  if (isMulticastOid(oidRequest.oid)) {
    if (source.portId === DEFAULT_PORT_ID)
      throw new SwitchControlError(
        'NO_SUCH_CONNECTION',
        'a multicast request has an adapter as its source, and this one has none',
      )
    return wrap(DEFAULT_PORT_ID) // ES-257
  }
  if (!isOffloadOid(oidRequest.oid))
    throw new SwitchControlError(
      'WRONG_TYPE',
      `${oidName(oidRequest.oid)} is no hardware-offload request; only those are sent down the stack`, // ES-262
    )
  if (externalPortId === undefined)
    throw new SwitchControlError('NO_SUCH_CONNECTION', 'the switch has no external adapter that could carry out offloads')
  return wrap(externalPortId) // ES-255
}

/** Wraps a status indication of a physical adapter: from the external port, for the extensions. ES-281, ES-287, ES-288 */
export const wrapStatus = (externalPortId: number, statusIndication: InnerStatusIndication): NicStatusIndication => ({
  sourcePortId: externalPortId,
  sourceNicIndex: DEFAULT_NIC_INDEX,
  destinationPortId: DEFAULT_PORT_ID,
  destinationNicIndex: DEFAULT_NIC_INDEX,
  statusIndication,
})
