// Long tables through the control API, entry by entry: pages are asked for as they are needed.
//
// The rule it must not break: an entry that is in the table all the time comes exactly once; memory holds one page.
import type { ConnectionStatus } from '../diagnosis/diagnosis-calls.ts'
import type { DropCount, FdbEntry, FdbFilter, PortStatus, PropertyStatus } from '../host.ts'
import type { OverlayRecord, OverlayRoute, RecordFilter, RouteFilter } from '../overlay/overlay-calls.ts'
import type { AclStatus } from '../policies/acl-calls.ts'
import type { ControlCall } from './control-client.ts'
import { eachOf, type PagePart } from './pages.ts'

interface OfPort {
  readonly port?: string | undefined
}

/** Async iterators over the tables of a switch. Each throws ControlError as `connectControl` says. */
export interface ControlTables {
  ports(): AsyncGenerator<PortStatus, void, undefined>
  fdb(filter?: FdbFilter): AsyncGenerator<FdbEntry, void, undefined>
  drops(): AsyncGenerator<DropCount, void, undefined>
  acls(filter?: OfPort): AsyncGenerator<AclStatus, void, undefined>
  properties(filter?: OfPort): AsyncGenerator<PropertyStatus, void, undefined>
  /** Look-up records of the overlay. */
  overlayRecords(filter?: RecordFilter): AsyncGenerator<OverlayRecord, void, undefined>
  /** Customer routes of the overlay. */
  overlayRoutes(filter?: RouteFilter): AsyncGenerator<OverlayRoute, void, undefined>
  /** Connections that the stateful rules of a port follow. */
  connections(filter: { readonly port: string }): AsyncGenerator<ConnectionStatus, void, undefined>
}

/** Tables by `call`, in pages of `limit` entries (1 to 10000). */
export function tablesBy(call: ControlCall, limit: number): ControlTables {
  const table = <T>(route: string, filter: object = {}): AsyncGenerator<T, void, undefined> => {
    const query = new URLSearchParams()
    for (const [key, value] of Object.entries(filter)) if (value !== undefined) query.set(key, String(value))
    const start = query.size === 0 ? `${route}?` : `${route}?${query}&`
    return eachOf((page) => call<PagePart<T>>('GET', `${start}${page}`), limit)
  }
  return {
    ports: () => table('/v1/ports'),
    fdb: (filter) => table('/v1/fdb', filter),
    drops: () => table('/v1/drops'),
    acls: (filter) => table('/v1/acls', filter),
    properties: (filter) => table('/v1/properties', filter),
    overlayRecords: (filter) => table('/v1/overlay/records', filter),
    overlayRoutes: (filter) => table('/v1/overlay/routes', filter),
    connections: (filter) => table('/v1/connections', filter),
  }
}
