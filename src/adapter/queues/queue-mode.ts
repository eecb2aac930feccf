// The adapter's queue mode as adapter.ts sees it: VMQ is enabled, and while no NIC switch exists the requests of queues are carried out
// here. The first of a queue and a switch to be made decides; with the last queue gone either may be made again (SR-129, SR-130).
import { NdisStatus } from '../../ndis/status.ts'
import { AdapterError, type HardwareAssist } from '../capabilities.ts'
import { DEFAULT_RECEIVE_QUEUE_ID, FilterCaps } from '../identifiers.ts'
import { AdapterOid } from '../oids.ts'
import type { AdapterCompletion, AdapterRequest } from '../requests.ts'
import { noOffload } from './offload-state.ts'
import { QueueFilters } from './queue-filters.ts'
import { type QueueMode, queueHandlers } from './queue-handlers.ts'
import type { QueueMiniport } from './queue-miniport.ts'
import { ReceiveQueues } from './receive-queues.ts'

export class AdapterQueues {
  readonly #miniport: QueueMiniport
  readonly #mode: QueueMode
  readonly #indicate: (code: number, buffer: unknown) => void

  private constructor(miniport: QueueMiniport, mode: QueueMode, indicate: (code: number, buffer: unknown) => void) {
    this.#miniport = miniport
    this.#mode = mode
    this.#indicate = indicate
  }

  /** The queues of an adapter whose current capabilities enable them (VQ-014), or undefined. */
  static of(
    miniport: QueueMiniport | undefined,
    { currentReceiveFilter: caps }: HardwareAssist,
    indicate: (code: number, buffer: unknown) => void,
  ): AdapterQueues | undefined {
    if (!miniport || !caps || (caps.enabledQueueTypes & FilterCaps.vmQueuesEnabled) === 0) return undefined
    const mode = { queues: new ReceiveQueues(caps.numQueues), filters: new QueueFilters(caps), offload: noOffload }
    return new AdapterQueues(miniport, mode, indicate)
  }

  /** True while queues or filters keep a NIC switch from being made. */
  get inUse(): boolean {
    return this.#mode.queues.allocated > 0 || this.#mode.filters.list().length > 0
  }

  /** Carries out a request that queueRequestRules let pass; undefined if it is none of queues. */
  answer(request: AdapterRequest, driver: string): AdapterCompletion | Promise<AdapterCompletion> | undefined {
    const handler = queueHandlers.get(request.oid)
    const context = { miniport: this.#miniport, mode: this.#mode, driver, indicate: this.#indicate }
    return handler?.(context, request.payload as never, request.type)
  }

  /** A driver goes: throws AdapterError while it has queues, or filters on the default queue (VQ-099, VQ-133). */
  checkUnbind(driver: string): void {
    const { queues, filters } = this.#mode
    const left = [
      ...queues.list(driver).map(({ id }) => `queue ${id}`),
      ...filters.list(DEFAULT_RECEIVE_QUEUE_ID).flatMap(({ owner, id }) => (owner === driver ? [`filter ${id}`] : [])),
    ]
    if (left.length > 0)
      throw new AdapterError('in-use', 'VQ-133', `${driver} must clear and free what it has before it goes: ${left.join(', ')}`)
  }

  /** MiniportResetEx: what pends ends (VQ-131). */
  abort(): void {
    this.#miniport.abortPended()
  }

  /** Ends the queues: NDIS frees what is left before MiniportHaltEx (VQ-134). `removed`: the adapter is gone, nothing is asked of it. */
  async end(removed: boolean): Promise<void> {
    if (!removed) await this.#freeAll()
    this.#miniport.halt()
  }

  async #freeAll(): Promise<void> {
    const { queues, filters } = this.#mode
    for (const { id, queue, owner } of filters.list()) {
      const payload = { queueId: queue, filterId: id }
      await this.answer({ oid: AdapterOid.receiveFilterClearFilter, type: 'set', payload }, owner)
    }
    const freed = queues.list().filter(({ id, state }) => id !== DEFAULT_RECEIVE_QUEUE_ID && state !== 'freeing')
    for (const { id, owner } of freed) {
      const payload = { queueId: id }
      const { status, pending } = (await this.answer({ oid: AdapterOid.receiveFilterFreeQueue, type: 'set', payload }, owner))!
      if (status === NdisStatus.pending) await pending
    }
  }
}
