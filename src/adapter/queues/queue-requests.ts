// What each OID may be asked of an adapter in queue mode (VMQ enabled and no NIC switch): the lines that differ from requests.ts.
//
// The rule it must not break: what a request's line here forbids never reaches a handler.
import { AdapterOid } from '../oids.ts'
import type { RequestRule } from '../requests.ts'

/** Bytes of NDIS_RECEIVE_QUEUE_PARAMETERS, revision 1: what a queue of NDIS 6.20 has, and no request may be shorter. */
const PARAMETERS_BYTES = 1084
const PARAMETERS_BYTES_NOW = 1096

const queueNumbers = [
  'flags',
  'queueType',
  'queueId',
  'queueGroupId',
  'processorGroup',
  'numSuggestedReceiveBuffers',
  'lookaheadSize',
  'portId',
  'qosSqId',
]

/** One line per OID (spec 4.3). */
export const queueRequestRules: ReadonlyMap<number, RequestRule> = new Map<number, RequestRule>([
  [
    AdapterOid.receiveFilterAllocateQueue,
    { kinds: ['method'], inputBytes: PARAMETERS_BYTES, outputBytes: PARAMETERS_BYTES_NOW, numbers: queueNumbers },
  ],
  [AdapterOid.receiveFilterFreeQueue, { kinds: ['set'], cannotFail: true, inputBytes: 12, numbers: ['queueId'] }],
  [AdapterOid.receiveFilterEnumQueues, { kinds: ['query', 'statistics'], cached: ['query', 'statistics'], outputBytes: 16 }],
  [
    AdapterOid.receiveFilterQueueParameters,
    {
      kinds: ['method', 'set'],
      cached: ['method'],
      inputBytes: PARAMETERS_BYTES,
      outputBytes: PARAMETERS_BYTES_NOW,
      numbers: ['flags', 'queueId'],
    },
  ],
  [AdapterOid.receiveFilterQueueAllocationComplete, { kinds: ['method'], inputBytes: 20, outputBytes: 20, numbers: [] }],
  [
    AdapterOid.receiveFilterSetFilter,
    {
      kinds: ['method'],
      inputBytes: 36,
      outputBytes: 44,
      numbers: ['flags', 'filterType', 'queueId', 'filterId', 'requestedFilterIdBitCount', 'vPortId'],
    },
  ],
  [AdapterOid.receiveFilterClearFilter, { kinds: ['set'], cannotFail: true, inputBytes: 16, numbers: ['queueId', 'filterId'] }],
  [
    AdapterOid.receiveFilterMoveFilter,
    {
      kinds: ['set'],
      inputBytes: 24,
      numbers: ['filterId', 'sourceQueueId', 'sourceVPortId', 'destQueueId', 'destVPortId'],
    },
  ],
  [
    AdapterOid.receiveFilterEnumFilters,
    { kinds: ['method'], cached: ['method'], inputBytes: 20, outputBytes: 20, numbers: ['queueId'] },
  ],
  [
    AdapterOid.receiveFilterParameters,
    { kinds: ['method'], cached: ['method'], inputBytes: 36, outputBytes: 44, numbers: ['filterId'] },
  ],
  [AdapterOid.tcpOffloadHardwareCapabilities, { kinds: ['query'], cached: ['query'], outputBytes: 28 }],
  [AdapterOid.tcpOffloadCurrentConfig, { kinds: ['query'], cached: ['query'], outputBytes: 28 }],
  [AdapterOid.tcpOffloadParameters, { kinds: ['set'], inputBytes: 24, numbers: ['encapsulatedPacketTaskOffload'] }],
])

/** OIDs that only queues have: while a NIC switch exists they are of the other mode (SR-129). */
export const queueOids: ReadonlySet<number> = new Set<number>([
  AdapterOid.receiveFilterAllocateQueue,
  AdapterOid.receiveFilterFreeQueue,
  AdapterOid.receiveFilterEnumQueues,
  AdapterOid.receiveFilterQueueParameters,
  AdapterOid.receiveFilterQueueAllocationComplete,
])
