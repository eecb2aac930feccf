// Keeps the page's picture of the switch fresh: one aggregated route once a second, events by their stream.
//
// The rule it must not break: one question at a time, and none while nobody looks at the page.
import type { NumberedEvent } from '../../../src/manage/events/event-bus.ts'
import type { LiveView } from '../../../src/manage/live/live-view.ts'
import { ApiError, call, open, textOf } from './api.ts'
import { awaitedGuestPage } from './guest-page-link.ts'
import { ratesOf, remember } from './rates.ts'
import { current, update, wantsReadOnly } from './store.ts'
import { keepToken } from './token.ts'

const PERIOD_MS = 1000
const RETRY_MS = 3000
const EVENTS_KEPT = 1000

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

let asking: Promise<void> | null = null

/** Asks now, and not only when the second is over: after a change. */
export function refresh(): Promise<void> {
  if (current().locked !== null) return Promise.resolve()
  asking ??= ask().finally(() => {
    asking = null
  })
  return asking
}

async function ask(): Promise<void> {
  try {
    const view = await call<LiveView>('GET', '/v1/live')
    if (current().locked !== null) return
    const before = current().view
    // Views that are close together, after a change, would give wild rates.
    const apart = before === null ? 0 : Date.parse(view.takenAt) - Date.parse(before.takenAt)
    const rates = before === null || apart < PERIOD_MS / 2 ? current().rates : ratesOf(before, view)
    if (rates !== null && rates !== current().rates) remember(rates, Date.parse(view.takenAt) / 1000)
    const kept = before !== null && apart < PERIOD_MS / 2 ? withOldCounters(view, before) : view
    update({ view: kept, rates, trouble: null })
  } catch (error) {
    if (current().locked !== null) return
    const code = error instanceof ApiError ? error.code : 'internal'
    update({ trouble: { code, message: textOf(error) }, ...(code === 'no-switch' ? { view: null, rates: null } : {}) })
  }
}

/** A new picture whose counters are those of the last one, so that the next rates are right. */
function withOldCounters(view: LiveView, { takenAt, ports, processors, drops, adapters, overlay }: LiveView): LiveView {
  const counters = new Map(ports.map((port) => [port.name, port.counters]))
  const old = new Map(adapters.map((adapter) => [adapter.name, adapter]))
  return {
    ...view,
    takenAt,
    processors,
    drops,
    overlay,
    ports: view.ports.map((port) => ({ ...port, counters: counters.get(port.name) ?? port.counters })),
    adapters: view.adapters.map((adapter) => {
      const was = old.get(adapter.name)
      const vports = new Map(was?.vports.map((vport) => [vport.id, vport.counters]))
      return {
        ...adapter,
        wire: was?.wire ?? adapter.wire,
        vports: adapter.vports.map((vport) => ({ ...vport, counters: vports.get(vport.id) ?? vport.counters })),
      }
    }),
  }
}

/** Asks who this is, and with that whether it is let in, before anything else. Throws ApiError. */
export async function enter(token?: string): Promise<void> {
  const { access, name, role } = await call<{ access: string; name: string; role: string }>('GET', '/v1/access', undefined, {
    ...(token === undefined ? {} : { token }),
  })
  if (token !== undefined) keepToken(token)
  const guest = awaitedGuestPage(location.search)
  if (guest !== null) {
    location.replace(guest)
    return
  }
  update({ locked: null, caller: { name, role }, readOnly: wantsReadOnly || access === 'read', trouble: null })
  void refresh()
}

/** Starts asking and listening, for as long as the page is open. */
export async function start(): Promise<void> {
  await enter().catch(() => refresh())
  const look = (): void => {
    if (document.visibilityState === 'visible') void refresh()
  }
  setInterval(look, PERIOD_MS)
  document.addEventListener('visibilitychange', look)
  await follow()
}

async function follow(): Promise<never> {
  let after = 0
  for (;;) {
    try {
      if (current().locked === null) {
        const answer = await open('GET', `/v1/events?after=${after}`, undefined, { accept: 'application/x-ndjson' })
        // The stream ends when its token has another role: what the caller may do is asked for once it is open, so that no change is missed.
        await enter()
        for await (const events of batches(answer.body!)) {
          if (current().locked !== null) break
          const fresh = events.filter(({ number }) => number > after)
          after = Math.max(after, ...fresh.map(({ number }) => number))
          update({ events: [...fresh.reverse(), ...current().events].slice(0, EVENTS_KEPT) })
          void refresh()
        }
      }
    } catch {
      // The service is gone, or has another start: its numbers begin anew.
      after = 0
      if (current().events.length > 0) update({ events: [] })
    }
    await pause(RETRY_MS)
  }
}

/** The events of each piece that arrives, together. */
async function* batches(body: ReadableStream<Uint8Array>): AsyncGenerator<NumberedEvent[]> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const lines = (text + decoder.decode(value, { stream: true })).split('\n')
    text = lines.pop() ?? ''
    const events = lines.filter((line) => line !== '').map((line) => JSON.parse(line) as NumberedEvent)
    if (events.length > 0) yield events
  }
}
