// What a scrape of /metrics each second costs the frames that pass: the load of `vhost` on two ports of a service, in windows with
// scrapes and without them by turns.
//
// The rule it must not break: both kinds of windows are of the same service and generator, in the same run.
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { BenchError } from '../benchmark.ts'
import { HUGE_PAGE_BYTES, reserveHugePages } from '../support/huge-pages.ts'
import { ensurePackages } from '../support/packages.ts'
import { raisePriority } from '../support/priority.ts'
import { chooseProcessors } from '../support/processors.ts'
import type { Scope } from '../support/scope.ts'
import { Generator, TESTPMD_MEMORY_MIB } from '../support/testpmd.ts'
import { readThreadTimes } from '../support/thread-time.ts'
import { applyFile, ask, portSocket, startService, writeConfiguration } from './service.ts'

const FRAME_BYTES = 64
const SPARE_MIB = 64
const WARM_UP_MS = 2000
const SCRAPE_MS = 1000

export interface ScrapeOptions {
  /** Ports of the switch, two of them loaded. */
  readonly ports: number
  /** Pairs of windows. */
  readonly rounds: number
  readonly seconds: number
  readonly first: boolean
}

/** Frames a second, one figure per window. */
export interface ScrapeFigures {
  readonly without: readonly number[]
  readonly scraped: readonly number[]
  readonly scrapeMs: readonly number[]
  readonly scrapeBytes: number
}

// The thread that polls is the one that is always at work; the others of the process stay where the generator is.
async function pinBusiest(pid: number, processor: number): Promise<void> {
  const before = readThreadTimes(pid)
  await sleep(SCRAPE_MS)
  const work = [...readThreadTimes(pid)].map(([thread, { ranNs }]) => ({
    thread,
    ranNs: ranNs - (before.get(thread)?.ranNs ?? 0),
  }))
  const busiest = work.reduce((a, b) => (b.ranNs > a.ranNs ? b : a))
  spawnSync('taskset', ['-pc', String(processor), String(busiest.thread)])
}

/** Measures windows by turns; throws BenchError where the load can't be made. */
export async function measureScraping(
  parent: string,
  { ports, rounds, seconds, first }: ScrapeOptions,
  scope: Scope,
  signal: AbortSignal,
): Promise<ScrapeFigures> {
  if ((await ensurePackages(['dpdk-dev'])).length > 0)
    throw new BenchError('NEEDS_PROGRAM', 'the generator is missing: install it with apt-get install -y dpdk-dev')
  const processors = chooseProcessors()
  const pages = Math.ceil(((TESTPMD_MEMORY_MIB + SPARE_MIB) * 2 ** 20) / HUGE_PAGE_BYTES)
  scope.add(reserveHugePages(pages))
  const directory = join(parent, `scrape-${ports}`)
  mkdirSync(directory)
  const place = { directory, processor: processors.generator }
  const { child } = await startService(place, scope)
  await applyFile(place, writeConfiguration(place, ports, false))
  const sockets = [portSocket(place, 0), portSocket(place, 1)] as const
  const lcores = { forwarding: processors.generator, main: processors.generator }
  const generator = await Generator.start({ name: `scrape${ports}`, sockets, listens: false, lcores }, scope)
  generator.send(FRAME_BYTES)
  await pinBusiest(child.pid, processors.switch)
  if (first) for (const { pid } of [child, generator.child]) raisePriority(pid)
  await sleep(WARM_UP_MS)

  const without: number[] = []
  const scraped: number[] = []
  const scrapeMs: number[] = []
  let scrapeBytes = 0
  for (let round = 0; round < rounds; round++)
    for (const scrapes of round % 2 === 0 ? [false, true] : [true, false]) {
      signal.throwIfAborted()
      await generator.receivedPerSecond()
      const end = performance.now() + seconds * 1000
      for (let next = performance.now() + SCRAPE_MS / 2; scrapes && next < end; next += SCRAPE_MS) {
        await sleep(Math.max(0, next - performance.now()))
        const { ms, bytes } = await ask(place, '/metrics')
        scrapeMs.push(ms)
        scrapeBytes = bytes
      }
      await sleep(Math.max(0, end - performance.now()))
      const rate = await generator.receivedPerSecond()
      if (rate === 0) throw new BenchError('NOT_FORWARDING', 'no frame came back')
      ;(scrapes ? scraped : without).push(rate)
    }
  await generator.stop()
  await Promise.all([generator.child.end(), child.end()])
  return { without, scraped, scrapeMs, scrapeBytes }
}
