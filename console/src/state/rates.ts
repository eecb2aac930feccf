// Rates from two live views, and the last minutes of them for charts.
import type { PortCounters } from '../../../src/manage/host.ts'
import type { LiveView } from '../../../src/manage/live/live-view.ts'

/** Seconds that charts look back. */
const KEPT_SAMPLES = 180
const BITS_PER_BYTE = 8
const NS_PER_SECOND = 1e9

/** Per second. In: from the NIC into the switch; out: to the NIC. */
export interface Rate {
  readonly inBits: number
  readonly outBits: number
  readonly inFrames: number
  readonly outFrames: number
  readonly drops: number
}

export interface Rates {
  /** By what it is about: `port NAME`, `vport ADAPTER ID`, `wire ADAPTER`, `tunnel PROVIDER`. */
  readonly of: ReadonlyMap<string, Rate>
  readonly total: Rate
  /** Shares of the time at work, 0 to 1, by processor. */
  readonly busy: readonly number[]
  /** Drops per second by `port reason`. */
  readonly drops: ReadonlyMap<string, number>
}

type Counted = Omit<PortCounters, 'floodedFrames' | 'receivedMulticast'>

/** Everything that is counted, by what it is about. */
function* counted(view: LiveView): Generator<readonly [string, Counted]> {
  for (const { name, counters } of view.ports) yield [`port ${name}`, counters]
  for (const { name, wire, vports } of view.adapters) {
    yield [`wire ${name}`, wire]
    for (const { id, counters } of vports) yield [`vport ${name} ${id}`, counters]
  }
  for (const { provider, counters } of view.overlay?.tunnels ?? [])
    yield [`tunnel ${provider}`, { ...counters, receivedDropped: 0, sendDropped: 0 }]
}

export const NO_RATE: Rate = { inBits: 0, outBits: 0, inFrames: 0, outFrames: 0, drops: 0 }

/** Rates per second from `before` to `after`. Counters that began anew count from 0; what was not there before has no rate yet. */
export function ratesOf(before: LiveView, after: LiveView): Rates {
  const seconds = Math.max(0.001, (Date.parse(after.takenAt) - Date.parse(before.takenAt)) / 1000)
  const old = new Map(counted(before))
  const per = (now: number, was: number): number => (was > now ? now : now - was) / seconds
  const of = new Map<string, Rate>()
  const total = { inBits: 0, outBits: 0, inFrames: 0, outFrames: 0, drops: 0 }
  for (const [key, now] of counted(after)) {
    const was = old.get(key)
    if (was === undefined) continue
    const rate = {
      inBits: per(now.receivedBytes, was.receivedBytes) * BITS_PER_BYTE,
      outBits: per(now.sentBytes, was.sentBytes) * BITS_PER_BYTE,
      inFrames: per(now.receivedFrames, was.receivedFrames),
      outFrames: per(now.sentFrames, was.sentFrames),
      drops: per(now.receivedDropped, was.receivedDropped) + per(now.sendDropped, was.sendDropped),
    }
    of.set(key, rate)
    if (key.startsWith('port ')) for (const member of Object.keys(total) as (keyof Rate)[]) total[member] += rate[member]
  }
  const oldBusy = new Map(before.processors.map(({ id, counters }) => [id, counters.busyNs ?? 0]))
  const oldDrops = new Map(before.drops.map(({ port, reason, frames }) => [`${port} ${reason}`, frames]))
  return {
    of,
    total,
    busy: after.processors.map(({ id, counters: { busyNs = 0 } }) =>
      Math.min(1, per(busyNs, oldBusy.get(id) ?? busyNs) / NS_PER_SECOND),
    ),
    drops: new Map(
      after.drops.map(({ port, reason, frames }) => {
        const key = `${port} ${reason}`
        return [key, per(frames, oldDrops.get(key) ?? 0)]
      }),
    ),
  }
}

/** The last minutes of one thing: columns for a chart. */
export interface History {
  readonly times: number[]
  readonly inBits: number[]
  readonly outBits: number[]
  readonly drops: number[]
}

const histories = new Map<string, History>()

/** Notes the rates of a moment. What is gone is forgotten. */
export function remember(rates: Rates, atSeconds: number): void {
  for (const key of histories.keys()) if (!rates.of.has(key)) histories.delete(key)
  for (const [key, rate] of rates.of) {
    let history = histories.get(key)
    if (history === undefined) {
      history = { times: [], inBits: [], outBits: [], drops: [] }
      histories.set(key, history)
    }
    history.times.push(atSeconds)
    history.inBits.push(rate.inBits)
    history.outBits.push(rate.outBits)
    history.drops.push(rate.drops)
    if (history.times.length > KEPT_SAMPLES) for (const column of Object.values(history)) column.shift()
  }
}

export const historyOf = (key: string): History => histories.get(key) ?? { times: [], inBits: [], outBits: [], drops: [] }
