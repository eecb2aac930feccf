// Programs in network namespaces that end with the test that started them, even if it is killed.
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process'

/** Starts a program in a namespace. Its process is the program's own: signals reach it. */
export const spawnIn = (space: string, command: readonly string[], options: SpawnOptions): ChildProcess =>
  spawn('setpriv', ['--pdeathsig', 'KILL', 'ip', 'netns', 'exec', space, ...command], options)

/** Why that can't be done here; false if it can. */
export const whyNoSpawnIn = (): string | false =>
  spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0 ? false : 'this machine has no setpriv (util-linux)'
