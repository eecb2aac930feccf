// Numbers as people read them.

const STEP = 1000
const prefixes = ['', 'k', 'M', 'G', 'T'] as const

function scaled(value: number): readonly [string, string] {
  let step = 0
  while (value >= STEP && step < prefixes.length - 1) {
    value /= STEP
    step++
  }
  const digits = step === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2
  return [value.toFixed(digits), prefixes[step]!]
}

/** 1.25 Gb/s */
export function bitRate(bitsPerSecond: number): string {
  const [number, prefix] = scaled(bitsPerSecond)
  return `${number} ${prefix}b/s`
}

/** 1.25 k, for counts. */
export function count(value: number): string {
  const [number, prefix] = scaled(value)
  return prefix === '' ? number : `${number} ${prefix}`
}

export const exact = (value: number): string => value.toLocaleString('en').replaceAll(',', ' ')

/** 12.5 MB */
export function bytes(value: number): string {
  const [number, prefix] = scaled(value)
  return `${number} ${prefix}B`
}

/** 4.2 µs */
export function nanoseconds(ns: number): string {
  if (ns < 1000) return `${ns < 10 ? ns.toFixed(1) : ns.toFixed(0)} ns`
  if (ns < 1e6) return `${(ns / 1e3).toFixed(ns < 1e4 ? 1 : 0)} µs`
  if (ns < 1e9) return `${(ns / 1e6).toFixed(ns < 1e7 ? 1 : 0)} ms`
  return `${(ns / 1e9).toFixed(1)} s`
}

/** 3 d 4 h, 12 min, 5 s */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.floor(seconds)} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`
}

export const clock = (iso: string): string => new Date(iso).toLocaleTimeString('en-GB')

/** How busy a link is, 0 (nothing) to 5, for the speed of what moves on it. */
export const flowLevel = (bitsPerSecond: number): number =>
  bitsPerSecond <= 0 ? 0 : Math.min(5, Math.max(1, Math.floor(Math.log10(bitsPerSecond) / 2) + 1))
