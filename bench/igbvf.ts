// `npm run bench -- igbvf`: TCP between two emulated guests over virtual functions that the stock igbvf drives, against QEMU's own e1000e
// on a socket between the same two guests, and virtio-net through the switch for orientation; and what a frame costs in register accesses,
// each of which is a message of QEMU to the switch.
//
// The rule it must not break: the three are measured strictly in turn in the same two guests, and what the receiving guest counted counts.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BenchComponents, Benchmark, BenchOptions, BenchReport, BenchResult, Floor } from './benchmark.ts'
import { GuestPair } from './igbvf/guests.ts'
import { type LinkKind, type LinkName, links, type Sockets } from './igbvf/links.ts'
import { IgbvfSwitch, type RegisterUse } from './igbvf/own-switch.ts'
import { describeMachine } from './support/machine.ts'
import { raisePriority } from './support/priority.ts'
import { Scope } from './support/scope.ts'
import { median, rounded } from './support/statistics.ts'

const ROUNDS = 7
const SECONDS = 4
const QUICK = { rounds: 2, seconds: 2 } as const
const SETTLE_SECONDS = 1.5
const RATE_FLOOR = 1
const MESSAGES_CEILING = 0.1
const cacheDirectory = fileURLToPath(new URL('../.cache', import.meta.url))

/** One stretch of one link: Mbit/s, and for virtual functions what their registers cost. */
interface Window {
  readonly mbps: number
  readonly use: RegisterUse | null
}

async function measure(link: LinkKind, seconds: number, { pair, own }: { pair: GuestPair; own: IgbvfSwitch }): Promise<Window> {
  const looks: RegisterUse[] = []
  const look = async (): Promise<void> => {
    if (link.name === 'igbvf') looks.push(await own.registerUse())
  }
  const counted = await pair.measure(link, { seconds, settle: SETTLE_SECONDS }, look)
  const [before, after] = looks
  const use =
    before && after
      ? {
          frames: after.frames - before.frames,
          superFrames: after.superFrames - before.superFrames,
          messages: [after.messages[0] - before.messages[0], after.messages[1] - before.messages[1]] as const,
          interrupts: [after.interrupts[0] - before.interrupts[0], after.interrupts[1] - before.interrupts[1]] as const,
        }
      : null
  return { mbps: (counted.bytes * 8) / counted.seconds / 1e6, use }
}

function resultOf(name: LinkName, windows: readonly Window[]): BenchResult {
  const rates = windows.map(({ mbps }) => mbps)
  const uses = windows.flatMap(({ use }) => use ?? [])
  const perFrame = (figure: (use: RegisterUse) => number): number =>
    rounded(median(uses.map((use) => figure(use) / Math.max(1, use.frames))))
  return {
    case: name,
    mbps: Math.round(median(rates)),
    mbpsMin: Math.round(Math.min(...rates)),
    mbpsMax: Math.round(Math.max(...rates)),
    ...(uses.length === 0
      ? {}
      : {
          senderMessagesPerFrame: perFrame(({ messages }) => messages[0]),
          receiverMessagesPerFrame: perFrame(({ messages }) => messages[1]),
          senderInterruptsPerFrame: perFrame(({ interrupts }) => interrupts[0]),
          receiverInterruptsPerFrame: perFrame(({ interrupts }) => interrupts[1]),
          framesPerSuperFrame: rounded(median(uses.map(({ frames, superFrames }) => frames / Math.max(1, superFrames)))),
        }),
    windows: windows.length,
  }
}

async function run(options: BenchOptions, components: BenchComponents): Promise<BenchReport> {
  const { progress, signal } = components
  const rounds = options.rounds ?? (options.quick ? QUICK.rounds : ROUNDS)
  const seconds = options.seconds ?? (options.quick ? QUICK.seconds : SECONDS)
  const machine = describeMachine()
  const scope = new Scope()
  const windows = new Map<LinkName, Window[]>(links.map(({ name }) => [name, []]))
  const directory = mkdtempSync(join(tmpdir(), 'vmsb-'))
  scope.add(() => rmSync(directory, { recursive: true, force: true }))
  let pair: GuestPair | undefined
  try {
    const at = (name: string): string => join(directory, name)
    const sockets: Sockets = { functions: [at('f0'), at('f1')], devices: [at('d0'), at('d1')], cable: at('c') }
    const own = await IgbvfSwitch.start({ sockets, directory }, scope)
    progress('booting two guests')
    pair = await GuestPair.start({ cacheDirectory, directory, sockets }, components, scope)
    if (options.first) for (const pid of [own.pid, ...pair.pids]) raisePriority(pid)
    for (let round = 1; round <= rounds; round++) {
      const line: string[] = []
      for (const link of links) {
        signal.throwIfAborted()
        const window = await measure(link, seconds, { pair, own })
        windows.get(link.name)!.push(window)
        line.push(`${link.name} ${window.mbps.toFixed(0)} Mbit/s`)
      }
      progress(`round ${round} of ${rounds}: ${line.join(', ')}`)
    }
  } finally {
    await pair?.stop()
    scope.close()
  }
  const results = links.map(({ name }) => resultOf(name, windows.get(name)!))
  // Round by round: what else the machine does changes from one to the next.
  const faster = (name: LinkName, other: LinkName): number =>
    rounded(median(windows.get(name)!.map(({ mbps }, round) => mbps / windows.get(other)![round]!.mbps)))
  const igbvf = results.find((result) => result.case === 'igbvf')!
  const perFrame = Math.max(Number(igbvf.senderMessagesPerFrame), Number(igbvf.receiverMessagesPerFrame))
  const ratios = {
    igbvf_vs_e1000e: faster('igbvf', 'e1000e'),
    igbvf_vs_virtio: faster('igbvf', 'virtio'),
    register_messages_per_frame: perFrame,
    register_messages_per_frame_both: rounded(Number(igbvf.senderMessagesPerFrame) + Number(igbvf.receiverMessagesPerFrame)),
  }
  const floors: Floor[] = [
    { ratio: 'igbvf_vs_e1000e', atLeast: RATE_FLOOR, met: ratios.igbvf_vs_e1000e >= RATE_FLOOR },
    { ratio: 'register_messages_per_frame', atMost: MESSAGES_CEILING, met: perFrame <= MESSAGES_CEILING },
  ]
  const notes = options.first ? [...NOTES, 'guests and switch ran with the highest ordinary priority'] : NOTES
  return { bench: 'igbvf', machine, results, ratios, floors, notes }
}

const NOTES = [
  'ratios of rates: the median of those of the rounds',
  'mbps: bytes of IP packets that the receiving guest counted; emulated processors, which share those of the host with the switch',
  'messages: reads and writes of registers by a guest, per TCP frame on the wire (both directions); register_messages_per_frame is that of the guest that needs more, _both the sum of the two',
]

export const igbvfBenchmark: Benchmark = {
  name: 'igbvf',
  summary: "TCP between two emulated guests over igbvf's virtual functions, against QEMU's e1000e",
  run,
}
