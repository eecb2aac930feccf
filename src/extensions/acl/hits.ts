// Hits per rule, in memory common to all processors: one row per processor, so that each number has one writer.
import type { AclOptions, AclRule } from './options.ts'

/** Processors that have a row of their own; others share them, and may lose a count when they meet. */
const ROWS = 32

/** Bytes of the shared memory `hits`: per row one number for each rule, and one for the default action. */
export const hitsBytes = (options: AclOptions): number => ROWS * (options.rules.length + 1) * 4

/** Index of the first number of a processor's row. */
export const hitsRow = (options: AclOptions, processor: number): number => (processor % ROWS) * (options.rules.length + 1)

/** Packets that a rule decided. */
export interface RuleHits {
  /** undefined: the default action. */
  readonly rule: AclRule | undefined
  readonly hits: number
}

/** Sums the rows: hits of each rule in the order in which they are tried, then of the default action. Modulo 2^32. */
export function readHits(options: AclOptions, memory: Int32Array): RuleHits[] {
  const width = options.rules.length + 1
  return Array.from({ length: width }, (_, index) => {
    let hits = 0
    for (let row = 0; row < ROWS; row++) hits = (hits + memory[row * width + index]!) | 0
    return { rule: options.rules[index], hits: hits >>> 0 }
  })
}
