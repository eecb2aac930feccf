// Names of drop reasons, common to all processors: the switch's own, and those that extensions register. Kept in shared memory so
// that a number means the same everywhere and counters can be named without asking anyone.
import { DROP_REASONS_MAX, dropReasonNames, FIRST_EXTENSION_REASON } from '../ndis/drop-reasons.ts'

const NAME_BYTES = 60
const ENTRY_BYTES = 64
const LOCK = 0
const COUNT = 1
const HEADER_BYTES = 64

export const REASON_REGISTRY_BYTES = HEADER_BYTES + (DROP_REASONS_MAX - FIRST_EXTENSION_REASON) * ENTRY_BYTES

// The part of a name that fits, cut between characters: what is stored must be found again.
function cut(name: string): string {
  const bytes = new TextEncoder().encode(name)
  let end = Math.min(bytes.length, NAME_BYTES)
  while (end < bytes.length && (bytes[end]! & 0xc0) === 0x80) end--
  return new TextDecoder().decode(bytes.subarray(0, end))
}

/** The registry; every processor and the control thread have one over the same memory. */
export class ReasonRegistry {
  readonly #words: Int32Array
  readonly #bytes: Uint8Array
  readonly #known = new Map<string, number>(dropReasonNames.map((name, number) => [name, number]))

  constructor(buffer: ArrayBufferLike, at: number) {
    this.#words = new Int32Array(buffer, at, HEADER_BYTES >> 2)
    this.#bytes = new Uint8Array(buffer, at, REASON_REGISTRY_BYTES)
  }

  /** The number of a reason; registers an unknown one. When all are taken, the last number stands for the rest. */
  number(name: string): number {
    const known = this.#known.get(name)
    if (known !== undefined) return known
    const kept = cut(name)
    while (Atomics.compareExchange(this.#words, LOCK, 0, 1) !== 0);
    const count = this.#words[COUNT]!
    let number = -1
    for (let i = 0; i < count && number < 0; i++) if (this.#read(i) === kept) number = FIRST_EXTENSION_REASON + i
    if (number < 0 && FIRST_EXTENSION_REASON + count < DROP_REASONS_MAX) {
      this.#write(count, kept)
      this.#words[COUNT] = count + 1
      number = FIRST_EXTENSION_REASON + count
    }
    Atomics.store(this.#words, LOCK, 0)
    if (number < 0) return DROP_REASONS_MAX - 1
    this.#known.set(name, number)
    return number
  }

  /** The number of a reason given by name or number; numbers outside the counters become the last one. */
  resolve(reason: number | string): number {
    if (typeof reason === 'string') return this.number(reason)
    return Number.isInteger(reason) && reason >= 0 && reason < DROP_REASONS_MAX ? reason : DROP_REASONS_MAX - 1
  }

  /** The name of a reason. */
  name(number: number): string {
    if (number < FIRST_EXTENSION_REASON) return dropReasonNames[number] ?? `reason ${number}`
    const index = number - FIRST_EXTENSION_REASON
    return index < Atomics.load(this.#words, COUNT) ? this.#read(index) : `reason ${number}`
  }

  #write(index: number, name: string): void {
    const text = new TextEncoder().encode(name)
    const at = HEADER_BYTES + index * ENTRY_BYTES
    this.#bytes[at] = text.length
    this.#bytes.set(text, at + 1)
  }

  #read(index: number): string {
    const at = HEADER_BYTES + index * ENTRY_BYTES
    return new TextDecoder().decode(this.#bytes.slice(at + 1, at + 1 + this.#bytes[at]!))
  }
}
