// What many extended rules cost more than few where frames come out of guests' rings and go into others: the generator's flows, through a
// switch process with rules for what both of its ports send.
//
// The rule it must not break: switches with few and with many rules get the same frames, in turn, in one run.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import {
  type BenchComponents,
  BenchError,
  type BenchOptions,
  type BenchReport,
  type BenchResult,
  type Floor,
} from '../benchmark.ts'
import { startOwnSwitch } from '../support/own-switch.ts'
import { Generator } from '../support/testpmd.ts'
import { compareRivals, throughGenerator } from '../vhost/comparison.ts'
import { lcores, type Rival } from '../vhost/rivals.ts'

const FRAME_BYTES = 64
/** Windows for each figure, where the command line does not say. */
const ROUNDS = 5

const rival = (name: string, rules: number, flows: number): Rival => ({
  name,
  title: `vmswitch, ${rules} extended rules at each port, ${flows} flows from each`,
  packages: [],
  memoryMiB: 0,
  async start({ directory, processors }, scope) {
    mkdirSync(directory, { recursive: true })
    const sockets = [join(directory, '0.sock'), join(directory, '1.sock')] as const
    const child = await startOwnSwitch({ name, stack: 'none', sockets, processors, directory, rules }, scope)
    const generator = await Generator.start({ name, sockets, listens: false, lcores: lcores(processors), flows }, scope)
    return { switch: child, generator }
  },
})

export interface RingsPlan {
  readonly few: number
  readonly many: number
  /** Flows that each of the two ports sends; one comparison for each. */
  readonly flows: readonly number[]
  /** Name of the worst ratio, of which the others' names are made. */
  readonly ratio: string
  /** What it may be at the most. */
  readonly atMost: number
}

type Measured = Pick<BenchReport, 'results' | 'ratios' | 'missing' | 'notes'> & { readonly floors: readonly Floor[] }

/** Measures each number of flows by itself; where it cannot, says why. */
export async function ringsReport(
  { few, many, flows, ratio, atMost }: RingsPlan,
  options: BenchOptions,
  components: BenchComponents,
): Promise<Measured> {
  const results: BenchResult[] = []
  const ratios: Record<string, number | null> = {}
  const missing: Record<string, string> = {}
  const notes = new Set<string>([
    `${ratio}: the worst of those through rings, UDP of ${FRAME_BYTES} bytes from both ports; a flow is a destination address`,
  ])
  for (const count of flows) {
    const name = `${ratio}_${count}`
    const [fewer, more] = [`acl${few}_${count}`, `acl${many}_${count}`] as const
    try {
      const measured = await compareRivals(
        {
          bench: 'policy',
          rivals: [rival(fewer, few, count), rival(more, many, count)],
          method: throughGenerator,
          frameBytes: [FRAME_BYTES],
          compared: [[fewer, more]],
          floors: {},
          notes: [],
          ratioName: () => name,
        },
        { ...options, rounds: options.rounds ?? (options.quick ? undefined : ROUNDS) },
        components,
      )
      results.push(...measured.results)
      ratios[name] = measured.ratios[name] ?? null
      Object.assign(missing, measured.missing)
      for (const note of measured.notes ?? []) notes.add(note)
    } catch (error) {
      if (!(error instanceof BenchError)) throw error
      ratios[name] = null
      missing[name] = error.message
    }
  }
  const measured = Object.values(ratios)
  const worst = measured.includes(null) ? null : Math.max(...measured.map(Number))
  if (worst === null) missing[ratio] = 'not all numbers of flows could be measured'
  return {
    results,
    ratios: { [ratio]: worst, ...ratios },
    missing,
    floors: [{ ratio, atMost, met: worst === null ? null : worst <= atMost }],
    notes: [...notes],
  }
}
