// Nanoseconds per packet of the burst kernels, wasm and TypeScript, in cache: dequeue with complete, parse alone, deliver. Prints
// the minima of several rounds and the ratio of the two engines.
//
//   node bench/kernels.ts [--rounds N]
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Kernels } from '../src/kernels/kernels.ts'
import * as L from '../src/kernels/layout.ts'
import { instantiateKernels } from '../src/kernels/load.ts'
import { createTwin, linearWindows } from '../src/kernels/twin.ts'

const RING = 256
const BURST = 32
const BYTES = 64 * 1024 * 1024
const STRIDE = 2240 // an odd multiple of the cache line: buffers don't fall into the same sets
const BLOCKS = 0x10000
const TABLE = 0x20000
const LIST = 0x30000
const POOL = 0x100000
const RINGS = 0x1000000
const DATA = 0x2000000
const DATA_GPA_HIGH = 1
const ROUND_MS = 60
const LENGTHS = [64, 512, 1500] as const

type Format = 'split' | 'packed'

interface Ring {
  readonly block: number
  readonly desc: number
  readonly driver: number
  readonly device: number
}

/** Two rings of one guest in linear memory: full of frames to send, full of buffers to fill. */
class Scene {
  readonly memory = new WebAssembly.Memory({ initial: BYTES / 65536, maximum: 65536, shared: true })
  readonly view = new DataView(this.memory.buffer)
  readonly u16 = new Uint16Array(this.memory.buffer)
  readonly u32 = new Uint32Array(this.memory.buffer)
  readonly format: Format
  readonly length: number
  readonly transmit: Ring
  readonly receive: Ring

  constructor(format: Format, length: number) {
    this.format = format
    this.length = length
    for (const [i, [gpaHigh, base]] of [
      [0, RINGS],
      [DATA_GPA_HIGH, DATA],
    ].entries()) {
      const entry = TABLE + i * L.REGION_BYTES
      this.view.setUint32(entry + L.REGION_GPA_HIGH, gpaHigh!, true)
      this.view.setUint32(entry + L.REGION_SIZE, 0x1000000, true)
      this.view.setUint32(entry + L.REGION_BASE, base!, true)
    }
    this.transmit = this.#ring(0, length, false)
    this.receive = this.#ring(1, 2048, true)
    for (let i = 0; i < BURST; i++) this.u16[(LIST >> 1) + i] = i
  }

  #ring(index: number, bytes: number, writing: boolean): Ring {
    const { view } = this
    const at = RINGS + index * 0x10000
    const ring = { block: BLOCKS + index * L.QUEUE_BYTES, desc: at, driver: at + 0x2000, device: at + 0x4000 }
    const set = (field: number, value: number): void => view.setUint32(ring.block + field, value, true)
    const packed = this.format === 'packed'
    set(L.Q_STATE, L.QS_RUNNING)
    set(L.Q_FLAGS, packed ? L.QF_PACKED : 0)
    set(L.Q_MASK, RING - 1)
    set(L.Q_SIZE, RING)
    set(L.Q_WRAP, 3)
    set(L.Q_REGIONS, TABLE)
    set(L.Q_REGION_COUNT, 2)
    set(L.Q_DESC, ring.desc)
    set(L.Q_DRIVER, ring.driver)
    set(L.Q_DEVICE, ring.device)
    for (let i = 0; i < RING; i++) {
      const buffer = (index * RING + i) * STRIDE
      const d = ring.desc + i * 16
      view.setUint32(d, buffer, true)
      view.setUint32(d + 4, DATA_GPA_HIGH, true)
      view.setUint32(d + 8, writing ? bytes : bytes + L.VNET_HEADER, true)
      const flags = writing ? L.DESC_WRITE : 0
      view.setUint32(d + 12, packed ? i | (flags << 16) : flags, true)
      view.setUint16(ring.driver + 4 + i * 2, i, true)
      if (!writing) this.#frame(DATA + buffer + L.VNET_HEADER, bytes, i)
    }
    view.setUint16(ring.driver + (packed ? 2 : 0), 1, true) // no notifications wanted
    return ring
  }

  #frame(at: number, bytes: number, i: number): void {
    const header = [
      2,
      0,
      0,
      0,
      1,
      i,
      2,
      0,
      0,
      0,
      2,
      i,
      8,
      0,
      0x45,
      0,
      0,
      bytes - 14,
      0,
      i,
      0x40,
      0,
      64,
      17,
      0,
      0,
      10,
      0,
      0,
      1,
      10,
      0,
      0,
      2,
    ]
    for (let j = 0; j < bytes; j++) this.view.setUint8(at + j, header[j] ?? j * 7 + i)
  }

  /** The driver offers the next BURST descriptors again. */
  offer(ring: Ring): void {
    if (this.format === 'split') {
      this.u16[(ring.driver >> 1) + 1]! += BURST
      return
    }
    const last = this.u32[(ring.block + L.Q_LAST) >> 2]!
    const lap = (this.u32[(ring.block + L.Q_WRAP) >> 2]! & 1) === 1 ? L.DESC_AVAILABLE : L.DESC_USED
    const flags = lap | (ring === this.receive ? L.DESC_WRITE : 0)
    const bytes = ring === this.receive ? 2048 : this.length + L.VNET_HEADER
    for (let i = last; i < last + BURST; i++) {
      this.u32[(ring.desc >> 2) + i * 4 + 2] = bytes
      this.u16[(ring.desc >> 1) + i * 8 + 7] = flags
    }
  }
}

