// What the figures were measured on.
import { cpus, loadavg, release, totalmem } from 'node:os'

/** The machine a report is about. */
export interface Machine {
  readonly cpu: string
  readonly processors: number
  readonly memoryGiB: number
  readonly kernel: string
  readonly node: string
  /** Runnable tasks over the last minute when the run began: other work disturbs the figures. */
  readonly loadBefore: number
}

/** Describes this machine. */
export function describeMachine(): Machine {
  const all = cpus()
  return {
    cpu: all[0]?.model.trim() ?? process.arch,
    processors: all.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    loadBefore: Math.round(loadavg()[0]! * 100) / 100,
  }
}
