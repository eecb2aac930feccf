// `npm run bench -- vmq`: what a frame from an interface of the host to a guest costs in the data path, with receive queues for guests and
// without, for 1, 8 and 64 guests; and, with two data-path threads, how many frames a thread takes that is not the guest's. Sender and switch
// share one processor in the first part, so that the switch finds full bursts: those are timed, and nothing else. One case at a time, short
// windows in turn over many rounds; medians.
//
// The rule it must not break: sender, guests and frames are the same with queues and without, and a case that delivers nothing has no figure.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { BenchComponents, Benchmark, BenchOptions, BenchReport, BenchResult, Floor } from './benchmark.ts'
import { Child } from './support/child.ts'
import { describeMachine } from './support/machine.ts'
import { raisePriority } from './support/priority.ts'
import { chooseProcessors } from './support/processors.ts'
import { Scope } from './support/scope.ts'
import { median, rounded } from './support/statistics.ts'
import { makeVeth } from './uplink/interfaces.ts'
import { Load } from './uplink/load.ts'
import type { VmqSwitchOptions } from './vmq/switch-process.ts'

const program = fileURLToPath(new URL('./vmq/switch-process.ts', import.meta.url))
const ROUNDS = 11
const SECONDS = 0.8
const QUICK = { rounds: 3, seconds: 0.4 } as const
const SETTLE_MS = 250
const START_MS = 30_000
const ANSWER_MS = 15_000
const BYTES = 64
const BURST = 64
/** Receive buffers of all guests together: the memory that frames are written to is as large with one guest as with many. */
const BUFFERS = 32_768
const BUFFER_BYTES = 128
const GUEST_MIB = 32
/** Queues may not make a frame dearer. */
const QUEUE_CEILING = 1
/** More queues than one may make a frame dearer by this. */
const QUEUES_CEILING = 1.15

interface Case {
  readonly name: string
  readonly queues: boolean
  readonly guests: number
  /** Guests that get frames. */
  readonly addressed: number
  readonly threads: 1 | 2
}

const cases: readonly Case[] = [
  ...[1, 8, 64].flatMap((guests): Case[] => [
    { name: `default${guests}`, queues: false, guests, addressed: guests, threads: 1 },
    { name: `vmq${guests}`, queues: true, guests, addressed: guests, threads: 1 },
  ]),
  { name: 'default64_for_one', queues: false, guests: 64, addressed: 1, threads: 1 },
  { name: 'vmq64_for_one', queues: true, guests: 64, addressed: 1, threads: 1 },
  { name: 'default_two_threads', queues: false, guests: 1, addressed: 1, threads: 2 },
  { name: 'vmq_two_threads', queues: true, guests: 1, addressed: 1, threads: 2 },
]

/** Sums over the data path's threads. */
interface Figures {
  readonly frames: number
  readonly lookUps: number
  readonly handedOver: number
  readonly fullBursts: number
  readonly fullBurstNs: number
  /** Frames that the thread took that does not poll the (only) guest. */
  readonly elsewhere: number
}

interface Stage {
  readonly of: Case
  readonly child: Child
  readonly load: Load
  readonly windows: { readonly nsPerFrame: number; readonly figures: Figures; readonly received: number }[]
}

async function figuresOf(child: Child): Promise<Figures> {
  child.forget()
  child.tell('counters')
  const line = await child.until('counters', ANSWER_MS, (output) => /^\{"counters".*\}\n/m.exec(output)?.[0])
  const { processors, queues } = (
    JSON.parse(line) as {
      counters: {
        processors: Record<string, number>[]
        queues: { port: string | null; steering: string; receivedFrames: number }[]
      }
    }
  ).counters
  const sum = (name: string): number => processors.reduce((total, counters) => total + counters[name]!, 0)
  // The guest's port is the second: without queues the second thread polls it; with queues, whoever serves its queue.
  const other = processors.length < 2 ? 0 : Math.min(...processors.map((counters) => counters.frames!))
  return {
    frames: sum('frames'),
    lookUps: sum('lookUps'),
    handedOver: sum('handedOver'),
    fullBursts: sum('fullBursts'),
    fullBurstNs: sum('fullBurstNs'),
    elsewhere: queues.length > 0 ? sum('handedOver') : other,
  }
}

