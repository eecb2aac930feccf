// A guest's driver for tests: memory in several regions, split and packed rings as a driver writes and reads them, queue blocks and
// a pool around them. The same scene stands for both engines, and for guests outside linear memory.
//
// The rule it must not break: it follows the virtio specification from the driver's side and shares no code with the kernels.
import type { Kernels, Window } from './kernels.ts'
import * as L from './layout.ts'
import { instantiateKernels } from './load.ts'
import { createTwin, linearWindows, windowOf } from './twin.ts'

export const engines = ['wasm', 'twin', 'twin-foreign'] as const
export type Engine = (typeof engines)[number]

const BLOCKS = 0x10000
const TABLES = 0x20000
const LISTS = 0x30000
const POOL = 0x100000
const GUESTS = 0x400000
const GUEST_STRIDE = 0x400000
const PAYLOADS = 0xc00000 // of up to 32 placed frames
const LINEAR_BYTES = 0x1000000
/** Spare linear memory that no guest sees, for copyFrame and logs. */
export const SPARE = 0x40000

/** Regions of every test guest: two far apart, and a pair that is adjacent for the guest but not here. */
export const REGIONS = [
  { gpa: 0n, size: 0x100000 },
  { gpa: 0x1_0000_0000n, size: 0x80000 },
  { gpa: 0x2_0000_0000n, size: 0x10000 },
  { gpa: 0x2_0001_0000n, size: 0x10000 },
] as const
/** Where the adjacent pair meets. */
export const SEAM = 0x2_0001_0000n

export interface Piece {
  readonly gpa: bigint
  readonly length: number
  readonly write?: boolean
  /** Flags to use instead of the right ones. */
  readonly flags?: number
}

export interface UsedEntry {
  readonly id: number
  readonly length: number
}

/** Linear memory with a pool, and the kernels of one engine over it. */
export class Scene {
  readonly engine: Engine
  readonly memory: WebAssembly.Memory
  readonly kernels: Kernels
  readonly windows: Window[]
  readonly pool = POOL
  readonly view: DataView
  readonly u8: Uint8Array
  #guests = 0
  #blocks = 0

  constructor(engine: Engine, wasm: Uint8Array, bytes = LINEAR_BYTES) {
    this.engine = engine
    const pages = bytes / 65536
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: 65536, shared: true })
    this.view = new DataView(this.memory.buffer)
    this.u8 = new Uint8Array(this.memory.buffer)
    this.windows = linearWindows(this.memory.buffer)
    this.kernels =
      engine === 'wasm'
        ? instantiateKernels(wasm, this.memory)
        : createTwin({
            linear: this.memory.buffer,
            windows: this.windows,
            copyForeign: (target, targetOffset, source, sourceOffset, length) =>
              target.u8.set(source.u8.subarray(sourceOffset, sourceOffset + length), targetOffset),
          })
  }

  /** A guest with the regions above; `foreign` overrides what the engine implies, `base` is where it lies in linear memory. */
  guest(foreign = this.engine === 'twin-foreign', base = GUESTS + this.#guests * GUEST_STRIDE): Guest {
    return new Guest(this, this.#guests++, foreign, base)
  }

  block(): number {
    return BLOCKS + this.#blocks++ * L.QUEUE_BYTES
  }

  /** Writes a list of slots and returns its address. */
  list(slots: readonly number[], at = LISTS): number {
    slots.forEach((slot, i) => {
      this.view.setUint16(at + i * 2, slot, true)
    })
    return at
  }

  u32Of(array: number, slot: number): number {
    return this.view.getUint32(POOL + array + slot * 4, true)
  }

  u16Of(array: number, slot: number): number {
    return this.view.getUint16(POOL + array + slot * 2, true)
  }

  u8Of(array: number, slot: number): number {
    return this.u8[POOL + array + slot]!
  }

  /** The bytes of slot `slot`'s frame, through copyFrame. */
  frame(slot: number): Uint8Array {
    const length = this.u32Of(L.P_LENGTH, slot)
    const done = this.kernels.copyFrame(POOL, slot, 0, length, SPARE)
    return this.u8.slice(SPARE, SPARE + done)
  }

  /** Puts a frame into slot `slot` as an extension would: the whole header, payload in `segments` of linear memory. */
  place(slot: number, frame: Uint8Array, headerOffset = L.HEADER_START, headerLength = Math.min(frame.length, 128)): void {
    const payload = PAYLOADS + slot * 0x20000
    this.u8.set(frame.subarray(0, headerLength), POOL + slot * L.HEADER_STRIDE + headerOffset)
    this.u8.set(frame.subarray(headerLength), payload)
    this.view.setUint32(POOL + L.P_ADDRESS + slot * 4, payload, true)
    this.view.setUint32(POOL + L.P_LENGTH + slot * 4, frame.length, true)
    this.view.setUint32(POOL + L.P_FLAGS + slot * 4, 0, true)
    this.view.setUint16(POOL + L.P_HEADER_OFFSET + slot * 2, headerOffset, true)
    this.view.setUint16(POOL + L.P_HEADER_LENGTH + slot * 2, headerLength, true)
    this.u8[POOL + L.P_SEGMENTS + slot] = frame.length > headerLength ? 1 : 0
    this.u8[POOL + L.P_NEEDS + slot] = 0
    this.kernels.parse(POOL, slot, 1)
  }
}

