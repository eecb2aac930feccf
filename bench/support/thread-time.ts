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

/** Share of the time that the busiest thread between two readings had to wait: 0…1. */
export function waitingShare(before: ThreadTimes, after: ThreadTimes): number {
  let ranNs = 0
  let waitedNs = 0
  for (const [thread, end] of after) {
    const start = before.get(thread) ?? { ranNs: 0, waitedNs: 0 }
    if (end.ranNs - start.ranNs <= ranNs) continue
    ranNs = end.ranNs - start.ranNs
    waitedNs = end.waitedNs - start.waitedNs
  }
  return ranNs + waitedNs === 0 ? 0 : waitedNs / (ranNs + waitedNs)
}
