// Access lines that people know by name: what WebPageTest's connection profiles say of them.
import type { LineDirection } from './options.ts'

interface Profile {
  /** Bits per second to the guest, and from it. */
  readonly down: number
  readonly up: number
  /** Milliseconds in each direction: half of the round trip. */
  readonly delay: number
}

const profiles = {
  '2g': { down: 280e3, up: 256e3, delay: 400 },
  '3g-slow': { down: 400e3, up: 400e3, delay: 200 },
  '3g': { down: 1.6e6, up: 768e3, delay: 150 },
  '3g-fast': { down: 1.6e6, up: 768e3, delay: 75 },
  '4g': { down: 9e6, up: 9e6, delay: 85 },
  lte: { down: 12e6, up: 12e6, delay: 35 },
  dsl: { down: 1.5e6, up: 384e3, delay: 25 },
  cable: { down: 5e6, up: 1e6, delay: 14 },
  fiber: { down: 20e6, up: 5e6, delay: 2 },
} as const satisfies Record<string, Profile>

export type ProfileName = keyof typeof profiles
export const profileNames = Object.keys(profiles) as readonly ProfileName[]

/** Delay in milliseconds and rate in bits per second of one direction of a line. */
export function profileOf(name: ProfileName, direction: LineDirection): { readonly delay: number; readonly rate: number } {
  const { down, up, delay } = profiles[name]
  return { delay, rate: direction === 'egress' ? down : up }
}
