// What NDIS and the miniport do for each OID of receive queues: NDIS validates, gives ids, keeps what it was told, and asks the miniport.
//
// The rule it must not break: nothing is kept before the miniport has carried it out, and nothing is asked of it that NDIS must refuse.
import { NdisStatus } from '../../ndis/status.ts'
import { DEFAULT_RECEIVE_QUEUE_ID, DEFAULT_VPORT_ID } from '../identifiers.ts'
import { AdapterOid, AdapterStatus } from '../oids.ts'
import type * as P from '../payloads.ts'
import type { AdapterCompletion, RequestType } from '../requests.ts'
import { hardwareOffload, noOffload, type Offload, type OffloadParameters, OffloadSet } from './offload-state.ts'
import type { QueueFilter, QueueFilters } from './queue-filters.ts'
import type { QueueMiniport } from './queue-miniport.ts'
import { isComplete, operationalState } from './queue-states.ts'
import {
  type AllocationCompleteArray,
  type AllocationCompleteElement,
  type FreeQueueParameters,
  OperationalState,
  type QueueInfo,
  type QueueParameters,
  QueueParams,
  type QueueStateIndication,
} from './queue-words.ts'
import type { ReceiveQueue, ReceiveQueues } from './receive-queues.ts'

/** What NDIS keeps of an adapter whose queues are enabled. */
export interface QueueMode {
  readonly queues: ReceiveQueues
  readonly filters: QueueFilters
  offload: Offload
}

/** What a handler works with. */
export interface QueueContext {
  readonly miniport: QueueMiniport
  readonly mode: QueueMode
  readonly driver: string
  readonly indicate: (code: number, buffer: unknown) => void
}

type QueueHandler = (context: QueueContext, payload: never, type: RequestType) => AdapterCompletion | Promise<AdapterCompletion>

const done = (output?: unknown): AdapterCompletion => ({ status: NdisStatus.success, output })
const refused = (status: NdisStatus): AdapterCompletion => ({ status })
const invalid = refused(NdisStatus.invalidParameter)

// ---- queues -----------------------------------------------------------------------------------------------------------------

async function allocateQueue(c: QueueContext, payload: QueueParameters): Promise<AdapterCompletion> {
  const { queues } = c.mode
  const queue = queues.prepare(payload, c.driver)
  if (typeof queue === 'number') return refused(queue)
  const { status, value } = c.miniport.allocateQueue(queue.parameters)
  if (status !== NdisStatus.success || !value) return refused(status) // VQ-041
  queue.parameters = { ...queue.parameters, ...value } // VQ-040
  queues.keep(queue)
  return done(queue.parameters)
}

// Whose queue it is may act on it (VQ-052).
const own = (c: QueueContext, queue: ReceiveQueue | undefined): queue is ReceiveQueue =>
  queue !== undefined && queue.owner === c.driver

function queueParameters(c: QueueContext, payload: QueueParameters, type: RequestType): AdapterCompletion {
  const { queues } = c.mode
  const queue = queues.get(payload.queueId)
  if (!queue || !queues.may(queue, 'parameters')) return invalid // VQ-068
  if (type === 'method') return done(queue.parameters) // VQ-073
  if (!own(c, queue)) return invalid
  const next = queues.change(queue, payload)
  if (typeof next === 'number') return refused(next)
  const moved = (payload.flags & QueueParams.processorAffinityChanged) !== 0
  const { status, value } = c.miniport.setQueueParameters(next)
  if (status !== NdisStatus.success) return refused(status)
  const before = queue.parameters.interruptCoalescingDomainId
  queue.parameters = moved && value ? { ...next, interruptCoalescingDomainId: value.interruptCoalescingDomainId } : next
  const asked = (payload.flags & QueueParams.interruptCoalescingDomainChanged) !== 0
  if (!asked && queue.parameters.interruptCoalescingDomainId !== before) domainChanged(c, queue)
  return done()
}

// VQ-079, VQ-080: the structure of revision 2, and the one member that it reports.
function domainChanged(c: QueueContext, queue: ReceiveQueue): void {
  const { qosSqId: _, ...revision2 } = queue.parameters
  c.indicate(AdapterStatus.receiveFilterQueueParameters, {
    ...revision2,
    flags: QueueParams.interruptCoalescingDomainChanged,
  })
}

