// What the miniport edge answers queries of extensions with (ES-090), and the negotiation of sizes: a query may say how much room its
// buffer has, in the bytes of the documented structures; too little fails with INVALID_LENGTH and the size needed.
import { Oid, type OidCompletion, type OidRequest, type ParameterArray } from '../../ndis/oids.ts'
import { NdisStatus } from '../../ndis/status.ts'
import type { ConfigurationView } from './view.ts'

const COUNTED_STRING = 2 + 257 * 2 // IF_COUNTED_STRING
const HEADER_AND_FLAGS = 8
/** sizeof(NDIS_SWITCH_PARAMETERS), revision 1. */
export const SWITCH_PARAMETERS_BYTES = HEADER_AND_FLAGS + 2 * COUNTED_STRING + 4 + 4
/** sizeof(NDIS_SWITCH_PORT_PARAMETERS), revision 1. */
export const PORT_PARAMETERS_BYTES = HEADER_AND_FLAGS + 4 + 2 * COUNTED_STRING + 4 + 4 + 4
/** sizeof(NDIS_SWITCH_NIC_PARAMETERS), revision 1. */
export const NIC_PARAMETERS_BYTES = HEADER_AND_FLAGS + 4 * COUNTED_STRING + 4 + 4 + 4 + 4 + 16 + 4 + 4 + 3 * 32 + 4
/** sizeof(NDIS_SWITCH_PORT_ARRAY), the header of both arrays. */
export const ARRAY_HEADER_BYTES = HEADER_AND_FLAGS + 4 + 4 + 4

/** Completes a query with `output`, which takes `bytes`, if the request has room for it. ES-085, ES-086, ES-087, ES-088 */
export function answer(request: OidRequest, output: unknown, bytes: number): OidCompletion {
  const { room } = request
  if (room !== undefined && !(room >= bytes)) return { status: NdisStatus.invalidLength, bytesNeeded: bytes }
  return { status: NdisStatus.success, output }
}

function array<Element>(request: OidRequest, elements: readonly Element[], elementSize: number): OidCompletion {
  const output: ParameterArray<Element> = { numElements: elements.length, elementSize, elements }
  return answer(request, output, ARRAY_HEADER_BYTES + elements.length * elementSize)
}

/** The answer to a query of the configuration; undefined for other OIDs. */
export function answerQuery(request: OidRequest, view: ConfigurationView): OidCompletion | undefined {
  switch (request.oid) {
    case Oid.switchParameters:
      return answer(request, view.parameters, SWITCH_PARAMETERS_BYTES)
    case Oid.portArray:
      return array(request, view.ports, PORT_PARAMETERS_BYTES)
    case Oid.nicArray:
      return array(request, view.nics, NIC_PARAMETERS_BYTES)
    default:
      return undefined
  }
}
