// All ports with their rates: a thousand of them scroll as ten do.
import './port-table.css'
import { useMemo, useState } from 'preact/hooks'
import type { LivePort } from '../../../src/manage/live/live-view.ts'
import { Dot, portState } from '../parts/state-dot.tsx'
import { Cell, VirtualList } from '../parts/virtual-list.tsx'
import { NO_RATE, type Rates } from '../state/rates.ts'
import { select, update, useStore } from '../state/store.ts'
import { bitRate, count } from '../units.ts'

const orders = ['name', 'in', 'out', 'drops'] as const
type Order = (typeof orders)[number]

const rateOf = (rates: Rates | null, name: string) => rates?.of.get(`port ${name}`) ?? NO_RATE

/** The ports that fit every word of the filter. */
export function filtered(ports: readonly LivePort[], filter: string): readonly LivePort[] {
  const words = filter
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((word) => word !== '')
  if (words.length === 0) return ports
  return ports.filter((port) => {
    const { name, friendlyName, mac, kind, place, vlan } = port
    const text =
      `${name} ${friendlyName} ${mac ?? 'learns'} ${kind} ${place} ${vlan === null ? '' : `vlan ${vlan}`} ${portState(port).word}`.toLowerCase()
    return words.every((word) => text.includes(word))
  })
}

export function PortTable() {
  const ports = useStore(({ view }) => view?.ports) ?? []
  const rates = useStore((state) => state.rates)
  const filter = useStore((state) => state.portFilter)
  const [order, setOrder] = useState<Order>('name')
  const shown = useMemo(() => {
    const found = filtered(ports, filter)
    if (order === 'name') return found
    const member = ({ in: 'inBits', out: 'outBits', drops: 'drops' } as const)[order]
    return [...found].sort((a, b) => rateOf(rates, b.name)[member] - rateOf(rates, a.name)[member])
  }, [ports, rates, filter, order])
  const head = (title: string, by: Order, end = false) => (
    <span
      role="columnheader"
      tabIndex={-1}
      class={`cell ${end ? 'end' : ''}`}
      aria-sort={order === by ? (by === 'name' ? 'ascending' : 'descending') : 'none'}
    >
      <button type="button" onClick={() => setOrder(by)}>
        {title}
        {order === by ? (by === 'name' ? ' ▴' : ' ▾') : ''}
      </button>
    </span>
  )
  return (
    <div class="port-table">
      <Search
        id="port-search"
        label="Find ports by name, address, VLAN, kind or state"
        text={filter}
        onType={(portFilter) => update({ portFilter })}
        found={shown.length}
        total={ports.length}
      />
      <VirtualList
        items={shown}
        keyOf={({ name }) => name}
        label="Ports"
        onOpen={({ name }) => select({ kind: 'port', name })}
        empty="No port fits."
        head={
          <>
            {head('Port', 'name')}
            <span role="columnheader" tabIndex={-1} class="cell low">
              Address
            </span>
            <span role="columnheader" tabIndex={-1} class="cell low">
              VLAN
            </span>
            <span role="columnheader" tabIndex={-1} class="cell low">
              Kind
            </span>
            {head('▲ in', 'in', true)}
            {head('▼ out', 'out', true)}
            {head('drops/s', 'drops', true)}
          </>
        }
        row={(port) => {
          const { inBits, outBits, drops } = rateOf(rates, port.name)
          const { tone, word } = portState(port)
          return (
            <>
              <Cell>
                <Dot tone={tone} />
                <strong>{port.name}</strong>
                <span class="unseen">{word}</span>
              </Cell>
              <Cell low>
                <code>{port.mac ?? 'learns'}</code>
              </Cell>
              <Cell low>{port.vlan ?? '–'}</Cell>
              <Cell low>{port.kind}</Cell>
              <Cell end>{bitRate(inBits)}</Cell>
              <Cell end>{bitRate(outBits)}</Cell>
              <Cell end>{count(drops)}</Cell>
            </>
          )
        }}
      />
    </div>
  )
}

interface SearchProps {
  readonly id: string
  readonly label: string
  readonly text: string
  readonly onType: (text: string) => void
  readonly found: number
  readonly total: number
}

export const Search = ({ id, label, text, onType, found, total }: SearchProps) => (
  <div class="search">
    <label class="unseen" for={id}>
      {label}
    </label>
    <input
      id={id}
      type="search"
      value={text}
      placeholder={label}
      onInput={(event) => onType(event.currentTarget.value)}
      autoComplete="off"
      spellcheck={false}
    />
    <span class="hint" aria-live="polite">
      {found === total ? `${total}` : `${found} of ${total}`}
    </span>
  </div>
)
