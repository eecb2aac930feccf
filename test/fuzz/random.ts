// A small random source with a seed, so that a failure can be repeated.

export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0 || 1
    for (let i = 0; i < 8; i++) this.next()
  }

  /** The next 32 bits, unsigned. */
  next(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return Math.imul(x, 0x9e3779b1) >>> 0
  }

  /** 0…n-1. */
  below(n: number): number {
    return this.next() % n
  }

  /** True once in `n` times on average. */
  oneIn(n: number): boolean {
    return this.below(n) === 0
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!
  }
}