async function start(of: Case, directory: string, scope: Scope): Promise<Stage> {
  const pair = chooseProcessors()
  const { outside, inside } = makeVeth(scope)
  const guests = Array.from({ length: of.guests }, (_, i) => ({
    mac: `02:00:00:00:01:${(i + 1).toString(16).padStart(2, '0')}`,
    path: join(directory, `${of.name}-${i}.sock`),
  }))
  const processors = of.threads === 1 ? [pair.switch] : [pair.generator, pair.switch]
  const options: VmqSwitchOptions = { interface: inside, via: 'packet', queues: of.queues, guests, processors, directory }
  const child = new Child(
    { name: of.name, program: process.execPath, args: [program, JSON.stringify(options)], processor: pair.generator },
    scope,
  )
  await child.until('"listening"', START_MS, (output) => (output.includes('"listening"') ? true : undefined))
  const [first, ...others] = guests
  const load = await Load.start(
    of.name,
    {
      interface: outside,
      mac: first!.mac,
      guest: { path: first!.path, listens: false },
      others,
      addressed: of.addressed,
      ringSize: BUFFERS / of.addressed,
      bufferBytes: BUFFER_BYTES,
      guestMiB: GUEST_MIB,
    },
    of.threads === 1 ? pair.switch : pair.generator,
    scope,
  )
  for (const one of [child, load.child]) one.pause()
  return { of, child, load, windows: [] }
}

async function measure({ child, load, windows }: Stage, seconds: number, first: boolean, counts: boolean): Promise<void> {
  if (first) for (const { pid } of [child, load.child]) raisePriority(pid)
  for (const one of [child, load.child]) one.resume()
  load.send(BYTES)
  await sleep(SETTLE_MS)
  const [before, startCount] = [await figuresOf(child), await load.count()]
  await sleep(seconds * 1000)
  const [after, endCount] = [await figuresOf(child), await load.count()]
  load.stop()
  for (const one of [child, load.child]) one.pause()
  // Given back, but not filled: the guest's buffers do not lie where it says.
  if (endCount.frames > startCount.frames && endCount.lastBytes !== BYTES)
    throw new Error(`${endCount.lastBytes} bytes came of frames of ${BYTES}`)
  if (!counts) return
  const figures = Object.fromEntries(
    Object.entries(after).map(([name, value]) => [name, value - before[name as keyof Figures]]),
  ) as unknown as Figures
  windows.push({
    figures,
    received: endCount.frames - startCount.frames,
    nsPerFrame: figures.fullBursts === 0 ? 0 : figures.fullBurstNs / figures.fullBursts / BURST,
  })
}

function resultOf({ of, windows }: Stage): BenchResult {
  const good = windows.filter(({ received, nsPerFrame }) => received > 0 && nsPerFrame > 0)
  const costs = good.map(({ nsPerFrame }) => nsPerFrame)
  const perFrame = (name: keyof Figures): number =>
    rounded(median(good.map(({ figures }) => figures[name] / Math.max(1, figures.frames))))
  return {
    case: of.name,
    bytes: BYTES,
    nsPerFrame: good.length === 0 ? 0 : rounded(median(costs)),
    nsPerFrameMin: good.length === 0 ? 0 : rounded(Math.min(...costs)),
    nsPerFrameMax: good.length === 0 ? 0 : rounded(Math.max(...costs)),
    lookUpsPerFrame: good.length === 0 ? 0 : perFrame('lookUps'),
    handedOverPerFrame: good.length === 0 ? 0 : perFrame('handedOver'),
    takenElsewherePerFrame: good.length === 0 ? 0 : perFrame('elsewhere'),
    windows: good.length,
  }
}

