// Starts long-running helper processes (QEMU) so that none outlives us: the kernel kills them when our process dies for whatever
// reason (setpriv --pdeathsig), our own exit kills them, and a pid file lets the next run clear up after a machine where neither
// was possible.
//
// The rule it must not break: a process is ended only if it is one that we started. A pid file alone proves nothing (numbers are
// reused); the command line must name our run directory too.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { closeSync, globSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { LabError } from './errors.ts'

export interface ChildExit {
  /** Exit code, or null if a signal ended it. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface Child {
  readonly pid: number
  readonly exited: Promise<ChildExit>
  kill(signal: NodeJS.Signals): void
}

const running = new Set<ChildProcess>()
let hooked = false
let deathSignalSupported: boolean | undefined

function hookExit(): void {
  if (hooked) return
  hooked = true
  process.on('exit', () => {
    for (const child of running) child.kill('SIGKILL')
  })
}

function canBindToUs(): boolean {
  deathSignalSupported ??= (spawnSync('setpriv', ['--help'], { encoding: 'utf8' }).stdout ?? '').includes('--pdeathsig')
  return deathSignalSupported
}

/**
 * Starts `program` with its output going to `logFile`. Its arguments must name `runDirectory` (a socket or log path there), which
 * marks it as ours. Throws `program-missing`.
 */
export async function startChild(
  program: string,
  args: readonly string[],
  options: { name: string; runDirectory: string; logFile: string },
): Promise<Child> {
  hookExit()
  const pidFile = join(options.runDirectory, `${options.name}.pid`)
  const log = openSync(options.logFile, 'a')
  // A session of its own: Ctrl-C at the terminal is for us alone, and we stop the guests in order.
  const bound = canBindToUs()
    ? { program: 'setpriv', args: ['--pdeathsig', 'KILL', '--', program, ...args] }
    : { program, args: [...args] }
  const child = spawn(bound.program, bound.args, { stdio: ['ignore', log, log], detached: true })
  closeSync(log)
  const started = Promise.withResolvers<void>()
  const exited = Promise.withResolvers<ChildExit>()
  child.once('spawn', () => started.resolve())
  child.once('error', (error) =>
    started.reject(new LabError('program-missing', `${program} can't be started: ${error.message}`, { cause: error })),
  )
  child.once('exit', (code, signal) => {
    running.delete(child)
    rmSync(pidFile, { force: true })
    exited.resolve({ code, signal })
  })
  await started.promise
  running.add(child)
  writeFileSync(pidFile, `${child.pid}\n`)
  return { pid: child.pid!, exited: exited.promise, kill: (signal) => void child.kill(signal) }
}

/** Ends what a killed earlier run left in `runDirectory`. Returns the names of the processes it ended. */
export function reapLeftovers(runDirectory: string): string[] {
  const ended: string[] = []
  for (const file of globSync('*.pid', { cwd: runDirectory })) {
    const path = join(runDirectory, file)
    const pid = Number.parseInt(readFileSync(path, 'utf8'), 10)
    if (pid > 1 && commandLineOf(pid).includes(runDirectory)) {
      process.kill(pid, 'SIGKILL')
      ended.push(file.slice(0, -'.pid'.length))
    }
    rmSync(path, { force: true })
  }
  return ended
}

function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}
