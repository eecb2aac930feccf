// Differential fuzz of the direct path between virtual functions. The wasm kernel runs against its twin on hostile rings, where both
// must agree to the byte; and, on rings of honest guests, against the adapter's path through the packet pool, where every frame must
// have the same fate: the same bytes in the same buffers, the same counters.
//
//   node test/fuzz/direct-fuzz.ts [--seconds N] [--seed S]
//
// The rule it must not break: a failure names its seed and round, and the same seed repeats it.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual, parseArgs } from 'node:util'
import { ANY_VLAN } from '../../src/adapter/filter-table.ts'
import { VPortFlag } from '../../src/adapter/vport-table.ts'
import { vnet } from '../../src/kernels/frames.ts'
import * as L from '../../src/kernels/layout.ts'
import { AdapterWorld, VFS } from './adapter-world.ts'
import { HonestDriver } from './honest-driver.ts'
import { HostileDriver } from './hostile-rings.ts'
import { Random } from './random.ts'
import { BLOCKS, LOG, LOG_BYTES, PLACES, type QueueSetting, REGIONS, SPAN } from './worlds.ts'

const macOf = (n: number): string => `02:00:00:00:00:0${n}`
const octets = (mac: string): number[] => mac.split(':').map((octet) => Number.parseInt(octet, 16))
const SECOND_MAC = '02:00:00:00:01:01'
const SHORT = [0, 1, 13, 14, 15]
const LENGTHS = [16, 17, 30, 60, 60, 64, 64, 64, 65, 127, 128, 129, 576, 1023, 1040, 1041, 1500, 1514]
/** Fields of a queue block that tell how often it was published, not what. */
const PUBLISHING = [L.Q_SIGNALLED, L.Q_SIGNALLED_VALID, L.Q_NEEDS_SEEN]

export interface DirectFuzzResult {
  readonly rounds: number
  readonly frames: number
  /** Frames that the direct kernel took. */
  readonly direct: number
  readonly delivered: number
  readonly dropped: number
  readonly broken: number
}

/** One frame with its virtio-net header: mostly what goes directly, and everything that does not. One in `calm` is odd in a way. */
function randomFrame(random: Random, calm: number): Uint8Array {
  const length = random.pick(random.oneIn(calm) ? SHORT : LENGTHS)
  const bytes = Uint8Array.from({ length: Math.max(length, 26) }, () => random.next())
  const to = random.oneIn(calm) ? random.pick([1, 4, 5]) : random.pick([2, 2, 2, 3])
  bytes.set(octets(macOf(to)), 0)
  bytes.set(octets(random.oneIn(calm) ? SECOND_MAC : macOf(1)), 6)
  bytes.set([8, 0], 12)
  if (random.oneIn(2 * calm)) bytes.set(octets(random.pick(['ff:ff:ff:ff:ff:ff', '01:00:5e:00:00:01', '01:80:c2:00:00:0e'])), 0)
  if (random.oneIn(2 * calm)) bytes.set(octets(random.pick([macOf(2), '03:00:00:00:00:01', '02:00:00:00:0a:01'])), 6)
  if (random.oneIn(calm))
    bytes.set(
      random.pick([
        [0x81, 0],
        [0x88, 0xa8],
        [0x91, 0],
      ]),
      12,
    )
  const ip = random.below(4)
  if (ip === 0) bytes[14] = 0x45
  else if (ip === 1) {
    bytes.set([0x86, 0xdd, 0x60], 12)
    bytes[20] = random.oneIn(calm) ? random.pick([0, 44, 58]) : random.pick([6, 17])
  } else if (ip === 2) bytes.set([0, random.pick([0, 5, 7])], 14)
  const odd = random.oneIn(calm)
  const start = odd ? random.below(80) : ip === 0 ? 34 : 54
  const offset = odd ? random.below(30) : random.pick([6, 16])
  const asks = odd || (ip < 2 && length >= start + offset + 2 && random.oneIn(2))
  const request = asks
    ? vnet(random.pick([1, 1, 3, 2, 4]), random.oneIn(calm) ? random.pick([1, 5]) : 0, 34, random.below(600), start, offset)
    : vnet(0, 0, random.below(3), random.below(3), random.below(3))
  return Uint8Array.of(...request, ...bytes.subarray(0, length))
}