/** One guest's memory. Guest addresses are bigints here: tests are not a hot path. */
export class Guest {
  readonly scene: Scene
  readonly foreign: boolean
  readonly table: number
  readonly #places: { gpa: bigint; size: number; u8: Uint8Array; linear: number; window: number; offset: number }[] = []

  constructor(scene: Scene, index: number, foreign: boolean, base: number) {
    this.scene = scene
    this.foreign = foreign
    this.table = TABLES + index * REGIONS.length * L.REGION_BYTES
    let at = foreign ? 0x1000 : base
    const outside = foreign ? windowOf(new SharedArrayBuffer(GUEST_STRIDE), 0, GUEST_STRIDE) : undefined
    const window = scene.windows.length
    if (outside) scene.windows.push(outside)
    REGIONS.forEach((region, i) => {
      const entry = this.table + i * L.REGION_BYTES
      const { view } = scene
      view.setBigUint64(entry, region.gpa, true)
      view.setUint32(entry + L.REGION_SIZE, region.size, true)
      view.setUint32(entry + L.REGION_BASE, foreign ? 0 : at, true)
      view.setUint32(entry + L.REGION_WINDOW, foreign ? window : at >>> 30, true)
      view.setUint32(entry + L.REGION_OFFSET, foreign ? at : at % L.WINDOW_BYTES, true)
      const u8 = outside ? outside.u8.subarray(at, at + region.size) : new Uint8Array(scene.memory.buffer, at, region.size)
      this.#places.push({
        ...region,
        u8,
        linear: foreign ? 0 : at,
        window: foreign ? window : at >>> 30,
        offset: foreign ? at : at % L.WINDOW_BYTES,
      })
      at += region.size + 0x10000 // never adjacent here
    })
  }

  place(gpa: bigint): { u8: Uint8Array; at: number; linear: number; window: number; offset: number } {
    for (const p of this.#places) {
      const d = gpa - p.gpa
      if (d < 0n || d >= BigInt(p.size)) continue
      const at = Number(d)
      return { u8: p.u8, at, linear: p.linear && p.linear + at, window: p.window, offset: p.offset + at }
    }
    throw new RangeError(`guest address ${gpa} is in no region`)
  }

  write(gpa: bigint, bytes: Uint8Array): void {
    bytes.forEach((byte, i) => {
      const { u8, at } = this.place(gpa + BigInt(i))
      u8[at] = byte
    })
  }

  read(gpa: bigint, length: number): Uint8Array {
    return Uint8Array.from({ length }, (_, i) => {
      const { u8, at } = this.place(gpa + BigInt(i))
      return u8[at]!
    })
  }

  get16(gpa: bigint): number {
    const b = this.read(gpa, 2)
    return b[0]! | (b[1]! << 8)
  }

  get32(gpa: bigint): number {
    return (this.get16(gpa) | (this.get16(gpa + 2n) << 16)) >>> 0
  }

  set16(gpa: bigint, value: number): void {
    this.write(gpa, Uint8Array.of(value, value >> 8))
  }

  set32(gpa: bigint, value: number): void {
    this.set16(gpa, value & 0xffff)
    this.set16(gpa + 2n, value >>> 16)
  }

  descriptor(gpa: bigint, address: bigint, length: number, flags: number, next: number, packed: boolean): void {
    this.set32(gpa, Number(address & 0xffffffffn))
    this.set32(gpa + 4n, Number(address >> 32n))
    this.set32(gpa + 8n, length)
    this.set16(gpa + 12n, packed ? next : flags)
    this.set16(gpa + 14n, packed ? flags : next)
  }
}