async function run(options: BenchOptions, { progress, signal }: BenchComponents): Promise<BenchReport> {
  const rounds = options.rounds ?? (options.quick ? QUICK.rounds : ROUNDS)
  const seconds = options.seconds ?? (options.quick ? QUICK.seconds : SECONDS)
  const missing: Record<string, string> = {}
  const scope = new Scope()
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-bench-'))
  scope.add(() => rmSync(directory, { recursive: true, force: true }))
  try {
    const stages: Stage[] = []
    for (const of of cases) {
      progress(`starting ${of.name}`)
      try {
        stages.push(await start(of, directory, scope))
      } catch (error) {
        signal.throwIfAborted()
        missing[of.name] = error instanceof Error ? error.message : String(error)
        progress(`${of.name} is left out: ${missing[of.name]}`)
      }
    }
    for (let round = 0; round <= rounds; round++) {
      for (const stage of stages) {
        signal.throwIfAborted()
        await measure(stage, seconds, options.first, round > 0)
      }
      const line = stages.map(({ of, windows }) => `${of.name} ${Math.round(windows.at(-1)?.nsPerFrame ?? 0)} ns`)
      progress(`${round === 0 ? 'warm-up' : `round ${round} of ${rounds}`}: ${line.join(', ')}`)
    }
    const results = stages.map(resultOf)
    for (const { case: name, nsPerFrame } of results) if (nsPerFrame === 0) missing[name] = 'no full burst came through'
    const cost = (name: string): number | undefined =>
      missing[name] === undefined ? (results.find((result) => result.case === name)?.nsPerFrame as number) : undefined
    const ratio = (above: string, below: string): number | null => {
      const [one, other] = [cost(above), cost(below)]
      return one === undefined || other === undefined ? null : rounded(one / other)
    }
    const ratios = {
      vmq_vs_default: ratio('vmq1', 'default1'),
      vmq_vs_default_two_threads: ratio('vmq_two_threads', 'default_two_threads'),
      vmq8_vs_default8: ratio('vmq8', 'default8'),
      vmq64_vs_default64: ratio('vmq64', 'default64'),
      vmq8_vs_vmq1: ratio('vmq8', 'vmq1'),
      vmq64_vs_vmq1: ratio('vmq64', 'vmq1'),
      vmq64_for_one_vs_vmq1: ratio('vmq64_for_one', 'vmq1'),
      default8_vs_default1: ratio('default8', 'default1'),
      default64_vs_default1: ratio('default64', 'default1'),
    }
    const ceilings = [
      ['vmq_vs_default', QUEUE_CEILING],
      ['vmq8_vs_vmq1', QUEUES_CEILING],
      ['vmq64_vs_vmq1', QUEUES_CEILING],
      ['vmq64_for_one_vs_vmq1', QUEUES_CEILING],
    ] as const
    const floors = ceilings.map(([name, atMost]): Floor => {
      const reached = ratios[name]
      return { ratio: name, atMost, met: reached === null ? null : reached <= atMost }
    })
    const notes = [
      'nsPerFrame: time from taking a burst of 64 frames of 64 bytes to giving it back, by frame; ratios are of costs: below 1 is cheaper',
      'four bursts of the sender in a row are for one guest, the next four for the next guest; all guests together have as many buffers in every case, and the sender sends the same frames from the same memory',
      'default8 and default64 have no queues: what they cost above default1 is the memory of more guests; default64_for_one and vmq64_for_one have 64 guests and queues, and all frames are for one of them: what they cost above default1 and vmq1 is what having so many costs by itself',
      'lookUpsPerFrame: frames whose port a table of addresses was asked for; takenElsewherePerFrame: those that a thread took that does not poll their guest',
    ]
    return { bench: 'vmq', machine: describeMachine(), results, ratios, floors, missing, notes }
  } finally {
    scope.close()
  }
}

export const vmqBenchmark: Benchmark = {
  name: 'vmq',
  summary: 'what a received frame costs with receive queues for guests and without, for 1, 8 and 64 guests',
  run,
}
