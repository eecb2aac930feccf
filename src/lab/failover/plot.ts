// A failover lab's run as a picture: for each stream, how many frames arrived over time and on which path, with the schedule's actions and
// what was lost. As SVG, and as a strip of characters for a terminal.
import { Path, type StreamRecord } from './numbered-frames.ts'
import type { FailoverResult } from './run-failover.ts'

const WIDTH = 1200
const LEFT = 130
const RIGHT = 20
const TOP = 70
const ROW = 110
const ROW_GAP = 30
const BOTTOM = 50
const BINS = 300
/** With more actions their names would lie over each other. */
const LABELS_MAX = 60
const COLOUR = { [Path.synthetic]: '#e69f00', [Path.vf]: '#0072b2', lost: '#d55e00', ink: '#333', faint: '#999' } as const

interface Bins {
  /** Frames that arrived, by path. */
  readonly arrived: readonly [Uint32Array, Uint32Array]
  readonly lost: Uint32Array
  readonly highest: number
}

type Plotted = Pick<FailoverResult, 'records' | 'account' | 'beganUs' | 'load' | 'port'>

function binned(record: StreamRecord, count: number, beganUs: number, lengthUs: number): Bins {
  const arrived = [new Uint32Array(count), new Uint32Array(count)] as const
  const lost = new Uint32Array(count)
  const binOf = (atUs: number): number => Math.min(count - 1, Math.max(0, Math.floor(((atUs - beganUs) / lengthUs) * count)))
  const seen = new Uint8Array(record.sentUs.length)
  for (const [i, number] of record.receivedNumber.entries()) {
    seen[number] = 1
    arrived[record.receivedPath[i] === Path.vf ? Path.vf : Path.synthetic][binOf(record.receivedUs[i]!)]!++
  }
  for (const [number, atUs] of record.sentUs.entries()) if (seen[number] === 0) lost[binOf(atUs)]!++
  let highest = 1
  for (let i = 0; i < count; i++) highest = Math.max(highest, arrived[0][i]! + arrived[1][i]!)
  return { arrived, lost, highest }
}

const escaped = (text: string): string => text.replace(/[&<>"]/g, (one) => `&#${one.charCodeAt(0)};`)
const text = (x: number, y: number, content: string, more = ''): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${escaped(content)}</text>`
const box = (x: number, y: number, width: number, height: number, fill: string): string =>
  `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${width.toFixed(2)}" height="${height.toFixed(1)}" fill="${fill}"/>`

/** A whole SVG document. */
export function plotSvg({ records, account, beganUs, load, port }: Plotted): string {
  const lengthUs = load.seconds * 1e6
  const height = TOP + records.length * (ROW + ROW_GAP) + BOTTOM
  const inner = WIDTH - LEFT - RIGHT
  const x = (atUs: number): number => LEFT + ((atUs - beganUs) / lengthUs) * inner
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="11" fill="${COLOUR.ink}">`,
    box(0, 0, WIDTH, height, '#fff'),
    text(LEFT, 20, `Failover of ${port}: frames that arrived, by path`, 'font-size="15"'),
  ]
  for (const [i, [colour, name]] of (
    [
      [COLOUR[Path.vf], 'virtual function'],
      [COLOUR[Path.synthetic], 'synthetic card'],
      [COLOUR.lost, 'lost'],
    ] as const
  ).entries())
    parts.push(box(WIDTH - 400 + i * 130, 11, 10, 10, colour), text(WIDTH - 385 + i * 130, 20, name))
  for (const [row, record] of records.entries()) {
    const top = TOP + row * (ROW + ROW_GAP)
    const { arrived, lost, highest } = binned(record, BINS, beganUs, lengthUs)
    const width = inner / BINS
    parts.push(text(8, top + ROW / 2, record.name), text(LEFT - 6, top + 8, `${highest}`, 'text-anchor="end"'))
    for (let i = 0; i < BINS; i++) {
      const left = LEFT + i * width
      const vf = (arrived[Path.vf][i]! / highest) * ROW
      const synthetic = (arrived[Path.synthetic][i]! / highest) * ROW
      if (vf > 0) parts.push(box(left, top + ROW - vf, width, vf, COLOUR[Path.vf]))
      if (synthetic > 0) parts.push(box(left, top + ROW - vf - synthetic, width, synthetic, COLOUR[Path.synthetic]))
      if (lost[i]! > 0) parts.push(box(left, top + ROW + 3, Math.max(2, width), 6, COLOUR.lost))
    }
    parts.push(`<path d="M${LEFT} ${top + ROW}H${WIDTH - RIGHT}" stroke="${COLOUR.faint}"/>`)
  }
  const foot = height - BOTTOM
  const labels = account.transitions.length <= LABELS_MAX
  for (const { action, beganUs: atUs } of account.transitions) {
    const at = x(atUs).toFixed(1)
    parts.push(`<path d="M${at} ${TOP - 6}V${foot}" stroke="${COLOUR.ink}" stroke-dasharray="2 3"/>`)
    if (labels) parts.push(text(x(atUs), TOP - 10, action, `transform="rotate(-30 ${at} ${TOP - 10})"`))
  }
  for (let second = 0; second <= load.seconds; second += Math.max(1, Math.ceil(load.seconds / 20)))
    parts.push(text(x(beganUs + second * 1e6), foot + 18, `${second} s`, 'text-anchor="middle"'))
  return `${[...parts, '</svg>'].join('\n')}\n`
}

/** A strip for each stream, `width` characters: █ virtual function, ░ synthetic card, ▒ both, a space where nothing came, ! lost. */
export function plotStrips({ records, account, beganUs, load }: Plotted, width: number): string[] {
  const name = Math.max(0, ...records.map((record) => record.name.length)) + 1
  const count = Math.max(20, width - name)
  const lines = records.map((record) => {
    const { arrived, lost } = binned(record, count, beganUs, load.seconds * 1e6)
    const cells = Array.from({ length: count }, (_, i) => {
      if (lost[i]! > 0) return '!'
      const [synthetic, vf] = [arrived[Path.synthetic][i]!, arrived[Path.vf][i]!]
      if (vf > 0) return synthetic > 0 ? '▒' : '█'
      return synthetic > 0 ? '░' : ' '
    })
    return record.name.padEnd(name) + cells.join('')
  })
  const marks = Array.from({ length: count }, () => ' ')
  for (const { beganUs: atUs } of account.transitions) {
    const at = Math.floor(((atUs - beganUs) / (load.seconds * 1e6)) * count)
    if (at >= 0 && at < count) marks[at] = '^'
  }
  return [...lines, ' '.repeat(name) + marks.join('').trimEnd(), '█ virtual function  ░ synthetic card  ▒ both  ! lost  ^ action']
}
