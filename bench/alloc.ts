// `npm run bench -- alloc`: how much a processor allocates while frames pass it: its heap before and after at least ten million
// frames, over real vhost-user rings, with three extensions loaded.
//
// The rule it must not break: nothing is collected between the two readings, or the difference would say nothing; a run in which it
// happens is reported as such.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type BenchComponents, BenchError, type Benchmark, type BenchOptions } from './benchmark.ts'
import { HUGE_PAGE_BYTES, reserveHugePages } from './support/huge-pages.ts'
import { describeMachine } from './support/machine.ts'
import { askCounters, askHeap, startOwnSwitch } from './support/own-switch.ts'
import { ensurePackages } from './support/packages.ts'
import { chooseProcessors } from './support/processors.ts'
import { Scope } from './support/scope.ts'
import { rounded } from './support/statistics.ts'
import { Generator, TESTPMD_MEMORY_MIB } from './support/testpmd.ts'

const FRAME_BYTES = 64
const PACKETS = 10_000_000
const QUICK_PACKETS = 1_000_000
/** The runtime compiles and settles during the first packets. */
const WARM_UP_PACKETS = 10_000_000
const LOOK_MS = 250
/** A run that takes longer has no load to speak of. */
const LIMIT_SECONDS = 120
const SPARE_MIB = 64
/**
 * The smallest object has 16 bytes: what is allocated for every packet cannot stay below this, nor what is for every eighth. What
 * remains comes with time, not with packets: the run loop turns to its event loop every two milliseconds, and that makes a few objects.
 */
const BYTES_PER_PACKET_MAX = 2
const hook = fileURLToPath(new URL('./alloc/heap-hook.ts', import.meta.url))

async function run(options: BenchOptions, { progress, signal }: BenchComponents): ReturnType<Benchmark['run']> {
  const machine = describeMachine()
  const processors = chooseProcessors()
  if ((await ensurePackages(['dpdk-dev'])).length > 0)
    throw new BenchError('NEEDS_PROGRAM', 'the generator is missing: install it with apt-get install -y dpdk-dev')
  const wanted = options.quick ? QUICK_PACKETS : PACKETS
  const scope = new Scope()
  try {
    scope.add(reserveHugePages(Math.ceil(((TESTPMD_MEMORY_MIB + SPARE_MIB) * 2 ** 20) / HUGE_PAGE_BYTES)))
    const directory = mkdtempSync(join(tmpdir(), 'vmswitch-bench-'))
    scope.add(() => rmSync(directory, { recursive: true, force: true }))
    const sockets = [join(directory, '0.sock'), join(directory, '1.sock')] as const
    const nodeArguments = ['--import', hook]
    const child = await startOwnSwitch({ name: 'ext3', stack: 'three', sockets, processors, directory, nodeArguments }, scope)
    const lcores = { forwarding: processors.generator, main: processors.generator }
    const generator = await Generator.start({ name: 'alloc', sockets, listens: false, lcores }, scope)
    const frames = async (): Promise<number> => (await askCounters(child)).processors[0]!.counters.frames
    const until = async (target: number): Promise<number> => {
      const began = performance.now()
      for (;;) {
        signal.throwIfAborted()
        const now = await frames()
        if (now >= target) return now
        if (performance.now() - began > LIMIT_SECONDS * 1000)
          throw new BenchError('NOT_FORWARDING', `only ${now} of ${target} frames came within ${LIMIT_SECONDS} s`)
        await sleep(LOOK_MS)
      }
    }
    progress(`warming up with ${options.quick ? wanted : WARM_UP_PACKETS} frames`)
    generator.send(FRAME_BYTES)
    await until(options.quick ? wanted : WARM_UP_PACKETS)
    await askHeap(child, true)
    const before = await askHeap(child, true)
    await generator.receivedPerSecond()
    const first = await frames()
    const last = await until(first + wanted)
    const after = await askHeap(child, false)
    const packetsPerSecond = await generator.receivedPerSecond()
    await generator.stop()
    const packets = last - first
    const allocatedBytes = after.usedBytes - before.usedBytes
    const collections = after.collections - before.collections
    const bytesPerPacket = rounded(allocatedBytes / packets)
    const mpps = rounded(packetsPerSecond / 1e6)
    return {
      bench: 'alloc',
      machine,
      results: [
        {
          case: 'ext3',
          bytes: FRAME_BYTES,
          mpps,
          gbps: rounded((mpps * FRAME_BYTES * 8) / 1000),
          packets,
          allocatedBytes,
          collections,
        },
      ],
      ratios: { allocated_bytes_per_packet: collections === 0 ? bytesPerPacket : null, collections },
      floors: [
        {
          ratio: 'allocated_bytes_per_packet',
          atMost: BYTES_PER_PACKET_MAX,
          met: collections === 0 && bytesPerPacket <= BYTES_PER_PACKET_MAX,
        },
        { ratio: 'collections', atMost: 0, met: collections === 0 },
      ],
      ...(collections === 0 ? {} : { missing: { allocated_bytes_per_packet: 'the heap was collected in between' } }),
      notes: ['heap of the processor with three extensions after a forced collection, then after the packets without one'],
    }
  } finally {
    scope.close()
  }
}

export const allocBenchmark: Benchmark = {
  name: 'alloc',
  summary: 'bytes of heap allocated per packet, and collections, over ten million packets',
  run,
}