/** Sets the adapter's tables up, alike in all worlds. */
function configure(worlds: readonly AdapterWorld[], random: Random): void {
  const vlanOf = random.pick([
    [0, 0, 0],
    [0, 0, 0],
    [5, 5, 5],
    [5, 5, 0],
    [0, 5, 0],
    [ANY_VLAN, ANY_VLAN, 0],
    [5, ANY_VLAN, 5],
  ])
  const off = Array.from({ length: VFS }, () =>
    random.oneIn(15) ? random.pick([VPortFlag.linkDown, VPortFlag.asleep, VPortFlag.active]) : 0,
  )
  const check = random.oneIn(4) ? 0 : VPortFlag.checkSource
  const promiscuous = random.oneIn(4) ? VPortFlag.promiscuous : 0
  const wire = random.oneIn(2) ? VPortFlag.active : 0
  const second = random.oneIn(2)
  const late = random.oneIn(8)
  for (const { tables } of worlds) {
    tables.vports.set(4, { flags: wire, mac: undefined, accessTag: 0, admitted: 'all' })
    for (let n = 1; n <= VFS; n++) {
      const vlan = vlanOf[n - 1]!
      const access = vlan > 0 ? VPortFlag.access | VPortFlag.strip : vlan === 0 ? VPortFlag.strip : 0
      const flags = VPortFlag.active | VPortFlag.vf | check | access | (n === 3 ? promiscuous : 0)
      tables.vports.set(n, {
        flags: off[n - 1] === VPortFlag.active ? flags & ~VPortFlag.active : flags | off[n - 1]!,
        mac: macOf(n),
        accessTag: Math.max(vlan, 0),
        admitted: vlan === ANY_VLAN ? 'all' : [vlan],
      })
      tables.filters.allowSource(macOf(n), n)
      if (!late || n !== 3) tables.filters.set({ mac: macOf(n), vlan, inner: false }, n)
    }
    if (second) tables.filters.allowSource(SECOND_MAC, 1)
    // One more address of VF 2, and one of the PF: somewhere that is no ring.
    tables.filters.set({ mac: macOf(5), vlan: 0, inner: false }, 2)
    tables.filters.set({ mac: macOf(4), vlan: 0, inner: false }, 0)
  }
}

const RING_LOSS = /receive-(ring-full|buffer-too-small|buffer-bad)$/

// What one delivery loses has one reason, that of a ring without buffers before all others; the paths deliver different numbers at once.
function ofRings({ ports, drops }: ReturnType<AdapterWorld['tally']>): unknown {
  const lost: Record<string, number> = {}
  for (const [reason, frames] of Object.entries(drops)) {
    const key = reason.replace(RING_LOSS, 'lost at the ring')
    lost[key] = (lost[key] ?? 0) + frames
  }
  return { ports, lost }
}

/** Runs until `seconds` have passed. Throws an Error that names seed and round where the worlds differ. */
export function fuzzDirect(wasm: Uint8Array, seed: number, seconds: number): DirectFuzzResult {
  const random = new Random(seed)
  const worlds = [
    new AdapterWorld('wasm', wasm, true),
    new AdapterWorld('twin', undefined, true),
    new AdapterWorld('pool', wasm, false),
  ] as const
  const [first, twin, pool] = worlds
  const images = Array.from({ length: VFS }, () => Uint8Array.from({ length: SPAN }, () => random.next()))
  const result = { rounds: 0, frames: 0, direct: 0, delivered: 0, dropped: 0, broken: 0 }
  const fail = (what: string): never => {
    throw new Error(`seed ${seed}, round ${result.rounds}: ${what}; repeat it with: node test/fuzz/direct-fuzz.ts --seed ${seed}`)
  }
  const setting = (guest: number, honest: boolean, common: number): QueueSetting => {
    const size = 1 << (honest ? 3 + random.below(6) : random.below(8))
    const packed = !honest && random.oneIn(10)
    const last = packed ? random.below(size) : random.pick([0, 65530, random.below(65536)])
    const flags = random.pick([0, L.QF_EVENT_INDEX, L.QF_EVENT_INDEX | L.QF_INDIRECT, L.QF_INDIRECT])
    return {
      guest,
      flags: flags | (random.oneIn(2) ? L.QF_MERGEABLE : 0) | (packed ? L.QF_PACKED : 0),
      size,
      last,
      used: last,
      wrap: 3,
      // A checksum that one receiver can't have left to it is summed for all that come after: the order of receivers would show.
      offloads: guest === 0 || honest ? common : random.pick([0, 31]),
      signalled: random.below(65536),
      log: random.oneIn(10),
    }
  }

  const end = performance.now() + seconds * 1000
  while (performance.now() < end) {
    result.rounds++
    const honest = random.oneIn(2)
    const calm = random.pick([8, 60, 1000])
    const offloads = random.pick([0, 31])
    const settings = Array.from({ length: VFS }, (_, g) => setting(g, honest, g === 0 ? 31 : offloads))
    for (const image of images) image.fill(0, PLACES[0]!, PLACES[0]! + REGIONS[0]!.bytes)
    const drivers = settings.map((queue, g) =>
      honest ? new HonestDriver(images[g]!, queue, g > 0, calm, random) : new HostileDriver(images[g]!, queue, g > 0, random),
    )
    for (const world of worlds) {
      for (const [g, image] of images.entries()) world.world.span(g).set(image)
      world.reset(settings, result.rounds)
    }
    configure(worlds, random)
    for (let turn = random.below(3); turn >= 0; turn--) {
      for (const [g, driver] of drivers.entries()) {
        const block = BLOCKS + g * L.QUEUE_BYTES
        images[g]!.set(first.world.span(g))
        driver.sync(first.world.view.getUint32(block + L.Q_LAST, true), first.world.view.getUint32(block + L.Q_WRAP, true) & 1)
        const count = g > 0 && random.oneIn(2) ? settings[g]!.size : random.below(settings[g]!.size + 1)
        for (let i = 0; i < count; i++)
          driver.offer(g === 0 ? randomFrame(random, calm) : null, g === 0 ? 0 : 1526 + random.below(600))
        driver.disturb()
      }
      for (const { world } of worlds) for (const [g, image] of images.entries()) world.span(g).set(image)
      const taken = [first, twin, ...(honest ? [pool] : [])].map((world) => world.serve())
      if (taken.some((n) => n !== taken[0])) fail(`frames taken: ${taken.join(', ')}`)
      result.frames += taken[0]!
      compare(first, twin, [], fail)
      if (!isDeepStrictEqual(first.tally(), twin.tally())) fail(`counters: ${show(first)} and ${show(twin)}`)
      if (honest) {
        compare(first, pool, PUBLISHING, fail)
        if (!isDeepStrictEqual(ofRings(first.tally()), ofRings(pool.tally()))) fail(`counters: ${show(first)} and ${show(pool)}`)
      }
      for (const world of worlds) if (!world.unlocked) fail(`${world.name} left a queue locked`)
    }
    result.direct += first.direct
    const { ports } = first.tally()
    result.delivered += ports[2]![4]! + ports[3]![4]!
    result.dropped += ports.reduce((sum, port) => sum + port[2]! + port[5]!, 0)
    for (let g = 0; g < VFS; g++)
      if (first.world.view.getUint32(BLOCKS + g * L.QUEUE_BYTES + L.Q_STATE, true) === L.QS_BROKEN) result.broken++
    untouched(first, images, fail)
  }
  return result
}

