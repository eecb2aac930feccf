// Long tables in pages: entries in the order of a key that they keep as long as they are there, and a cursor that holds the last key of a
// page.
//
// The rule it must not break: whatever comes and goes between two pages, an entry that is there all the time comes exactly once.

import type { DropCount, FdbEntry, PortStatus, PropertyStatus } from '../host.ts'
import type { OverlayRecord, OverlayRoute } from '../overlay/overlay-calls.ts'
import type { AclStatus } from '../policies/acl-calls.ts'
import { ControlError } from './control-errors.ts'
import type { PageRequest } from './request-schemas.ts'

/** A part of a long table. */
export interface PagePart<T> {
  readonly items: readonly T[]
  /** Asks for the part that follows (`after`); null: this is the last. */
  readonly next: string | null
}

/** One of a table whose length is known. */
export interface Page<T> extends PagePart<T> {
  /** Entries of the whole table, now. */
  readonly total: number
}

/** What an entry is called, the weightiest part first; parts of one place are of one type. */
export type PageKey = readonly (string | number)[]

/** Keys of the tables that come in pages. */
export const pageKeys = {
  ports: ({ id }: PortStatus): PageKey => [id],
  fdb: ({ vlan, mac }: FdbEntry): PageKey => [vlan, mac],
  drops: ({ port, reason }: DropCount): PageKey => [port, reason],
  acls: ({ port, extended, index }: AclStatus): PageKey => [port, extended ? 1 : 0, index],
  overlayRecords: ({ vsid, mac }: OverlayRecord): PageKey => [vsid, mac],
  overlayRoutes: ({ vsid, prefix, nextHop, kind }: OverlayRoute): PageKey => [vsid, prefix, nextHop ?? '', kind],
  properties: ({ port, type, instance }: PropertyStatus): PageKey => [port ?? '', type, instance],
} as const

function compare(a: PageKey, b: PageKey): number {
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i]!, b[i]!]
    if (x !== y) return x < y ? -1 : 1
  }
  return 0
}

const cursorOf = (key: PageKey): string => Buffer.from(JSON.stringify(key)).toString('base64url')

/** The key in a cursor; it must be one like `sample`, where there is an entry to compare with. */
function keyIn(cursor: string, sample: PageKey | undefined): PageKey {
  const refused = new ControlError('bad-request', 'after: this is no cursor of this table: take `next` of its last page as it is')
  let key: unknown
  try {
    key = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
  } catch {
    throw refused
  }
  if (!Array.isArray(key) || key.length === 0) throw refused
  if (sample === undefined) return []
  if (key.length !== sample.length || key.some((part, i) => typeof part !== typeof sample[i])) throw refused
  return key as PageKey
}

/** The page of `all` that is asked for. Throws ControlError `bad-request` for a cursor that is none. */
export function pageOf<T>(all: readonly T[], keyOf: (entry: T) => PageKey, { after, limit }: PageRequest): Page<T> {
  const from = after === undefined ? null : keyIn(after, all[0] === undefined ? undefined : keyOf(all[0]))
  const keyed = all.map((entry) => ({ entry, key: keyOf(entry) }))
  const left = from === null ? keyed : keyed.filter(({ key }) => compare(key, from) > 0)
  left.sort((a, b) => compare(a.key, b.key))
  const items = left.slice(0, limit)
  const last = items.at(-1)
  return {
    items: items.map(({ entry }) => entry),
    total: all.length,
    next: last === undefined || left.length <= limit ? null : cursorOf(last.key),
  }
}

/** Asks for pages until there are none left, and gives their entries as they come. `ask` gets the query of a page. */
export async function* eachOf<T>(
  ask: (query: string) => Promise<PagePart<T>>,
  limit: number,
): AsyncGenerator<T, void, undefined> {
  let after: string | null = null
  do {
    const page: PagePart<T> = await ask(after === null ? `limit=${limit}` : `limit=${limit}&after=${after}`)
    yield* page.items
    after = page.next
  } while (after !== null)
}

/** All entries as a list. */
export async function listOf<T>(entries: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const entry of entries) list.push(entry)
  return list
}
