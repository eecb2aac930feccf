// Where guests stand in the house and how their cables run: plain geometry, from the ports and the width that there is.
//
// The rule it must not break: the same ports at the same width give the same drawing, whatever passes them: nothing jumps.
import type { LivePort } from '../../../src/manage/live/live-view.ts'

export const CARD_HEIGHT = 88
const CARD_WIDTH_MIN = 180
const CARD_WIDTH_MAX = 236
const GAP = 22
const ROW_GAP = 26
/** Room below the cards, in which cables come together. */
const CABLE_ROOM = 34
/** Cables of rows above run in the gap beside a card, so far from each other, in at most that much room. */
const CABLE_PITCH = 8
const CABLES_ROOM_MAX = 40
/** More guests than that are drawn in groups. */
export const DRAWN_MAX = 24
/** Kinds of endpoints that lead out of the house. */
const OUTSIDE = new Set(['uplink', 'adapter', 'pcap'])

export const isOutside = ({ kind }: Pick<LivePort, 'kind'>): boolean => OUTSIDE.has(kind)

/** A card of the drawing: one port, or a group of them. */
export interface Card {
  readonly key: string
  readonly title: string
  readonly ports: readonly LivePort[]
  readonly x: number
  readonly y: number
  readonly width: number
  /** The cable's way down, as a path of SVG. */
  readonly cable: string
}

export interface Drawing {
  readonly cards: readonly Card[]
  readonly width: number
  readonly height: number
}

/** What is drawn as one card: ports, where there are few, else groups of the same kind and state; `always` is drawn by itself. */
function grouped(ports: readonly LivePort[], always: string | null): { key: string; title: string; ports: LivePort[] }[] {
  const single = (port: LivePort) => ({ key: `port ${port.name}`, title: port.name, ports: [port] })
  if (ports.length <= DRAWN_MAX) return ports.map(single)
  const groups = new Map<string, LivePort[]>()
  for (const port of ports) {
    if (port.name === always) continue
    const state = port.link === 'down' ? 'link down' : port.connected ? 'connected' : 'waiting'
    const key = `${port.kind}, ${state}`
    groups.set(key, [...(groups.get(key) ?? []), port])
  }
  const shown = [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([title, of]) => ({ key: title, title, ports: of }))
  return [...ports.filter(({ name }) => name === always).map(single), ...shown]
}

/** Places the cards of `ports` in a floor of this width, in pixels. */
export function drawGuests(ports: readonly LivePort[], width: number, always: string | null): Drawing {
  const shown = grouped(ports, always)
  const fitting = (gap: number): number => Math.max(1, Math.min(shown.length, Math.floor((width - gap) / (CARD_WIDTH_MIN + gap))))
  const passing = Math.max(0, Math.ceil(shown.length / fitting(GAP)) - 1)
  const room = Math.min(CABLES_ROOM_MAX, (passing - 1) * CABLE_PITCH)
  const pitch = passing > 1 ? room / (passing - 1) : 0
  const gap = GAP + Math.max(0, room)
  const columns = fitting(gap)
  const cardWidth = Math.min(CARD_WIDTH_MAX, Math.floor((width - gap * (columns + 1)) / columns))
  const rows = Math.ceil(shown.length / columns)
  const height = rows === 0 ? 0 : rows * CARD_HEIGHT + (rows - 1) * ROW_GAP + CABLE_ROOM
  const cards = shown.map(({ key, title, ports: of }, index): Card => {
    const row = Math.floor(index / columns)
    const column = index % columns
    const inRow = Math.min(columns, shown.length - row * columns)
    const left = (width - (rows > 1 ? columns : inRow) * (cardWidth + gap) + gap) / 2
    const x = Math.round(left + column * (cardWidth + gap))
    const y = row * (CARD_HEIGHT + ROW_GAP)
    const middle = x + Math.round(cardWidth / 2)
    const bottom = y + CARD_HEIGHT
    const below = rows - 1 - row
    // Cables of upper rows pass the cards below in the gap to their right.
    const beside = x + cardWidth + GAP / 2 + (rows - 2 - row) * pitch
    const turn = bottom + 12
    const cable =
      below === 0 ? `M${middle} ${bottom}V${height}` : `M${middle} ${bottom}V${turn - 4}q0 4 4 4H${beside - 4}q4 0 4 4V${height}`
    return { key, title, ports: of, x, y, width: cardWidth, cable }
  })
  return { cards, width, height }
}
