// Mappings of guest memory files: which stretches of which files a set of regions needs, and where they lie, inside the shared linear
// memory or outside. A mapping is shared by memory tables that follow each other, so a front-end that only moves a region's border
// costs nothing.
//
// The rule it must not break: a mapping is released when the last table that uses it is, and never before.
import { closeFd, duplicateFd, excludeFromDumps, mapAnywhere, unmap } from './files.ts'
import type { MemoryFile, Region } from './guest-regions.ts'
import type { SharedMemory } from './shared-memory.ts'

const HUGE_PAGE = 2 * 1024 * 1024
/** Stretches of one file closer than this are mapped as one. */
const GAP_MAX = HUGE_PAGE

/** A stretch of a file, in whole pages of it. */
export interface Extent {
  readonly file: MemoryFile
  readonly start: number
  readonly end: number
}

/** The stretches that `regions` need, joined where they touch or nearly so. */
export function extentsOf(regions: readonly Region[]): Extent[] {
  const extents: { file: MemoryFile; start: number; end: number }[] = []
  const sorted = regions.toSorted((a, b) =>
    a.file.identity < b.file.identity ? -1 : a.file.identity > b.file.identity ? 1 : a.fileOffset - b.fileOffset,
  )
  for (const { file, fileOffset, bytes } of sorted) {
    const start = fileOffset - (fileOffset % file.pageBytes)
    const end = Math.ceil((fileOffset + bytes) / file.pageBytes) * file.pageBytes
    const last = extents.at(-1)
    if (last && last.file.identity === file.identity && start <= last.end + GAP_MAX) last.end = Math.max(last.end, end)
    else extents.push({ file, start, end })
  }
  return extents
}

/** A mapped stretch of a guest's memory file. It owns a descriptor of the file, to map it elsewhere when need be. */
export class Mapping {
  readonly extent: Extent
  /** Native address of its first byte. */
  readonly address: number
  /** Linear address of its first byte, or -1 if it lies outside linear memory. */
  readonly linear: number
  readonly #memory: SharedMemory
  #users = 1

  private constructor(extent: Extent, address: number, linear: number, memory: SharedMemory) {
    // A descriptor of its own: the file may have to be mapped elsewhere long after the message that brought it.
    this.extent = { ...extent, file: { ...extent.file, fd: duplicateFd(extent.file.fd) } }
    this.address = address
    this.linear = linear
    this.#memory = memory
  }

  /** Maps into linear memory; null if it does not fit. Throws SystemCallError. */
  static inside(memory: SharedMemory, extent: Extent): Mapping | null {
    if (extent.file.pageBytes > HUGE_PAGE) return null
    const lead = extent.start % HUGE_PAGE // so that huge pages of the file meet huge pages of the address space
    const bytes = extent.end - extent.start
    const at = memory.reserveGuest(lead + bytes)
    if (at < 0) return null
    try {
      memory.mapGuest(at + lead, bytes, extent.file.fd, extent.start)
    } catch (error) {
      memory.releaseGuest(at, lead + bytes)
      throw error
    }
    return new Mapping(extent, memory.base + at + lead, at + lead, memory)
  }

  /** Maps outside linear memory. Throws SystemCallError. */
  static outside(memory: SharedMemory, extent: Extent): Mapping {
    const bytes = extent.end - extent.start
    const address = mapAnywhere(bytes, extent.file.fd, extent.start)
    excludeFromDumps(address, bytes)
    return new Mapping(extent, address, -1, memory)
  }

  /** Whether all of `region` lies in it. */
  holds({ file, fileOffset, bytes }: Region): boolean {
    const { extent } = this
    return extent.file.identity === file.identity && extent.start <= fileOffset && extent.end >= fileOffset + bytes
  }

  /** One more table uses it. */
  retain(): this {
    this.#users++
    return this
  }

  /** Unmaps with the last user. */
  release(): void {
    if (--this.#users > 0) return
    const bytes = this.extent.end - this.extent.start
    if (this.linear < 0) unmap(this.address, bytes)
    else {
      const lead = this.extent.start % HUGE_PAGE
      this.#memory.releaseGuest(this.linear - lead, lead + bytes)
    }
    closeFd(this.extent.file.fd)
  }
}
