// The memory of the guest behind one port: takes the regions that the front-end's requests name, decides on which side they are
// mapped (linear memory, or windows outside it), and replaces one memory table by the next.
//
// The rule it must not break: the next table is complete before the old one goes; only a guest that fits in place of its old table but
// not beside it stands still meanwhile.
import { closeFd, duplicateFd } from '../linux/files.ts'
import { extentsOf } from '../linux/guest-mapping.ts'
import { checkRegion, inspectMemoryFile, type Region, type RegionDescription } from '../linux/guest-regions.ts'
import type { PassedFds } from '../linux/passed-fds.ts'
import { RefusedError } from '../linux/refused.ts'
import type { SharedMemory } from '../linux/shared-memory.ts'
import { MemoryTable } from './memory-table.ts'
import { decode, REGION_DESCRIPTION_BYTES } from './messages.ts'
import type { WindowAllocator } from './window-allocator.ts'

export interface GuestMemoryOptions {
  /** Refuse memory whose file could shrink. */
  readonly requireSeals: boolean
  /** Regions one guest may have. */
  readonly slotsMax: number
}

export interface GuestMemoryComponents {
  readonly memory: SharedMemory
  readonly windows: WindowAllocator
  /** Puts a table in force, with all rings of the guest locked, after calling `adopt` under these locks. */
  readonly install: (table: MemoryTable, adopt: () => void) => void
  readonly event: (code: string, message: string) => void
}

const isSame = (region: Region, { guestAddress, size, userAddress }: RegionDescription): boolean =>
  BigInt(region.guestAddress) === guestAddress && BigInt(region.bytes) === size && BigInt(region.userAddress) === userAddress

/** Regions of one guest, and where they are mapped. */
export class GuestMemory {
  readonly #options: GuestMemoryOptions
  readonly #components: GuestMemoryComponents
  #table: MemoryTable
  /** How often a region was added beyond once, by its guest address. */
  readonly #repeats = new Map<bigint, number>()

  constructor(options: GuestMemoryOptions, components: GuestMemoryComponents) {
    this.#options = options
    this.#components = components
    this.#table = MemoryTable.empty(components)
  }

  /** The table in force. */
  get table(): MemoryTable {
    return this.#table
  }

  /** SET_MEM_TABLE: these regions and no others. Throws RefusedError or SystemCallError; then the old table stays in force. */
  set(payload: Buffer, fds: PassedFds): void {
    const regions: Region[] = []
    this.#repeats.clear()
    for (let i = 0; i < payload.readUInt32LE(0); i++)
      regions.push(this.#check(decode.region(payload, 8 + REGION_DESCRIPTION_BYTES * i), fds.peek(i)))
    this.#replace(regions)
  }

  /**
   * ADD_MEM_REG. A front-end with several queue pairs may add the very same region once per pair (QEMU up to 7.2 does): it then
   * counts as many times. Throws RefusedError or SystemCallError.
   */
  add(description: RegionDescription, fds: PassedFds): void {
    const again = this.#table.regions.find((region) => isSame(region, description))
    if (again) {
      const file = inspectMemoryFile(fds.peek(0), this.#options.requireSeals)
      if (file.identity !== again.file.identity || BigInt(again.fileOffset) !== description.fileOffset)
        throw new RefusedError(
          'memory-region',
          `memory region 0x${description.guestAddress.toString(16)} is added again with another file`,
        )
      const key = description.guestAddress
      this.#repeats.set(key, (this.#repeats.get(key) ?? 0) + 1)
      return
    }
    if (this.#table.regions.length >= this.#options.slotsMax)
      throw new RefusedError('memory-too-many-regions', `all ${this.#options.slotsMax} memory slots are in use`)
    this.#replace([...this.#table.regions, this.#check(description, fds.peek(0))])
  }

  /** REM_MEM_REG: the region with these addresses and this size; its offset in the file is ignored. Throws RefusedError. */
  remove(description: RegionDescription): void {
    const { guestAddress, size } = description
    const kept = this.#table.regions.filter((region) => !isSame(region, description))
    if (kept.length === this.#table.regions.length)
      throw new RefusedError(
        'memory-region',
        `no memory region 0x${guestAddress.toString(16)} (+0x${size.toString(16)}) to remove`,
      )
    const repeats = this.#repeats.get(guestAddress) ?? 0
    if (repeats > 0) this.#repeats.set(guestAddress, repeats - 1)
    else this.#replace(kept)
  }

  /** Unmaps all. */
  clear(): void {
    this.#repeats.clear()
    this.#install(MemoryTable.empty(this.#components))
  }

  /** Facts for `status`. */
  describe(): Record<string, unknown>[] {
    return this.#table.regions.map(({ guestAddress, bytes, file }) => ({ guestAddress, bytes, sealed: file.sealed }))
  }

  #check(description: RegionDescription, fd: number): Region {
    return checkRegion(description, inspectMemoryFile(fd, this.#options.requireSeals))
  }

  #replace(regions: readonly Region[]): void {
    const known = new Set(this.#table.regions.map(({ file }) => file.identity))
    if (regions.some(({ file }) => !file.sealed && !known.has(file.identity)))
      this.#components.event(
        'memory-not-sealed',
        'guest memory lies in a file that could shrink: if its owner truncates it, the switch dies of SIGBUS; a sealed memfd (memory-backend-memfd) avoids that',
      )
    this.#install(this.#build(regions))
  }

  #build(regions: readonly Region[]): MemoryTable {
    const { memory } = this.#components
    const fits = 'it fits the shared linear memory'
    const inside = MemoryTable.build(regions, 'inside', fits, this.#table, this.#components)
    if (inside) return inside
    const needed = extentsOf(regions).reduce((sum, { start, end }) => sum + end - start, 0)
    const reason = `it needs ${megabytes(needed)}, and ${megabytes(memory.guestBytesAvailable)} of the shared linear memory are free`
    const fitsInPlace = this.#table.linearBytes > 0 && needed <= memory.guestBytesAvailable + this.#table.linearBytes
    if (!fitsInPlace) return MemoryTable.build(regions, 'outside', reason, this.#table, this.#components)!
    // The old table's files stay open, since the new one may lie in them.
    const kept = regions.map((region) => ({ ...region, file: { ...region.file, fd: duplicateFd(region.file.fd) } }))
    try {
      this.clear()
      return (
        MemoryTable.build(kept, 'inside', fits, this.#table, this.#components) ??
        MemoryTable.build(kept, 'outside', reason, this.#table, this.#components)!
      )
    } finally {
      for (const { file } of kept) closeFd(file.fd)
    }
  }

  #install(next: MemoryTable): void {
    const old = this.#table
    this.#components.install(next, () => {
      this.#table = next
    })
    old.release()
  }
}

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`
