// A guest's memory: the regions its front-end shares, mapped into the shared linear memory where they fit, else outside it in windows
// that only the TypeScript engine can reach; and the region table from which the kernels translate the guest's addresses.
//
// The rule it must not break: all regions of a guest are on one side; and a table is written into shared memory, and an old one
// released, only while no processor is in one of the guest's rings.
import {
  REGION_BASE,
  REGION_BYTES,
  REGION_GPA_HIGH,
  REGION_GPA_LOW,
  REGION_OFFSET,
  REGION_SIZE,
  REGION_WINDOW,
  REGIONS_MAX,
  WINDOW_BYTES,
} from '../kernels/layout.ts'
import { extentsOf, Mapping } from '../linux/guest-mapping.ts'
import { type Region, sortRegions } from '../linux/guest-regions.ts'
import { nativeView } from '../linux/libc.ts'
import { RefusedError } from '../linux/refused.ts'
import type { SharedMemory } from '../linux/shared-memory.ts'
import type { WindowAllocator } from './window-allocator.ts'

const PAGE = 4096

/** A window of guest memory outside linear memory. */
export interface MemoryWindow {
  readonly index: number
  readonly address: number
  readonly length: number
}

/** Where a stretch of guest memory lies. */
export interface Place {
  /** Linear address, 0 if it lies outside linear memory. */
  readonly linear: number
  readonly window: number
  readonly offset: number
  /** Bytes from here to the end of its region (of its window, outside linear memory). */
  readonly room: number
  readonly native: number
  /** Guest-physical address. */
  readonly guest: number
}

interface Entry {
  readonly guestAddress: number
  readonly bytes: number
  readonly linear: number
  readonly window: number
  readonly offset: number
}

export interface TableComponents {
  readonly memory: SharedMemory
  readonly windows: WindowAllocator
}

/** One state of a guest's memory: immutable, built beside the one in use, and released when that has been replaced. */
export class MemoryTable {
  readonly regions: readonly Region[]
  /** Outside linear memory: only the TypeScript engine can serve this guest. */
  readonly foreign: boolean
  /** Why it is where it is, for people. */
  readonly reason: string
  readonly #mappings: readonly Mapping[]
  readonly #entries: Entry[] = []
  readonly #windows: MemoryWindow[] = []
  readonly #components: TableComponents

