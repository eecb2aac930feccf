// Constants and payloads of receive queues with their header values (spec 2.8, 2.9). Members that are reserved, headers and buffer
// offsets are left out: an object knows its own length.

/** Receive queues that one adapter may have at the most, the default one included: the width of a steering rule's queue number. */
export const QUEUES_MAX = 256
/** Processors that an affinity may name: those of processor group 0, the only one (section 12). */
export const PROCESSORS_MAX = 64
export const DEFAULT_PROCESSOR_GROUP = 0

/** NDIS_RECEIVE_QUEUE_TYPE */
export const QueueType = { unspecified: 0, vmQueue: 1 } as const

/** NDIS_RECEIVE_QUEUE_PARAMETERS.Flags */
export const QueueParams = {
  perQueueReceiveIndication: 0x1,
  lookaheadSplitRequired: 0x2,
  flagsChanged: 0x00010000,
  processorAffinityChanged: 0x00020000,
  suggestedReceiveBuffersChanged: 0x00040000,
  nameChanged: 0x00080000,
  interruptCoalescingDomainChanged: 0x00100000,
  qosSqIdChanged: 0x00200000,
} as const
/** Upper half of the flags: "changed". */
export const QUEUE_CHANGE_MASK = 0xffff0000

/** NDIS_RECEIVE_QUEUE_OPERATIONAL_STATE */
export const OperationalState = { undefined: 0, running: 1, paused: 2, dmaStopped: 3 } as const
export type OperationalState = (typeof OperationalState)[keyof typeof OperationalState]

/** NDIS_SHARED_MEMORY_USAGE, those that are used. */
export const SharedMemoryUsage = { undefined: 0, xmit: 1, receive: 4, other: 9 } as const

/** NDIS_RECEIVE_QUEUE_PARAMETERS, revision 3 */
export interface QueueParameters {
  readonly flags: number
  readonly queueType: number
  readonly queueId: number
  readonly queueGroupId: number
  /** GROUP_AFFINITY: the group, and the processors of its mask by number. The lowest one serves the queue. */
  readonly processorGroup: number
  readonly processorAffinity: readonly number[]
  readonly numSuggestedReceiveBuffers: number
  readonly msixTableEntry: number
  readonly lookaheadSize: number
  readonly vmName: string
  readonly queueName: string
  /** Port of the extensible switch to which the queue belongs (VQ-236). */
  readonly portId: number
  readonly interruptCoalescingDomainId: number
  readonly qosSqId: number
}

/** NDIS_RECEIVE_QUEUE_INFO, revision 2 */
export interface QueueInfo extends Omit<QueueParameters, 'flags' | 'portId' | 'qosSqId'> {
  readonly queueState: OperationalState
  readonly numFilters: number
}

/** NDIS_RECEIVE_QUEUE_PARAMETERS, revision 2: what an indication carries (VQ-080). */
export type QueueParametersRevision2 = Omit<QueueParameters, 'qosSqId'>

/** NDIS_RECEIVE_QUEUE_FREE_PARAMETERS */
export interface FreeQueueParameters {
  readonly queueId: number
}

/** NDIS_RECEIVE_QUEUE_ALLOCATION_COMPLETE_ARRAY with its elements */
export interface AllocationCompleteArray {
  readonly elements: readonly AllocationCompleteElement[]
}
export interface AllocationCompleteElement {
  readonly queueId: number
  readonly completionStatus: number
}

/** NDIS_RECEIVE_QUEUE_STATE */
export interface QueueStateIndication {
  readonly queueId: number
  readonly queueState: OperationalState
}
