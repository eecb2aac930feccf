// What goes through tunnels now, per second: from counters that were read before.
//
// The rule it must not break: nothing is read for it but when somebody asks; a rate is over the last seconds, or there is none.
import type { OverlayCounters } from '../overlay/overlay-calls.ts'

/** Bounds on the time that a rate is over, in milliseconds. */
export const RATE_OVER_MIN_MS = 500
export const RATE_OVER_MAX_MS = 10_000

/** Per second. Frames and bits are those of guests: without the headers of the tunnel. */
export interface TunnelRate {
  readonly sentFrames: number
  readonly sentBits: number
  readonly receivedFrames: number
  readonly receivedBits: number
}

interface Counted {
  readonly provider: string
  readonly counters: OverlayCounters
}

interface Sample {
  readonly atMs: number
  readonly counters: ReadonlyMap<string, OverlayCounters>
}

const BITS_PER_BYTE = 8

export class TunnelRates {
  /** Oldest first; at least RATE_OVER_MIN_MS apart. */
  #samples: readonly Sample[] = []

  /** Rates by provider address, over the time since somebody asked half a second ago or more; empty: nobody did within ten seconds. */
  read(tunnels: readonly Counted[], nowMs: number): ReadonlyMap<string, TunnelRate> {
    const known = this.#samples.filter(({ atMs }) => nowMs - atMs <= RATE_OVER_MAX_MS)
    const before = known.findLast(({ atMs }) => nowMs - atMs >= RATE_OVER_MIN_MS)
    const last = known.at(-1)
    const isDue = last === undefined || nowMs - last.atMs >= RATE_OVER_MIN_MS
    const counters = new Map(tunnels.map((tunnel) => [tunnel.provider, tunnel.counters]))
    this.#samples = isDue ? [...known.slice(-1), { atMs: nowMs, counters }] : known
    return new Map(before === undefined ? [] : rates(before, tunnels, nowMs))
  }
}

// A tunnel that is new has no rate yet; counters that began anew count from 0.
function rates({ atMs, counters }: Sample, tunnels: readonly Counted[], nowMs: number): [string, TunnelRate][] {
  const seconds = (nowMs - atMs) / 1000
  const per = (now: number, was: number): number => Math.round((was > now ? now : now - was) / seconds)
  return tunnels.flatMap(({ provider, counters: now }): [string, TunnelRate][] => {
    const was = counters.get(provider)
    if (was === undefined) return []
    return [
      [
        provider,
        {
          sentFrames: per(now.sentFrames, was.sentFrames),
          sentBits: per(now.sentBytes * BITS_PER_BYTE, was.sentBytes * BITS_PER_BYTE),
          receivedFrames: per(now.receivedFrames, was.receivedFrames),
          receivedBits: per(now.receivedBytes * BITS_PER_BYTE, was.receivedBytes * BITS_PER_BYTE),
        },
      ],
    ]
  })
}
