// Who was connected to a function, in a file beside its socket, for the next process that serves it: VMMs connect once in a device's
// life, so a client that outlives its server has a function that carries nothing, and nobody but the next server could say so.
//
// The rule it must not break: a process is known by its number and by when it started; a record never speaks of another process.
import { readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { peerProcess } from '../../linux/sockets.ts'

const START_FIELD = 19 // of /proc/N/stat, behind the name in parentheses: when the process started

/** A process, as long as it lives. */
export interface ClientProcess {
  readonly pid: number
  /** Start time in clock ticks, as /proc has it. */
  readonly started: string
}

const recordOf = (socketPath: string): string => `${socketPath}.client`

function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[START_FIELD] ?? null
  } catch {
    return null
  }
}

/** Notes the process behind a connection, in place of the last one. One that can't be seen from here leaves no record. */
export function recordClient(socketPath: string, fd: number): void {
  const pid = peerProcess(fd)
  const started = pid > 0 ? startOf(pid) : null
  try {
    if (started === null) forgetClient(socketPath)
    else writeFileSync(recordOf(socketPath), JSON.stringify({ pid, started }), { mode: 0o600 })
  } catch {} // the record serves an explanation only: the function works without it
}

export function forgetClient(socketPath: string): void {
  try {
    unlinkSync(recordOf(socketPath))
  } catch {} // there is none
}

/** The process of the record, if it still lives; a record of one that does not is removed. */
export function recordedClient(socketPath: string): ClientProcess | null {
  try {
    const { pid, started } = JSON.parse(readFileSync(recordOf(socketPath), 'utf8')) as ClientProcess
    if (startOf(pid) === started) return { pid, started }
  } catch {} // there is none, or not one of ours
  forgetClient(socketPath)
  return null
}
