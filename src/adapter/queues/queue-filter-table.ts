// The receive filters of queues as the data path asks them: (MAC, VLAN) → queue, in shared memory. One control thread writes, all
// processors read. Filters with and without VLAN test stand in tables of their own, because of two that match the one of the lower
// queue decides (VQ-090), not the more specific one.
import { ANY_VLAN, type FilterKey, FilterTable, filterTableBytes } from '../filter-table.ts'

const ENTRIES_MIN = 64
/** A table stays a quarter full. */
const ENTRIES_PER_FILTER = 4

const entriesFor = (filters: number): number => Math.max(ENTRIES_MIN, 2 ** Math.ceil(Math.log2(filters * ENTRIES_PER_FILTER)))

export const queueFilterTableBytes = (filters: number): number => filterTableBytes(entriesFor(filters)) * 2

/** Fields are ordinary ones: look-ups run per packet. */
export class QueueFilterTable {
  private readonly exact: FilterTable
  private readonly any: FilterTable

  /** Views the tables at byte offset `at` of `buffer`, zeroed by the caller, for so many filters. */
  constructor(buffer: ArrayBufferLike, at: number, filters: number) {
    const entries = entriesFor(filters)
    this.exact = new FilterTable(buffer, at, entries)
    this.any = new FilterTable(buffer, at + filterTableBytes(entries), entries)
  }

  /** True if a filter without VLAN test is set. */
  get hasAny(): boolean {
    return this.any.used !== 0
  }

  /**
   * The queue whose filter matches this destination address and VLAN id (0 = untagged or zero), or -1: the one with the lowest id,
   * the default queue's own filters last, since it takes only what no other queue does (VQ-051). `inner`: the filter is one for inner
   * addresses. Allocates nothing.
   */
  match(low: number, high: number, vlan: number, inner: boolean): number {
    const exact = inner ? this.exact.matchInner(low, high, vlan) : this.exact.match(low, high, vlan)
    if (this.any.used === 0) return exact
    const any = inner ? this.any.matchInner(low, high, vlan) : this.any.match(low, high, vlan)
    if (exact <= 0) return any < 0 ? exact : any
    return any <= 0 || exact < any ? exact : any
  }

  /** Programs a filter, or gives one that is programmed to another queue in one step. False without room. */
  set(filter: FilterKey, queue: number): boolean {
    return this.tableOf(filter).set(filter, queue)
  }

  clear(filter: FilterKey): boolean {
    return this.tableOf(filter).clear(filter)
  }

  private tableOf(filter: FilterKey): FilterTable {
    return filter.vlan === ANY_VLAN ? this.any : this.exact
  }
}
