// What each OID may be asked of an adapter with RSS on VPorts of the PF: the lines that join those of requests.ts.
//
// The rule it must not break: what a request's line here forbids never reaches a handler. The request that moves entries has no line: it is
// synchronous, and refused where others are queued (VQ-219).
import { AdapterOid } from '../oids.ts'
import type { RequestRule } from '../requests.ts'

/** Bytes of NDIS_RECEIVE_SCALE_PARAMETERS revision 3, NDIS_RECEIVE_SCALE_PARAMETERS_V2, NDIS_RSS_SET_INDIRECTION_ENTRIES. */
export const RSS_PARAMETERS_BYTES = 44
export const RSS_PARAMETERS_V2_BYTES = 28
export const INDIRECTION_ENTRIES_BYTES = 20

/** One line per OID (spec 4.3). */
export const rssRequestRules: ReadonlyMap<number, RequestRule> = new Map<number, RequestRule>([
  [AdapterOid.genReceiveScaleCapabilities, { kinds: ['query'], cached: ['query'], needs: 'capable', outputBytes: 20 }], // VQ-190
  [AdapterOid.genReceiveScaleParameters, { kinds: ['query', 'set'], cached: ['query'], needs: 'switch' }],
  [AdapterOid.genReceiveScaleParametersV2, { kinds: ['query', 'set'], cached: ['query'], needs: 'switch' }],
  [AdapterOid.tcpOffloadHardwareCapabilities, { kinds: ['query'], cached: ['query'], needs: 'switch', outputBytes: 28 }],
  [AdapterOid.tcpOffloadCurrentConfig, { kinds: ['query'], cached: ['query'], needs: 'switch', outputBytes: 28 }],
  [
    AdapterOid.tcpOffloadParameters,
    { kinds: ['set'], needs: 'switch', inputBytes: 24, numbers: ['encapsulatedPacketTaskOffload'] },
  ],
])
