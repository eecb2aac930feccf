// Chooses one packet of so many, at random, so that traffic with a rhythm of its own is seen as it is.
//
// The rule it must not break: of each `population` packets in a row one is picked, whichever; choosing allocates nothing.

/** Fields are ordinary ones: they are read per packet. */
export class Picker {
  /** Every packet is picked: `picks` need not be asked. */
  readonly isAll: boolean
  private readonly population: number
  private random: number
  private skip = 0
  private rest = 0

  constructor(population: number, seed: number) {
    this.population = population
    this.isAll = population === 1
    this.random = seed | 0 || 1
    this.choose()
  }

  // The place of the next one within its row.
  private choose(): void {
    let x = this.random
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.random = x
    const place = (x >>> 0) % this.population
    this.skip = this.rest + place
    this.rest = this.population - 1 - place
  }

  /** Which of the next `count` packets is picked first, from 0; those after it come next. -1: none of them. */
  within(count: number): number {
    const at = this.skip
    if (at >= count) {
      this.skip = at - count
      return -1
    }
    this.choose()
    return at
  }

  /** Whether the next packet is picked. */
  picks(): boolean {
    if (this.skip-- > 0) return false
    this.choose()
    return true
  }
}