/** The least nanoseconds per packet over `rounds` rounds, and what the driver's own part costs taken off by the caller. */
function least(rounds: number, turn: () => void): number {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < rounds; round++) {
    const end = performance.now() + ROUND_MS
    while (performance.now() < end) {
      const start = process.hrtime.bigint()
      for (let i = 0; i < 200; i++) turn()
      best = Math.min(best, Number(process.hrtime.bigint() - start) / (200 * BURST))
    }
  }
  return best
}

interface Figures {
  readonly take: number
  readonly parse: number
  readonly deliver: number
}

function measure(format: Format, length: number, rounds: number, makeKernels: (memory: WebAssembly.Memory) => Kernels): Figures {
  const scene = new Scene(format, length)
  const { transmit, receive } = scene
  const kernels = makeKernels(scene.memory)
  const check = (got: number): void => {
    if ((got & L.DELIVER_COUNT) !== BURST) throw new Error(`${got} of ${BURST} packets: the benchmark's rings are wrong`)
  }
  const idle = least(rounds, () => scene.offer(transmit))
  if (format === 'split') scene.u16[(transmit.driver >> 1) + 1] = scene.u32[(transmit.block + L.Q_LAST) >> 2]!
  const take = least(rounds, () => {
    scene.offer(transmit)
    check(kernels.dequeue(transmit.block, POOL, 0, BURST))
    kernels.complete(transmit.block, POOL, 0, BURST)
  })
  const parse = least(rounds, () => kernels.parse(POOL, 0, BURST))
  const deliver = least(rounds, () => {
    scene.offer(receive)
    check(kernels.deliver(receive.block, POOL, LIST, BURST))
  })
  return { take: take - idle, parse, deliver: deliver - idle }
}

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '5' } } })
const rounds = Number(values.rounds)
const wasm = readFileSync(new URL('../.cache/kernels.wasm', import.meta.url))
const engines = {
  wasm: (memory: WebAssembly.Memory): Kernels => instantiateKernels(wasm, memory),
  twin: ({ buffer }: WebAssembly.Memory): Kernels =>
    createTwin({ linear: buffer, windows: linearWindows(buffer), copyForeign: () => {} }),
}
console.log('ns per packet          dequeue+parse+complete   parse   deliver')
for (const format of ['split', 'packed'] as const)
  for (const length of LENGTHS) {
    const both = Object.entries(engines).map(([name, make]) => ({ name, ...measure(format, length, rounds, make) }))
    for (const { name, take, parse, deliver } of both)
      console.log(
        `${format.padEnd(7)}${String(length).padStart(5)} B  ${name.padEnd(8)}${take.toFixed(1).padStart(16)}${parse.toFixed(1).padStart(15)}${deliver.toFixed(1).padStart(10)}`,
      )
    const [a, b] = both as [(typeof both)[0], (typeof both)[0]]
    console.log(
      `${''.padEnd(16)}ratio   ${(b.take / a.take).toFixed(1).padStart(16)}${(b.parse / a.parse).toFixed(1).padStart(15)}${(b.deliver / a.deliver).toFixed(1).padStart(10)}`,
    )
  }
