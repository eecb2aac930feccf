// `npm run bench -- NAME [--json] [--quick] [--first] [--seconds N] [--rounds N]`: runs one benchmark. Without a name it lists them.
//
// The rule it must not break: with --json exactly one JSON object goes to standard output; progress goes to standard error.
import { parseArgs } from 'node:util'
import { allocBenchmark } from './alloc.ts'
import { bandwidthBenchmark } from './bandwidth.ts'
import type { Benchmark, BenchOptions } from './benchmark.ts'
import { controlBenchmark } from './control.ts'
import { delayBenchmark } from './delay.ts'
import { igbvfBenchmark } from './igbvf.ts'
import { overlayBenchmark } from './overlay.ts'
import { policyBenchmark } from './policy.ts'
import { portsBenchmark } from './ports.ts'
import { scaleBenchmark } from './scale.ts'
import { describeReport } from './support/print.ts'
import { uplinkBenchmark } from './uplink.ts'
import { vfBenchmark } from './vf.ts'
import { vhostBenchmark } from './vhost.ts'
import { vmqBenchmark } from './vmq.ts'

/** All benchmarks, in the order of the list. */
const benchmarks: readonly Benchmark[] = [
  vhostBenchmark,
  uplinkBenchmark,
  vmqBenchmark,
  vfBenchmark,
  igbvfBenchmark,
  allocBenchmark,
  portsBenchmark,
  policyBenchmark,
  bandwidthBenchmark,
  delayBenchmark,
  controlBenchmark,
  scaleBenchmark,
  overlayBenchmark,
]

const USAGE = `npm run bench -- NAME [--json] [--quick] [--first] [--seconds N] [--rounds N]

  --json       one JSON object on standard output (npm run -s keeps npm's own lines out of it)
  --quick      a short run with coarse figures
  --first      the highest priority for what is measured: for a busy machine, whose other work it slows down
  --seconds N  length of one measurement
  --rounds N   how often each case is measured

benchmarks:
${benchmarks.map(({ name, summary }) => `  ${name.padEnd(10)} ${summary}`).join('\n')}
`

const EXIT_USAGE = 2
const EXIT_SIGNAL = 130

class UsageError extends Error {}

function positive(option: string, text: string | undefined, whole: boolean): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (Number.isFinite(value) && value > 0 && (!whole || Number.isInteger(value))) return value
  throw new UsageError(`--${option} is a ${whole ? 'whole ' : ''}number above 0, not "${text}"`)
}

interface Asked {
  readonly benchmark: Benchmark | undefined
  readonly json: boolean
  readonly options: BenchOptions
}

function readCommandLine(args: string[]): Asked {
  const { values, positionals } = (() => {
    try {
      return parseArgs({
        args,
        allowPositionals: true,
        options: {
          json: { type: 'boolean', default: false },
          quick: { type: 'boolean', default: false },
          first: { type: 'boolean', default: false },
          help: { type: 'boolean', default: false },
          seconds: { type: 'string' },
          rounds: { type: 'string' },
        },
      })
    } catch (error) {
      throw new UsageError((error as Error).message)
    }
  })()
  const [name, ...more] = values.help ? [] : positionals
  if (more.length > 0) throw new UsageError(`one benchmark at a time, not also ${more.join(', ')}`)
  const benchmark = benchmarks.find((candidate) => candidate.name === name)
  if (name !== undefined && benchmark === undefined) throw new UsageError(`there is no benchmark "${name}"`)
  return {
    benchmark,
    json: values.json,
    options: {
      seconds: positive('seconds', values.seconds, false),
      rounds: positive('rounds', values.rounds, true),
      quick: values.quick,
      first: values.first,
    },
  }
}

async function main(): Promise<void> {
  const { benchmark, json, options } = readCommandLine(process.argv.slice(2))
  if (benchmark === undefined) {
    process.stdout.write(USAGE)
    return
  }
  const abort = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => {
      abort.abort()
      process.exit(EXIT_SIGNAL) // scopes give everything back as the process exits
    })
  const report = await benchmark.run(options, {
    progress: (line) => process.stderr.write(`bench: ${line}\n`),
    signal: abort.signal,
  })
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : `${describeReport(report)}\n`)
}

try {
  await main()
} catch (error) {
  if (error instanceof UsageError) {
    process.stderr.write(`bench: ${error.message}\n\n${USAGE}`)
    process.exitCode = EXIT_USAGE
  } else {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}
