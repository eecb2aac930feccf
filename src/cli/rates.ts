// What passed between two readings of the counters, per second.
import type { CountersReport } from '../manage/host.ts'

export interface PortRate {
  readonly name: string
  readonly receivedFrames: number
  readonly receivedBits: number
  readonly sentFrames: number
  readonly sentBits: number
  readonly dropped: number
}

export interface Rates {
  readonly seconds: number
  /** Busiest first. */
  readonly ports: readonly PortRate[]
  readonly receivedFrames: number
  readonly sentFrames: number
  readonly dropped: number
  /** Shares of the time at work, 0 to 1, by processor. */
  readonly busy: readonly number[]
}

const NS_PER_SECOND = 1e9
const BITS_PER_BYTE = 8

/** Rates per second from `before` to `after`. Ports that were not there before count from 0; counters that began anew too. */
export function ratesOf(before: CountersReport, after: CountersReport): Rates {
  const seconds = Math.max(0.001, (Date.parse(after.takenAt) - Date.parse(before.takenAt)) / 1000)
  const old = new Map(before.ports.map(({ name, counters }) => [name, counters]))
  const per = (now: number, was: number | undefined): number => (was === undefined || was > now ? now : now - was) / seconds
  const ports = after.ports.map(({ name, counters }): PortRate => {
    const was = old.get(name)
    return {
      name,
      receivedFrames: per(counters.receivedFrames, was?.receivedFrames),
      receivedBits: per(counters.receivedBytes, was?.receivedBytes) * BITS_PER_BYTE,
      sentFrames: per(counters.sentFrames, was?.sentFrames),
      sentBits: per(counters.sentBytes, was?.sentBytes) * BITS_PER_BYTE,
      dropped: per(counters.receivedDropped, was?.receivedDropped) + per(counters.sendDropped, was?.sendDropped),
    }
  })
  const busyOf = (report: CountersReport, id: number): number =>
    report.processors.find((processor) => processor.id === id)?.counters.busyNs ?? 0
  const sum = (of: (port: PortRate) => number): number => ports.reduce((total, port) => total + of(port), 0)
  return {
    seconds,
    ports: ports.sort((a, b) => b.receivedFrames + b.sentFrames - a.receivedFrames - a.sentFrames || (a.name < b.name ? -1 : 1)),
    receivedFrames: sum((port) => port.receivedFrames),
    sentFrames: sum((port) => port.sentFrames),
    dropped: sum((port) => port.dropped),
    busy: after.processors.map(({ id }) => Math.min(1, per(busyOf(after, id), busyOf(before, id)) / NS_PER_SECOND)),
  }
}
