// Receive queues as NDIS keeps them: validation of ALLOCATE_QUEUE and of changes, ids, owners, states.
//
// The rule it must not break: queue 0, the default queue, is always there; no request makes, changes or frees it (VQ-050).
import { NdisStatus } from '../../ndis/status.ts'
import { DEFAULT_RECEIVE_QUEUE_ID, NAME_CHARACTERS_MAX } from '../identifiers.ts'
import { lowestFree } from '../lowest-free.ts'
import { type QueueEvent, type QueueState, stateAfter } from './queue-states.ts'
import {
  DEFAULT_PROCESSOR_GROUP,
  PROCESSORS_MAX,
  QUEUE_CHANGE_MASK,
  QUEUES_MAX,
  type QueueParameters,
  QueueParams,
  QueueType,
} from './queue-words.ts'

/** A queue that exists. */
export interface ReceiveQueue {
  readonly id: number
  /** Driver that allocated it; '' for the default queue, which nobody owns (VQ-053). */
  readonly owner: string
  state: QueueState
  parameters: QueueParameters
}

const ALLOCATION_FLAGS = QueueParams.perQueueReceiveIndication | QueueParams.lookaheadSplitRequired
const CHANGES =
  QueueParams.flagsChanged |
  QueueParams.processorAffinityChanged |
  QueueParams.suggestedReceiveBuffersChanged |
  QueueParams.nameChanged |
  QueueParams.interruptCoalescingDomainChanged |
  QueueParams.qosSqIdChanged

const isName = (name: unknown): boolean => typeof name === 'string' && name.length <= NAME_CHARACTERS_MAX
const isU32 = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffffffff

// At least one processor, of the one group (VQ-030).
function isAffinity({ processorGroup, processorAffinity: list }: QueueParameters): boolean {
  if (processorGroup !== DEFAULT_PROCESSOR_GROUP || !Array.isArray(list) || list.length === 0) return false
  return list.length <= PROCESSORS_MAX && list.every((p) => Number.isInteger(p) && p >= 0 && p < PROCESSORS_MAX)
}

/** The queues of one adapter. */
export class ReceiveQueues {
  readonly #byId = new Map<number, ReceiveQueue>()
  readonly #limit: number

  /** `numQueues`: queues that can be allocated, the default one not counted (VQ-002). */
  constructor(numQueues: number) {
    this.#limit = Math.min(numQueues, QUEUES_MAX - 1)
    this.#byId.set(DEFAULT_RECEIVE_QUEUE_ID, {
      id: DEFAULT_RECEIVE_QUEUE_ID,
      owner: '',
      state: 'running',
      parameters: defaultQueue,
    })
  }

  get(id: number): ReceiveQueue | undefined {
    return this.#byId.get(id)
  }

  /** Queues in order of their ids, the default one first; or those of one driver. */
  list(owner?: string): ReceiveQueue[] {
    const all = [...this.#byId.values()].sort((a, b) => a.id - b.id)
    return owner === undefined ? all : all.filter((queue) => queue.owner === owner)
  }

  /** Queues that drivers have allocated. */
  get allocated(): number {
    return this.#byId.size - 1
  }

  /** Checks an ALLOCATE_QUEUE and gives the queue its id, or says why not. It is not kept yet (VQ-037). */
  prepare(parameters: QueueParameters, owner: string): ReceiveQueue | NdisStatus {
    const bad = NdisStatus.invalidParameter
    const { flags, queueType, queueId, vmName, queueName } = parameters
    if (queueType !== QueueType.vmQueue || queueId !== DEFAULT_RECEIVE_QUEUE_ID) return bad // VQ-035
    if ((flags & ~ALLOCATION_FLAGS) !== 0) return bad // VQ-036
    if (parameters.lookaheadSize !== 0) return bad // VQ-045, VQ-046
    if (!isAffinity(parameters) || !isName(vmName) || !isName(queueName)) return bad
    if (parameters.qosSqId !== 0) return NdisStatus.notSupported // VQ-074
    const id = lowestFree(1, this.#limit, (candidate) => this.#byId.has(candidate)) // VQ-038, VQ-039, PD-09
    if (id < 0) return NdisStatus.resources
    return {
      id,
      owner,
      state: 'allocated', // VQ-056
      parameters: {
        ...parameters,
        flags: flags & ~QueueParams.lookaheadSplitRequired,
        queueId: id,
        processorAffinity: [...parameters.processorAffinity],
      },
    }
  }

  /** Keeps a queue that the miniport has allocated. */
  keep(queue: ReceiveQueue): void {
    this.#byId.set(queue.id, queue)
  }

  forget(id: number): void {
    this.#byId.delete(id)
  }

  /** True if the event is valid for the queue; the default queue takes filters and nothing else. */
  may(queue: ReceiveQueue, event: QueueEvent): boolean {
    if (queue.id !== DEFAULT_RECEIVE_QUEUE_ID) return stateAfter(queue.state, event) !== undefined
    return event !== 'free' && event !== 'allocation-complete' && event !== 'allocate' // VQ-124
  }

  /** Takes the queue on to the state after a valid event; the default queue stays as it is. */
  advance(queue: ReceiveQueue, event: QueueEvent): void {
    if (queue.id !== DEFAULT_RECEIVE_QUEUE_ID) queue.state = stateAfter(queue.state, event)!
  }

  /** Checks a set of QUEUE_PARAMETERS and gives what the parameters become, or says why not (VQ-071, VQ-072). */
  change(queue: ReceiveQueue, wanted: QueueParameters): QueueParameters | NdisStatus {
    const bad = NdisStatus.invalidParameter
    const flags = wanted.flags >>> 0
    if ((flags & QUEUE_CHANGE_MASK & ~CHANGES) !== 0) return bad
    let next = queue.parameters
    if ((flags & QueueParams.flagsChanged) !== 0) next = { ...next, flags: flags & QueueParams.perQueueReceiveIndication }
    if ((flags & QueueParams.processorAffinityChanged) !== 0) {
      if (!isAffinity(wanted)) return bad
      next = { ...next, processorAffinity: [...wanted.processorAffinity] }
    }
    if ((flags & QueueParams.suggestedReceiveBuffersChanged) !== 0) {
      if (!isU32(wanted.numSuggestedReceiveBuffers)) return bad
      next = { ...next, numSuggestedReceiveBuffers: wanted.numSuggestedReceiveBuffers }
    }
    if ((flags & QueueParams.nameChanged) !== 0) {
      if (!isName(wanted.queueName)) return bad
      next = { ...next, queueName: wanted.queueName }
    }
    if ((flags & QueueParams.interruptCoalescingDomainChanged) !== 0) {
      if (!isU32(wanted.interruptCoalescingDomainId)) return bad
      next = { ...next, interruptCoalescingDomainId: wanted.interruptCoalescingDomainId }
    }
    if ((flags & QueueParams.qosSqIdChanged) !== 0 && wanted.qosSqId !== 0) return NdisStatus.notSupported // VQ-074
    return next
  }
}

const defaultQueue: QueueParameters = {
  flags: 0,
  queueType: QueueType.vmQueue,
  queueId: DEFAULT_RECEIVE_QUEUE_ID,
  queueGroupId: 0,
  processorGroup: DEFAULT_PROCESSOR_GROUP,
  processorAffinity: [0],
  numSuggestedReceiveBuffers: 0,
  msixTableEntry: 0,
  lookaheadSize: 0,
  vmName: '',
  queueName: 'Default Queue',
  portId: 0,
  interruptCoalescingDomainId: 0,
  qosSqId: 0,
}
