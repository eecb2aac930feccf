// `npm run bench -- uplink`: frames a second from an interface of the host to a guest, this switch's uplink against the kernel's bridge
// with a TAP, a VDE switch and Open vSwitch in user space. One processor for the sender (and the kernel's work for each frame that it
// sends), one for the switch; one rival at a time, short windows in turn over many rounds; medians.
//
// The rule it must not break: the sender is the same for all, and what the guest got is counted where the guest takes it.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BenchComponents, Benchmark, BenchOptions, Floor, FrameResult } from './benchmark.ts'
import { HUGE_PAGE_BYTES, reserveHugePages } from './support/huge-pages.ts'
import { describeMachine } from './support/machine.ts'
import { ensurePackages } from './support/packages.ts'
import { chooseProcessors } from './support/processors.ts'
import { Scope } from './support/scope.ts'
import { median, rounded } from './support/statistics.ts'
import { measureUplink, type UplinkWindow } from './uplink/measure.ts'
import { type UplinkPair, type UplinkRivalName, uplinkRivals } from './uplink/rivals.ts'

const FRAME_BYTES = [64, 512, 1500] as const
const ROUNDS = 9
const WINDOW_SECONDS = 1
const QUICK = { rounds: 2, seconds: 0.4 } as const
const WARM_UP_SECONDS = 1.5
const QUICK_WARM_UP_SECONDS = 0.5
const CLEAN_ENOUGH = 3
const SPARE_MIB = 64

const COMPARED: readonly (readonly [UplinkRivalName, UplinkRivalName])[] = [
  ['uplink', 'vde'],
  ['uplink', 'ovs'],
  ['uplink', 'bridge'],
  ['uplinkxdp', 'ovsafxdp'],
]
/** The floors are for the smallest frames, whose ratios bear no size in their names. */
const FLOORS: Readonly<Record<string, number>> = { uplink_vs_vde: 2, uplink_vs_ovs: 1 }
const ratioName = (name: string, other: string, bytes: number): string =>
  `${name}_vs_${other}${bytes === FRAME_BYTES[0] ? '' : `_${bytes}`}`

async function startAll(missing: Record<string, string>, scope: Scope, { progress }: BenchComponents) {
  const absent = await ensurePackages([...new Set(uplinkRivals.flatMap(({ packages }) => packages))])
  const processors = chooseProcessors()
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-bench-'))
  scope.add(() => rmSync(directory, { recursive: true, force: true }))
  const pairs = new Map<UplinkRivalName, UplinkPair>()
  for (const rival of uplinkRivals) {
    const lacking = rival.packages.filter((wanted) => absent.includes(wanted))
    if (lacking.length > 0) {
      missing[rival.name] = `not installed: apt-get install -y ${lacking.join(' ')}`
      continue
    }
    progress(`starting ${rival.title}`)
    try {
      if (rival.memoryMiB > 0) scope.add(reserveHugePages(Math.ceil(((rival.memoryMiB + SPARE_MIB) * 2 ** 20) / HUGE_PAGE_BYTES)))
      const pair = await rival.start({ directory: join(directory, rival.name), processors }, scope)
      for (const child of [...pair.children, pair.load.child]) child.pause()
      pairs.set(rival.name, pair)
    } catch (error) {
      missing[rival.name] = error instanceof Error ? error.message : String(error)
      progress(`${rival.name} is left out: ${missing[rival.name]}`)
    }
  }
  return pairs
}

function resultOf(name: UplinkRivalName, bytes: number, windows: readonly UplinkWindow[]): FrameResult {
  const clean = windows.filter(({ disturbed }) => !disturbed)
  const used = clean.length >= CLEAN_ENOUGH ? clean : windows
  const rates = used.map(({ packetsPerSecond }) => packetsPerSecond / 1e6)
  const mpps = median(rates)
  return {
    case: name,
    bytes,
    mpps: rounded(mpps),
    gbps: rounded((mpps * bytes * 8) / 1000),
    mppsMin: rounded(Math.min(...rates)),
    mppsMax: rounded(Math.max(...rates)),
    ownNsPerFrame: Math.round(median(used.map(({ ownNsPerPacket }) => ownNsPerPacket))),
    windows: used.length,
    disturbed: windows.length - clean.length,
  }
}

