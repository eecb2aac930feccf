// The virtualization stack's side of queues: gives a VM's network connection a queue of its own, moves it, takes it away. It asks the
// adapter as any overlying driver does, through a function that may lead past extensions, which may veto (VQ-234).
//
// The rule it must not break: a VM that gets no queue is served by the default queue and told why; nothing half made stays behind.
import { NdisStatus, ndisStatusName } from '../../ndis/status.ts'
import { DEFAULT_RECEIVE_QUEUE_ID } from '../identifiers.ts'
import { AdapterOid } from '../oids.ts'
import type { FilterParameters } from '../payloads.ts'
import { filterParameters } from '../receive-filters.ts'
import type { AdapterCompletion, AdapterRequest } from '../requests.ts'
import { type AllocationCompleteArray, type QueueParameters, QueueParams, QueueType } from './queue-words.ts'

/** What a VM's queue is to be. */
export interface VmQueueWish {
  readonly vmName: string
  /** Port of the extensible switch (VQ-236). */
  readonly portId: number
  readonly mac: string
  /** VLAN id, or 0 for untagged frames and those tagged with id 0 (VQ-093). */
  readonly vlan: number
  /** Processors that may serve the queue; the lowest does. */
  readonly processors: readonly number[]
  /** Receive buffers; a hint. */
  readonly buffers?: number
  /** Packets are never indicated together with those of other queues. */
  readonly alone?: boolean
}

/** A VM that has a queue, or why it has none. */
export interface VmQueue {
  readonly wish: VmQueueWish
  /** 0: the default queue serves the VM. */
  readonly queueId: number
  readonly filterId: number
  /** Why it is the default queue; '' if it is not. */
  readonly reason: string
}

export interface VmQueuesComponents {
  /** Carries a request out for this driver, with whatever may veto it on the way. */
  readonly request: (request: AdapterRequest) => Promise<AdapterCompletion>
}

const queueParameters = (wish: VmQueueWish): QueueParameters => ({
  flags: wish.alone ? QueueParams.perQueueReceiveIndication : 0,
  queueType: QueueType.vmQueue,
  queueId: 0,
  queueGroupId: 0,
  processorGroup: 0,
  processorAffinity: wish.processors,
  numSuggestedReceiveBuffers: wish.buffers ?? 0,
  msixTableEntry: 0,
  lookaheadSize: 0, // VQ-045
  vmName: wish.vmName,
  queueName: `${wish.vmName} ${wish.mac}`,
  portId: wish.portId, // VQ-236
  interruptCoalescingDomainId: 0,
  qosSqId: 0,
})

/** The SET_FILTER of a VM on a queue: its address, and its VLAN or UNTAGGED_OR_ZERO (VQ-093). */
const filterOf = (wish: VmQueueWish, queueId: number): FilterParameters => ({
  ...filterParameters(wish.mac, wish.vlan, 0),
  queueId,
})

export class VmQueues {
  readonly #request: (request: AdapterRequest) => Promise<AdapterCompletion>
  readonly #queues = new Map<number, VmQueue>()

  constructor({ request }: VmQueuesComponents) {
    this.#request = request
  }

  /** VMs with a queue of their own. */
  list(): VmQueue[] {
    return [...this.#queues.values()]
  }

  /** Gives a VM a queue: allocate, filter, complete (VQ-034, VQ-047). Where that fails it stays on the default queue, with the reason. */
  async assign(wish: VmQueueWish): Promise<VmQueue> {
    const allocated = await this.#ask(AdapterOid.receiveFilterAllocateQueue, 'method', queueParameters(wish))
    if (allocated.status !== NdisStatus.success) return onDefault(wish, 'no queue', allocated.status)
    const { queueId } = allocated.output as QueueParameters
    const filter = await this.#ask(AdapterOid.receiveFilterSetFilter, 'method', filterOf(wish, queueId))
    if (filter.status !== NdisStatus.success) {
      await this.#free(queueId)
      return onDefault(wish, 'no filter', filter.status)
    }
    const { filterId } = filter.output as FilterParameters
    const status = await this.#complete(queueId)
    const vm = { wish, queueId, filterId, reason: '' }
    if (status !== NdisStatus.success) {
      await this.#takeApart(vm)
      return onDefault(wish, 'no memory for a queue', status)
    }
    this.#queues.set(queueId, vm)
    return vm
  }

  async #complete(queueId: number): Promise<NdisStatus> {
    const payload: AllocationCompleteArray = { elements: [{ queueId, completionStatus: 0 }] }
    const completed = await this.#ask(AdapterOid.receiveFilterQueueAllocationComplete, 'method', payload)
    if (completed.status !== NdisStatus.success) return completed.status
    return (completed.output as AllocationCompleteArray).elements[0]!.completionStatus
  }

