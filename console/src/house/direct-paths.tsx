// The cables of virtual functions in use: from a guest past the switch, down the wall, to its function in the adapter.
//
// The rule it must not break: it reads where things stand only after they were drawn, and draws anew only when a cable changes.
import './cables.css'
import './direct-paths.css'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { NO_RATE } from '../state/rates.ts'
import { useStore } from '../state/store.ts'
import { flowLevel } from '../units.ts'

const ABOVE_CARD = 9
const ABOVE_FUNCTION = 5
/** Cables lie so far from the wall, and from each other; after the last place they share. */
const FROM_WALL = 7
const PITCH = 4
const PLACES = 3
const CORNER = 6

interface Cable {
  readonly key: string
  readonly rate: string
  readonly path: string
}

export function DirectPaths() {
  const view = useStore((state) => state.view)
  const rates = useStore((state) => state.rates)
  const selection = useStore((state) => state.selection)
  const element = useRef<SVGSVGElement>(null)
  const [cables, setCables] = useState<readonly Cable[]>([])
  const [turn, setTurn] = useState(0)
  useLayoutEffect(() => {
    const walls = element.current?.parentElement
    if (walls === null || walls === undefined) return undefined
    const observer = new ResizeObserver(() => setTurn((last) => last + 1))
    observer.observe(walls)
    return () => observer.disconnect()
  }, [])
  useLayoutEffect(() => {
    const walls = element.current?.parentElement
    if (walls === null || walls === undefined) return
    const given = view?.adapters.flatMap(({ assigned }) => assigned).filter(({ state }) => state === 'active') ?? []
    const next = given.flatMap(({ adapter, port, vf, vport }, index): Cable[] => {
      const path = pathBetween(
        walls,
        walls.querySelector(`[data-port="${CSS.escape(port)}"]`),
        walls.querySelector(`[data-function="${CSS.escape(`${adapter} ${vf}`)}"]`),
        index % PLACES,
      )
      return path === null ? [] : [{ key: port, rate: `vport ${adapter} ${vport}`, path }]
    })
    if (JSON.stringify(next) !== JSON.stringify(cables)) setCables(next)
  }, [view, selection, turn])
  return (
    <svg class="cables direct" ref={element} aria-hidden="true">
      {cables.map(({ key, rate, path }) => {
        const { inBits, outBits } = rates?.of.get(rate) ?? NO_RATE
        return (
          <g key={key} class="direct-path">
            <path class="wire" d={path} />
            <path class={`flow in level${flowLevel(inBits)}`} d={path} />
            <path class={`flow out level${flowLevel(outBits)}`} d={path} />
          </g>
        )
      })}
    </svg>
  )
}

/** Up from the card, along it to the wall, down the wall, and in from above the function. */
function pathBetween(walls: Element, card: Element | null, end: Element | null, place: number): string | null {
  if (card === null || end === null) return null
  const origin = walls.getBoundingClientRect()
  const from = card.getBoundingClientRect()
  const to = end.getBoundingClientRect()
  const x = Math.round(from.right - origin.left - 26)
  const top = Math.round(from.top - origin.top)
  const wall = Math.round(origin.width - FROM_WALL - place * PITCH)
  const target = Math.round(to.left - origin.left + to.width / 2)
  const bottom = Math.round(to.top - origin.top)
  const over = top - ABOVE_CARD
  const above = bottom - ABOVE_FUNCTION
  const c = CORNER
  return [
    `M${x} ${top}V${over + c}q0 ${-c} ${c} ${-c}`,
    `H${wall - c}q${c} 0 ${c} ${c}`,
    `V${above - c}q0 ${c} ${-c} ${c}`,
    `H${target}V${bottom}`,
  ].join('')
}