function allocationComplete(c: QueueContext, payload: AllocationCompleteArray): AdapterCompletion {
  const { queues, filters } = c.mode
  if (!Array.isArray(payload.elements)) return invalid
  const batch: ReceiveQueue[] = []
  const answers = payload.elements.map((element: AllocationCompleteElement): AllocationCompleteElement => {
    const queue = queues.get(element?.queueId)
    const good = own(c, queue) && queues.may(queue, 'allocation-complete') && !batch.includes(queue)
    if (good) batch.push(queue)
    return { queueId: element?.queueId, completionStatus: good ? NdisStatus.pending : NdisStatus.invalidParameter }
  })
  const statuses = c.miniport.completeAllocation(
    batch.map(({ id, parameters }) => ({ parameters, filters: filters.list(id) })), // VQ-047
  )
  const output = answers.map((answer) => {
    const at = batch.findIndex(({ id }) => id === answer.queueId)
    if (answer.completionStatus !== NdisStatus.pending) return answer
    const status = statuses[at]!
    if (status === NdisStatus.success) queues.advance(batch[at]!, 'allocation-complete') // VQ-058
    return { ...answer, completionStatus: status } // VQ-048
  })
  return done({ elements: output })
}

function enumQueues(c: QueueContext, _payload: unknown, type: RequestType): AdapterCompletion {
  const { queues, filters } = c.mode
  const found = queues.list(type === 'query' ? c.driver : undefined) // VQ-075, VQ-076
  return done(found.map((queue) => describe(queue, filters.list(queue.id).length)))
}

function describe({ state, parameters }: ReceiveQueue, numFilters: number): QueueInfo {
  const { flags: _f, portId: _p, qosSqId: _q, ...rest } = parameters
  return { ...rest, queueState: operationalState(state), numFilters } // PD-18
}

/**
 * FREE_QUEUE. The answer pends until every packet of the queue is back; requests behind it don't wait for that. The miniport's word that
 * DMA has stopped is taken once, and from this request alone (VQ-127).
 */
function freeQueue(c: QueueContext, { queueId }: FreeQueueParameters): AdapterCompletion {
  const { queues } = c.mode
  const queue = queues.get(queueId)
  if (!own(c, queue) || !queues.may(queue, 'free')) return invalid // VQ-062, VQ-124, VQ-132
  queues.advance(queue, 'free') // VQ-061
  const stopped = (): void => {
    if (queue.state !== 'dma-stopped') return
    const buffer: QueueStateIndication = { queueId, queueState: OperationalState.dmaStopped }
    c.indicate(AdapterStatus.receiveQueueState, buffer) // VQ-126
    queues.advance(queue, 'stop-indicated') // VQ-063
  }
  const gone = (): void => {
    queues.advance(queue, 'resources-freed') // VQ-064
    queues.forget(queueId)
  }
  const answer = Promise.resolve(c.miniport.freeQueue(queueId, { stopped, gone }))
  return { status: NdisStatus.pending, pending: answer.then(refused) } // VQ-131
}

// ---- filters on queues ------------------------------------------------------------------------------------------------------

async function setFilter(c: QueueContext, payload: P.FilterParameters): Promise<AdapterCompletion> {
  const { queues, filters } = c.mode
  const queue = queues.get(payload.queueId)
  if (!queue || !queues.may(queue, 'set-filter')) return invalid // VQ-082
  if (queue.id !== DEFAULT_RECEIVE_QUEUE_ID && queue.owner !== c.driver) return invalid // VQ-053, VQ-081
  const filter = filters.prepare(payload, c.driver)
  if (typeof filter === 'number') return refused(filter)
  const status = await c.miniport.setQueueFilter(filter, isComplete(queue.state)) // VQ-067
  if (status !== NdisStatus.success) return refused(status)
  filters.keep(filter) // VQ-086
  queues.advance(queue, 'set-filter') // VQ-057
  return done(filter.parameters)
}

const isLast = (c: QueueContext, filter: QueueFilter): boolean =>
  filter.queue !== DEFAULT_RECEIVE_QUEUE_ID && c.mode.filters.list(filter.queue).length === 1

