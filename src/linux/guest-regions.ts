// Checks on the memory that a peer (a vhost-user front-end, a vfio-user client) shares, before anything is mapped: addresses and sizes of regions, and the files behind them.
//
// The rule it must not break: a region that passes can be mapped and read to its last byte: nothing wraps, overlaps or lies beyond
// its file, and a file that could shrink under us is known as such.
import { fstatSync } from 'node:fs'
import { F_ADD_SEALS, F_SEAL_SHRINK, sealsOf } from './files.ts'
import { sys } from './libc.ts'
import { RefusedError } from './refused.ts'

/** Guest-physical and user addresses stay below this (x86-64 has 52 bits of the one and 47 or 56 of the other). */
const ADDRESS_LIMIT = 2n ** 52n

/** A memory region as a message describes it; addresses and sizes as sent, unchecked. */
export interface RegionDescription {
  readonly guestAddress: bigint
  readonly size: bigint
  readonly userAddress: bigint
  readonly fileOffset: bigint
}

/** A file that regions lie in, as the peer passed it. */
export interface MemoryFile {
  readonly fd: number
  /** Which file it is, whatever descriptor names it. */
  readonly identity: string
  /** Its length in bytes when it was checked. */
  readonly bytes: number
  /** What mappings of it must be aligned to: the page size, or the huge page size of hugetlbfs. */
  readonly pageBytes: number
  /** It can't shrink any more, so touching a mapped page never raises SIGBUS. */
  readonly sealed: boolean
}

/** A region that has been checked. */
export interface Region {
  readonly guestAddress: number
  readonly bytes: number
  readonly userAddress: number
  readonly fileOffset: number
  readonly file: MemoryFile
}

const hex = (value: number | bigint): string => `0x${value.toString(16)}`

/**
 * Checks a passed descriptor and seals it against shrinking where it lets us. Throws RefusedError for anything that is no file of
 * memory, and, with `requireSeals`, for a file that can't be sealed.
 */
export function inspectMemoryFile(fd: number, requireSeals: boolean): MemoryFile {
  const stat = fstatSync(fd)
  if (!stat.isFile())
    throw new RefusedError(
      'memory-not-a-file',
      'a memory region came with a descriptor that is not a file (a pipe, socket or device)',
    )
  let seals = sealsOf(fd)
  if (seals >= 0 && (seals & F_SEAL_SHRINK) === 0 && sys.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) === 0) seals |= F_SEAL_SHRINK
  const sealed = seals >= 0 && (seals & F_SEAL_SHRINK) !== 0
  if (!sealed && requireSeals)
    throw new RefusedError(
      'memory-not-sealed',
      'guest memory can shrink under the switch, and this port requires seals: use memory-backend-memfd, or drop requireSeals',
    )
  return { fd, identity: `${stat.dev}:${stat.ino}`, bytes: stat.size, pageBytes: Math.max(4096, stat.blksize), sealed }
}

/** Checks one region against its file. Throws RefusedError. */
export function checkRegion({ guestAddress, size, userAddress, fileOffset }: RegionDescription, file: MemoryFile): Region {
  const name = `memory region ${hex(guestAddress)} (+${hex(size)})`
  if (size === 0n) throw new RefusedError('memory-region', `${name} is empty`)
  for (const start of [guestAddress, userAddress, fileOffset])
    if (start + size > ADDRESS_LIMIT)
      throw new RefusedError('memory-region', `${name} reaches beyond ${hex(ADDRESS_LIMIT)} from ${hex(start)}`)
  if (fileOffset + size > BigInt(file.bytes))
    throw new RefusedError(
      'memory-region',
      `${name} lies at ${hex(fileOffset)} of a file that has ${hex(file.bytes)} bytes: it is shorter than the region`,
    )
  return {
    guestAddress: Number(guestAddress),
    bytes: Number(size),
    userAddress: Number(userAddress),
    fileOffset: Number(fileOffset),
    file,
  }
}

/** Sorts regions by guest address and checks that none overlap, in guest or in user addresses. Throws RefusedError. */
export function sortRegions(regions: readonly Region[]): Region[] {
  for (const key of ['userAddress', 'guestAddress'] as const) {
    const sorted = regions.toSorted((a, b) => a[key] - b[key])
    for (let i = 1; i < sorted.length; i++) {
      const [left, right] = [sorted[i - 1]!, sorted[i]!]
      if (left[key] + left.bytes > right[key])
        throw new RefusedError(
          'memory-region',
          `memory regions overlap in their ${key === 'userAddress' ? 'user' : 'guest'} addresses: ${hex(left[key])} (+${hex(left.bytes)}) and ${hex(right[key])}`,
        )
    }
  }
  return regions.toSorted((a, b) => a.guestAddress - b.guestAddress)
}
