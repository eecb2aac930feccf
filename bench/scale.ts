// `npm run bench -- scale`: a thousand hosts with a hundred ports each in one network, in virtual time: what a change sends to whom, and when
// all have followed it.
//
// The rule it must not break: times are the simulation's, made of the delays that it says; processor time and memory are measured.
import { fileURLToPath } from 'node:url'
import type { BenchComponents, Benchmark, BenchOptions } from './benchmark.ts'
import type { ScaleFigures, ScaleOptions } from './scale/scale-process.ts'
import { Child } from './support/child.ts'
import { describeMachine } from './support/machine.ts'
import { Scope } from './support/scope.ts'
import { median, rounded } from './support/statistics.ts'

const WHOLE: ScaleOptions = { hosts: 1000, portsPerHost: 100, observers: 4, changes: 20 }
const QUICK: ScaleOptions = { hosts: 100, portsPerHost: 20, observers: 2, changes: 5 }
const LIMIT_MS = 1_200_000
const HEAP_MIB = 14_000
/** A moved port is known everywhere by then. */
const MOVE_MS_MAX = 200
const program = fileURLToPath(new URL('./scale/scale-process.ts', import.meta.url))

async function run(options: BenchOptions, { progress }: BenchComponents): ReturnType<Benchmark['run']> {
  const settings = { ...(options.quick ? QUICK : WHOLE), ...(options.rounds === undefined ? {} : { changes: options.rounds }) }
  const { hosts, portsPerHost } = settings
  progress(`${hosts} hosts with ${portsPerHost} ports each; this takes minutes`)
  const scope = new Scope()
  try {
    const child = new Child(
      {
        name: 'scale',
        program: process.execPath,
        args: ['--expose-gc', `--max-old-space-size=${HEAP_MIB}`, program, JSON.stringify(settings)],
      },
      scope,
    )
    const line = await child.until('its figures', LIMIT_MS, (output) => /^\{"entries".*\}$/m.exec(output)?.[0])
    const figures = JSON.parse(line) as ScaleFigures
    const moved = figures.changes.find(({ change }) => change.includes('moves'))!
    const moveMs = Math.max(...moved.convergedMs)
    return {
      bench: 'scale',
      machine: describeMachine(),
      results: [
        {
          case: `${hosts} hosts join`,
          writes: figures.entries,
          bytesPerHost: figures.bytes,
        },
        ...figures.changes.map(({ change, writes, bytesWritten, convergedMs }) => ({
          case: change,
          writes: rounded(writes),
          bytesPerHost: Math.round(bytesWritten),
          convergedMs: median(convergedMs),
          convergedMsMax: Math.max(...convergedMs),
        })),
        {
          case: 'nothing changes, a second',
          writes: rounded(figures.leasesPerSecond),
          bytesPerHost: Math.round(figures.leaseBytesPerSecond),
        },
        { case: 'a host dies', convergedMs: median(figures.lostMs), convergedMsMax: Math.max(...figures.lostMs) },
        {
          case: 'a host that hears everything',
          cpuUsPerEntry: rounded(figures.cpuUsPerEntry),
          heapMiB: rounded(figures.heapPerObserver / 2 ** 20),
        },
      ],
      ratios: { move_ms: moveMs },
      floors: [{ ratio: 'move_ms', atMost: MOVE_MS_MAX, met: moveMs <= MOVE_MS_MAX }],
      notes: [
        'virtual time; every message takes 1 to 3 ms one way, and the store takes as many as come: what a server does in a second is not in it',
        'a move counts from when the old host lets the port go',
        'each write is told to every host: bytesPerHost are keys and values, without what NATS puts around them',
        `${settings.observers} of the hosts hear everything, the others what can change what they write`,
      ],
    }
  } finally {
    scope.close()
  }
}

export const scaleBenchmark: Benchmark = {
  name: 'scale',
  summary: 'a thousand hosts in one network, in virtual time: messages, bytes and convergence of each change',
  run,
}