  /** Takes a VM's queue away: filters first, then the queue (VQ-098, VQ-157). Its frames come on the default queue from then on. */
  async release(vm: VmQueue): Promise<void> {
    if (!this.#queues.delete(vm.queueId)) return
    await this.#takeApart(vm)
  }

  async #takeApart({ queueId, filterId }: VmQueue): Promise<void> {
    await this.#ask(AdapterOid.receiveFilterClearFilter, 'set', { queueId, filterId })
    await this.#free(queueId)
  }

  async #free(queueId: number): Promise<void> {
    await this.#ask(AdapterOid.receiveFilterFreeQueue, 'set', { queueId })
  }

  /** Lets another processor serve a VM's queue; no frame is lost or overtaken (VQ-031). Returns the status. */
  async setProcessors(vm: VmQueue, processors: readonly number[]): Promise<NdisStatus> {
    const payload = {
      ...queueParameters({ ...vm.wish, processors }),
      queueId: vm.queueId,
      flags: QueueParams.processorAffinityChanged,
    }
    return (await this.#ask(AdapterOid.receiveFilterQueueParameters, 'set', payload)).status
  }

  /**
   * Moves a VM to a queue of other properties: the new queue is made, the filter moved in one step, the old queue freed. Frames that wait
   * in the old one are indicated before those that come in the new one; none is lost. Where the new queue can't be had the VM keeps the
   * one it has, and `reason` of the answer says why.
   */
  async move(vm: VmQueue, wish: VmQueueWish): Promise<VmQueue> {
    if (!this.#queues.has(vm.queueId)) return this.assign(wish)
    const allocated = await this.#ask(AdapterOid.receiveFilterAllocateQueue, 'method', queueParameters(wish))
    if (allocated.status !== NdisStatus.success) return { ...vm, reason: because('no queue to move to', allocated.status) }
    const { queueId } = allocated.output as QueueParameters
    const completed = await this.#complete(queueId)
    const move = { filterId: vm.filterId, sourceQueueId: vm.queueId, sourceVPortId: 0, destQueueId: queueId, destVPortId: 0 }
    const status =
      completed === NdisStatus.success ? (await this.#ask(AdapterOid.receiveFilterMoveFilter, 'set', move)).status : completed
    if (status !== NdisStatus.success) {
      await this.#free(queueId)
      return { ...vm, reason: because('the filter stays', status) }
    }
    this.#queues.delete(vm.queueId)
    await this.#free(vm.queueId)
    const moved = { wish, queueId, filterId: vm.filterId, reason: '' }
    this.#queues.set(queueId, moved)
    return moved
  }

  /** Gives everything back, before the driver unbinds (VQ-098, VQ-133). */
  async close(): Promise<void> {
    for (const vm of this.list()) await this.release(vm)
  }

  #ask(oid: number, type: AdapterRequest['type'], payload: unknown): Promise<AdapterCompletion> {
    return this.#request({ oid, type, payload })
  }
}

const because = (what: string, status: NdisStatus): string => `${what}: ${ndisStatusName(status)}`
const onDefault = (wish: VmQueueWish, what: string, status: NdisStatus): VmQueue => ({
  wish,
  queueId: DEFAULT_RECEIVE_QUEUE_ID,
  filterId: 0,
  reason: because(what, status),
})
