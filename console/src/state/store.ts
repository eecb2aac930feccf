// What the page shows, in one place. Parts of the page take what they need of it and are drawn anew when that part changes.
import { useEffect, useState } from 'preact/hooks'
import type { NetworkStatus } from '../../../src/manage/cluster/cluster-calls.ts'
import type { TraceReport } from '../../../src/manage/diagnosis/diagnosis-calls.ts'
import type { NumberedEvent } from '../../../src/manage/events/event-bus.ts'
import type { LiveView } from '../../../src/manage/live/live-view.ts'
import type { OverlayRecord } from '../../../src/manage/overlay/overlay-calls.ts'
import type { Rates } from './rates.ts'

/** What the side panel is about. */
export type Selection =
  | { readonly kind: 'port'; readonly name: string }
  | { readonly kind: 'extension'; readonly name: string }
  | { readonly kind: 'adapter'; readonly name: string }
  | { readonly kind: 'explain'; readonly port: string | null }

export interface Toast {
  readonly id: number
  readonly tone: 'good' | 'bad'
  readonly text: string
}

/** Who looks, as the service knows them. */
export interface CallerView {
  readonly name: string
  readonly role: string
}

export interface State {
  /** The service wants a token; `why` one that was given does not do. null: the page is let in. */
  readonly locked: { readonly why: string } | null
  readonly caller: CallerView | null
  readonly view: LiveView | null
  readonly rates: Rates | null
  /** Why there is no view, or it is an old one; null: all is well. */
  readonly trouble: { readonly code: string; readonly message: string } | null
  readonly readOnly: boolean
  readonly selection: Selection | null
  /** What a trace told; its steps are shown along the path. */
  readonly trace: TraceReport | null
  /** Newest first. */
  readonly events: readonly NumberedEvent[]
  readonly toasts: readonly Toast[]
  /** The network of hosts; null: none, or it was not asked for yet. */
  readonly network: NetworkStatus | null
  /** Where guests of other hosts are, as the overlay knows. */
  readonly records: readonly OverlayRecord[]
  /** What the list of ports is filtered by. */
  readonly portFilter: string
}

/** `?readonly` at the end of the address: a console that changes nothing. */
export const wantsReadOnly = new URLSearchParams(location.search).has('readonly')

const state: { now: State } = {
  now: {
    locked: null,
    caller: null,
    view: null,
    rates: null,
    trouble: null,
    readOnly: wantsReadOnly,
    selection: null,
    trace: null,
    events: [],
    toasts: [],
    network: null,
    records: [],
    portFilter: '',
  },
}

const listeners = new Set<() => void>()

export const current = (): State => state.now

export function update(change: Partial<State>): void {
  state.now = { ...state.now, ...change }
  for (const listener of listeners) listener()
}

/** A part of the state; the component is drawn anew when it is another one. */
export function useStore<T>(select: (of: State) => T): T {
  const selected = select(state.now)
  const [, draw] = useState<unknown>(selected)
  useEffect(() => {
    let last = selected
    const look = (): void => {
      const next = select(state.now)
      if (Object.is(next, last)) return
      last = next
      draw({})
    }
    look()
    listeners.add(look)
    return () => {
      listeners.delete(look)
    }
  }, [])
  return selected
}

let toasts = 0
const TOAST_MS = 7000

/** Tells the person what happened; screen readers say it. */
export function tell(tone: Toast['tone'], text: string): void {
  const id = ++toasts
  update({ toasts: [...state.now.toasts.slice(-3), { id, tone, text }] })
  setTimeout(() => dismiss(id), TOAST_MS)
}

export const dismiss = (id: number): void => update({ toasts: state.now.toasts.filter((one) => one.id !== id) })

/** Opens the side panel, or closes it. */
export function select(selection: Selection | null): void {
  update({ selection, ...(selection?.kind === 'explain' ? {} : { trace: null }) })
}
