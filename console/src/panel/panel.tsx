// The side panel: what is known of the thing that was clicked. Escape closes it.
import './panel.css'
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { type Selection, select, useStore } from '../state/store.ts'
import { AdapterPanel } from './adapter-panel.tsx'
import { ExplainPanel } from './explain-panel.tsx'
import { ExtensionPanel } from './extension-panel.tsx'
import { PortPanel } from './port-panel.tsx'

const keyOf = (selection: Selection): string =>
  selection.kind === 'explain' ? `explain ${selection.port}` : `${selection.kind} ${selection.name}`

export function Panel() {
  const selection = useStore((state) => state.selection)
  const element = useRef<HTMLElement>(null)
  const before = useRef<HTMLElement | null>(null)
  const key = selection === null ? null : keyOf(selection)
  useEffect(() => {
    if (key === null) {
      if (before.current?.isConnected === true) before.current.focus()
      return
    }
    if (!element.current?.contains(document.activeElement)) before.current = document.activeElement as HTMLElement | null
    element.current?.querySelector<HTMLElement>('h2')?.focus()
  }, [key])
  useEffect(() => {
    const close = (event: KeyboardEvent): void => {
      if (event.key === 'Escape' && !event.defaultPrevented) select(null)
    }
    document.addEventListener('keydown', close)
    return () => document.removeEventListener('keydown', close)
  }, [])
  if (selection === null) return null
  return (
    <aside class="panel" ref={element} aria-label="Details">
      {selection.kind === 'port' && <PortPanel key={key} name={selection.name} />}
      {selection.kind === 'extension' && <ExtensionPanel key={key} name={selection.name} />}
      {selection.kind === 'adapter' && <AdapterPanel key={key} name={selection.name} />}
      {selection.kind === 'explain' && <ExplainPanel key={key} from={selection.port} />}
    </aside>
  )
}

/** The head of a panel. */
export const PanelHead = ({ title, kind, children }: { title: string; kind: string; children?: ComponentChildren }) => (
  <header class="panel-head">
    <div>
      <p class="kind">{kind}</p>
      <h2 tabIndex={-1}>{title}</h2>
    </div>
    {children}
    <button type="button" class="close" onClick={() => select(null)} aria-label="Close details">
      ✕
    </button>
  </header>
)

/** Pairs of a word and what it is now. */
export const Facts = ({ facts }: { readonly facts: readonly (readonly [string, ComponentChildren])[] }) => (
  <dl class="facts">
    {facts.map(([word, value]) => (
      <div key={word}>
        <dt>{word}</dt>
        <dd>{value}</dd>
      </div>
    ))}
  </dl>
)