async function clearFilter(c: QueueContext, payload: P.ClearFilterParameters): Promise<AdapterCompletion> {
  const { queues, filters } = c.mode
  const filter = filters.get(payload.filterId)
  if (!filter || filter.queue !== payload.queueId) return refused(NdisStatus.fileNotFound)
  if (filter.owner !== c.driver) return invalid
  const last = isLast(c, filter)
  await c.miniport.clearQueueFilter(filter, last)
  filters.forget(filter)
  queues.advance(queues.get(filter.queue)!, last ? 'clear-last-filter' : 'clear-filter') // VQ-059, VQ-060
  return done()
}

// A queue's filter goes to another queue as one step. NDIS documents the request for VPorts only; the structure names queues too.
async function moveFilter(c: QueueContext, payload: P.MoveFilterParameters): Promise<AdapterCompletion> {
  const { queues, filters } = c.mode
  const filter = filters.get(payload.filterId)
  const to = queues.get(payload.destQueueId)
  if (!filter || filter.queue !== payload.sourceQueueId || filter.owner !== c.driver) return invalid
  if (payload.sourceVPortId !== DEFAULT_VPORT_ID || payload.destVPortId !== DEFAULT_VPORT_ID) return invalid
  const from = queues.get(filter.queue)!
  if (!to || !isComplete(to.state) || !isComplete(from.state)) return invalid
  if (to.id !== DEFAULT_RECEIVE_QUEUE_ID && to.owner !== c.driver) return invalid
  if (to === from) return done()
  const last = isLast(c, filter)
  const status = await c.miniport.moveQueueFilter(filter, to.id, last)
  if (status !== NdisStatus.success) return refused(status)
  filters.forget(filter)
  filters.keep({ ...filter, queue: to.id, parameters: { ...filter.parameters, queueId: to.id } })
  queues.advance(from, last ? 'clear-last-filter' : 'clear-filter')
  queues.advance(to, 'set-filter')
  return done()
}

function enumFilters(c: QueueContext, payload: { queueId: number }): AdapterCompletion {
  const { queues, filters } = c.mode
  const queue = queues.get(payload.queueId)
  if (!queue || !queues.may(queue, 'enum-filters')) return invalid // VQ-068
  const found = filters.list(queue.id) // VQ-077
  return done(found.map(({ id, parameters }): P.FilterInfo => ({ filterId: id, filterType: parameters.filterType })))
}

function readFilter(c: QueueContext, payload: { filterId: number }): AdapterCompletion {
  const filter = c.mode.filters.get(payload.filterId)
  const queue = filter && c.mode.queues.get(filter.queue)
  if (!filter || !queue || !c.mode.queues.may(queue, 'read-filter')) return invalid // VQ-069
  return done(filter.parameters)
}

// ---- NVGRE task offload -----------------------------------------------------------------------------------------------------

async function setOffload(c: QueueContext, payload: OffloadParameters): Promise<AdapterCompletion> {
  const wanted = payload.encapsulatedPacketTaskOffload
  if (!(wanted === OffloadSet.noChange || wanted === OffloadSet.on || wanted === OffloadSet.off)) return invalid
  if (wanted !== OffloadSet.noChange) {
    const status = await c.miniport.setOffload(payload)
    if (status !== NdisStatus.success) return refused(status)
    c.mode.offload = wanted === OffloadSet.on ? hardwareOffload : noOffload
  }
  c.indicate(AdapterStatus.taskOffloadCurrentConfig, c.mode.offload) // VQ-171
  return done()
}

/** The acts in queue mode, by OID. */
export const queueHandlers: ReadonlyMap<number, QueueHandler> = new Map<number, QueueHandler>([
  [AdapterOid.receiveFilterAllocateQueue, allocateQueue],
  [AdapterOid.receiveFilterFreeQueue, freeQueue],
  [AdapterOid.receiveFilterEnumQueues, enumQueues],
  [AdapterOid.receiveFilterQueueParameters, queueParameters],
  [AdapterOid.receiveFilterQueueAllocationComplete, allocationComplete],
  [AdapterOid.receiveFilterSetFilter, setFilter],
  [AdapterOid.receiveFilterClearFilter, clearFilter],
  [AdapterOid.receiveFilterMoveFilter, moveFilter],
  [AdapterOid.receiveFilterEnumFilters, enumFilters],
  [AdapterOid.receiveFilterParameters, readFilter],
  [AdapterOid.tcpOffloadHardwareCapabilities, () => done(hardwareOffload)],
  [AdapterOid.tcpOffloadCurrentConfig, (c) => done(c.mode.offload)], // VQ-172
  [AdapterOid.tcpOffloadParameters, setOffload],
])
