// The last three minutes of a rate, as a line that moves.
import './chart.css'
import { useEffect, useRef } from 'preact/hooks'
import UPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { historyOf } from '../state/rates.ts'
import { useStore } from '../state/store.ts'
import { useTheme } from '../state/theme.ts'
import { bitRate } from '../units.ts'

const HEIGHT = 150
const WINDOW_SECONDS = 180
const FLOOR_BITS = 1000

function colours(): Readonly<Record<string, string>> {
  const style = getComputedStyle(document.documentElement)
  const of = (name: string): string => style.getPropertyValue(`--${name}`).trim()
  return { in: of('in'), out: of('out'), muted: of('muted'), line: of('line') }
}

/** Rates of what `of` names, see rates.ts. */
export function RateChart({ of, inWord, outWord }: { readonly of: string; readonly inWord: string; readonly outWord: string }) {
  const element = useRef<HTMLDivElement>(null)
  const plot = useRef<UPlot | null>(null)
  const rates = useStore((state) => state.rates)
  const theme = useTheme()
  useEffect(() => {
    const { current } = element
    if (current === null) return undefined
    const colour = colours()
    const axis = {
      stroke: colour.muted!,
      grid: { stroke: colour.line!, width: 1 },
      ticks: { show: false },
      font: '11px system-ui',
    }
    const made = new UPlot(
      {
        width: current.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { y: false, points: { size: 6 } },
        scales: {
          x: { range: (_, __, max) => [max - WINDOW_SECONDS, max] },
          y: { range: (_, __, max) => [0, Math.max(FLOOR_BITS, max * 1.15)] },
        },
        axes: [
          {
            ...axis,
            space: 76,
            size: 28,
            values: (_, times) => times.map((at) => new Date(at * 1000).toLocaleTimeString('en-GB')),
          },
          { ...axis, size: 64, values: (_, values) => values.map(bitRate) },
        ],
        series: [
          {},
          { label: inWord, stroke: colour.in!, width: 2, fill: `${colour.in}22`, points: { show: false } },
          { label: outWord, stroke: colour.out!, width: 2, points: { show: false } },
        ],
      },
      dataOf(of),
      current,
    )
    plot.current = made
    const observer = new ResizeObserver(() => made.setSize({ width: current.clientWidth, height: HEIGHT }))
    observer.observe(current)
    return () => {
      observer.disconnect()
      made.destroy()
    }
  }, [of, theme])
  useEffect(() => plot.current?.setData(dataOf(of)), [rates, of])
  const rate = rates?.of.get(of)
  return (
    <figure class="chart">
      <figcaption>
        <span class="in">
          ▲ {inWord} {bitRate(rate?.inBits ?? 0)}
        </span>
        <span class="out">
          ▼ {outWord} {bitRate(rate?.outBits ?? 0)}
        </span>
      </figcaption>
      <div
        ref={element}
        role="img"
        aria-label={`Rates of the last minutes. Now ${inWord} ${bitRate(rate?.inBits ?? 0)}, ${outWord} ${bitRate(rate?.outBits ?? 0)}`}
      />
    </figure>
  )
}

function dataOf(key: string): UPlot.AlignedData {
  const { times, inBits, outBits } = historyOf(key)
  return [times.slice(), inBits.slice(), outBits.slice()]
}
