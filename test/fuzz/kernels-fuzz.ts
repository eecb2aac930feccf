// Differential fuzz of the burst kernels: hostile rings through the wasm module and through the TypeScript twin, the twin also with
// guests outside linear memory. Results, copied bytes, queue blocks and every other byte must agree, and canaries must live.
//
//   node test/fuzz/kernels-fuzz.ts [--seconds N] [--seed S]
//
// The rule it must not break: a failure names its seed and round, and the same seed repeats it.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import * as L from '../../src/kernels/layout.ts'
import { corpus, HostileDriver } from './hostile-rings.ts'
import { Random } from './random.ts'
import {
  BLOCKS,
  compareLinear,
  compareLoosely,
  LISTS,
  LOG,
  LOG_BYTES,
  PLACES,
  POOL,
  type QueueSetting,
  REGIONS,
  SPAN,
  SPARE,
  SPARE_BYTES,
  World,
} from './worlds.ts'

const TX = BLOCKS
const RX = BLOCKS + L.QUEUE_BYTES
const CUT_FIRST = 100 // slots for segmentation
const CUT_ROOM = 120

export interface FuzzResult {
  readonly rounds: number
  readonly frames: number
  readonly delivered: number
  readonly cut: number
  readonly broken: number
  readonly refused: number
}

/** Runs until `seconds` have passed. Throws an Error that names seed and round where the engines differ. */
export function fuzzKernels(wasm: Uint8Array, seed: number, seconds: number): FuzzResult {
  const random = new Random(seed)
  const worlds = [new World('wasm', wasm), new World('twin'), new World('foreign twin')] as const
  const frames = corpus(random)
  const result = { rounds: 0, frames: 0, delivered: 0, cut: 0, broken: 0, refused: 0 }
  const [first, , foreign] = worlds
  const images = [0, 1].map(() => Uint8Array.from({ length: SPAN }, () => random.next()))
  const fail = (what: string): never => {
    throw new Error(
      `seed ${seed}, round ${result.rounds}: ${what}; repeat it with: node test/fuzz/kernels-fuzz.ts --seed ${seed}`,
    )
  }
  const all = (what: string, call: (world: World) => number): number => {
    const results = worlds.map(call)
    if (results.some((n) => n !== results[0])) fail(`${what} returns ${results.join(', ')}`)
    return results[0]!
  }
  const setting = (guest: number, packed: boolean): QueueSetting => {
    const size = packed ? 1 + random.below(40) : 1 << random.below(7)
    const flags = (random.below(32) & ~L.QF_PACKED) | (packed ? L.QF_PACKED : 0)
    const last = packed ? random.below(size) : random.pick([0, 65530, random.below(65536)])
    const lap = random.below(2)
    return {
      guest,
      flags,
      size,
      last,
      used: last,
      wrap: packed ? lap * 3 : 0,
      offloads: random.pick([31, 31, 31, random.below(32)]),
      signalled: random.below(65536),
      log: random.oneIn(4),
    }
  }
  const compare = (slots: readonly number[], what: string): void => {
    const difference = compareLinear(worlds[0], worlds[1]) ?? compareLoosely(worlds[0], foreign, slots, 2)
    if (difference) fail(`after ${what}: ${difference}`)
  }

  const end = performance.now() + seconds * 1000
  while (performance.now() < end) {
    result.rounds++
    const settings = [setting(0, random.oneIn(2)), setting(1, random.oneIn(2))]
    const drivers = settings.map((queue, g) => new HostileDriver(images[g]!, queue, g === 1, random))
    // Fresh rings on old data.
    for (const image of images) image.fill(0, PLACES[0]!, PLACES[0]! + REGIONS[0]!.bytes)
    const mix = random.below(3)
    foreign.foreign[0] = mix !== 1
    foreign.foreign[1] = mix !== 0
    for (const world of worlds) {
      world.u8.fill(0, LOG, LOG + LOG_BYTES)
      world.u8.fill(0, SPARE, SPARE + SPARE_BYTES)
      for (const g of [0, 1]) {
        world.span(g).set(images[g]!)
        world.describe(g)
        world.configure(g, settings[g]!)
      }
    }
    for (let turn = random.below(3); turn >= 0; turn--) {
      // The drivers work on what the device left, the same in all worlds.
      for (const g of [0, 1]) {
        const block = BLOCKS + g * L.QUEUE_BYTES
        images[g]!.set(first.span(g))
        drivers[g]!.sync(first.view.getUint32(block + L.Q_LAST, true), first.view.getUint32(block + L.Q_WRAP, true) & 1)
      }
      for (let i = random.below(settings[0]!.size + 1); i > 0; i--) drivers[0]!.offer(random.pick(frames), 0)
      for (let i = random.below(settings[1]!.size + 1); i > 0; i--)
        drivers[1]!.offer(null, random.oneIn(12) ? random.below(100) : random.pick([1526, 2048, 9000, random.below(10000)]))
      for (const driver of drivers) driver.disturb()
      for (const world of worlds) for (const g of [0, 1]) world.span(g).set(images[g]!)

      if (random.oneIn(3)) all('arm', (world) => world.kernels.arm(TX))
      const start = random.below(30)
      const max = random.pick([1, 8, 64, 64])
      const count = all('dequeue', ({ kernels }) => kernels.dequeue(TX, POOL, start, max))
      const slots = Array.from({ length: count }, (_, i) => start + i)
      compare(slots, 'dequeue')
      result.frames += count

      const good = slots.filter((slot) => (first.view.getUint32(POOL + L.P_FLAGS + slot * 4, true) & L.PF_DROPPED) === 0)
      result.refused += count - good.length
      const list: number[] = []
      for (const slot of good) {
        const length = first.view.getUint32(POOL + L.P_LENGTH + slot * 4, true)
        if (random.oneIn(4)) {
          const from = random.below(length + 20)
          const bytes = random.below(length + 20)
          const target = SPARE + random.below(8)
          all('copyFrame', ({ kernels }) => kernels.copyFrame(POOL, slot, from, bytes, target))
        }
        if (random.oneIn(4)) {
          if (random.oneIn(2)) {
            for (let i = 0; i < CUT_ROOM; i++)
              for (const world of worlds) world.view.setUint16(LISTS + 0x400 + i * 2, CUT_FIRST + i, true)
            const room = random.oneIn(5) ? random.below(10) : CUT_ROOM
            const pieces = all('segment', ({ kernels }) => kernels.segment(POOL, slot, LISTS + 0x400, room))
            const made = Array.from({ length: pieces }, (_, i) => CUT_FIRST + i)
            compare(made, 'segment')
            result.cut += pieces
            if (pieces > 0 && list.length < 100) {
              list.push(...made.slice(0, 20))
              break // its slots are in use now
            }
          } else all('checksum', ({ kernels }) => kernels.checksum(POOL, slot))
        }
        if (random.oneIn(6)) {
          // An extension adds or strips bytes at the front.
          const shift = random.pick([4, -4, -50, 14])
          const offset = first.view.getUint16(POOL + L.P_HEADER_OFFSET + slot * 2, true)
          const copied = first.view.getUint16(POOL + L.P_HEADER_LENGTH + slot * 2, true)
          if (copied > 20)
            for (const { view, kernels } of worlds) {
              view.setUint16(POOL + L.P_HEADER_OFFSET + slot * 2, offset + shift, true)
              view.setUint16(POOL + L.P_HEADER_LENGTH + slot * 2, copied - shift, true)
              view.setUint32(POOL + L.P_LENGTH + slot * 4, length - shift, true)
              kernels.parse(POOL, slot, 1)
            }
        }
        if (!random.oneIn(8)) list.push(slot)
        if (random.oneIn(12)) list.push(slot)
      }
      compare(slots, 'work on packets')
      for (const { view } of worlds) for (const [i, slot] of list.entries()) view.setUint16(LISTS + i * 2, slot, true)
      const delivered = all('deliver', ({ kernels }) => kernels.deliver(RX, POOL, LISTS, list.length))
      result.delivered += delivered & L.DELIVER_COUNT
      compare(slots, 'deliver')
      all('complete', ({ kernels }) => kernels.complete(TX, POOL, start, count))
      compare(slots, 'complete')
      for (const queue of [TX, RX]) {
        if (random.oneIn(3)) all('arm', ({ kernels }) => kernels.arm(queue))
        if (random.oneIn(3)) for (const world of worlds) world.kernels.disarm(queue)
      }
      compare(slots, 'arm and disarm')
    }
    if (first.view.getUint32(TX + L.Q_STATE, true) === L.QS_BROKEN) result.broken++
    if (first.view.getUint32(RX + L.Q_STATE, true) === L.QS_BROKEN) result.broken++
    checkUntouched(worlds, images, fail)
  }
  return result
}

