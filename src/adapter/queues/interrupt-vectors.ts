// Interrupt vectors of an adapter's queues. An interrupt is the wake-up of a processor's thread (section 12), a vector is such a wake-up:
// one per processor, shared by all queues that the processor serves.
//
// The rule it must not break: every queue has an entry of the MSI-X table; entries of queues with one affinity name one vector (VQ-032).

/** Vectors for what is neither sending nor receiving: link and configuration (VQ-027). */
export const OTHER_VECTORS = 1

/** Fewest and most vectors for so many queues, the default one not counted (VQ-028). */
export function vectorRange(queues: number): { readonly least: number; readonly most: number } {
  if (queues <= 16) return { least: 1, most: 16 }
  if (queues <= 64) return { least: 16, most: 32 }
  return { least: 32, most: Number.POSITIVE_INFINITY }
}

/** Interrupt vectors and the MSI-X table. */
export class InterruptVectors {
  readonly #processors: readonly number[]
  /** Vectors for receiving and sending. */
  readonly count: number
  readonly #entries = new Map<number, number>()

  /** `processors`: NDIS_RSS_PROCESSOR_INFO, those that may be interrupted (VQ-025). `queues`: NumQueues. */
  constructor(processors: readonly number[], queues: number) {
    const { least, most } = vectorRange(queues)
    this.#processors = [...processors].sort((a, b) => a - b)
    this.count = Math.min(most, Math.max(least, processors.length)) // VQ-026
  }

  /** The processor of an affinity that serves: the lowest, or undefined if one of them may not be interrupted. */
  processorOf(affinity: readonly number[]): number | undefined {
    if (affinity.length === 0 || !affinity.every((processor) => this.#processors.includes(processor))) return undefined
    return Math.min(...affinity)
  }

  /** The vector of a processor, from 0. */
  vectorOf(processor: number): number {
    return this.#processors.indexOf(processor) % this.count
  }

  /** Programs a queue's entry of the MSI-X table; returns its number (VQ-006, VQ-040). */
  program(queue: number, processor: number): number {
    this.#entries.set(queue, this.vectorOf(processor))
    return queue
  }

  release(queue: number): void {
    this.#entries.delete(queue)
  }

  /** The vector that a table entry names, or undefined. */
  entry(number: number): number | undefined {
    return this.#entries.get(number)
  }

  /** Queues with one affinity interrupt together: the domain is the processor's vector, from 1. */
  domainOf(processor: number): number {
    return this.vectorOf(processor) + 1
  }
}
