// Requests to an adapter, and what each OID may be asked: kinds, issuer, what must exist, which members a payload must have. One table, as
// data; handlers.ts has the acts.
//
// The rule it must not break: what a request's line here forbids never reaches a handler.
import type { NdisStatus } from '../ndis/status.ts'
import { AdapterOid } from './oids.ts'

/** `statistics`: a query that comes from an application (NdisRequestQueryStatistics). */
export type RequestType = 'query' | 'set' | 'method' | 'statistics'

export interface AdapterRequest {
  readonly oid: number
  readonly type: RequestType
  readonly payload?: unknown
  /** Bytes of the caller's output buffer; left out: large enough. */
  readonly outputRoom?: number
  /** The VPort that the request is aimed at (NDIS_OID_REQUEST_FLAGS_VPORT_ID_VALID); left out: the adapter. */
  readonly vPortId?: number
}

export interface AdapterCompletion {
  readonly status: NdisStatus
  readonly output?: unknown
  /** With INVALID_LENGTH: bytes that the buffer must have at the least (SR-106). */
  readonly bytesNeeded?: number
  /** With PENDING: settles when the request completes. Requests behind it don't wait for that. */
  readonly pending?: Promise<AdapterCompletion>
}

/** What one OID may be asked. */
export interface RequestRule {
  readonly kinds: readonly RequestType[]
  /** NDIS alone issues it (SR-100, SR-275). */
  readonly ndisOnly?: boolean
  /** NDIS answers these kinds from what it keeps; the others go to the PF miniport. */
  readonly cached?: readonly RequestType[]
  /** `capable`: a NIC switch must be enabled; `switch`: a usable one must exist too. */
  readonly needs?: 'capable' | 'switch'
  /** SR-IOV must be enabled: a switch without it has no VFs. */
  readonly sriov?: boolean
  /** The miniport can't fail it: while it resets, or after surprise removal, it is NOT_ACCEPTED. */
  readonly cannotFail?: boolean
  /** Members of the payload that are unsigned 32-bit integers. */
  readonly numbers?: readonly string[]
  /** Bytes of the input and output structures, headers included. */
  readonly inputBytes?: number
  readonly outputBytes?: number
  /** Name of the VF member: the VF must be allocated (SR-267). */
  readonly vf?: boolean
}

const capabilities = (outputBytes: number): RequestRule => ({ kinds: ['query'], cached: ['query'], outputBytes })
const ofVf = (kinds: RequestType[], inputBytes: number, numbers: string[], more: Partial<RequestRule> = {}): RequestRule => ({
  kinds,
  inputBytes,
  numbers: ['vfId', ...numbers],
  needs: 'switch',
  sriov: true,
  vf: true,
  ...more,
})

const switchNumbers = ['flags', 'switchType', 'switchId', 'numVFs']
const vportNumbers = [
  'flags',
  'switchId',
  'vPortId',
  'attachedFunctionId',
  'numQueuePairs',
  'interruptModeration',
  'vPortState',
  'lookaheadSize',
]

