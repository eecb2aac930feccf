// The series of all ports as text that is kept from one scrape to the next: most ports of a large switch count nothing between two, and
// their lines are written anew only when a value changed.
//
// The rule it must not break: the text is that of the ports as they are now, in their order; what a port left behind when it went is not
// taken for that of the next one.
import { type MetricName, metrics } from './definitions.ts'
import { type MetricsWriter, sampleStart } from './open-metrics.ts'

interface Series {
  readonly metric: MetricName
  /** By the place of a port: the start of its line, its value, the line. */
  readonly starts: string[]
  readonly values: number[]
  readonly lines: string[]
  /** All lines; null: one of them changed. */
  text: string | null
}

/** Series with the label `port`, one for each of the given metrics. */
export class PortSeries {
  readonly #names: string[] = []
  readonly #series: readonly Series[]
  #count = 0

  constructor(names: readonly MetricName[]) {
    this.#series = names.map((metric) => ({ metric, starts: [], values: [], lines: [], text: null }))
  }

  /** Starts with the first port again. */
  begin(): void {
    this.#count = 0
  }

  /** The next port; its values follow by `set`, one for each metric. */
  port(name: string): void {
    const at = this.#count++
    if (this.#names[at] === name) return
    this.#names[at] = name
    for (const series of this.#series) {
      series.starts[at] = sampleStart(series.metric, [name])
      series.values[at] = Number.NaN // equal to nothing
      series.lines[at] = ''
      series.text = null
    }
  }

  /** The value of the metric at place `index` for the port that was named last. */
  set(index: number, value: number): void {
    const series = this.#series[index]!
    const at = this.#count - 1
    if (series.values[at] === value) return
    series.values[at] = value
    series.lines[at] = `${series.starts[at]}${value}`
    series.text = null
  }

  /** Hands the text of all ports to `writer`. */
  end(writer: MetricsWriter): void {
    const isShorter = this.#names.length > this.#count
    this.#names.length = this.#count
    for (const series of this.#series) {
      if (isShorter) {
        series.text = null
        for (const list of [series.starts, series.values, series.lines]) list.length = this.#count
      }
      series.text ??= series.lines.join('\n')
      if (this.#count > 0) writer.lines(series.metric, series.text)
    }
  }
}

/** Metrics with the one label `port`, checked as they are named. */
export function portMetrics<const Names extends readonly MetricName[]>(...names: Names): Names {
  for (const name of names)
    if (metrics[name].labels.join() !== 'port') throw new Error(`${name} has other labels than the port alone`)
  return names
}
