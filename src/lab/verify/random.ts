// Everything that a verification does by chance, from one seed.

/** A random source: the same seed gives the same numbers. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** 0…2^32-1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  /** 0…n-1. */
  below(n: number): number {
    return this.next() % n
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!
  }
}
