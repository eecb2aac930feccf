// How much processor time the busiest thread of a process got. On a shared machine a measurement during which a polling thread had to
// wait for its processor says little; this tells which ones.
import { readdirSync, readFileSync } from 'node:fs'

/** Per thread: nanoseconds run, and nanoseconds runnable but waiting for a processor. */
export type ThreadTimes = ReadonlyMap<number, { readonly ranNs: number; readonly waitedNs: number }>

/** The times of all threads of `pid`; threads that end meanwhile are left out. */
export function readThreadTimes(pid: number): ThreadTimes {
  const times = new Map<number, { ranNs: number; waitedNs: number }>()
  for (const entry of readdirSync(`/proc/${pid}/task`))
    try {
      const [ran, waited] = readFileSync(`/proc/${pid}/task/${entry}/schedstat`, 'utf8').split(' ').map(Number)
      times.set(Number(entry), { ranNs: ran!, waitedNs: waited! })
    } catch {
      // It ended between the two calls.
    }
  return times
}

/** The thread that ran most between two readings, and what it got. */
export function busiestThread(
  before: ThreadTimes,
  after: ThreadTimes,
): { readonly thread: number; readonly ranNs: number; readonly waitedNs: number } {
  let busiest = { thread: -1, ranNs: 0, waitedNs: 0 }
  for (const [thread, end] of after) {
    const start = before.get(thread) ?? { ranNs: 0, waitedNs: 0 }
    if (end.ranNs - start.ranNs > busiest.ranNs)
      busiest = { thread, ranNs: end.ranNs - start.ranNs, waitedNs: end.waitedNs - start.waitedNs }
  }
  return busiest
}

/** Share of the time that the busiest thread between two readings had to wait: 0…1. */
export function waitingShare(before: ThreadTimes, after: ThreadTimes): number {
  const { ranNs, waitedNs } = busiestThread(before, after)
  return ranNs + waitedNs === 0 ? 0 : waitedNs / (ranNs + waitedNs)
}
