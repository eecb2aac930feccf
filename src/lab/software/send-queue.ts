// Bytes that wait to be sent or acknowledged, readable at any offset from the oldest.

export class SendQueue {
  #chunks: Uint8Array[] = []
  #length = 0

  /** Bytes in the queue. */
  get length(): number {
    return this.#length
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#chunks.push(bytes)
    this.#length += bytes.length
  }

  /** Removes the oldest `count` bytes. */
  drop(count: number): void {
    this.#length -= Math.min(count, this.#length)
    while (count > 0 && this.#chunks.length > 0) {
      const first = this.#chunks[0]
      if (first.length > count) {
        this.#chunks[0] = first.subarray(count)
        return
      }
      count -= first.length
      this.#chunks.shift()
    }
  }

  /** Copies `count` bytes from `offset`; fewer if the queue ends before. */
  read(offset: number, count: number): Buffer {
    const out = Buffer.alloc(Math.max(0, Math.min(count, this.#length - offset)))
    let filled = 0
    for (const chunk of this.#chunks) {
      if (filled === out.length) break
      if (offset >= chunk.length) {
        offset -= chunk.length
        continue
      }
      const part = chunk.subarray(offset, offset + out.length - filled)
      out.set(part, filled)
      filled += part.length
      offset = 0
    }
    return out
  }
}
