// A sink: a single-producer, single-consumer ring of records in shared memory, from one module on one processor to the control thread,
// which drains it to a file. The writer never blocks; what does not fit is counted as lost. A record is its length (the top bit marks
// a preamble) in four bytes, then its bytes.
import type { Sink } from '../extension.ts'
import { drainEventFd, signalEventFd, watchFd } from '../linux/files.ts'

const HEAD = 0
const TAIL = 1
const ARMED = 2
const LOST = 3
const HEADER_BYTES = 64
const LENGTH_BYTES = 4
const PREAMBLE = 0x80

/** Bytes to reserve for a ring of `bytes` (a power of two). */
export const sinkRingBytes = (bytes: number): number => HEADER_BYTES + bytes

/** The processor's side. */
export class SinkWriter implements Sink {
  readonly #words: Int32Array
  readonly #data: Uint8Array
  readonly #mask: number
  readonly #doorbell: number

  constructor(buffer: ArrayBufferLike, at: number, bytes: number, doorbell: number) {
    this.#words = new Int32Array(buffer, at, HEADER_BYTES >> 2)
    this.#data = new Uint8Array(buffer, at + HEADER_BYTES, bytes)
    this.#mask = bytes - 1
    this.#doorbell = doorbell
  }

  get room(): number {
    return this.#mask + 1 - ((this.#words[HEAD]! - Atomics.load(this.#words, TAIL)) >>> 0)
  }

  get lost(): number {
    return this.#words[LOST]!
  }

  write(bytes: Uint8Array, length: number, preamble = false): boolean {
    // A length that is none, or runs over the end of `bytes`, would leave a ring that the reader can't follow.
    if (!(length >= 0 && length <= bytes.length && length + LENGTH_BYTES <= this.room) || length !== Math.trunc(length)) {
      this.#words[LOST] = this.#words[LOST]! + 1
      return false
    }
    const head = this.#words[HEAD]!
    const data = this.#data
    const mask = this.#mask
    data[head & mask] = length & 0xff
    data[(head + 1) & mask] = (length >> 8) & 0xff
    data[(head + 2) & mask] = (length >> 16) & 0xff
    data[(head + 3) & mask] = ((length >> 24) & 0x7f) | (preamble ? PREAMBLE : 0)
    const from = head + LENGTH_BYTES
    for (let i = 0; i < length; i++) data[(from + i) & mask] = bytes[i]!
    Atomics.store(this.#words, HEAD, (from + length) | 0)
    if (Atomics.load(this.#words, ARMED) === 1 && Atomics.exchange(this.#words, ARMED, 0) === 1) signalEventFd(this.#doorbell)
    return true
  }
}

/** The control thread's side: calls `drain` with each record, soon after it was written. */
export class SinkReader {
  readonly #words: Int32Array
  readonly #data: Uint8Array
  readonly #doorbell: number
  readonly #drain: (record: Uint8Array, preamble: boolean) => void
  readonly #watcher: { close(): void }
  #timer: NodeJS.Timeout | undefined
  static readonly #gatherMs = 20

  constructor(
    buffer: ArrayBufferLike,
    at: number,
    bytes: number,
    doorbell: number,
    drain: (record: Uint8Array, preamble: boolean) => void,
  ) {
    this.#words = new Int32Array(buffer, at, HEADER_BYTES >> 2)
    this.#data = new Uint8Array(buffer, at + HEADER_BYTES, bytes)
    this.#doorbell = doorbell
    this.#drain = drain
    this.#watcher = watchFd(doorbell, () => this.#rung())
    Atomics.store(this.#words, ARMED, 1)
  }

  // Waits a little, so that a busy writer rings once per stretch and not once per packet.
  #rung(): void {
    drainEventFd(this.#doorbell)
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.flush()
      Atomics.store(this.#words, ARMED, 1)
      this.flush()
    }, SinkReader.#gatherMs)
  }

  /** Drains what is there now. */
  flush(): void {
    const data = this.#data
    const mask = data.length - 1
    let tail = this.#words[TAIL]!
    const head = Atomics.load(this.#words, HEAD)
    while (tail !== head) {
      const top = data[(tail + 3) & mask]!
      const length =
        data[tail & mask]! | (data[(tail + 1) & mask]! << 8) | (data[(tail + 2) & mask]! << 16) | ((top & 0x7f) << 24)
      const from = (tail + LENGTH_BYTES) & mask
      const record = new Uint8Array(length)
      const first = Math.min(length, data.length - from)
      record.set(data.subarray(from, from + first))
      record.set(data.subarray(0, length - first), first)
      this.#drain(record, (top & PREAMBLE) !== 0)
      tail = (tail + LENGTH_BYTES + length) | 0
      Atomics.store(this.#words, TAIL, tail)
    }
  }

  get lost(): number {
    return this.#words[LOST]!
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#watcher.close()
    this.flush()
  }
}
