// Figures of repeated measurements.

/** The middle of `values`; the mean of the two in the middle of an even number. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** `value` with three decimals, as reports have them. */
export const rounded = (value: number): number => Math.round(value * 1000) / 1000