export interface QueueOptions {
  readonly packed?: boolean
  readonly size?: number
  readonly flags?: number
  readonly offloads?: number
  /** Guest address of the ring's parts; queues of one guest need different ones. */
  readonly at?: bigint
}

/** One virtqueue: the queue block that the kernels see, and the driver's side of it. */
export class Queue {
  readonly guest: Guest
  readonly block: number
  readonly size: number
  readonly packed: boolean
  readonly desc: bigint
  readonly driver: bigint
  readonly device: bigint
  #free = 0 // split: next free descriptor; packed: position
  #available = 0
  #seen = 0
  #wrap = 1
  #usedWrap = 1
  readonly #elements = new Map<number, number>()

  constructor(guest: Guest, options: QueueOptions = {}) {
    this.guest = guest
    this.packed = options.packed ?? false
    this.size = options.size ?? 16
    this.desc = options.at ?? 0x1000n
    this.driver = this.desc + 0x2000n
    this.device = this.desc + 0x4000n
    this.block = guest.scene.block()
    const { view } = guest.scene
    for (let i = 0; i < L.QUEUE_BYTES; i += 4) view.setUint32(this.block + i, 0, true)
    this.set(L.Q_STATE, L.QS_RUNNING)
    this.set(L.Q_FLAGS, (options.flags ?? 0) | (this.packed ? L.QF_PACKED : 0) | (guest.foreign ? L.QF_FOREIGN : 0))
    this.set(L.Q_MASK, this.size - 1)
    this.set(L.Q_SIZE, this.size)
    this.set(L.Q_WRAP, 3)
    this.set(L.Q_OFFLOADS, options.offloads ?? 0)
    this.set(L.Q_REGIONS, guest.table)
    this.set(L.Q_REGION_COUNT, REGIONS.length)
    this.set(L.Q_PORT, 7)
    for (const [part, gpa] of [
      [L.Q_DESC, this.desc],
      [L.Q_DRIVER, this.driver],
      [L.Q_DEVICE, this.device],
    ] as const) {
      const place = guest.place(gpa)
      this.set(part, place.linear)
      this.set(part + 4, place.window)
      this.set(part + 8, place.offset)
    }
  }

  set(field: number, value: number): void {
    this.guest.scene.view.setUint32(this.block + field, value, true)
  }

  get(field: number): number {
    return this.guest.scene.view.getUint32(this.block + field, true)
  }

