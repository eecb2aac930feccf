// OpenMetrics text (version 1.0) from samples of declared metrics, or that of Prometheus for those who know no other.
//
// The rule it must not break: all samples of a metric stand together, and every label has the value that was given, whatever is in it.
import { type MetricDefinition, type MetricName, metrics } from './definitions.ts'

/** Formats, and their content types. */
export const metricsFormats = {
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
} as const
export type MetricsFormat = keyof typeof metricsFormats

/** The format for a client that accepts `accept`: OpenMetrics unless it takes plain text only. */
export const acceptedFormat = (accept: string | undefined): MetricsFormat =>
  accept !== undefined && /text\/plain/.test(accept) && !/openmetrics/.test(accept) ? 'prometheus' : 'openmetrics'

const escaped = (text: string): string => text.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`))

const suffixes = { counter: '_total', info: '_info' } as const

function labelText(name: MetricName, values: readonly string[], ...more: (readonly [string, string])[]): string {
  const pairs = [...metrics[name].labels.map((label, i): readonly [string, string] => [label, values[i] ?? '']), ...more]
  return pairs.length === 0 ? '' : `{${pairs.map(([label, value]) => `${label}="${escaped(value)}"`).join(',')}}`
}

/** The line of a sample of a counter, a gauge or an info, up to its value; `labels` in the order of the definition. */
export function sampleStart(name: MetricName, labels: readonly string[]): string {
  const { type } = metrics[name]
  return `${name}${type === 'counter' || type === 'info' ? suffixes[type] : ''}${labelText(name, labels)} `
}

/** Collects samples, and writes them. */
export class MetricsWriter {
  readonly #lines = new Map<MetricName, string[]>()

  /** A sample of a counter, a gauge or an info; `labels` in the order of the definition. */
  sample(name: MetricName, labels: readonly string[], value: number): void {
    this.#of(name).push(`${sampleStart(name, labels)}${value}`)
  }

  /** Samples that are text already: lines without the end of the last. */
  lines(name: MetricName, text: string): void {
    this.#of(name).push(text)
  }

  /** A histogram: `counts` not cumulated, `bounds` their upper ends, without the last, which has none. */
  histogram(
    name: MetricName,
    labels: readonly string[],
    bounds: readonly number[],
    counts: readonly number[],
    sum: number,
  ): void {
    const lines = this.#of(name)
    let cumulated = 0
    for (const [i, count] of counts.entries()) {
      cumulated += count
      const bound = i < bounds.length ? floatText(bounds[i]!) : '+Inf'
      lines.push(`${name}_bucket${labelText(name, labels, ['le', bound])} ${cumulated}`)
    }
    lines.push(`${name}_count${labelText(name, labels)} ${cumulated}`, `${name}_sum${labelText(name, labels)} ${sum}`)
  }

  #of(name: MetricName): string[] {
    let lines = this.#lines.get(name)
    if (lines === undefined) {
      lines = []
      this.#lines.set(name, lines)
    }
    return lines
  }

  /** The whole text. */
  text(format: MetricsFormat = 'openmetrics'): string {
    const isOpen = format === 'openmetrics'
    const parts: string[] = []
    for (const [name, lines] of this.#lines) {
      const { type, help, unit }: MetricDefinition = metrics[name]
      // Prometheus' own format calls a metric as its samples, and knows no info.
      const family = isOpen ? name : type === 'counter' || type === 'info' ? `${name}${suffixes[type]}` : name
      parts.push(`# TYPE ${family} ${type === 'info' && !isOpen ? 'gauge' : type}`)
      if (unit !== undefined && isOpen) parts.push(`# UNIT ${name} ${unit}`)
      parts.push(`# HELP ${family} ${escaped(help)}`)
      for (const line of lines) parts.push(line)
    }
    if (isOpen) parts.push('# EOF')
    return `${parts.join('\n')}\n`
  }
}

/** Bounds are floats in OpenMetrics: 1 is written 1.0. */
const floatText = (value: number): string => (Number.isInteger(value) ? `${value}.0` : String(value))
