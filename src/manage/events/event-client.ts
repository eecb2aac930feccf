// The events of a switch over its control API, one after the other.
import { ControlError } from '../control/control-errors.ts'
import { type ControlPlace, placeText, requestTo, unreached } from '../control/control-place.ts'
import type { NumberedEvent } from './event-bus.ts'

const LINE_MAX_CHARACTERS = 1024 * 1024

export interface EventQuery {
  /** Kept events with larger numbers come first; without it, from now on. */
  readonly after?: number | undefined
  /** Events of these kinds only. */
  readonly kinds?: readonly string[] | undefined
  /** Ends it. */
  readonly signal?: AbortSignal | undefined
}

/** Throws ControlError `not-running`, `no-answer`, or what the server answered. */
export async function* streamEvents(
  place: ControlPlace,
  { after, kinds, signal }: EventQuery = {},
): AsyncGenerator<NumberedEvent> {
  const query = new URLSearchParams()
  if (after !== undefined) query.set('after', String(after))
  if (kinds !== undefined) query.set('kinds', kinds.join(','))
  const incoming = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    const outgoing = requestTo(place, { method: 'GET', route: `/v1/events?${query}`, signal }, resolve)
    outgoing.on('error', (error) => reject(unreached(place, error)))
    outgoing.end()
  })
  incoming.setEncoding('utf8')
  let text = ''
  try {
    for await (const chunk of incoming) {
      text += chunk as string
      const lines = text.split('\n')
      text = lines.pop() ?? ''
      if (text.length > LINE_MAX_CHARACTERS) throw new ControlError('no-answer', `the answer of ${placeText(place)} has no lines`)
      if (incoming.statusCode !== 200) continue
      for (const line of lines) if (line !== '') yield JSON.parse(line) as NumberedEvent
    }
  } catch (error) {
    if (signal?.aborted === true) return
    if (error instanceof ControlError) throw error
    return // the switch has ended
  } finally {
    incoming.destroy()
  }
  if (incoming.statusCode === 200) return
  const { code, message } = JSON.parse(text) as { code: string; message: string }
  throw new ControlError(code, message, incoming.statusCode)
}
