// Figures of a running switch, read from counters in shared memory: nothing is stopped or asked for them.
import { DROP_REASONS_MAX } from '../ndis/drop-reasons.ts'
import { type Counters, LATENCY_BUCKETS, latencyQuantileNs, ProcessorCounter } from '../switch/counters.ts'
import type { ReasonRegistry } from '../switch/reason-registry.ts'
import type { PortDrops } from './switch-config.ts'

const BUCKETS_PER_OCTAVE = 8

/** What one processor did: work, sleep, burst latency. */
export interface ProcessorFigures {
  readonly index: number
  readonly counters: Record<string, number>
  readonly latencyNs: { readonly p50: number; readonly p99: number; readonly p999: number }
  /** Bursts by what they took: at N those of 2^N to 2^(N+1) nanoseconds. */
  readonly latencyCounts: readonly number[]
}

/** Drops by port and reason; ports and reasons without any are left out. */
export function dropsOf(
  ports: Iterable<readonly [id: number, name: string]>,
  counters: readonly Counters[],
  reasons: ReasonRegistry,
): PortDrops[] {
  const found: PortDrops[] = []
  for (const [id, port] of ports) {
    let ofPort: Record<string, number> | undefined
    for (let reason = 0; reason < DROP_REASONS_MAX; reason++) {
      let count = 0
      for (let i = 0; i < counters.length; i++) count += counters[i]!.readDrop(id, reason)
      if (count === 0) continue
      ofPort ??= {}
      ofPort[reasons.name(reason)] = count
    }
    if (ofPort !== undefined) found.push({ port, reasons: ofPort })
  }
  return found
}

/** Figures of the processors. */
export const processorFigures = (counters: readonly Counters[]): ProcessorFigures[] =>
  counters.map((one, index) => {
    const histogram = Float64Array.from({ length: LATENCY_BUCKETS }, (_, bucket) => one.readLatency()[bucket]!)
    return {
      index,
      counters: Object.fromEntries(Object.entries(ProcessorCounter).map(([name, counter]) => [name, one.readProcessor(counter)])),
      latencyNs: {
        p50: latencyQuantileNs(histogram, 0.5),
        p99: latencyQuantileNs(histogram, 0.99),
        p999: latencyQuantileNs(histogram, 0.999),
      },
      latencyCounts: Array.from({ length: LATENCY_BUCKETS / BUCKETS_PER_OCTAVE }, (_, octave) =>
        histogram.subarray(octave * BUCKETS_PER_OCTAVE, (octave + 1) * BUCKETS_PER_OCTAVE).reduce((sum, count) => sum + count, 0),
      ),
    }
  })
