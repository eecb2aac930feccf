// How the control side of a switch reaches its modules, wherever they run.
import type { NicStatusIndication, OidRequest } from '../../ndis/oids.ts'
import type { OidOutcome } from './oid-path.ts'
import type { ViewChange } from './view.ts'

export interface OidChannel {
  /** Sends a request down the stack of the authoritative processor and tells the others how it ended. */
  issue(request: OidRequest): Promise<OidOutcome>
  /** As `issue` for many requests, in order, with one message each way; where it is missing they are issued one by one. */
  issueAll?(requests: readonly OidRequest[]): Promise<readonly OidOutcome[]>
  /** Tells all processors a change of the configuration that queries answer from; arrives before a request that is issued next. */
  publish(change: ViewChange): void
  /** NetEventSwitchActivate to all modules. ES-075 */
  activate(): Promise<void>
  /** Takes a status indication up from the miniport edge; what arrives at the protocol edge, if something does. */
  indicate(indication: NicStatusIndication): Promise<NicStatusIndication | undefined>
  /** Takes from all modules their references on a connection (or, with PORT_ITSELF, on a port) and reports them. */
  revoke(portId: number, nicIndex: number): Promise<void>
}
