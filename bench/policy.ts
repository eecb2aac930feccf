// `npm run bench -- policy`: what policies of ports cost per packet.
//
// The rule it must not break: both sides of a ratio get the same packets, measured in turn in one run; what is told without a number of
// flows is the worst of all.
import type { BenchComponents, Benchmark, BenchOptions, BenchResult } from './benchmark.ts'
import { type AclCase, aclCase } from './policy/acl.ts'
import { neighboursReport } from './policy/neighbours.ts'
import { ringsReport } from './policy/rings.ts'
import { flowsOf, MANY_RULES, ruleSet } from './policy/rule-sets.ts'
import { statefulReport } from './policy/stateful.ts'
import { describeMachine } from './support/machine.ts'
import { median, rounded } from './support/statistics.ts'

const FEW_RULES = 10
/** The most that a packet may cost with many rules, as a multiple of what it costs with few. */
const RATIO_MAX = 1.3
const ROUNDS = 30
const QUICK_ROUNDS = 5
const WARM_UP_ROUNDS = 3
const PACKETS_PER_ROUND = 64_000
const FLOWS = [64, 6_400, 128_000]
/** Flows that each of two ports sends through rings. */
const RING_FLOWS = [64, 6_400, 100_000]
const RATIO = 'acl10k_vs_acl10'

interface Measured {
  readonly of: AclCase
  readonly ns: number[]
}

/** Rules and flows of one family: with no rules, with few, with many. */
function measure(family: 4 | 6, flowCount: number, rounds: number): Measured[] {
  const many = ruleSet(MANY_RULES, family, 11)
  const few = many.filter((_, i) => i % (MANY_RULES / FEW_RULES) === 0)
  const flows = flowsOf(many, flowCount, family, 5)
  const cases = [[], few, many].map((rules): Measured => ({ of: aclCase(rules, flows, family), ns: [] }))
  const times = Math.max(1, Math.round(PACKETS_PER_ROUND / flowCount))
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++)
    for (const one of cases) {
      const ns = one.of.run(times)
      if (round >= 0) one.ns.push(ns)
    }
  return cases
}

async function run(options: BenchOptions, components: BenchComponents): ReturnType<Benchmark['run']> {
  const { progress, signal } = components
  const machine = describeMachine()
  const rounds = options.rounds ?? (options.quick ? QUICK_ROUNDS : ROUNDS)
  const results: BenchResult[] = []
  const ratios: Record<string, number> = {}
  for (const family of [4, 6] as const)
    for (const flows of FLOWS) {
      signal.throwIfAborted()
      progress(`extended ACLs without rings, IPv${family}, ${flows} flows`)
      const [none, few, many] = measure(family, flows, rounds) as [Measured, Measured, Measured]
      for (const { of, ns } of [none, few, many])
        results.push({
          case: `IPv${family}, ${flows} flows, ${of.rules} rules, without rings`,
          ns: rounded(median(ns)),
          moreNs: rounded(median(ns) - median(none.ns)),
          compileMs: rounded(of.compileMs),
          programKiB: Math.round(of.programKiB),
        })
      // Cases that were measured one behind the other met the same machine.
      ratios[`${RATIO}_path_ipv${family}_${flows}`] = rounded(median(many.ns.map((ns, i) => ns / few.ns[i]!)))
    }
  const rings = await ringsReport(
    { few: FEW_RULES, many: MANY_RULES, flows: RING_FLOWS, ratio: RATIO, atMost: RATIO_MAX },
    options,
    components,
  )
  const stateful = await statefulReport(options, components)
  signal.throwIfAborted()
  progress('policies that a port does not use')
  const neighbours = neighboursReport(rounds)
  return {
    bench: 'policy',
    machine,
    results: [...rings.results, ...results, ...stateful.results, ...neighbours.results],
    ratios: { ...rings.ratios, ...ratios, ...stateful.ratios, ...neighbours.ratios },
    floors: [...rings.floors, ...(stateful.floors ?? []), ...neighbours.floors],
    missing: { ...rings.missing, ...stateful.missing },
    notes: [
      ...(rings.notes ?? []),
      `${RATIO}_path: the way through the switch alone, without rings, ${rounds} rounds in turn; medians of the ratios of rounds`,
      ...(stateful.notes ?? []),
      'unused_policy: what packets between two ports cost while a third one has a policy, as a multiple of none; the worst of all',
    ],
  }
}

export const policyBenchmark: Benchmark = {
  name: 'policy',
  summary: 'extended ACLs with 10 and with 10 000 rules; stateful ones against the connection tracking of OVS',
  run,
}
