// The random numbers of a line: seeded, so that a run can be had again, and cheap. Events that hang together with the one before, and
// delays of several distributions.
//
// The rule it must not break: the same seed and the same questions give the same answers.

export const distributions = ['uniform', 'normal', 'pareto', 'paretonormal'] as const
export type Distribution = (typeof distributions)[number]

const PARETO_SHAPE = 3
const PARETO_MEAN = PARETO_SHAPE / (PARETO_SHAPE - 1)
const PARETO_DEVIATION = Math.sqrt(PARETO_SHAPE / (PARETO_SHAPE - 2)) / (PARETO_SHAPE - 1)
// Mean 0 and deviation 1 again, of a quarter of one and three quarters of the other.
const MIX_NORMAL = 0.25 / Math.hypot(0.25, 0.75)
const MIX_PARETO = 0.75 / Math.hypot(0.25, 0.75)
const SMALLEST = 1e-9

/** A number of 32 bits that tells texts apart: seeds of lines are made of their names. */
export function hashOf(seed: number, text: string): number {
  let hash = (seed ^ 0x811c9dc5) >>> 0
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0
  return hash
}

/** Fields are ordinary ones: they are read per packet. */
export class RandomSource {
  private state: number
  private spare = 0
  private hasSpare = false

  constructor(seed: number) {
    this.state = seed | 0
  }

  /** From 0 to below 1. */
  uniform(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }

  /** Mean 0, deviation 1. */
  normal(): number {
    if (this.hasSpare) {
      this.hasSpare = false
      return this.spare
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()))
    const angle = 2 * Math.PI * this.uniform()
    this.spare = radius * Math.sin(angle)
    this.hasSpare = true
    return radius * Math.cos(angle)
  }
}

/** Something that happens with a probability, and rather if it happened the last time. */
export class CorrelatedEvent {
  private last = false

  /**
   * Whether it happens. `probability` and `correlation` from 0 to 1: on average it happens as often as `probability` says, whatever
   * the correlation of one answer with the next is.
   */
  happens(random: RandomSource, probability: number, correlation: number): boolean {
    if (probability <= 0) return false
    const now = this.last ? probability + correlation * (1 - probability) : probability * (1 - correlation)
    this.last = random.uniform() < now
    return this.last
  }
}

/** Delays that hang together with the one before. */
export class CorrelatedDelay {
  private last = 0

  /** Milliseconds, never below 0, of mean `mean`; `jitter`: the deviation, or for 'uniform' the greatest difference from the mean. */
  next(random: RandomSource, mean: number, jitter: number, distribution: Distribution, correlation: number): number {
    if (jitter === 0) return mean
    this.last = correlation * this.last + Math.sqrt(1 - correlation * correlation) * random.normal()
    return Math.max(0, mean + jitter * shaped(this.last, distribution))
  }
}

function shaped(normal: number, distribution: Distribution): number {
  if (distribution === 'normal') return normal
  const below = Math.min(1 - SMALLEST, Math.max(SMALLEST, cumulative(normal)))
  if (distribution === 'uniform') return 2 * below - 1
  const pareto = ((1 - below) ** (-1 / PARETO_SHAPE) - PARETO_MEAN) / PARETO_DEVIATION
  return distribution === 'pareto' ? pareto : MIX_NORMAL * normal + MIX_PARETO * pareto
}

// The part of a normal distribution that is below `x` (Abramowitz and Stegun 26.2.17, error below 1e-7).
function cumulative(x: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(x))
  const series = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  const above = 0.3989422804014327 * Math.exp((-x * x) / 2) * series
  return x >= 0 ? 1 - above : above
}
