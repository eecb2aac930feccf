// `npm run bench -- policy`: what policies of ports cost per packet.
//
// The rule it must not break: both sides of a ratio get the same packets, measured in turn in one process; the worst ratio is the one told.
import type { BenchComponents, Benchmark, BenchOptions, BenchResult, Floor } from './benchmark.ts'
import { type AclCase, aclCase } from './policy/acl.ts'
import { flowsOf, ruleSet } from './policy/rule-sets.ts'
import { statefulReport } from './policy/stateful.ts'
import { describeMachine } from './support/machine.ts'
import { rounded } from './support/statistics.ts'

const MANY_RULES = 10_000
const FEW_RULES = 10
/** The most that a packet may cost with many rules, as a multiple of what it costs with few. */
const RATIO_MAX = 1.3
const ROUNDS = 30
const QUICK_ROUNDS = 5
const WARM_UP_ROUNDS = 3
const PACKETS_PER_ROUND = 64_000
const FLOWS = [64, 6_400, 128_000]

interface Measured {
  readonly of: AclCase
  best: number
}

/** Rules and flows of one family: with no rules, with few, with many. */
function measure(family: 4 | 6, flowCount: number, rounds: number): Measured[] {
  const many = ruleSet(MANY_RULES, family, 11)
  const few = many.filter((_, i) => i % (MANY_RULES / FEW_RULES) === 0)
  const flows = flowsOf(many, flowCount, family, 5)
  const cases = [[], few, many].map((rules): Measured => ({ of: aclCase(rules, flows, family), best: Number.POSITIVE_INFINITY }))
  const times = Math.max(1, Math.round(PACKETS_PER_ROUND / flowCount))
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++)
    for (const one of cases) {
      const ns = one.of.run(times)
      if (round >= 0) one.best = Math.min(one.best, ns)
    }
  return cases
}

async function run(options: BenchOptions, components: BenchComponents): ReturnType<Benchmark['run']> {
  const { progress, signal } = components
  const machine = describeMachine()
  const rounds = options.rounds ?? (options.quick ? QUICK_ROUNDS : ROUNDS)
  const results: BenchResult[] = []
  const ratios: Record<string, number> = {}
  let worst = 0
  for (const family of [4, 6] as const)
    for (const flows of FLOWS) {
      signal.throwIfAborted()
      progress(`extended ACLs, IPv${family}, ${flows} flows`)
      const [none, few, many] = measure(family, flows, rounds) as [Measured, Measured, Measured]
      for (const { of, best } of [none, few, many])
        results.push({
          case: `IPv${family}, ${flows} flows, ${of.rules} rules`,
          ns: rounded(best),
          moreNs: rounded(best - none.best),
          compileMs: rounded(of.compileMs),
          programKiB: Math.round(of.programKiB),
        })
      const ratio = many.best / few.best
      ratios[`acl10k_vs_acl10_ipv${family}_${flows}`] = rounded(ratio)
      worst = Math.max(worst, ratio)
    }
  ratios.acl10k_vs_acl10 = rounded(worst)
  const floors: Floor[] = [{ ratio: 'acl10k_vs_acl10', atMost: RATIO_MAX, met: worst <= RATIO_MAX }]
  const stateful = await statefulReport(options, components)
  return {
    bench: 'policy',
    machine,
    results: [...results, ...stateful.results],
    ratios: { ...ratios, ...stateful.ratios },
    floors: [...floors, ...(stateful.floors ?? [])],
    missing: stateful.missing ?? {},
    notes: stateful.notes ?? [],
  }
}

export const policyBenchmark: Benchmark = {
  name: 'policy',
  summary: 'extended ACLs with 10 and with 10 000 rules; stateful ones against the connection tracking of OVS',
  run,
}
