// The worlds that the differential fuzz runs side by side: one memory image each, one set of kernels each. World 0 is the wasm
// module, world 1 the twin on linear memory, world 2 the twin with guests outside linear memory.
//
// The rule it must not break: whatever is written into one world by the fuzz is written into all of them.
import type { DirectKernels, FrameRingKernels, Kernels, Window } from '../../src/kernels/kernels.ts'
import * as L from '../../src/kernels/layout.ts'
import { instantiateKernels } from '../../src/kernels/load.ts'
import { createTwin, linearWindows, windowOf } from '../../src/kernels/twin.ts'

export const LISTS = 0x1000
export const LOG = 0x2000
export const LOG_BYTES = 0x400
export const BLOCKS = 0x4000
export const TABLES = 0x5000
export const SPARE = 0x8000
export const SPARE_BYTES = 0x18000
export const POOL = 0x40000
const GUESTS = 0xa00000
export const LINEAR_BYTES = 0xb00000
/** Guests that linear memory has room for. */
export const GUESTS_MAX = 4
const GAP = 0x1000

/** Regions of each guest: rings, data, and a pair adjacent for the guest but not in memory. */
export const REGIONS = [
  { low: 0, high: 0, bytes: 0x10000 },
  { low: 0, high: 1, bytes: 0x20000 },
  { low: 0xfffff000, high: 1, bytes: 0x4000 },
  { low: 0x3000, high: 2, bytes: 0x4000 },
] as const
/** Offset of each region in a guest's span; gaps of canary bytes lie before, between and after. */
export const PLACES = REGIONS.map((_, i) => REGIONS.slice(0, i).reduce((sum, region) => sum + region.bytes + GAP, GAP))
export const SPAN = PLACES.at(-1)! + REGIONS.at(-1)!.bytes + GAP

export interface QueueSetting {
  readonly guest: number
  readonly flags: number
  readonly size: number
  readonly last: number
  readonly used: number
  readonly wrap: number
  readonly offloads: number
  readonly signalled: number
  readonly log: boolean
}

/** Ring parts' offsets in region 0. */
export const DESC = 0
export const DRIVER = 0x4000
export const DEVICE = 0x8000

export class World {
  readonly name: string
  readonly memory: WebAssembly.Memory
  readonly u8: Uint8Array
  readonly view: DataView
  readonly kernels: Kernels & DirectKernels & FrameRingKernels
  readonly foreign: boolean[]
  readonly #outside: Window[]