  private constructor(
    regions: readonly Region[],
    mappings: readonly Mapping[],
    foreign: boolean,
    reason: string,
    components: TableComponents,
  ) {
    this.foreign = foreign
    this.reason = reason
    this.#mappings = mappings
    this.#components = components
    // The descriptors that came with the message are closed; those of the mappings stay.
    this.regions = regions.map((region) => ({ ...region, file: this.#mappingOf(region).extent.file }))
  }

  /** A guest that shares nothing yet. */
  static empty(components: TableComponents): MemoryTable {
    return new MemoryTable([], [], false, 'no memory is shared yet', components)
  }

  /**
   * Maps `regions`, reusing mappings of `current`. Returns null if they are wanted inside linear memory and don't fit. The
   * descriptors in `regions` stay the caller's. Throws RefusedError or SystemCallError, having mapped nothing.
   */
  static build(
    regions: readonly Region[],
    where: 'inside' | 'outside',
    reason: string,
    current: MemoryTable,
    components: TableComponents,
  ): MemoryTable | null {
    const sorted = sortRegions(regions)
    const entries = where === 'inside' ? sorted.length : sorted.reduce((sum, region) => sum + windowCount(region), 0)
    checkEntries(entries)
    const mappings: Mapping[] = []
    let table: MemoryTable | null = null
    try {
      const reusable = current.foreign === (where === 'outside') ? current.#mappings : []
      const fresh: Region[] = []
      for (const region of sorted) {
        if (mappings.some((mapping) => mapping.holds(region))) continue
        const known = reusable.find((mapping) => mapping.holds(region))
        if (known) mappings.push(known.retain())
        else fresh.push(region)
      }
      for (const extent of extentsOf(fresh)) {
        const mapping =
          where === 'inside' ? Mapping.inside(components.memory, extent) : Mapping.outside(components.memory, extent)
        if (!mapping) return undo(mappings)
        mappings.push(mapping)
      }
      table = new MemoryTable(sorted, mappings, where === 'outside', reason, components)
      table.#divide()
      return table
    } catch (error) {
      if (table) table.release()
      else undo(mappings)
      throw error
    }
  }

  #divide(): void {
    for (const region of this.regions)
      this.#entries.push(...(this.foreign ? this.#foreignEntries(region) : this.#linearEntries(region)))
    checkEntries(this.#entries.length)
  }

  /** Bytes of linear memory its mappings take. */
  get linearBytes(): number {
    return this.foreign ? 0 : this.#mappings.reduce((sum, { extent }) => sum + extent.end - extent.start, 0)
  }

  /** Windows that processors must know before they touch this guest's rings. */
  get windows(): readonly MemoryWindow[] {
    return this.#windows
  }

  get entryCount(): number {
    return this.#entries.length
  }

  /** Writes the table at linear address `at`, REGIONS_MAX entries of room. All queues of the guest must be locked. */
  write(at: number): void {
    const { u32 } = this.#components.memory
    for (const [i, entry] of this.#entries.entries()) {
      const to = at + i * REGION_BYTES
      u32[(to + REGION_GPA_LOW) >> 2] = entry.guestAddress % 2 ** 32
      u32[(to + REGION_GPA_HIGH) >> 2] = Math.floor(entry.guestAddress / 2 ** 32)
      u32[(to + REGION_SIZE) >> 2] = entry.bytes
      u32[(to + REGION_BASE) >> 2] = entry.linear
      u32[(to + REGION_WINDOW) >> 2] = entry.window
      u32[(to + REGION_OFFSET) >> 2] = entry.offset
    }
  }

  /** Finds `bytes` at a user address of the front-end; null unless they lie within one region. */
  place(userAddress: bigint, bytes: number): Place | null {
    if (userAddress >= 2n ** 52n) return null
    const user = Number(userAddress)
    const region = this.regions.find((r) => user >= r.userAddress && user + bytes <= r.userAddress + r.bytes)
    if (!region) return null
    const inRegion = user - region.userAddress
    const room = region.bytes - inRegion
    const mapping = this.#mappingOf(region)
    const native = mapping.address + region.fileOffset - mapping.extent.start + inRegion
    const guest = region.guestAddress + inRegion
    const entry = this.#entries.find((e) => guest >= e.guestAddress && guest < e.guestAddress + e.bytes)!
    const inEntry = guest - entry.guestAddress
    const linear = entry.linear === 0 ? 0 : entry.linear + inEntry
    if (!this.foreign || inEntry + bytes <= entry.bytes)
      return {
        linear,
        window: entry.window,
        offset: entry.offset + inEntry,
        room: this.foreign ? entry.bytes - inEntry : room,
        native,
        guest,
      }
    // The stretch crosses a border between windows: it gets a window of its own.
    const start = native - (native % PAGE)
    const length = native + bytes - start
    const window = this.#windows.find((w) => w.address === start && w.length >= length) ?? this.#addWindow(start, length)
    return { linear, window: window.index, offset: native - start, room: this.foreign ? bytes : room, native, guest }
  }

  /** Reads a 16-bit number of guest memory. */
  readU16({ native }: Place): number {
    return new DataView(nativeView(native, 2)).getUint16(0, true)
  }

  /** Unmaps what no later table uses. No processor may be in the guest's rings, or another table must be in force. */
  release(): void {
    for (const { index } of this.#windows.splice(0)) this.#components.windows.give(index)
    for (const mapping of this.#mappings) mapping.release()
  }

  #mappingOf(region: Region): Mapping {
    return this.#mappings.find((mapping) => mapping.holds(region))!
  }

  #addWindow(address: number, length: number): MemoryWindow {
    const window = { index: this.#components.windows.take(), address, length }
    this.#windows.push(window)
    return window
  }

  /** A region in linear memory is one entry per GiB of linear memory that it touches, so that no index grows beyond a window. */
  #linearEntries(region: Region): Entry[] {
    const mapping = this.#mappingOf(region)
    const linear = mapping.linear + region.fileOffset - mapping.extent.start
    const entries: Entry[] = []
    for (let done = 0; done < region.bytes; ) {
      const at = linear + done
      const offset = at % WINDOW_BYTES
      const bytes = Math.min(region.bytes - done, WINDOW_BYTES - offset)
      entries.push({ guestAddress: region.guestAddress + done, bytes, linear: at, window: Math.floor(at / WINDOW_BYTES), offset })
      done += bytes
    }
    return entries
  }

  /** Outside, windows end at whole GiB of guest address space: what a guest allocates aligned to its size never crosses one. */
  #foreignEntries(region: Region): Entry[] {
    const mapping = this.#mappingOf(region)
    const native = mapping.address + region.fileOffset - mapping.extent.start
    const entries: Entry[] = []
    for (let done = 0; done < region.bytes; ) {
      const guestAddress = region.guestAddress + done
      const start = native + done
      const offset = start % PAGE
      const bytes = Math.min(region.bytes - done, WINDOW_BYTES - Math.max(offset, guestAddress % WINDOW_BYTES))
      const window = this.#addWindow(start - offset, offset + bytes)
      entries.push({ guestAddress, bytes, linear: 0, window: window.index, offset })
      done += bytes
    }
    return entries
  }
}

const windowCount = ({ guestAddress, bytes }: Region): number => Math.ceil(((guestAddress % WINDOW_BYTES) + bytes) / WINDOW_BYTES)

function checkEntries(entries: number): void {
  if (entries > REGIONS_MAX)
    throw new RefusedError(
      'memory-too-many-regions',
      `the memory table needs ${entries} entries, at most ${REGIONS_MAX} are possible`,
    )
}

/** Takes back a build that can't be finished. */
function undo(mappings: readonly Mapping[]): null {
  for (const mapping of mappings) mapping.release()
  return null
}
