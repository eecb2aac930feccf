// Hands out the numbers of windows: stretches of guest memory outside linear memory, by which packets and region tables name
// them. One allocator serves all ports of the process, since a processor keeps one table for all.
//
// The rule it must not break: numbers below FIRST_WINDOW belong to linear memory; no two live windows share a number.

/** Windows 0…3 are the four GiB of linear memory. */
export const FIRST_WINDOW = 4
/** A packet names its window in 16 bits. */
export const WINDOWS_MAX = 65536

export class WindowAllocator {
  readonly #free: number[] = []
  #next = FIRST_WINDOW

  /** A number no live window has. Throws RangeError if all are taken. */
  take(): number {
    const reused = this.#free.pop()
    if (reused !== undefined) return reused
    if (this.#next >= WINDOWS_MAX) throw new RangeError(`all ${WINDOWS_MAX} windows of guest memory are in use`)
    return this.#next++
  }

  /** Gives a number back. */
  give(window: number): void {
    this.#free.push(window)
  }

  /** Windows in use. */
  get used(): number {
    return this.#next - FIRST_WINDOW - this.#free.length
  }
}
