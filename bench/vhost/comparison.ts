// Runs switches against each other: one generator core, one switch core, one switch at a time; short windows in turn over many rounds, so
// that slow changes of the machine meet all alike; medians.
//
// The rule it must not break: what the generator received back is counted, the same way for all.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type BenchComponents,
  BenchError,
  type Benchmark,
  type BenchOptions,
  type Floor,
  type FrameResult,
} from '../benchmark.ts'
import type { Child } from '../support/child.ts'
import { HUGE_PAGE_BYTES, reserveHugePages } from '../support/huge-pages.ts'
import { describeMachine } from '../support/machine.ts'
import { ensurePackages } from '../support/packages.ts'
import { chooseProcessors, type ProcessorPair } from '../support/processors.ts'
import { Scope } from '../support/scope.ts'
import { median, rounded } from '../support/statistics.ts'
import { TESTPMD_MEMORY_MIB } from '../support/testpmd.ts'
import { measureWindow, type Window, type WindowOptions } from './measure.ts'
import type { Pair } from './rivals.ts'

const ROUNDS = 9
const WINDOW_SECONDS = 1
const QUICK = { rounds: 2, seconds: 0.4 } as const
/** Before the first round: the runtime of ours compiles, flow caches of others fill. Seconds per frame size. */
const WARM_UP_SECONDS = 1.5
const QUICK_WARM_UP_SECONDS = 0.5
/** How often a window in which nothing moves is tried. */
const ATTEMPTS = 3
/** Undisturbed windows from which on the others are left out. */
const CLEAN_ENOUGH = 3
/** Huge pages beside what the programs reserve by name: rings, heaps of DPDK's own. */
const SPARE_MIB = 64

/** Something that can be started for a comparison; `Running` is what a start gives. */
export interface Contender<Running> {
  readonly name: string
  readonly title: string
  /** System packages beside the load's. */
  readonly packages: readonly string[]
  /** Megabytes of huge pages of its own. */
  readonly memoryMiB: number
  readonly start: (place: { directory: string; processors: ProcessorPair }, scope: Scope) => Promise<Running>
}

/** How what runs is loaded and measured. */
export interface Method<Running> {
  /** Packages without which nothing can be measured, and megabytes of huge pages that a load takes. */
  readonly packages: readonly string[]
  readonly memoryMiB: number
  readonly measure: (running: Running, options: WindowOptions) => Promise<Window>
  /** Its processes: they stand still while another is measured. */
  readonly children: (running: Running) => readonly Child[]
}

/** A vhost-user switch with its generator. */
export const throughGenerator: Method<Pair> = {
  packages: ['dpdk-dev'],
  memoryMiB: TESTPMD_MEMORY_MIB,
  measure: measureWindow,
  children: (pair) => [pair.generator.child, pair.switch],
}

/** What is compared. */
export interface Comparison<Running> {
  /** The benchmark's name. */
  readonly bench: string
  readonly rivals: readonly Contender<Running>[]
  readonly method: Method<Running>
  /** Bytes of a frame, without FCS. */
  readonly frameBytes: readonly number[]
  /** Ratios reported: case over case, for every frame size. */
  readonly compared: readonly (readonly [string, string])[]
  /** What a ratio must be at the least. */
  readonly floors: Readonly<Record<string, number>>
  readonly notes: readonly string[]
  /** Name of a ratio; `NAME_vs_OTHER_BYTES` without it. */
  readonly ratioName?: (name: string, other: string, bytes: number) => string
}

interface Plan {
  readonly rounds: number
  readonly seconds: number
  readonly warmUpSeconds: number
  readonly first: boolean
}

const windowKey = (name: string, bytes: number): string => `${name} ${bytes}`

async function startAll<Running>(
  { rivals, method }: Comparison<Running>,
  missing: Record<string, string>,
  scope: Scope,
  processors: ProcessorPair,
  { progress }: BenchComponents,
): Promise<Map<string, Running>> {
  const absent = await ensurePackages([...new Set([...method.packages, ...rivals.flatMap(({ packages }) => packages)])])
  const needed = method.packages.filter((wanted) => absent.includes(wanted))
  if (needed.length > 0)
    throw new BenchError('NEEDS_PROGRAM', `the generator is missing: install it with apt-get install -y ${needed.join(' ')}`)
  const startable = rivals.filter(({ name, packages }) => {
    const lacking = packages.filter((wanted) => absent.includes(wanted))
    if (lacking.length > 0) missing[name] = `not installed: apt-get install -y ${lacking.join(' ')}`
    return lacking.length === 0
  })
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-bench-'))
  scope.add(() => rmSync(directory, { recursive: true, force: true }))

  const pairs = new Map<string, Running>()
  for (const rival of startable) {
    progress(`starting ${rival.title}`)
    try {
      // One after the other: somebody else may take pages in between.
      const memoryMiB = rival.memoryMiB + method.memoryMiB
      if (memoryMiB > 0) scope.add(reserveHugePages(Math.ceil(((memoryMiB + SPARE_MIB) * 2 ** 20) / HUGE_PAGE_BYTES)))
      const pair = await rival.start({ directory: join(directory, rival.name), processors }, scope)
      for (const child of method.children(pair)) child.pause()
      pairs.set(rival.name, pair)
    } catch (error) {
      missing[rival.name] = error instanceof Error ? error.message : String(error)
      progress(`${rival.name} is left out: ${missing[rival.name]}`)
    }
  }
  return pairs
}

