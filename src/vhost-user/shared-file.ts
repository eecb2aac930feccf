// A small file of the front-end's mapped into linear memory: the dirty log, the in-flight region.
//
// The rule it must not break: no byte beyond the file's end is ever within what it maps for use.
import { fstatSync } from 'node:fs'
import { RefusedError } from '../linux/refused.ts'
import type { SharedMemory } from '../linux/shared-memory.ts'

const PAGE = 4096

/** A mapped stretch of a file. */
export class SharedFile {
  /** Linear address of the first byte asked for. */
  readonly at: number
  readonly bytes: number
  readonly #memory: SharedMemory
  readonly #span: number
  readonly #spanBytes: number

  /** Maps `bytes` of `fd` from `offset`; the descriptor stays the caller's. Throws RefusedError or SystemCallError. */
  constructor(memory: SharedMemory, fd: number, bytes: number, offset: bigint, what: string) {
    const stat = fstatSync(fd)
    if (!stat.isFile()) throw new RefusedError('shared-file', `the ${what} came with a descriptor that is not a file`)
    if (offset % 8n !== 0n || offset + BigInt(bytes) > BigInt(stat.size))
      throw new RefusedError(
        'shared-file',
        `the ${what} (${bytes} bytes at ${offset}) does not fit its file of ${stat.size} bytes`,
      )
    const start = Number(offset) - (Number(offset) % Math.max(PAGE, stat.blksize))
    this.#memory = memory
    this.#spanBytes = Number(offset) - start + bytes
    this.#span = memory.reserveGuest(this.#spanBytes)
    if (this.#span < 0)
      throw new RefusedError('shared-file', `there is no room in linear memory for the ${what} of ${bytes} bytes`)
    try {
      memory.mapGuest(this.#span, this.#spanBytes, fd, start)
    } catch (error) {
      memory.releaseGuest(this.#span, this.#spanBytes)
      throw error
    }
    this.at = this.#span + Number(offset) - start
    this.bytes = bytes
  }

  release(): void {
    this.#memory.releaseGuest(this.#span, this.#spanBytes)
  }
}
