// What every benchmark is: a name, and a function that measures and returns one report. `main.ts` prints it as a table or as JSON.
//
// The rule it must not break: a figure in a report was measured in this run. What could not be measured is null, and says why.
import type { Machine } from './support/machine.ts'

/** What the command line asks for. Undefined: the benchmark's own default. */
export interface BenchOptions {
  /** Length of one measurement, in seconds. */
  readonly seconds: number | undefined
  /** How often each case is measured. */
  readonly rounds: number | undefined
  /** A short run with coarse figures, to see that everything works. */
  readonly quick: boolean
  /** The highest ordinary priority for what is measured, so that other work of a busy machine disturbs less. */
  readonly first: boolean
}

export interface BenchComponents {
  /** One line of progress. */
  readonly progress: (line: string) => void
  /** Aborted when the run is to end early; children are then already being stopped. */
  readonly signal: AbortSignal
}

/** One measured case. */
export interface BenchResult {
  readonly case: string
  /** Figures of this benchmark, named with their unit. */
  readonly [figure: string]: number | string
}

/** A case of frames: `mpps` are million frames a second, `gbps` are 10^9 bits of frames a second, without preamble and FCS. */
export interface FrameResult extends BenchResult {
  readonly bytes: number
  readonly mpps: number
  readonly gbps: number
}

/** What a ratio must be, and whether it is; `met` is null where it could not be measured. */
export interface Floor {
  readonly ratio: string
  readonly atLeast?: number
  readonly atMost?: number
  readonly met: boolean | null
}

export interface BenchReport {
  readonly bench: string
  readonly machine: Machine
  readonly results: readonly BenchResult[]
  readonly ratios: Readonly<Record<string, number | null>>
  readonly floors?: readonly Floor[]
  /** Why ratios or results are missing: name → reason. */
  readonly missing?: Readonly<Record<string, string>>
  readonly notes?: readonly string[]
}

export interface Benchmark {
  readonly name: string
  /** One line for the list of benchmarks. */
  readonly summary: string
  readonly run: (options: BenchOptions, components: BenchComponents) => Promise<BenchReport>
}

/** A benchmark cannot run on this machine. The message says what is wrong and what to do. */
export class BenchError extends Error {
  override readonly name = 'BenchError'
  readonly code: 'NEEDS_ROOT' | 'NEEDS_PROCESSORS' | 'NEEDS_MEMORY' | 'NEEDS_PROGRAM' | 'CHILD_FAILED' | 'NOT_FORWARDING'

  constructor(code: BenchError['code'], message: string) {
    super(message)
    this.code = code
  }
}
