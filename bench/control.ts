// `npm run bench -- control`: a service with a thousand ports as its operator meets it: start, apply, lists; and what metrics cost its frames.
//
// The rule it must not break: times are those of whole processes and whole answers, taken from outside.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BenchComponents, Benchmark, BenchOptions, BenchResult, Floor } from './benchmark.ts'
import { measureScraping, type ScrapeFigures } from './control/scrape.ts'
import { applyFile, ask, startService, writeConfiguration } from './control/service.ts'
import { describeMachine } from './support/machine.ts'
import { Scope } from './support/scope.ts'
import { median, rounded } from './support/statistics.ts'

const PORTS = 1000
const LISTS = 40
const ROUNDS = 9
const SECONDS = 2
const QUICK = { lists: 10, rounds: 2, seconds: 2 } as const
const STARTS_MAX = 4
/** Ports of the switches whose metrics are scraped: two that are loaded, and those among as many as above. */
const SCRAPED_PORTS = [2, PORTS] as const
const LIST_MS_MAX = 50
const APPLY_MS_MAX = 5000
const START_MS_MAX = 2000
const SCRAPED_MIN = 0.99

const spread = (name: string, times: readonly number[]): BenchResult => ({
  case: name,
  medianMs: rounded(median(times)),
  leastMs: rounded(Math.min(...times)),
  mostMs: rounded(Math.max(...times)),
  times: times.length,
})

interface Times {
  readonly apply: number[]
  readonly start: number[]
  readonly ports: number[]
  readonly live: number[]
}

async function measureService(
  parent: string,
  rounds: number,
  lists: number,
  { progress, signal }: BenchComponents,
  scope: Scope,
) {
  const times: Times = { apply: [], start: [], ports: [], live: [] }
  for (let round = 0; round < rounds; round++) {
    signal.throwIfAborted()
    const place = { directory: join(parent, `service-${round}`) }
    mkdirSync(place.directory)
    const file = writeConfiguration(place, PORTS, true)
    const empty = await startService(place, scope)
    times.apply.push(await applyFile(place, file))
    await empty.child.end()
    const { child, ms } = await startService(place, scope)
    times.start.push(ms)
    for (let i = 0; i < Math.ceil(lists / rounds); i++) {
      times.ports.push((await ask(place, '/v1/ports')).ms)
      times.live.push((await ask(place, '/v1/live')).ms)
    }
    const listed = (JSON.parse((await ask(place, '/v1/ports')).text) as unknown[]).length
    await child.end()
    progress(
      `round ${round + 1} of ${rounds}: apply ${Math.round(times.apply[round]!)} ms, start ${Math.round(ms)} ms, ${listed} ports`,
    )
  }
  return times
}

const scrapeResult = (ports: number, { without, scraped, scrapeMs, scrapeBytes }: ScrapeFigures): BenchResult => ({
  case: `scraped, ${ports} ports`,
  mppsWithout: rounded(median(without) / 1e6),
  mppsScraped: rounded(median(scraped) / 1e6),
  scrapeMs: rounded(median(scrapeMs)),
  scrapeMsMax: rounded(Math.max(...scrapeMs)),
  scrapeBytes,
  windows: without.length + scraped.length,
})

async function run(options: BenchOptions, components: BenchComponents): ReturnType<Benchmark['run']> {
  const machine = describeMachine()
  const rounds = options.rounds ?? (options.quick ? QUICK.rounds : ROUNDS)
  const seconds = options.seconds ?? (options.quick ? QUICK.seconds : SECONDS)
  const scope = new Scope()
  try {
    const directory = mkdtempSync(join(tmpdir(), 'vmswitch-bench-'))
    scope.add(() => rmSync(directory, { recursive: true, force: true }))
    const lists = options.quick ? QUICK.lists : LISTS
    const times = await measureService(directory, Math.min(rounds, STARTS_MAX), lists, components, scope)
    const results = [
      spread(`apply ${PORTS} ports`, times.apply),
      spread(`start with ${PORTS} ports`, times.start),
      spread('GET /v1/ports', times.ports),
      spread('GET /v1/live', times.live),
    ]
    const ratios: Record<string, number | null> = {
      list_ports_ms: rounded(median(times.ports)),
      live_ms: rounded(median(times.live)),
      apply_ms: rounded(median(times.apply)),
      start_ms: rounded(median(times.start)),
    }
    const missing: Record<string, string> = {}
    for (const ports of SCRAPED_PORTS) {
      const ratio = `scraped_vs_not_${ports}`
      components.progress(`frames through a switch with ${ports} ports, with scrapes and without`)
      try {
        const plan = { ports, rounds, seconds, first: options.first }
        const figures = await measureScraping(directory, plan, scope, components.signal)
        results.push(scrapeResult(ports, figures))
        ratios[ratio] = rounded(median(figures.scraped.map((rate, i) => rate / figures.without[i]!))) // of neighbours in time
      } catch (error) {
        components.signal.throwIfAborted()
        ratios[ratio] = null
        missing[ratio] = error instanceof Error ? error.message : String(error)
      }
    }
    const below = (ratio: string, atMost: number): Floor => ({ ratio, atMost, met: ratios[ratio]! <= atMost })
    const scraped = (ports: number): Floor => {
      const value = ratios[`scraped_vs_not_${ports}`] ?? null
      return { ratio: `scraped_vs_not_${ports}`, atLeast: SCRAPED_MIN, met: value === null ? null : value >= SCRAPED_MIN }
    }
    return {
      bench: 'control',
      machine,
      results,
      ratios,
      floors: [
        below('list_ports_ms', LIST_MS_MAX),
        below('live_ms', LIST_MS_MAX),
        below('apply_ms', APPLY_MS_MAX),
        below('start_ms', START_MS_MAX),
        ...SCRAPED_PORTS.map(scraped),
      ],
      missing,
      notes: [
        `${PORTS} vhost-user ports with a VLAN each, one extension; medians; each start follows a kill -9 of the service that had applied the file`,
        `scrapes: one each second; ${rounds} pairs of windows of ${seconds} s, the median of the pairs' ratios, frames of 64 bytes; all but the polling thread share the generator's processor`,
      ],
    }
  } finally {
    scope.close()
  }
}

export const controlBenchmark: Benchmark = {
  name: 'control',
  summary: 'a service with a thousand ports: start, apply, lists; what scraping metrics costs its frames',
  run,
}
