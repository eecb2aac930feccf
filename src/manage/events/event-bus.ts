// What happens, for whoever listens: events with numbers, the last of which are kept, and listeners that can be slow.
//
// The rule it must not break: whoever tells of an event never waits for whoever hears it. A listener that is behind loses the oldest, and
// is told how many.
import type { EventLog, SwitchEvent } from '../host.ts'

/** What an event is about. */
export const eventKinds = [
  'service',
  'switch',
  'port',
  'nic',
  'link',
  'extension',
  'policy',
  'adapter',
  'vf',
  'failover',
  'drops',
  'network',
] as const
export type EventKind = (typeof eventKinds)[number]

/** An event as listeners get it. Everything survives JSON. */
export interface NumberedEvent extends SwitchEvent {
  /** Counts from 1 with the process. */
  readonly number: number
  /** ISO 8601 in UTC. */
  readonly at: string
  readonly kind: EventKind | 'gap'
  /** Of a gap: how many events were lost. */
  readonly lost?: number
}

/** Events that are kept for those who come later, and that a listener may be behind. */
export const EVENTS_KEPT_MAX = 4096
export const EVENTS_BEHIND_MAX = 1024
export const LISTENERS_MAX = 64

const kindsOfCodes: readonly (readonly [RegExp, EventKind])[] = [
  [/^vf-(active|inactive)$/, 'failover'],
  [/^vf-/, 'vf'],
  [/^adapter-/, 'adapter'],
  [/^drop-/, 'drops'],
  [/^(link|interface)-/, 'link'],
  [/^(nic|peer|connect|connection|queues|ring|stream|datagram|announce|second|waiting)(-|$)/, 'nic'],
  [/^(property|policy)-/, 'policy'],
  [/^extension/, 'extension'],
]

/** The kind of an event, by its code, else by where it comes from. */
export function kindOf({ source, code }: SwitchEvent): EventKind {
  const byCode = kindsOfCodes.find(([pattern]) => pattern.test(code))
  if (byCode !== undefined) return byCode[1]
  const [first = ''] = source.split(' ')
  return (eventKinds as readonly string[]).includes(first) ? (first as EventKind) : 'switch'
}

/** A listener's end of the bus. */
export interface EventListener {
  /** The next event, or a gap; null when the listener is closed. */
  next(): Promise<NumberedEvent | null>
  close(): void
}

export class EventBus {
  #kept: NumberedEvent[] = []
  #number = 0
  readonly #listeners = new Set<Listener>()
  readonly #now: () => Date

  constructor(now: () => Date = () => new Date()) {
    this.#now = now
  }

  readonly publish: EventLog = ({ source, code, message }) => {
    const kind = kindOf({ source, code, message })
    const event = { number: ++this.#number, at: this.#now().toISOString(), kind, source, code, message }
    this.#kept.push(event)
    if (this.#kept.length > 2 * EVENTS_KEPT_MAX) this.#kept = this.#kept.slice(-EVENTS_KEPT_MAX)
    for (const listener of this.#listeners) listener.put(event)
  }

  /**
   * Listens from now on, or, with `after`, to kept events with larger numbers first. Returns null where LISTENERS_MAX listen already.
   */
  listen({
    after,
    kinds,
  }: {
    readonly after?: number | undefined
    readonly kinds?: ReadonlySet<string> | undefined
  } = {}): EventListener | null {
    if (this.#listeners.size >= LISTENERS_MAX) return null
    const listener = new Listener(kinds, this.#now, () => this.#listeners.delete(listener))
    this.#listeners.add(listener)
    if (after !== undefined) {
      const first = this.#kept[0]?.number ?? this.#number + 1
      if (first > after + 1) listener.lose(first - after - 1)
      for (const event of this.#kept) if (event.number > after) listener.put(event)
    }
    return listener
  }
}

class Listener implements EventListener {
  readonly #kinds: ReadonlySet<string> | undefined
  readonly #now: () => Date
  readonly #gone: () => void
  readonly #waiting: NumberedEvent[] = []
  #lost = 0
  #closed = false
  #wake: (() => void) | undefined

  constructor(kinds: ReadonlySet<string> | undefined, now: () => Date, gone: () => void) {
    this.#kinds = kinds
    this.#now = now
    this.#gone = gone
  }

  put(event: NumberedEvent): void {
    if (this.#kinds !== undefined && !this.#kinds.has(event.kind)) return
    this.#waiting.push(event)
    if (this.#waiting.length > EVENTS_BEHIND_MAX) {
      this.#waiting.shift()
      this.#lost++
    }
    this.#wake?.()
  }

  lose(count: number): void {
    this.#lost += count
  }

  async next(): Promise<NumberedEvent | null> {
    while (!this.#closed) {
      if (this.#lost > 0) return this.#gap()
      const event = this.#waiting.shift()
      if (event !== undefined) return event
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return null
  }

  #gap(): NumberedEvent {
    const lost = this.#lost
    this.#lost = 0
    const number = (this.#waiting[0]?.number ?? lost + 1) - 1
    const message = `${lost} events were lost: this listener was too slow, or came too late`
    return { number, at: this.#now().toISOString(), kind: 'gap', source: 'events', code: 'gap', message, lost }
  }

  close(): void {
    this.#closed = true
    this.#gone()
    this.#wake?.()
  }
}
