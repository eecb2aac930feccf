// Tabs as the ARIA pattern has them: arrows change between them, one is in the order of the tabulator key.
import './tabs.css'
import type { ComponentChildren } from 'preact'
import { useId, useState } from 'preact/hooks'

export interface Tab {
  readonly key: string
  readonly title: string
  /** How many there are, beside the title. */
  readonly count?: number | undefined
  readonly content: () => ComponentChildren
}

export function Tabs({ tabs, label }: { readonly tabs: readonly Tab[]; readonly label: string }) {
  const id = useId()
  const [chosen, choose] = useState(tabs[0]?.key ?? '')
  const at = Math.max(
    0,
    tabs.findIndex(({ key }) => key === chosen),
  )
  const open = tabs[at]
  const move = (event: KeyboardEvent): void => {
    const steps: Readonly<Record<string, number>> = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }
    const to = steps[event.key]
    if (to === undefined) return
    event.preventDefault()
    const next = tabs[(to + tabs.length) % tabs.length]
    if (next === undefined) return
    choose(next.key)
    document.getElementById(`${id}-${next.key}`)?.focus()
  }
  return (
    <>
      <div class="tabs" role="tablist" aria-label={label} onKeyDown={move}>
        {tabs.map(({ key, title, count }, i) => (
          <button
            key={key}
            type="button"
            role="tab"
            id={`${id}-${key}`}
            aria-selected={i === at}
            aria-controls={`${id}-content`}
            tabIndex={i === at ? 0 : -1}
            onClick={() => choose(key)}
          >
            {title}
            {count !== undefined && <span class="number">{count}</span>}
          </button>
        ))}
      </div>
      <div class="tab-content" role="tabpanel" id={`${id}-content`} aria-labelledby={`${id}-${open?.key}`}>
        {open?.content()}
      </div>
    </>
  )
}
