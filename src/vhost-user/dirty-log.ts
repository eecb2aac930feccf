// The dirty log of a live migration: a bitmap shared by the front-end, one bit per 4 KiB page of guest memory, which the kernels set
// for every page they write. It lies in linear memory whatever side the guest is on: both engines reach it there.
//
// The rule it must not break: it stays mapped while any queue block names it.

import { RefusedError } from '../linux/refused.ts'
import type { SharedMemory } from '../linux/shared-memory.ts'
import { SharedFile } from './shared-file.ts'

const LOG_PAGE_SHIFT = 12
/** Enough for a guest of 16 TiB. */
const LOG_BYTES_MAX = 512 * 1024 * 1024

/** A mapped log. */
export class DirtyLog {
  /** Linear address of its first byte. */
  readonly at: number
  readonly bytes: number
  readonly #file: SharedFile

  /** Maps `bytes` of `fd` from `offset`; the descriptor stays the caller's. Throws RefusedError or SystemCallError. */
  constructor(memory: SharedMemory, fd: number, bytes: bigint, offset: bigint) {
    if (bytes === 0n || bytes > LOG_BYTES_MAX)
      throw new RefusedError('dirty-log', `a dirty log of ${bytes} bytes: expected 1 to ${LOG_BYTES_MAX}`)
    this.#file = new SharedFile(memory, fd, Number(bytes), offset, 'dirty log')
    this.at = this.#file.at
    this.bytes = Number(bytes)
  }

  /** Whether the log has a bit for each page of `length` bytes at guest address `address`. */
  reaches(address: bigint, length: number): boolean {
    return (address + BigInt(length) - 1n) >> BigInt(LOG_PAGE_SHIFT + 3) < BigInt(this.bytes)
  }

  release(): void {
    this.#file.release()
  }
}
