// Who is alive: how often leases are renewed, when a host counts as lost, and when it is taken back.
//
// The rule it must not break: time is what the caller's own steady clock says, never a date, and a host is never called lost while this one
// can't tell: without a connection, or behind.
import type { LeaseRecord } from './records.ts'

export interface LeaseTimes {
  /** Milliseconds between two leases in a small network. */
  readonly renewMs: number
  /** Leases per second in a large network, of all hosts together. */
  readonly perSecond: number
  /** Longest time for which a host that comes and goes is kept out. */
  readonly holdMaxMs: number
  /** Within this time a host that was lost again is kept out longer. */
  readonly flapMs: number
}

export const leaseTimes: LeaseTimes = { renewMs: 2000, perSecond: 200, holdMaxMs: 300_000, flapMs: 600_000 }

/** Leases that may be missed. */
const MISSED = 3

/** Milliseconds between two leases of one of `hosts` hosts. Every lease goes to every host, so that they come less often in a large network. */
export const renewEveryMs = (hosts: number, times: LeaseTimes = leaseTimes): number =>
  Math.max(times.renewMs, Math.ceil((hosts * 1000) / times.perSecond))

export const ttlOf = (renewMs: number): number => renewMs * MISSED

/** The part of its own time to live after which a host that was not heard must count as away: the others may have given it up. */
export const awayAfterMs = (ttlMs: number): number => Math.floor((ttlMs * 2) / 3)

interface Watched {
  revision: number
  seenAtMs: number
  ttlMs: number
  lost: boolean
  /** Times at which it was lost, the last ones. */
  losses: number[]
  /** Before this it is not taken back. */
  heldUntilMs: number
}

/** What became of a host. */
export interface LeaseChange {
  readonly host: string
  readonly change: 'lost' | 'returned'
}

/** The leases of the other hosts. */
export class Leases {
  readonly #hosts = new Map<string, Watched>()
  readonly #times: LeaseTimes

  constructor(times: LeaseTimes = leaseTimes) {
    this.#times = times
  }

  /** A lease came. */
  heard(host: string, { ttlMs }: LeaseRecord, revision: number, nowMs: number): void {
    const known = this.#hosts.get(host)
    if (known === undefined) {
      this.#hosts.set(host, { revision, seenAtMs: nowMs, ttlMs, lost: false, losses: [], heldUntilMs: 0 })
      return
    }
    known.ttlMs = ttlMs
    if (revision === known.revision) return
    known.revision = revision
    known.seenAtMs = nowMs
  }

  forget(host: string): void {
    this.#hosts.delete(host)
  }

  /** Time begins anew for all: this host could not hear them. */
  resume(nowMs: number): void {
    for (const watched of this.#hosts.values()) if (!watched.lost) watched.seenAtMs = nowMs
  }

  isLost(host: string): boolean {
    return this.#hosts.get(host)?.lost === true
  }

  /** Milliseconds since the last lease of a host. */
  ageMs(host: string, nowMs: number): number | null {
    const watched = this.#hosts.get(host)
    return watched === undefined ? null : Math.max(0, nowMs - watched.seenAtMs)
  }

  /** Who was lost, and who is back. `heardUntilMs`: all that was said before has been heard. */
  changes(heardUntilMs: number, nowMs: number): LeaseChange[] {
    const changes: LeaseChange[] = []
    for (const [host, watched] of this.#hosts) {
      const isSilent = heardUntilMs - watched.seenAtMs > watched.ttlMs
      if (!watched.lost && isSilent) {
        watched.lost = true
        watched.losses = [...watched.losses.filter((at) => nowMs - at < this.#times.flapMs), nowMs].slice(-16)
        watched.heldUntilMs = nowMs + this.#holdMs(watched)
        changes.push({ host, change: 'lost' })
      } else if (watched.lost && !isSilent && nowMs >= watched.heldUntilMs) {
        watched.lost = false
        changes.push({ host, change: 'returned' })
      }
    }
    return changes
  }

  // The first time it may come back at once, then after one time to live, two, four …
  #holdMs({ losses, ttlMs }: Watched): number {
    return losses.length < 2 ? 0 : Math.min(this.#times.holdMaxMs, ttlMs * 2 ** (losses.length - 2))
  }
}
