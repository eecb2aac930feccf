// The guest memory that a client has mapped for the device: which stretches of guest addresses lie where in linear memory. Each file is
// mapped once and whole, since firmware maps and unmaps small pieces of the same file over and over while the guest boots.
//
// The rule it must not break: a mapping is released only after the table without it is in force; and memory that the client gave for
// reading is marked so, though its descriptor could be written.

import { Mapping } from '../linux/guest-mapping.ts'
import { checkRegion, inspectMemoryFile, type MemoryFile } from '../linux/guest-regions.ts'
import { RefusedError } from '../linux/refused.ts'
import type { SharedMemory } from '../linux/shared-memory.ts'

const FLAG_READ = 1
const FLAG_WRITE = 2
const UNMAP_ALL = 2

/** A stretch of guest memory that the device can reach. */
export interface DmaRegion {
  readonly guestAddress: number
  readonly bytes: number
  readonly linear: number
  readonly writable: boolean
}

export interface DmaTableOptions {
  /** Regions that the device can keep apart. */
  readonly regionsMax: number
  /** Refuse memory whose file could shrink. */
  readonly requireSeals: boolean
}

export interface DmaTableComponents {
  readonly memory: SharedMemory
  /** Puts a table in force: when it returns, nobody uses the old one any more. */
  readonly install: (regions: readonly DmaRegion[]) => void
  readonly event: (code: string, message: string) => void
}

interface Entry {
  readonly guestAddress: bigint
  readonly size: bigint
  readonly region: DmaRegion | null
  readonly file: string | null
}

const hex = (value: bigint): string => `0x${value.toString(16)}`

/** What one client has mapped. */
export class DmaTable {
  readonly #options: DmaTableOptions
  readonly #components: DmaTableComponents
  readonly #mappings = new Map<string, Mapping>()
  #entries: Entry[] = []

  constructor(options: DmaTableOptions, components: DmaTableComponents) {
    this.#options = options
    this.#components = components
  }

  /** DMA_MAP. The descriptor stays the caller's; -1: memory that the device can't reach (a ROM). Throws RefusedError or SystemCallError. */
  map(request: { flags: number; fileOffset: bigint; address: bigint; size: bigint }, fd: number): void {
    const { flags, fileOffset, address, size } = request
    const name = `guest memory ${hex(address)} (+${hex(size)})`
    if (size === 0n || address + size > 1n << 64n) throw new RefusedError('dma-region', `${name} is empty or wraps`)
    if (this.#entries.some((entry) => address < entry.guestAddress + entry.size && entry.guestAddress < address + size))
      throw new RefusedError('dma-overlap', `${name} overlaps memory that is mapped already`)
    if (this.#entries.length >= this.#options.regionsMax)
      throw new RefusedError('dma-no-room', `all ${this.#options.regionsMax} regions of guest memory are in use`)
    if (fd < 0 || (flags & FLAG_READ) === 0) {
      this.#entries.push({ guestAddress: address, size, region: null, file: null })
      return
    }
    const file = inspectMemoryFile(fd, this.#options.requireSeals)
    const { guestAddress, bytes } = checkRegion({ guestAddress: address, size, userAddress: 0n, fileOffset }, file)
    const mapping = this.#mappingOf(file)
    const region = { guestAddress, bytes, linear: mapping.linear + Number(fileOffset), writable: (flags & FLAG_WRITE) !== 0 }
    this.#entries.push({ guestAddress: address, size, region, file: file.identity })
    this.#install()
  }

  /** DMA_UNMAP: what lies within the range, or all. Throws RefusedError for a range that cuts a region in two. */
  unmap({ flags, address, size }: { flags: number; address: bigint; size: bigint }): void {
    const all = (flags & UNMAP_ALL) !== 0
    const inside = ({ guestAddress, size: bytes }: Entry): boolean =>
      all || (guestAddress >= address && guestAddress + bytes <= address + size)
    const cut = this.#entries.find(
      (entry) => !inside(entry) && address < entry.guestAddress + entry.size && entry.guestAddress < address + size,
    )
    if (cut)
      throw new RefusedError(
        'dma-region',
        `unmapping ${hex(address)} (+${hex(size)}) would cut the region at ${hex(cut.guestAddress)}`,
      )
    this.#entries = this.#entries.filter((entry) => !inside(entry))
    this.#install()
  }

  /** Unmaps all. */
  clear(): void {
    this.#entries = []
    this.#install()
  }

  /** Facts for `status`. */
  describe(): Record<string, unknown> {
    const regions = this.#entries.flatMap(({ region }) => region ?? [])
    return {
      regions: regions.length,
      bytes: regions.reduce((sum, { bytes }) => sum + bytes, 0),
      sealed: [...this.#mappings.values()].every(({ extent }) => extent.file.sealed),
    }
  }

  #mappingOf(file: MemoryFile): Mapping {
    const known = this.#mappings.get(file.identity)
    if (known) return known
    if (!file.sealed)
      this.#components.event(
        'memory-not-sealed',
        'guest memory lies in a file that could shrink: if its owner truncates it, the switch dies of SIGBUS; a sealed memfd (memory-backend-memfd) avoids that',
      )
    const end = Math.ceil(file.bytes / file.pageBytes) * file.pageBytes
    const mapping = Mapping.inside(this.#components.memory, { file, start: 0, end })
    if (!mapping)
      throw new RefusedError(
        'dma-no-room',
        `the guest's memory of ${Math.ceil(end / 2 ** 20)} MiB does not fit the ${Math.floor(this.#components.memory.guestBytesAvailable / 2 ** 20)} MiB that are left for guests: give it less memory, or use kind: vhost-user`,
      )
    this.#mappings.set(file.identity, mapping)
    return mapping
  }

  #install(): void {
    this.#components.install(this.#entries.flatMap(({ region }) => region ?? []))
    for (const [identity, mapping] of this.#mappings)
      if (!this.#entries.some(({ file }) => file === identity)) {
        this.#mappings.delete(identity)
        mapping.release()
      }
  }
}
