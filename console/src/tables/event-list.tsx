// What happens, as it happens.
import { useState } from 'preact/hooks'
import { Cell, VirtualList } from '../parts/virtual-list.tsx'
import { current, select, useStore } from '../state/store.ts'
import { clock } from '../units.ts'
import { Search } from './port-table.tsx'

function openSource(source: string): void {
  const [what, name] = source.split(' ')
  const { view } = current()
  if (name === undefined || view === null) return
  if (what === 'port' && view.ports.some((one) => one.name === name)) select({ kind: 'port', name })
  if (what === 'extension' && view.extensions.some((one) => one.name === name)) select({ kind: 'extension', name })
  if (what === 'adapter' && view.adapters.some((one) => one.name === name)) select({ kind: 'adapter', name })
}

export function EventList() {
  const events = useStore((state) => state.events)
  const [filter, setFilter] = useState('')
  const words = filter
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '')
  const shown = events.filter(({ kind, source, code, message }) =>
    words.every((word) => `${kind} ${source} ${code} ${message}`.toLowerCase().includes(word)),
  )
  return (
    <div class="event-list">
      <Search id="event-search" label="Find events" text={filter} onType={setFilter} found={shown.length} total={events.length} />
      <VirtualList
        items={shown}
        keyOf={({ number }) => String(number)}
        label="Events, newest first"
        onOpen={({ source }) => openSource(source)}
        empty="Nothing happened yet."
        head={
          <>
            <span role="columnheader" tabIndex={-1} class="cell narrow">
              Time
            </span>
            <span role="columnheader" tabIndex={-1} class="cell narrow low">
              Kind
            </span>
            <span role="columnheader" tabIndex={-1} class="cell">
              Where
            </span>
            <span role="columnheader" tabIndex={-1} class="cell widest">
              What
            </span>
          </>
        }
        row={({ at, kind, source, message, code }) => (
          <>
            <span role="gridcell" tabIndex={-1} class="cell narrow">
              <time>{clock(at)}</time>
            </span>
            <span role="gridcell" tabIndex={-1} class="cell narrow low">
              <span class={`badge kind-${kind}`}>{kind}</span>
            </span>
            <Cell>{source}</Cell>
            <span role="gridcell" tabIndex={-1} class="cell widest" title={`${message} (${code})`}>
              {message} <small>{code}</small>
            </span>
          </>
        )}
      />
    </div>
  )
}
