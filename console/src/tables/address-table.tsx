// The MAC table, with a search.
import { useEffect, useMemo, useState } from 'preact/hooks'
import type { Page } from '../../../src/manage/control/pages.ts'
import type { FdbEntry } from '../../../src/manage/host.ts'
import { Cell, VirtualList } from '../parts/virtual-list.tsx'
import { call, textOf } from '../state/api.ts'
import { select, tell, useStore } from '../state/store.ts'
import { Search } from './port-table.tsx'

const PERIOD_MS = 5000
const SHOWN_MAX = 10_000

export function AddressTable() {
  const [page, setPage] = useState<Page<FdbEntry>>({ items: [], total: 0, next: null })
  const [filter, setFilter] = useState('')
  const readOnly = useStore((state) => state.readOnly)
  const look = (): void => {
    call<Page<FdbEntry>>('GET', `/v1/fdb?limit=${SHOWN_MAX}`).then(setPage, () => undefined)
  }
  useEffect(() => {
    look()
    const timer = setInterval(look, PERIOD_MS)
    return () => clearInterval(timer)
  }, [])
  const shown = useMemo(() => {
    const words = filter
      .toLowerCase()
      .split(/\s+/)
      .filter((word) => word !== '')
    return page.items.filter(({ mac, port, vlan, kind }) =>
      words.every((word) => `${mac} ${port} vlan ${vlan} ${kind}`.toLowerCase().includes(word)),
    )
  }, [page, filter])
  const flush = async (): Promise<void> => {
    try {
      const { flushed } = await call<{ flushed: number }>('POST', '/v1/fdb/flush', {})
      tell('good', `${flushed} learned addresses were forgotten.`)
      look()
    } catch (error) {
      tell('bad', textOf(error))
    }
  }
  return (
    <div class="address-table">
      <div class="search-line">
        <Search
          id="address-search"
          label="Find addresses by MAC, port, VLAN or kind"
          text={filter}
          onType={setFilter}
          found={shown.length}
          total={page.items.length}
        />
        <button type="button" class="small" disabled={readOnly} onClick={() => void flush()}>
          Forget learned ones
        </button>
      </div>
      {page.total > page.items.length && (
        <p class="hint">
          The first {page.items.length} of {page.total} addresses.
        </p>
      )}
      <VirtualList
        items={shown}
        keyOf={({ mac, vlan }) => `${mac}-${vlan}`.replaceAll(':', '')}
        label="Addresses"
        onOpen={({ port }) => select({ kind: 'port', name: port })}
        empty="No address fits."
        head={['MAC address', 'VLAN', 'Port', 'How'].map((title) => (
          <span key={title} role="columnheader" tabIndex={-1} class="cell">
            {title}
          </span>
        ))}
        row={({ mac, vlan, port, kind, ageSeconds }) => (
          <>
            <Cell>
              <code>{mac}</code>
            </Cell>
            <Cell>{vlan === 0 ? '–' : vlan}</Cell>
            <Cell>{port}</Cell>
            <Cell>{kind === 'static' ? 'static' : `learned, seen ${ageSeconds} s ago`}</Cell>
          </>
        )}
      />
    </div>
  )
}
