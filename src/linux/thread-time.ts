// What a thread of this process does with its time: how long it ran, and whether it sleeps.
//
// The rule it must not break: a thread that waits for a processor of the machine is neither running nor asleep.
import { readFileSync } from 'node:fs'

const TICK_MS = 10 // USER_HZ is 100 on x86-64
// Fields of /proc/PID/task/TID/stat after the name, which stands in parentheses and may hold anything.
const STATE = 0
const USER_TICKS = 11
const SYSTEM_TICKS = 12

/** One look at a thread. */
export interface ThreadTime {
  /** Milliseconds that it ran so far, to 10 ms. */
  readonly ranMs: number
  /** It waits for something that is not a processor. */
  readonly asleep: boolean
}

/** Time of the thread `id` (gettid) of this process; null if there is none, or the machine does not tell. */
export function threadTime(id: number): ThreadTime | null {
  try {
    return parseThreadStat(readFileSync(`/proc/self/task/${id}/stat`, 'latin1'))
  } catch {
    return null
  }
}

/** Reads a line of /proc/…/stat; null if it is none. */
export function parseThreadStat(line: string): ThreadTime | null {
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ')
  const ranMs = (Number(fields[USER_TICKS]) + Number(fields[SYSTEM_TICKS])) * TICK_MS
  return Number.isFinite(ranMs) ? { ranMs, asleep: fields[STATE] === 'S' } : null
}
