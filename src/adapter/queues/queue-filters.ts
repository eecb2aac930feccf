// Receive filters on queues as NDIS keeps them: validation of SET_FILTER, ids, owners.
//
// The rule it must not break: one (MAC, VLAN) pair is held by one filter at a time (PD-08); ids are nonzero and unique on the adapter,
// whatever the queue (VQ-085).
import { NdisStatus } from '../../ndis/status.ts'
import { ANY_VLAN, type FilterKey } from '../filter-table.ts'
import { DEFAULT_RECEIVE_FILTER_ID, DEFAULT_VPORT_ID, FilterCaps, FilterType } from '../identifiers.ts'
import { lowestFree } from '../lowest-free.ts'
import type { FilterParameters, ReceiveFilterCapabilities } from '../payloads.ts'
import { readFilterKey } from '../receive-filters.ts'

/** A filter that is set on a queue. */
export interface QueueFilter {
  readonly id: number
  /** Driver that set it. */
  readonly owner: string
  readonly queue: number
  readonly key: FilterKey
  readonly parameters: FilterParameters
}

const textOf = (key: FilterKey): string => `${key.mac}/${key.vlan}/${key.inner ? 'inner' : 'outer'}`

/** The filters of one adapter's queues. */
export class QueueFilters {
  readonly #byId = new Map<number, QueueFilter>()
  readonly #byKey = new Map<string, QueueFilter>()
  readonly #capabilities: ReceiveFilterCapabilities

  constructor(capabilities: ReceiveFilterCapabilities) {
    this.#capabilities = capabilities
  }

  /** Checks a SET_FILTER and gives the filter its id, or says why not. It is not kept yet. */
  prepare(parameters: FilterParameters, owner: string): QueueFilter | NdisStatus {
    const bad = NdisStatus.invalidParameter
    const { supportedQueueProperties, maxMacHeaderFilters } = this.#capabilities
    if (parameters.filterType !== FilterType.vmQueue || parameters.vPortId !== DEFAULT_VPORT_ID) return bad // VQ-083, VQ-102
    if (parameters.filterId !== DEFAULT_RECEIVE_FILTER_ID || parameters.requestedFilterIdBitCount !== 0) return bad // VQ-109
    const key = readFilterKey(parameters, this.#capabilities) // VQ-084, VQ-097
    if (!key || this.#byKey.has(textOf(key))) return bad // PD-08
    if (key.vlan === ANY_VLAN && (supportedQueueProperties & FilterCaps.anyVlanSupported) === 0) return bad // VQ-094
    if (this.#byId.size >= maxMacHeaderFilters) return NdisStatus.resources
    const id = lowestFree(1, maxMacHeaderFilters, (candidate) => this.#byId.has(candidate)) // VQ-085, PD-09
    return { id, owner, queue: parameters.queueId, key, parameters: Object.freeze({ ...parameters, filterId: id }) }
  }

  /** Keeps a filter that the miniport has taken, or the new state of one. */
  keep(filter: QueueFilter): void {
    this.#byId.set(filter.id, filter)
    this.#byKey.set(textOf(filter.key), filter)
  }

  forget(filter: QueueFilter): void {
    this.#byId.delete(filter.id)
    this.#byKey.delete(textOf(filter.key))
  }

  get(id: number): QueueFilter | undefined {
    return this.#byId.get(id)
  }

  /** All filters in order of their ids, or those of one queue. */
  list(queue?: number): QueueFilter[] {
    const all = [...this.#byId.values()].sort((a, b) => a.id - b.id)
    return queue === undefined ? all : all.filter((filter) => filter.queue === queue)
  }
}