// A window without any frame is measured again: a thread that some other one waits for may have got no processor time at all.
async function measureMoving(name: string, measure: () => Promise<Window>, bytes: number): Promise<Window> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const window = await measure()
    if (window.packetsPerSecond > 0) return window
  }
  throw new BenchError('NOT_FORWARDING', `${name} forwarded no frame of ${bytes} bytes, ${ATTEMPTS} times`)
}

async function measureAll<Running>(
  pairs: Map<string, Running>,
  { frameBytes, method }: Comparison<Running>,
  plan: Plan,
  missing: Record<string, string>,
  { progress, signal }: BenchComponents,
): Promise<Map<string, Window[]>> {
  const windows = new Map<string, Window[]>()
  for (let round = 0; round <= plan.rounds; round++) {
    const line: string[] = []
    for (const bytes of frameBytes)
      for (const [name, pair] of pairs) {
        signal.throwIfAborted()
        try {
          const seconds = round === 0 ? plan.warmUpSeconds : plan.seconds
          const window = await measureMoving(name, () => method.measure(pair, { bytes, seconds, first: plan.first }), bytes)
          line.push(`${name} ${bytes} B ${(window.packetsPerSecond / 1e6).toFixed(2)}${window.disturbed ? '*' : ''}`)
          if (round > 0) windows.set(windowKey(name, bytes), [...(windows.get(windowKey(name, bytes)) ?? []), window])
        } catch (error) {
          signal.throwIfAborted()
          missing[name] = error instanceof Error ? error.message : String(error)
          progress(`${name} is left out: ${missing[name]}`)
          pairs.delete(name)
          await Promise.all(method.children(pair).map((child) => child.end()))
        }
      }
    progress(`${round === 0 ? 'warm-up' : `round ${round} of ${plan.rounds}`}: ${line.join(', ')}`)
  }
  return windows
}

function resultOf(name: string, bytes: number, windows: readonly Window[]): FrameResult {
  const clean = windows.filter(({ disturbed }) => !disturbed)
  const chosen = clean.length >= CLEAN_ENOUGH ? clean : windows
  const used = chosen.map(({ packetsPerSecond }) => packetsPerSecond / 1e6)
  const mpps = median(used)
  const ownNs = chosen.flatMap(({ ownNsPerPacket }) => ownNsPerPacket ?? [])
  return {
    case: name,
    bytes,
    mpps: rounded(mpps),
    gbps: rounded((mpps * bytes * 8) / 1000),
    mppsMin: rounded(Math.min(...used)),
    mppsMax: rounded(Math.max(...used)),
    ...(ownNs.length > 0 ? { ownNsPerFrame: Math.round(median(ownNs)) } : {}),
    windows: used.length,
    disturbed: windows.length - clean.length,
  }
}

/** Measures all rivals on this machine. Throws BenchError. */
export async function compareRivals<Running>(
  comparison: Comparison<Running>,
  options: BenchOptions,
  components: BenchComponents,
): ReturnType<Benchmark['run']> {
  const { bench, rivals, method, frameBytes, compared, floors: limits, notes: more } = comparison
  const ratioName = comparison.ratioName ?? ((name, other, bytes) => `${name}_vs_${other}_${bytes}`)
  const plan: Plan = {
    rounds: options.rounds ?? (options.quick ? QUICK.rounds : ROUNDS),
    seconds: options.seconds ?? (options.quick ? QUICK.seconds : WINDOW_SECONDS),
    warmUpSeconds: options.quick ? QUICK_WARM_UP_SECONDS : WARM_UP_SECONDS,
    first: options.first,
  }
  const machine = describeMachine()
  const processors = chooseProcessors()
  const missing: Record<string, string> = {}
  const scope = new Scope()
  try {
    const pairs = await startAll(comparison, missing, scope, processors, components)
    const windows = await measureAll(pairs, comparison, plan, missing, components)
    for (const pair of pairs.values()) await Promise.all(method.children(pair).map((child) => child.end()))
    // A rival that failed half-way has figures from before; they do not count.
    const results = frameBytes.flatMap((bytes) =>
      rivals
        .filter(({ name }) => missing[name] === undefined)
        .map(({ name }) => resultOf(name, bytes, windows.get(windowKey(name, bytes))!)),
    )
    const rate = (name: string, bytes: number): number | undefined =>
      results.find((result) => result.case === name && result.bytes === bytes)?.mpps
    const ratios: Record<string, number | null> = {}
    for (const [name, other] of compared)
      for (const bytes of frameBytes) {
        const ratio = ratioName(name, other, bytes)
        const [above, below] = [rate(name, bytes), rate(other, bytes)]
        ratios[ratio] = above === undefined || below === undefined ? null : rounded(above / below)
        if (ratios[ratio] === null) missing[ratio] = [name, other].flatMap((wanted) => missing[wanted] ?? []).join('; ')
      }
    const floors: Floor[] = Object.entries(limits).map(([ratio, atLeast]) => {
      const reached = ratios[ratio] ?? null
      return { ratio, atLeast, met: reached === null ? null : reached >= atLeast }
    })
    const notes = [
      ...more,
      ...(plan.first ? ['switches and generators ran with the highest ordinary priority'] : []),
      `${plan.rounds} windows of ${plan.seconds} s for each figure; generator on processor ${processors.generator}, switch on ${processors.switch}`,
      'medians; windows in which other work took more than 5 % of a processor are left out where at least 3 others remain',
    ]
    return { bench, machine, results, ratios, floors, missing, notes }
  } finally {
    scope.close()
  }
}