const show = (world: AdapterWorld): string => `${world.name} ${JSON.stringify(world.tally())}`

const logOf = ({ world }: AdapterWorld): Uint8Array => world.u8.subarray(LOG, LOG + LOG_BYTES)

/** All guests' bytes, and the queue blocks but for `except`, must be the same. */
function compare(a: AdapterWorld, b: AdapterWorld, except: readonly number[], fail: (what: string) => never): void {
  for (let g = 0; g < VFS; g++) {
    const [x, y] = [a.world.span(g), b.world.span(g)]
    if (Buffer.compare(x, y) !== 0) {
      const at = x.findIndex((byte, i) => byte !== y[i])
      fail(`guest ${g} differs at 0x${at.toString(16)}: ${x[at]} in ${a.name}, ${y[at]} in ${b.name}`)
    }
    for (let field = 0; field < L.QUEUE_BYTES; field += 4) {
      const at = BLOCKS + g * L.QUEUE_BYTES + field
      const [p, q] = [a.world.view.getUint32(at, true), b.world.view.getUint32(at, true)]
      if (p !== q && !except.includes(field)) fail(`queue ${g}, field ${field}: ${p} in ${a.name}, ${q} in ${b.name}`)
    }
  }
  if (Buffer.compare(logOf(a), logOf(b)) !== 0) fail(`the dirty logs of ${a.name} and ${b.name} differ`)
  const [from, to] = [a.directAt, a.directAt + a.directBytes]
  if (except.length === 0 && Buffer.compare(a.world.u8.subarray(from, to), b.world.u8.subarray(from, to)) !== 0)
    fail('the direct blocks differ')
}

/** Nothing was written between regions, nor into what the sender sends. */
function untouched(world: AdapterWorld, images: readonly Uint8Array[], fail: (what: string) => never): void {
  for (const [g, image] of images.entries())
    for (let i = 0; i <= REGIONS.length; i++) {
      const from = i === 0 ? 0 : PLACES[i - 1]! + REGIONS[i - 1]!.bytes
      const to = i === REGIONS.length ? SPAN : PLACES[i]!
      const span = world.world.span(g)
      if (Buffer.compare(span.subarray(from, to), image.subarray(from, to)) !== 0) fail(`guest ${g}: written before region ${i}`)
      const sent = g === 0 && i > 1
      if (sent && Buffer.compare(span.subarray(PLACES[i - 1], from), image.subarray(PLACES[i - 1], from)) !== 0)
        fail(`the sender's region ${i - 1} was written`)
    }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { seconds: { type: 'string', default: '10' }, seed: { type: 'string' } } })
  const seed = values.seed === undefined ? Math.floor(Math.random() * 0x7fffffff) : Number(values.seed)
  const wasm = readFileSync(new URL('../../.cache/kernels.wasm', import.meta.url))
  console.log(`seed ${seed}`)
  console.log(JSON.stringify(fuzzDirect(wasm, seed, Number(values.seconds))))
}