  /** `guests`: at most GUESTS_MAX; `bytes`: of linear memory, a multiple of 64 KiB, what lies above LINEAR_BYTES is the caller's. */
  constructor(name: string, wasm?: Uint8Array, guests = 2, bytes = LINEAR_BYTES) {
    this.name = name
    this.foreign = Array.from({ length: guests }, () => false)
    this.memory = new WebAssembly.Memory({ initial: bytes / 65536, maximum: 65536, shared: true })
    this.u8 = new Uint8Array(this.memory.buffer)
    this.view = new DataView(this.memory.buffer)
    const windows = linearWindows(this.memory.buffer)
    this.#outside = this.foreign.map(() => windowOf(new SharedArrayBuffer(SPAN), 0, SPAN))
    windows.push(...this.#outside)
    this.kernels = wasm
      ? instantiateKernels(wasm, this.memory)
      : createTwin({
          linear: this.memory.buffer,
          windows,
          copyForeign: (target, targetOffset, source, sourceOffset, length) =>
            target.u8.set(source.u8.subarray(sourceOffset, sourceOffset + length), targetOffset),
        })
  }

  /** The bytes of guest `g`, wherever they are. */
  span(g: number): Uint8Array {
    return this.foreign[g] ? this.#outside[g]!.u8 : this.u8.subarray(GUESTS + g * SPAN, GUESTS + (g + 1) * SPAN)
  }

  /** Writes the region table of guest `g`. */
  describe(g: number): void {
    const foreign = this.foreign[g]!
    REGIONS.forEach((region, i) => {
      const entry = TABLES + (g * REGIONS.length + i) * L.REGION_BYTES
      const offset = foreign ? PLACES[i]! : GUESTS + g * SPAN + PLACES[i]!
      this.view.setUint32(entry + L.REGION_GPA_LOW, region.low, true)
      this.view.setUint32(entry + L.REGION_GPA_HIGH, region.high, true)
      this.view.setUint32(entry + L.REGION_SIZE, region.bytes, true)
      this.view.setUint32(entry + L.REGION_BASE, foreign ? 0 : offset, true)
      this.view.setUint32(entry + L.REGION_WINDOW, foreign ? 4 + g : 0, true)
      this.view.setUint32(entry + L.REGION_OFFSET, offset, true)
    })
  }

  /** Writes queue block `index`. */
  configure(index: number, setting: QueueSetting): void {
    const block = BLOCKS + index * L.QUEUE_BYTES
    const foreign = this.foreign[setting.guest]!
    const set = (field: number, value: number): void => this.view.setUint32(block + field, value, true)
    for (let i = 0; i < L.QUEUE_BYTES; i += 4) set(i, 0)
    set(L.Q_STATE, L.QS_RUNNING)
    set(L.Q_FLAGS, setting.flags | (foreign ? L.QF_FOREIGN : 0))
    set(L.Q_SIZE, setting.size)
    set(L.Q_MASK, setting.size - 1)
    set(L.Q_LAST, setting.last)
    set(L.Q_USED, setting.used)
    set(L.Q_WRAP, setting.wrap)
    set(L.Q_SIGNALLED, setting.signalled)
    set(L.Q_SIGNALLED_VALID, setting.signalled & 1)
    set(L.Q_OFFLOADS, setting.offloads)
    set(L.Q_REGIONS, TABLES + setting.guest * REGIONS.length * L.REGION_BYTES)
    set(L.Q_REGION_COUNT, REGIONS.length)
    set(L.Q_PORT, 5 + index)
    set(L.Q_LOG, setting.log ? LOG : 0)
    set(L.Q_LOG_SIZE, LOG_BYTES)
    set(L.Q_LOG_RING, setting.signalled & 1)
    set(L.Q_LOG_RING_LOW, DEVICE)
    for (const [part, at] of [
      [L.Q_DESC, DESC],
      [L.Q_DRIVER, DRIVER],
      [L.Q_DEVICE, DEVICE],
    ] as const) {
      const offset = (foreign ? 0 : GUESTS + setting.guest * SPAN) + PLACES[0]! + at
      set(part, foreign ? 0 : offset)
      set(part + 4, foreign ? 4 + setting.guest : 0)
      set(part + 8, offset)
    }
  }
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

function firstDifference(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return i
  return -1
}

/** Slot arrays that must agree whether payload addresses are linear or not: offset, bytes per slot. */
const SLOT_ARRAYS: readonly (readonly [name: string, offset: number, bytes: number])[] = [
  ['length', L.P_LENGTH, 4],
  ['head', L.P_HEAD, 4],
  ['vsid', L.P_VSID, 4],
  ['destinations', L.P_DESTINATION_COUNT, 2],
  ['ether type', L.P_ETHER_TYPE, 2],
  ['vlan', L.P_VLAN, 2],
  ['source port', L.P_SOURCE_L4, 2],
  ['destination port', L.P_DESTINATION_L4, 2],
  ['switch port', L.P_SOURCE_PORT, 2],
  ['header offset', L.P_HEADER_OFFSET, 2],
  ['header length', L.P_HEADER_LENGTH, 2],
  ['chain', L.P_CHAIN, 2],
  ['l3', L.P_L3, 1],
  ['l4', L.P_L4, 1],
  ['protocol', L.P_PROTOCOL, 1],
  ['segments', L.P_SEGMENTS, 1],
  ['nic', L.P_SOURCE_NIC, 1],
  ['reason', L.P_REASON, 1],
  ['needs', L.P_NEEDS, 1],
  ['vnet', L.P_VNET, L.VNET_STRIDE],
  ['header', L.P_HEADER, L.HEADER_STRIDE],
]

/** Fields of a queue block that differ where a guest's memory is elsewhere. */
const PLACE_FIELDS = [L.Q_FLAGS, L.Q_DESC, L.Q_DRIVER, L.Q_DEVICE].flatMap((field) =>
  field === L.Q_FLAGS ? [field] : [field, field + 4, field + 8],
)

/** What differs between two worlds with all guests in linear memory, or null. The kernels' scratch is their own. */
export function compareLinear(a: World, b: World): string | null {
  const scratch = POOL + L.P_SCRATCH
  const end = POOL + L.POOL_BYTES
  for (const [from, to] of [
    [0, scratch],
    [end, a.u8.length],
  ] as const)
    if (!same(a.u8.subarray(from, to), b.u8.subarray(from, to))) {
      const at = from + firstDifference(a.u8.subarray(from, to), b.u8.subarray(from, to))
      return `${a.name} and ${b.name} differ at 0x${at.toString(16)} (pool + 0x${(at - POOL).toString(16)}): ${a.u8[at]} and ${b.u8[at]}`
    }
  return null
}

/** What differs between two worlds whose guests lie elsewhere, as far as slots `slots` go, or null. */
export function compareLoosely(a: World, b: World, slots: readonly number[], queues: number): string | null {
  for (const g of [0, 1])
    if (!same(a.span(g), b.span(g))) {
      const at = firstDifference(a.span(g), b.span(g))
      return `guest ${g} differs at 0x${at.toString(16)}: ${a.span(g)[at]} in ${a.name}, ${b.span(g)[at]} in ${b.name}`
    }
  for (const [name, from, bytes] of [
    ['log', LOG, LOG_BYTES],
    ['spare', SPARE, SPARE_BYTES],
  ] as const)
    if (!same(a.u8.subarray(from, from + bytes), b.u8.subarray(from, from + bytes))) return `the ${name} area differs`
  for (let q = 0; q < queues; q++)
    for (let field = 0; field < L.QUEUE_BYTES; field += 4) {
      const at = BLOCKS + q * L.QUEUE_BYTES + field
      const [x, y] = [a.view.getUint32(at, true), b.view.getUint32(at, true)]
      if (x !== y && !PLACE_FIELDS.includes(field)) return `queue ${q}, field ${field}: ${x} in ${a.name}, ${y} in ${b.name}`
    }
  for (const slot of slots) {
    for (const [name, offset, bytes] of SLOT_ARRAYS) {
      const at = POOL + offset + slot * bytes
      if (!same(a.u8.subarray(at, at + bytes), b.u8.subarray(at, at + bytes)))
        return `slot ${slot}: ${name} differs: ${a.u8.subarray(at, at + bytes).join()} and ${b.u8.subarray(at, at + bytes).join()}`
    }
    const flags = POOL + L.P_FLAGS + slot * 4
    if (((a.view.getUint32(flags, true) ^ b.view.getUint32(flags, true)) & ~L.PF_FOREIGN) !== 0)
      return `slot ${slot}: flags differ`
  }
  return null
}
