// Lets a process go before other work of a busy machine.
//
// The rule it must not break: it stays an ordinary process. A polling thread with real-time priority would stop the kernel's own work
// on its processor, and the threads that it waits for itself.
import { readdirSync, writeFileSync } from 'node:fs'
import { constants, setPriority } from 'node:os'

/** Gives all threads of `pid` the highest ordinary priority. Needs root; without it nothing changes. */
export function raisePriority(pid: number): void {
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), constants.priority.PRIORITY_HIGHEST)
    // Where the kernel shares processors out between sessions first, the priority of the session is what counts.
    writeFileSync(`/proc/${pid}/autogroup`, String(constants.priority.PRIORITY_HIGHEST))
  } catch {
    // Not allowed, or a kernel without sessions' priorities: the measurement says itself how much it was disturbed.
  }
}
