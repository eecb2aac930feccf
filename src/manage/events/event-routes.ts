// GET /v1/events: what happens, as it happens, as server-sent events or as lines of JSON, by what the client accepts.
//
// The rule it must not break: a client that does not read holds nothing up; its listener loses events and says how many.
import type { Hono } from 'hono'
import { ControlError } from '../control/control-errors.ts'
import { type EventBus, eventKinds, type NumberedEvent } from './event-bus.ts'

/** A sign of life where nothing happens, so that both sides notice a connection that is gone. */
const ALIVE_MS = 15_000

export function addEventRoutes(app: Hono, events: EventBus): void {
  app.get('/v1/events', (context) => {
    const { after, kinds } = context.req.query()
    const from = after ?? context.req.header('last-event-id')
    if (from !== undefined && !/^\d{1,15}$/.test(from))
      throw new ControlError('bad-request', `after: a number is needed, and not "${from}"`)
    const asked = kinds?.split(',')
    const unknown = asked?.find((kind) => !(eventKinds as readonly string[]).includes(kind))
    if (unknown !== undefined) throw new ControlError('bad-request', `kinds: "${unknown}" is none of ${eventKinds.join(', ')}`)
    const listener = events.listen({
      after: from === undefined ? undefined : Number(from),
      kinds: asked === undefined ? undefined : new Set(asked),
    })
    if (listener === null) throw new ControlError('too-many-listeners', 'too many listen to events already: end one of them')
    const isSse = context.req.header('accept')?.includes('text/event-stream') === true
    const encoder = new TextEncoder()
    let alive: NodeJS.Timeout | undefined
    const stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          controller.enqueue(encoder.encode(isSse ? ': ready\n\n' : '\n'))
          alive = setInterval(() => {
            if ((controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(isSse ? ': alive\n\n' : '\n'))
          }, ALIVE_MS)
        },
        pull: async (controller) => {
          const event = await listener.next()
          if (event !== null) controller.enqueue(encoder.encode(isSse ? sseText(event) : `${JSON.stringify(event)}\n`))
        },
        cancel: () => {
          clearInterval(alive)
          listener.close()
        },
      },
      { highWaterMark: 1 },
    )
    return new Response(stream, {
      headers: { 'content-type': isSse ? 'text/event-stream' : 'application/x-ndjson', 'cache-control': 'no-store' },
    })
  })
}

const sseText = (event: NumberedEvent): string => `id: ${event.number}\nevent: ${event.kind}\ndata: ${JSON.stringify(event)}\n\n`