/** One line per OID (spec 4.1 to 4.3; readings of section 11: 1 to 4, 19). */
export const requestRules: ReadonlyMap<number, RequestRule> = new Map<number, RequestRule>([
  [AdapterOid.sriovHardwareCapabilities, capabilities(12)],
  [AdapterOid.sriovCurrentCapabilities, capabilities(12)],
  [AdapterOid.nicSwitchHardwareCapabilities, capabilities(116)],
  [AdapterOid.nicSwitchCurrentCapabilities, capabilities(116)],
  [AdapterOid.receiveFilterHardwareCapabilities, capabilities(84)],
  [AdapterOid.receiveFilterCurrentCapabilities, capabilities(84)],
  [AdapterOid.receiveFilterGlobalParameters, capabilities(16)],
  [AdapterOid.sriovPfLuid, capabilities(12)],
  [
    AdapterOid.nicSwitchCreateSwitch,
    { kinds: ['method'], ndisOnly: true, needs: 'capable', inputBytes: 548, outputBytes: 548, numbers: switchNumbers },
  ],
  [
    AdapterOid.nicSwitchDeleteSwitch,
    { kinds: ['set'], ndisOnly: true, needs: 'capable', cannotFail: true, inputBytes: 12, numbers: ['switchId'] },
  ],
  [
    AdapterOid.nicSwitchParameters,
    { kinds: ['method', 'set'], cached: ['method'], needs: 'switch', inputBytes: 548, outputBytes: 548, numbers: ['switchId'] },
  ],
  [AdapterOid.nicSwitchEnumSwitches, { kinds: ['query'], cached: ['query'], needs: 'capable', outputBytes: 16 }],
  [
    AdapterOid.nicSwitchCreateVPort,
    { kinds: ['method'], needs: 'switch', inputBytes: 572, outputBytes: 572, numbers: vportNumbers },
  ],
  [
    AdapterOid.nicSwitchVPortParameters,
    {
      kinds: ['method', 'set'],
      cached: ['method'],
      needs: 'switch',
      inputBytes: 572,
      outputBytes: 572,
      numbers: ['flags', 'vPortId'],
    },
  ],
  [AdapterOid.nicSwitchEnumVPorts, { kinds: ['method', 'query'], cached: ['method', 'query'], needs: 'switch', outputBytes: 28 }],
  [AdapterOid.nicSwitchDeleteVPort, { kinds: ['set'], needs: 'switch', inputBytes: 12, numbers: ['vPortId'] }],
  [
    AdapterOid.nicSwitchAllocateVf,
    {
      kinds: ['method'],
      needs: 'switch',
      sriov: true,
      inputBytes: 1632,
      outputBytes: 1632,
      numbers: ['switchId', 'vfId', 'requestorId'],
    },
  ],
  [
    AdapterOid.nicSwitchFreeVf,
    { kinds: ['set'], needs: 'switch', sriov: true, cannotFail: true, inputBytes: 10, numbers: ['vfId'] },
  ],
  [AdapterOid.nicSwitchVfParameters, ofVf(['method'], 1632, [], { cached: ['method'], outputBytes: 1632 })],
  [
    AdapterOid.nicSwitchEnumVfs,
    { kinds: ['method', 'query'], cached: ['method', 'query'], needs: 'switch', sriov: true, outputBytes: 24 },
  ],
  [AdapterOid.sriovReadVfConfigSpace, ofVf(['method'], 20, ['offset', 'length', 'room'])],
  [AdapterOid.sriovWriteVfConfigSpace, ofVf(['set'], 20, ['offset'])],
  [AdapterOid.sriovReadVfConfigBlock, ofVf(['method'], 20, ['blockId', 'length', 'room'])],
  [AdapterOid.sriovWriteVfConfigBlock, ofVf(['set'], 20, ['blockId'])],
  [AdapterOid.sriovResetVf, ofVf(['set'], 6, [])],
  [AdapterOid.sriovSetVfPowerState, ofVf(['set'], 13, ['powerState'])],
  [AdapterOid.sriovVfVendorDeviceId, ofVf(['method'], 10, [], { outputBytes: 10 })],
  [AdapterOid.sriovProbedBars, { kinds: ['query'], ndisOnly: true, needs: 'switch', sriov: true, outputBytes: 32 }],
  [AdapterOid.sriovBarResources, ofVf(['method'], 12, ['barIndex'], { ndisOnly: true })],
  [
    AdapterOid.receiveFilterSetFilter,
    {
      kinds: ['method'],
      needs: 'switch',
      inputBytes: 44,
      outputBytes: 44,
      numbers: ['flags', 'filterType', 'queueId', 'filterId', 'requestedFilterIdBitCount', 'vPortId'],
    },
  ],
  [
    AdapterOid.receiveFilterClearFilter,
    { kinds: ['set'], needs: 'switch', cannotFail: true, inputBytes: 16, numbers: ['queueId', 'filterId'] },
  ],
  [
    AdapterOid.receiveFilterMoveFilter,
    {
      kinds: ['set'],
      needs: 'switch',
      inputBytes: 24,
      numbers: ['filterId', 'sourceQueueId', 'sourceVPortId', 'destQueueId', 'destVPortId'],
    },
  ],
  [AdapterOid.receiveFilterEnumFilters, { kinds: ['method'], cached: ['method'], needs: 'switch', outputBytes: 28 }],
  [
    AdapterOid.receiveFilterParameters,
    { kinds: ['method'], cached: ['method'], needs: 'switch', inputBytes: 44, outputBytes: 44, numbers: ['filterId'] },
  ],
])

/** SupportedOidList of a PF miniport: what NDIS does not answer from what it keeps (SR-076). */
export const pfOids: readonly number[] = [...requestRules].flatMap(([oid, { kinds, cached = [] }]) =>
  kinds.some((kind) => !cached.includes(kind)) ? [oid] : [],
)

/** SupportedOidList of a VF miniport, as far as it is about SR-IOV (SR-077). */
export const vfOids: readonly number[] = [AdapterOid.sriovVfInvalidateConfigBlock]
