// The shared memory of one adapter: the tables that the PF miniport writes and the data path reads.
import { FilterTable, filterTableBytes } from './filter-table.ts'
import { GroupTable, groupTableBytes } from './group-table.ts'
import { RateLimits, rateLimitsBytes } from './rate-limits.ts'
import { RssTable, rssTableBytes } from './rss/rss-table.ts'
import { VPortTable, vportTableBytes } from './vport-table.ts'

const GROUP_ENTRIES = 4096
const FILTER_ENTRIES_MIN = 256
/** Entries per filter: a filter takes one for its test and one for its address as a source; the table stays a quarter full. */
const ENTRIES_PER_FILTER = 8

/** Size of the tables. */
export interface TableSizes {
  readonly vports: number
  readonly filters: number
  /** VPorts with room for RSS: all of them, or none (default). */
  readonly rss?: number
}

/** Views over the tables of one adapter. */
export interface DataTables {
  readonly vports: VPortTable
  readonly filters: FilterTable
  readonly groups: GroupTable
  readonly rates: RateLimits
  readonly rss: RssTable
}

const filterEntries = (filters: number): number =>
  Math.max(FILTER_ENTRIES_MIN, 2 ** Math.ceil(Math.log2(filters * ENTRIES_PER_FILTER)))
const aligned = (bytes: number): number => Math.ceil(bytes / 64) * 64

/** Bytes of shared memory, zeroed, that an adapter's tables take. */
export const dataTablesBytes = ({ vports, filters, rss = 0 }: TableSizes): number =>
  aligned(vportTableBytes(vports)) +
  aligned(filterTableBytes(filterEntries(filters))) +
  aligned(groupTableBytes(GROUP_ENTRIES)) +
  aligned(rateLimitsBytes(vports)) +
  aligned(rssTableBytes(rss))

/** Views tables of that size at byte offset `at` of `buffer`. */
export function viewDataTables(buffer: ArrayBufferLike, at: number, sizes: TableSizes): DataTables {
  const entries = filterEntries(sizes.filters)
  const filtersAt = at + aligned(vportTableBytes(sizes.vports))
  const groupsAt = filtersAt + aligned(filterTableBytes(entries))
  const ratesAt = groupsAt + aligned(groupTableBytes(GROUP_ENTRIES))
  return {
    vports: new VPortTable(buffer, at, sizes.vports),
    filters: new FilterTable(buffer, filtersAt, entries),
    groups: new GroupTable(buffer, groupsAt, GROUP_ENTRIES),
    rates: new RateLimits(buffer, ratesAt, sizes.vports),
    rss: new RssTable(buffer, ratesAt + aligned(rateLimitsBytes(sizes.vports)), sizes.rss ?? 0),
  }
}
