// Which way the traffic of a VM went, over time: from the events of its virtual function.
import type { NumberedEvent } from '../../../src/manage/events/event-bus.ts'

export type Way = 'synthetic' | 'vf'

export interface Stretch {
  readonly way: Way
  /** Milliseconds since 1970. */
  readonly from: number
  readonly to: number
}

export interface Mark {
  readonly at: number
  readonly code: string
  readonly message: string
}

export interface Timeline {
  readonly from: number
  readonly to: number
  readonly stretches: readonly Stretch[]
  /** Newest first. */
  readonly marks: readonly Mark[]
}

/** From the events (newest first) of the last `spanMs`. `way`: how traffic goes now. */
export function timelineOf(events: readonly NumberedEvent[], port: string, way: Way, now: number, spanMs: number): Timeline {
  const from = now - spanMs
  const own = events.filter(
    ({ source, kind, code, at }) =>
      Date.parse(at) >= from &&
      ((source === `port ${port}` && (kind === 'vf' || kind === 'failover')) ||
        code === 'adapter-removed' ||
        code === 'adapter-plugged'),
  )
  const marks = own.map(({ at, code, message }) => ({ at: Date.parse(at), code, message }))
  const stretches: Stretch[] = []
  let to = now
  let is = way
  for (const { at, code } of marks) {
    if (code !== 'vf-active' && code !== 'vf-inactive') continue
    stretches.unshift({ way: is, from: at, to })
    to = at
    is = code === 'vf-active' ? 'synthetic' : 'vf'
  }
  stretches.unshift({ way: is, from, to })
  return { from, to: now, stretches, marks }
}