async function run(options: BenchOptions, components: BenchComponents): ReturnType<Benchmark['run']> {
  const { progress, signal } = components
  const rounds = options.rounds ?? (options.quick ? QUICK.rounds : ROUNDS)
  const seconds = options.seconds ?? (options.quick ? QUICK.seconds : WINDOW_SECONDS)
  const warmUp = options.quick ? QUICK_WARM_UP_SECONDS : WARM_UP_SECONDS
  const machine = describeMachine()
  const missing: Record<string, string> = {}
  const windows = new Map<string, UplinkWindow[]>()
  const scope = new Scope()
  try {
    const pairs = await startAll(missing, scope, components)
    for (let round = 0; round <= rounds; round++) {
      const line: string[] = []
      for (const bytes of FRAME_BYTES)
        for (const [name, pair] of pairs) {
          signal.throwIfAborted()
          try {
            const window = await measureUplink(pair, { bytes, seconds: round === 0 ? warmUp : seconds, first: options.first })
            line.push(`${name} ${bytes} B ${(window.packetsPerSecond / 1e6).toFixed(2)}${window.disturbed ? '*' : ''}`)
            const key = `${name} ${bytes}`
            if (round > 0) windows.set(key, [...(windows.get(key) ?? []), window])
          } catch (error) {
            signal.throwIfAborted()
            missing[name] = error instanceof Error ? error.message : String(error)
            progress(`${name} is left out: ${missing[name]}`)
            pairs.delete(name)
          }
        }
      progress(`${round === 0 ? 'warm-up' : `round ${round} of ${rounds}`}: ${line.join(', ')}`)
    }
    const results = FRAME_BYTES.flatMap((bytes) =>
      [...pairs.keys()].map((name) => resultOf(name, bytes, windows.get(`${name} ${bytes}`)!)),
    )
    for (const { case: name, mpps } of results) if (mpps === 0) missing[name] = 'no frame came through'
    const rate = (name: UplinkRivalName, bytes: number): number | undefined =>
      missing[name] === undefined ? results.find((result) => result.case === name && result.bytes === bytes)?.mpps : undefined
    const ratios: Record<string, number | null> = {}
    for (const [name, other] of COMPARED)
      for (const bytes of FRAME_BYTES) {
        const [above, below] = [rate(name, bytes), rate(other, bytes)]
        const ratio = ratioName(name, other, bytes)
        ratios[ratio] = above === undefined || below === undefined ? null : rounded(above / below)
        if (ratios[ratio] === null) missing[ratio] = [name, other].flatMap((wanted) => missing[wanted] ?? []).join('; ')
      }
    const floors: Floor[] = Object.entries(FLOORS).map(([ratio, atLeast]) => {
      const reached = ratios[ratio] ?? null
      return { ratio, atLeast, met: reached === null ? null : reached >= atLeast }
    })
    const notes = [
      'ownNsPerFrame: processor time of the switch (and of what stands for the back-end of a VMM) per frame; polling counts, the kernel’s work on the sender’s processor does not',
      'the bridge’s frames are read from the TAP one a call, as QEMU does, and VDE’s by vde_plug2tap; the guest that a VMM would have to serve besides is left out',
      'disturbed: a thread waited for its processor; where the sender’s processor does the kernel’s bridging too, its threads wait for that',
      ...(options.first ? ['rivals and senders ran with the highest ordinary priority'] : []),
    ]
    return { bench: 'uplink', machine, results, ratios, floors, missing, notes }
  } finally {
    scope.close()
  }
}

export const uplinkBenchmark: Benchmark = {
  name: 'uplink',
  summary: 'frames a second from a host interface to a guest, against Linux bridge + TAP, VDE and Open vSwitch',
  run,
}
