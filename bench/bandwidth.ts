// `npm run bench -- bandwidth`: how well a port keeps to its maximum bandwidth, from 10 Mbit/s to 10 Gbit/s, in real time: a guest with more
// frames than it may send, on one processor of the switch.
//
// The rule it must not break: what is compared are bytes that were taken from the guest, and the time in which they were.
import { fileURLToPath } from 'node:url'
import type { BandwidthFigures, BandwidthProcessOptions } from './bandwidth/bandwidth-process.ts'
import type { BenchComponents, Benchmark, BenchOptions, BenchResult } from './benchmark.ts'
import { Child } from './support/child.ts'
import { describeMachine } from './support/machine.ts'
import { Scope } from './support/scope.ts'
import { median, rounded } from './support/statistics.ts'

const MBIT = 1e6
const RATES_MBIT = [10, 100, 1000, 10_000]
/** The longest are super-frames, 1460 bytes of payload in each of their segments. */
const SIZES = [60, 1514, 64_294]
/** What is asked of frames of a size at the most: there must be something left to limit. */
const FRAMES_PER_SECOND_MAX = 250_000
const SECONDS = 2
const QUICK_SECONDS = 0.5
const ROUNDS = 3
const LIMIT_MS = 60_000
const ERROR_MAX = 0.03
const BITS_PER_BYTE = 8
const program = fileURLToPath(new URL('./bandwidth/bandwidth-process.ts', import.meta.url))

async function run(options: BenchOptions, { progress, signal }: BenchComponents): ReturnType<Benchmark['run']> {
  const machine = describeMachine()
  const results: BenchResult[] = []
  const missing: Record<string, string> = {}
  const errors: number[] = []
  for (const rateMbit of RATES_MBIT)
    for (const bytes of SIZES) {
      const name = `${rateMbit} Mbit/s, ${bytes} bytes`
      if ((rateMbit * MBIT) / BITS_PER_BYTE / bytes > FRAMES_PER_SECOND_MAX) {
        missing[name] = `more than ${FRAMES_PER_SECOND_MAX} frames a second: the guest of this benchmark does not send so many`
        continue
      }
      signal.throwIfAborted()
      progress(name)
      const settings: BandwidthProcessOptions = {
        bitsPerSecond: rateMbit * MBIT,
        bytes,
        seconds: options.seconds ?? (options.quick ? QUICK_SECONDS : SECONDS),
        rounds: options.rounds ?? (options.quick ? 1 : ROUNDS),
      }
      const scope = new Scope()
      try {
        const child = new Child(
          { name: 'bandwidth', program: process.execPath, args: [program, JSON.stringify(settings)] },
          scope,
        )
        const line = await child.until('its figures', LIMIT_MS, (output) => /^\{"bitsPerSecond".*\}$/m.exec(output)?.[0])
        const figures = JSON.parse(line) as BandwidthFigures
        const measured = median(figures.bitsPerSecond)
        const error = measured / settings.bitsPerSecond - 1
        errors.push(Math.abs(error))
        results.push({
          case: name,
          mbitPerSecond: rounded(measured / MBIT),
          errorPercent: rounded(error * 100),
          processorBusyPercent: rounded(figures.busy * 100),
        })
      } finally {
        scope.close()
      }
    }
  const worst = errors.length === 0 ? null : rounded(Math.max(...errors))
  return {
    bench: 'bandwidth',
    machine,
    results,
    ratios: { bandwidth_error: worst },
    floors: [{ ratio: 'bandwidth_error', atMost: ERROR_MAX, met: worst === null ? null : worst <= ERROR_MAX }],
    missing,
    notes: [
      'medians; bytes that were taken from the guest, as they are on the wire; super-frames count their segments with headers',
      'on a machine with other work a guest that does not run for longer than a bucket lasts (20 ms) has less',
    ],
  }
}

export const bandwidthBenchmark: Benchmark = {
  name: 'bandwidth',
  summary: 'how exact the maximum bandwidth of a port is, from 10 Mbit/s to 10 Gbit/s',
  run,
}