/** Nothing was written between regions, nor into the sender's data. */
function checkUntouched(worlds: readonly World[], images: readonly Uint8Array[], fail: (what: string) => never): void {
  for (const world of worlds)
    for (const g of [0, 1]) {
      let at = 0
      for (let i = 0; i <= REGIONS.length; i++) {
        const gap = i < REGIONS.length ? PLACES[i]! : SPAN
        if (Buffer.compare(world.span(g).subarray(at, gap), images[g]!.subarray(at, gap)) !== 0)
          fail(`${world.name} wrote outside guest ${g}, before region ${i}`)
        at = i < REGIONS.length ? gap + REGIONS[i]!.bytes : SPAN
        // Guest 0 only sends: past its rings, nothing of it may change.
        const data = g === 0 && i > 0 && i < REGIONS.length
        if (data && Buffer.compare(world.span(g).subarray(gap, at), images[g]!.subarray(gap, at)) !== 0)
          fail(`${world.name} wrote into the data of the guest that sends`)
      }
    }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { seconds: { type: 'string', default: '10' }, seed: { type: 'string' } } })
  const seed = values.seed === undefined ? Math.floor(Math.random() * 0x7fffffff) : Number(values.seed)
  const wasm = readFileSync(new URL('../../.cache/kernels.wasm', import.meta.url))
  console.log(`seed ${seed}`)
  console.log(JSON.stringify(fuzzKernels(wasm, seed, Number(values.seconds))))
}
