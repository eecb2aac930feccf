// Requests for a VM's VF on their way to the adapter: where the switch stands above the adapter they go down its stack first, wrapped in
// OID_SWITCH_NIC_REQUEST, so that extensions see them and a forwarding extension may refuse a VF (SR-262, SR-263).
//
// The rule it must not break: what an extension may not refuse is carried out whatever it answers; the switch's stack sees to that.
import type { Adapter } from '../../adapter/adapter.ts'
import { AdapterOid } from '../../adapter/oids.ts'
import type { AdapterCompletion, AdapterRequest } from '../../adapter/requests.ts'
import { STACK_DRIVER } from '../../adapter/sequences.ts'
import type { OidCompletion, OidRequest } from '../../ndis/oids.ts'

/**
 * Requests of the virtualization stack that extensions are shown. Moving filters is not among them: they could not refuse it, and the
 * frames that come while they look at it would go to a VF that nobody drives.
 */
const SHOWN: readonly number[] = [
  AdapterOid.nicSwitchAllocateVf,
  AdapterOid.nicSwitchCreateVPort,
  AdapterOid.nicSwitchDeleteVPort,
  AdapterOid.nicSwitchFreeVf,
]

/** Sends a request down the switch's stack, for the connection of a port (0: of none). */
export type Encapsulate = (request: OidRequest, sourcePortId: number) => Promise<OidCompletion>

/** Issues a request for a VF: through the stack if the adapter is joined with the switch, else to the adapter itself. */
export async function issueForVf(
  adapter: Adapter,
  request: AdapterRequest,
  driver: string,
  stack: { readonly encapsulate: Encapsulate; readonly sourcePortId: number } | undefined,
): Promise<AdapterCompletion> {
  if (!stack || !SHOWN.includes(request.oid)) return adapter.request(request, driver)
  const { oid, type, payload } = request
  const { status, output } = await stack.encapsulate({ oid, type: type as OidRequest['type'], payload }, stack.sourcePortId)
  return { status: status as AdapterCompletion['status'], output }
}

/** What came out below the stack is carried out. */
export async function carryOutForVf(adapter: Adapter, { oid, type, payload }: OidRequest): Promise<OidCompletion> {
  const { status, output, bytesNeeded } = await adapter.request({ oid, type, payload }, STACK_DRIVER)
  return { status, ...(output === undefined ? {} : { output }), ...(bytesNeeded === undefined ? {} : { bytesNeeded }) }
}

/** The name of the VM's network adapter that a request is for, where it says so. */
export function nicNameOf({ payload }: AdapterRequest): string | undefined {
  const { nicName, vPortName } = (payload ?? {}) as { nicName?: unknown; vPortName?: unknown }
  const name = nicName ?? vPortName
  return typeof name === 'string' ? name : undefined
}