  /** Offers a chain; with `table`, through an indirect table at that guest address. Returns its id. */
  offer(pieces: readonly Piece[], table?: bigint): number {
    const { guest } = this
    const flagsOf = (piece: Piece): number => piece.flags ?? (piece.write ? L.DESC_WRITE : 0)
    let chain: readonly Piece[] = pieces
    if (table !== undefined) {
      pieces.forEach((piece, i) => {
        const next = !this.packed && i < pieces.length - 1 ? L.DESC_NEXT : 0
        const link = this.packed ? 0 : i + 1
        guest.descriptor(table + BigInt(i * 16), piece.gpa, piece.length, flagsOf(piece) | next, link, this.packed)
      })
      chain = [{ gpa: table, length: pieces.length * 16, flags: L.DESC_INDIRECT }]
    }
    return this.packed ? this.#offerPacked(chain, flagsOf) : this.#offerSplit(chain, flagsOf)
  }

  #offerSplit(chain: readonly Piece[], flagsOf: (piece: Piece) => number): number {
    const { guest, size } = this
    const head = this.#free % size
    chain.forEach((piece, i) => {
      const at = this.#free++ % size
      const last = i === chain.length - 1
      guest.descriptor(
        this.desc + BigInt(at * 16),
        piece.gpa,
        piece.length,
        flagsOf(piece) | (last ? 0 : L.DESC_NEXT),
        last ? 0 : this.#free % size,
        false,
      )
    })
    guest.set16(this.driver + 4n + BigInt((this.#available % size) * 2), head)
    this.#available = (this.#available + 1) & 0xffff
    guest.set16(this.driver + 2n, this.#available)
    return head
  }

  #offerPacked(chain: readonly Piece[], flagsOf: (piece: Piece) => number): number {
    const { guest, size } = this
    const id = (this.#available++ * 7 + 3) & 0x3fff
    const writes: (() => void)[] = []
    chain.forEach((piece, i) => {
      const at = this.#free
      const lap = this.#wrap ? L.DESC_AVAILABLE : L.DESC_USED
      const more = i < chain.length - 1 ? L.DESC_NEXT : 0
      writes.unshift(() =>
        guest.descriptor(this.desc + BigInt(at * 16), piece.gpa, piece.length, flagsOf(piece) | more | lap, id, true),
      )
      if (++this.#free === size) {
        this.#free = 0
        this.#wrap ^= 1
      }
    })
    for (const write of writes) write()
    this.#elements.set(id, chain.length)
    return id
  }

  /** The used entries that have appeared since the last call. */
  used(): UsedEntry[] {
    const { guest, size } = this
    const entries: UsedEntry[] = []
    if (!this.packed) {
      const index = guest.get16(this.device + 2n)
      for (; this.#seen !== index; this.#seen = (this.#seen + 1) & 0xffff) {
        const at = this.device + 4n + BigInt((this.#seen % size) * 8)
        entries.push({ id: guest.get32(at), length: guest.get32(at + 4n) })
      }
      return entries
    }
    while (true) {
      const at = this.desc + BigInt(this.#seen * 16)
      const flags = guest.get16(at + 14n)
      const available = (flags & L.DESC_AVAILABLE) !== 0 ? 1 : 0
      const used = (flags & L.DESC_USED) !== 0 ? 1 : 0
      if (available !== used || used !== this.#usedWrap) return entries
      const id = guest.get16(at + 12n)
      entries.push({ id, length: guest.get32(at + 8n) })
      this.#seen += this.#elements.get(id) ?? 1
      if (this.#seen >= size) {
        this.#seen -= size
        this.#usedWrap ^= 1
      }
    }
  }
}

/** Writes `bytes` at `gpa` and returns the pieces that cut it at the given lengths; the rest is the last piece. */
export function cut(guest: Guest, gpa: bigint, bytes: Uint8Array, lengths: readonly number[]): Piece[] {
  const pieces: Piece[] = []
  let at = 0
  for (const n of [...lengths, bytes.length - lengths.reduce((a, b) => a + b, 0)]) {
    const target = gpa + BigInt(at + pieces.length * 3) // odd gaps between pieces
    guest.write(target, bytes.subarray(at, at + n))
    pieces.push({ gpa: target, length: n })
    at += n
  }
  return pieces
}
