// Requests for receive queues on their way to the adapter: where the switch stands above it they go down its stack first, wrapped in
// OID_SWITCH_NIC_REQUEST, so that extensions see them and may refuse a queue or a filter (VQ-234).
//
// The rule it must not break: what an extension may not refuse is carried out whatever it answers (VQ-235); the stack sees to that.
import type { Adapter } from '../../adapter/adapter.ts'
import { AdapterOid } from '../../adapter/oids.ts'
import type { AdapterCompletion, AdapterRequest } from '../../adapter/requests.ts'
import type { OidCompletion, OidRequest } from '../../ndis/oids.ts'
import { NdisStatus } from '../../ndis/status.ts'
import type { Encapsulate } from '../adapters/encapsulation.ts'
import { QUEUE_DRIVER } from './queue-adapter.ts'

/** Requests that extensions are shown. */
const SHOWN: readonly number[] = [
  AdapterOid.receiveFilterAllocateQueue,
  AdapterOid.receiveFilterSetFilter,
  AdapterOid.receiveFilterQueueAllocationComplete,
  AdapterOid.receiveFilterClearFilter,
  AdapterOid.receiveFilterFreeQueue,
]

/** Issues a request for a VM's queue: through the stack if a switch port stands above the adapter, else to the adapter itself. */
export async function issueForQueue(
  adapter: Adapter,
  request: AdapterRequest,
  stack: { readonly encapsulate: Encapsulate; readonly sourcePortId: number } | undefined,
): Promise<AdapterCompletion> {
  if (!stack || !SHOWN.includes(request.oid)) return adapter.request(request, QUEUE_DRIVER)
  const { oid, type, payload } = request
  try {
    const { status, output } = await stack.encapsulate({ oid, type: type as OidRequest['type'], payload }, stack.sourcePortId)
    return { status: status as AdapterCompletion['status'], output }
  } catch {
    return { status: NdisStatus.failure } // the switch has no external connection at the moment
  }
}

/** What came out below the stack is carried out. */
export async function carryOutForQueue(adapter: Adapter, { oid, type, payload }: OidRequest): Promise<OidCompletion> {
  const { status, output, bytesNeeded } = await adapter.request({ oid, type, payload }, QUEUE_DRIVER)
  return { status, ...(output === undefined ? {} : { output }), ...(bytesNeeded === undefined ? {} : { bytesNeeded }) }
}
