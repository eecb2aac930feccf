// The calls of a service through the control API.
import { controlCall } from '../control-client.ts'
import type { FdbEntry, FdbFilter, PortStatus } from '../host.ts'
import type { Page, Paged } from '../request-schemas.ts'
import type { ServiceCalls } from './service-calls.ts'

/** An apply of a large configuration, or one that restarts a switch, may last. */
const APPLY_TIMEOUT_MS = 300_000

/** Long tables part by part, from the control socket `path`. */
export function connectPages(path: string) {
  const call = controlCall(path)
  const query = (page: Partial<Page>, filter: FdbFilter = {}): URLSearchParams => {
    const wanted = new URLSearchParams()
    for (const [key, value] of Object.entries({ offset: 0, ...page, ...filter }))
      if (value !== undefined) wanted.set(key, String(value))
    return wanted
  }
  return {
    ports: (page: Partial<Page>): Promise<Paged<PortStatus>> => call('GET', `/v1/ports?${query(page)}`),
    fdb: (filter: FdbFilter, page: Partial<Page>): Promise<Paged<FdbEntry>> => call('GET', `/v1/fdb?${query(page, filter)}`),
  }
}

/** The service behind the control socket `path`. Errors are those of connectControl; `no-such-route`: it is no service. */
export function connectService(path: string): ServiceCalls {
  const call = controlCall(path, APPLY_TIMEOUT_MS)
  return {
    service: () => call('GET', '/v1/service'),
    configuration: () => call('GET', '/v1/config'),
    apply: (request) => call('POST', '/v1/apply', request),
  }
}
