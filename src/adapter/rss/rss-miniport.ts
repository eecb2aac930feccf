// What NDIS asks of a miniport that does RSS on VPorts of the PF. NDIS (adapter-rss.ts) has checked that the VPort is there.
//
// The rule it must not break: nothing here waits: moves of entries are synchronous (VQ-219), and a conversion that NDIS makes of several
// acts is not to be interrupted by one.
import type { NdisStatus } from '../../ndis/status.ts'
import type { Answer } from '../miniport.ts'
import type { EntryMove, RssParametersV2, RssState } from './vport-rss.ts'

export interface RssMiniport {
  /** What steers a VPort now; undefined: there is no such VPort of the PF. */
  state(vPortId: number): RssState | undefined
  /** OID_GEN_RECEIVE_SCALE_PARAMETERS_V2. */
  set(vPortId: number, parameters: RssParametersV2): NdisStatus
  /** One group of OID_GEN_RSS_SET_INDIRECTION_TABLE_ENTRIES, issued on processor `actor`; all of it or nothing (VQ-225). */
  move(vPortId: number, moves: readonly EntryMove[], actor: number): NdisStatus
  /** OID_GEN_RECEIVE_SCALE_PARAMETERS: everything at once. Asked only of miniports without independent moves (VQ-212). */
  replace(vPortId: number, parameters: RssParametersV2, table: readonly number[], defaultProcessor: number): NdisStatus
  /** Task offload of encapsulated packets goes on or off: hashes count inner headers while it is on (VQ-159). */
  setEncapsulation(on: boolean): Answer
}
