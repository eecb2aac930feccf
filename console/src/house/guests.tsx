// The upper floor: guests with their ports, and the cables down to the switch on which the rates move.
import './cables.css'
import './cards.css'
import { useEffect } from 'preact/hooks'
import type { LivePort } from '../../../src/manage/live/live-view.ts'
import { Dot, portState } from '../parts/state-dot.tsx'
import { useWidth } from '../parts/use-width.ts'
import { NO_RATE, type Rate, type Rates } from '../state/rates.ts'
import { select, update, useStore } from '../state/store.ts'
import { bitRate, flowLevel } from '../units.ts'
import { type Card, drawGuests, isOutside } from './layout.ts'
import { stepsAt } from './trace-steps.ts'

const FIRST_WIDTH = 900

export function sumOf(ports: readonly { readonly name: string }[], rates: Rates | null): Rate {
  const sum = { ...NO_RATE }
  for (const { name } of ports) {
    const rate = rates?.of.get(`port ${name}`)
    if (rate === undefined) continue
    for (const member of Object.keys(sum) as (keyof Rate)[]) (sum as Record<keyof Rate, number>)[member] += rate[member]
  }
  return sum
}

const icons: Readonly<Record<string, string>> = {
  tap: 'host',
  memory: 'test',
  stream: 'socket',
  dgram: 'socket',
  'unix-dgram': 'socket',
  websocket: 'browser',
}

export function Guests() {
  const ports = useStore(({ view }) => view?.ports) ?? []
  const selected = useStore(({ selection }) => (selection?.kind === 'port' ? selection.name : null))
  const [element, width] = useWidth<HTMLDivElement>(FIRST_WIDTH)
  // A cable is a shortcut for the pointer; for the keyboard there is the button "Explain" in the port's panel.
  useEffect(() => {
    const explain = ({ target }: MouseEvent): void => {
      const port = (target as Element).closest<SVGElement>('[data-cable]')?.dataset.cable
      if (port !== undefined) select({ kind: 'explain', port })
    }
    const { current } = element
    current?.addEventListener('click', explain)
    return () => current?.removeEventListener('click', explain)
  }, [])
  const inside = ports.filter((port) => !isOutside(port))
  const drawing = drawGuests(inside, width, selected)
  return (
    <div class="guests" ref={element} style={{ height: `${drawing.height}px` }}>
      {inside.length === 0 && <p class="empty">No guest has a port yet: add one with “vmswitch port add”.</p>}
      <svg class="cables" width={drawing.width} height={drawing.height} aria-hidden="true">
        {drawing.cards.map((card) => (
          <Cable key={card.key} card={card} />
        ))}
      </svg>
      {drawing.cards.map((card) => (
        <GuestCard key={card.key} card={card} chosen={card.ports.length === 1 && card.ports[0]?.name === selected} />
      ))}
    </div>
  )
}

function Cable({ card }: { readonly card: Card }) {
  const rates = useStore((state) => state.rates)
  const traced = useStore(({ trace }) => trace !== null && card.ports.some(({ name }) => onPath(trace, name)))
  const { inBits, outBits } = sumOf(card.ports, rates)
  const [first] = card.ports
  const tone = card.ports.length > 1 ? 'good' : first === undefined ? 'idle' : portState(first).tone
  return (
    <g class={`cable ${tone} ${traced ? 'traced' : ''}`} data-cable={card.ports.length === 1 ? first?.name : undefined}>
      <path class="touch" d={card.cable} />
      <path class="wire" d={card.cable} />
      <path class={`flow in level${flowLevel(inBits)}`} d={card.cable} />
      <path class={`flow out level${flowLevel(outBits)}`} d={card.cable} />
    </g>
  )
}

const onPath = (trace: { readonly port: string; readonly delivered: readonly string[] }, name: string): boolean =>
  trace.port === name || trace.delivered.includes(name)

function GuestCard({ card, chosen }: { readonly card: Card; readonly chosen: boolean }) {
  const rates = useStore((state) => state.rates)
  const trace = useStore((state) => state.trace)
  const { inBits, outBits, drops } = sumOf(card.ports, rates)
  const [port] = card.ports
  if (port === undefined) return null
  const single = card.ports.length === 1
  const { tone, word } = portState(port)
  const place = { left: `${card.x}px`, top: `${card.y}px`, width: `${card.width}px` }
  const rateWords = `in ${bitRate(inBits)}, out ${bitRate(outBits)}`
  const steps = single ? stepsAt(trace, { port: port.name }) : []
  const choose = (): void => {
    if (single) select({ kind: 'port', name: port.name })
    else {
      update({ portFilter: card.title })
      document.getElementById('tables')?.scrollIntoView({ behavior: 'smooth' })
    }
  }
  return (
    <button
      type="button"
      class={`card guest ${chosen ? 'chosen' : ''} ${single ? '' : 'group'}`}
      style={place}
      onClick={choose}
      aria-pressed={chosen}
      aria-label={`${card.title}: ${single ? word : `${card.ports.length} ports`}, ${rateWords}`}
      data-port={single ? port.name : undefined}
    >
      <span class="card-head">
        <Dot tone={tone} />
        <strong>{single ? card.title : `${card.ports.length} ports`}</strong>
        {single && <VfBadge port={port} />}
        {single && port.vlan !== null && <span class="badge vlan">VLAN {port.vlan}</span>}
      </span>
      <span class="card-line">
        {single ? (
          <>
            <code>{port.mac ?? 'learns'}</code>
            <span class="kind">{icons[port.kind] ?? 'guest'}</span>
          </>
        ) : (
          card.title
        )}
      </span>
      <span class="card-rates">
        <span class="in">▲ {bitRate(inBits)}</span>
        <span class="out">▼ {bitRate(outBits)}</span>
        {drops > 0 && <span class="dropping">✕ {Math.round(drops)}/s</span>}
      </span>
      {steps.length > 0 && <span class="steps">{steps.join(', ')}</span>}
      <span class={`plug ${tone}`} aria-hidden="true" />
    </button>
  )
}

function VfBadge({ port }: { readonly port: LivePort }) {
  const state = useStore(({ view }) => {
    const found = view?.adapters.flatMap(({ assigned }) => assigned).find(({ port: of }) => of === port.name)
    return found === undefined ? null : `VF ${found.vf} ${found.state}`
  })
  return state === null ? null : <span class="badge vf">{state}</span>
}
