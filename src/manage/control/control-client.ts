// The control API from its other side: a SwitchHost whose calls go through the control socket, or over the network.
import { adapterClient } from '../adapters/adapter-client.ts'
import { diagnosisClient } from '../diagnosis/diagnosis-client.ts'
import type { RemoteSwitchHost } from '../host.ts'
import { overlayClient } from '../overlay/overlay-client.ts'
import { ControlError } from './control-errors.ts'
import { type ControlPlace, placeText, requestTo, unreached } from './control-place.ts'
import { listOf } from './pages.ts'
import { type ControlTables, tablesBy } from './table-client.ts'

const TIMEOUT_MS = 30_000
/** Of a page of the client's own. */
const PAGE_ENTRIES = 1000
const ANSWER_MAX_BYTES = 64 * 1024 * 1024

interface Answer {
  readonly status: number
  readonly text: string
}

/** One call of the control API: method, route, body; answers what the server did. */
export type ControlCall = <T>(method: string, route: string, body?: unknown) => Promise<T>

/** Calls of the control API at `place`. Each throws ControlError as `connectControl` says. */
export function controlCall(place: ControlPlace, timeoutMs = TIMEOUT_MS): ControlCall {
  return async <T>(method: string, route: string, body?: unknown): Promise<T> => {
    const { status, text } = await exchange(place, method, route, body, timeoutMs)
    let data: unknown
    try {
      data = JSON.parse(text)
    } catch {
      throw new ControlError('no-answer', `${placeText(place)} did not answer as a vmswitch does (HTTP ${status})`, status)
    }
    if (status < 400) return data as T
    const { code, message } = data as { code?: unknown; message?: unknown }
    throw new ControlError(String(code ?? 'internal'), String(message ?? `HTTP ${status}`), status)
  }
}

/** The long tables of the switch whose control API is at `place`, in pages of `limit` entries (1 to 10000). */
export const connectTables = (place: ControlPlace, limit = PAGE_ENTRIES): ControlTables => tablesBy(controlCall(place), limit)

/**
 * The switch whose control API is at `place`. Every call throws ControlError: with the server's own code, or `not-running` (no
 * socket, or nobody listens), `not-permitted`, `not-trusted`, `bad-host`, `no-answer`.
 */
export function connectControl(place: ControlPlace, timeoutMs = TIMEOUT_MS): RemoteSwitchHost {
  const call = controlCall(place, timeoutMs)
  const segment = encodeURIComponent
  const tables = tablesBy(call, PAGE_ENTRIES)
  return {
    ...adapterClient(call),
    ...diagnosisClient({ place, call }),
    ...overlayClient(call),
    status: () => call('GET', '/v1/status'),
    live: () => call('GET', '/v1/live'),
    ports: () => listOf(tables.ports()),
    team: () => call('GET', '/v1/team'),
    mdb: () => call('GET', '/v1/mdb'),
    setSnooping: (settings) => (settings === null ? call('DELETE', '/v1/snooping') : call('PUT', '/v1/snooping', settings)),
    fdb: (filter) => listOf(tables.fdb(filter)),
    flushFdb: async (filter) => (await call<{ flushed: number }>('POST', '/v1/fdb/flush', filter)).flushed,
    extensions: () => call('GET', '/v1/extensions'),
    setExtension: ({ name, enabled }) => call('PATCH', `/v1/extensions/${segment(name)}`, { enabled }),
    pauseExtension: ({ name, paused }) => call('PATCH', `/v1/extensions/${segment(name)}`, { paused }),
    reorderExtensions: (names) => call('PUT', '/v1/extensions', { names }),
    installExtension: (extension) => call('POST', '/v1/extensions', extension),
    uninstallExtension: async (name) => {
      await call('DELETE', `/v1/extensions/${segment(name)}`)
    },
    replaceExtension: (name) => call('POST', `/v1/extensions/${segment(name)}/reload`, {}),
    counters: () => call('GET', '/v1/counters'),
    drops: () => listOf(tables.drops()),
    addPort: (port) => call('POST', '/v1/ports', port),
    removePort: async (name) => {
      await call('DELETE', `/v1/ports/${segment(name)}`)
    },
    setLink: (name, up) => call('PATCH', `/v1/ports/${segment(name)}`, { link: up ? 'up' : 'down' }),
    setPort: (name, change) => call('PATCH', `/v1/ports/${segment(name)}`, change),
    properties: (filter) => listOf(tables.properties(filter)),
    propertyDefinitions: () => call('GET', '/v1/property-definitions'),
    addProperty: (change) => call('POST', '/v1/properties', change),
    acls: (filter) => listOf(tables.acls(filter)),
    addAcl: (addition) => call('POST', '/v1/acls', addition),
    removeAcl: (removal) => call('POST', '/v1/acls/remove', removal),
    setProperty: (change) => call('PUT', '/v1/properties', change),
    removeProperty: async (filter) => {
      await call('POST', '/v1/properties/remove', filter)
    },
    featureStatus: (filter) => call('POST', '/v1/feature-status', filter),
    save: async (filter) => (await call<{ saved: string }>('POST', '/v1/save', filter)).saved,
    restore: (saved) => call('POST', '/v1/restore', { saved }),
    prepareMigration: (saved) => call('POST', '/v1/migration/prepare', { saved }),
    stillMigrating: async (name, last) => {
      await call('POST', `/v1/migration/alive/${segment(name)}`, { last })
    },
    holdPort: async (name) => {
      await call('POST', `/v1/migration/hold/${segment(name)}`, {})
    },
    awaitStop: async (name, timeoutMs) =>
      (await call<{ stopped: boolean }>('POST', `/v1/migration/await-stop/${segment(name)}`, { timeoutMs })).stopped,
    handOver: async (name) => (await call<{ saved: string }>('POST', `/v1/migration/hand-over/${segment(name)}`, {})).saved,
    takeOver: (saved) => call('POST', '/v1/migration/take-over', { saved }),
    abandonMigration: async (name) => {
      await call('POST', `/v1/migration/abandon/${segment(name)}`, {})
    },
  }
}

function exchange(place: ControlPlace, method: string, route: string, body: unknown, timeoutMs: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const payload = body === undefined ? undefined : JSON.stringify(body)
    const headers =
      payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }
    const outgoing = requestTo(place, { method, route, headers, timeoutMs }, (incoming) => {
      const chunks: Buffer[] = []
      let length = 0
      incoming.on('data', (chunk: Buffer) => {
        length += chunk.length
        if (length > ANSWER_MAX_BYTES)
          incoming.destroy(new ControlError('no-answer', `the answer of ${placeText(place)} does not end`))
        else chunks.push(chunk)
      })
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }))
      incoming.on('error', (error) => reject(unreached(place, error)))
    })
    outgoing.on('timeout', () =>
      outgoing.destroy(new ControlError('no-answer', `${placeText(place)} did not answer within ${timeoutMs} ms`)),
    )
    outgoing.on('error', (error) => reject(unreached(place, error)))
    outgoing.end(payload)
  })
}
