// The command line as a process against a service that runs for one test file.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))

export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface CliService {
  readonly directory: string
  readonly socket: string
  /** Environment of the commands: they find the service, and nothing of the machine. */
  readonly env: Readonly<Record<string, string>>
  run(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ended>
  /** Stops the service in good order, and starts it again from what it stored. */
  restart(): Promise<void>
  /** Kills it (SIGKILL), whatever it does, and starts it again from what it stored. */
  crash(): Promise<void>
  close(): Promise<void>
}

/** Starts an empty service in a directory of its own; `more`: further words for `vmswitch serve`. */
export async function startCliService(more: readonly string[] = []): Promise<CliService> {
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-cli-'))
  const socket = join(directory, 'control.sock')
  const env = { PATH: process.env.PATH ?? '', XDG_RUNTIME_DIR: directory, VMSWITCH_CONTROL: socket }
  let running = await startService(directory, socket, env, more)
  return {
    directory,
    socket,
    env,
    run: (words, variables = {}) =>
      new Promise((resolve) => {
        execFile(bin, words, { cwd: directory, env: { ...env, ...variables } }, (error, stdout, stderr) =>
          resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
        )
      }),
    restart: async () => {
      await running.stop()
      running = await startService(directory, socket, env, more)
    },
    crash: async () => {
      await running.stop('SIGKILL')
      running = await startService(directory, socket, env, more)
    },
    close: async () => {
      await running.stop()
      rmSync(directory, { recursive: true })
    },
  }
}

async function startService(
  directory: string,
  socket: string,
  env: Readonly<Record<string, string>>,
  more: readonly string[],
): Promise<{ stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void> }> {
  const args = ['serve', '--state', join(directory, 'state'), '--control', socket, '--json', ...more]
  const child: ChildProcess = spawn(bin, args, { cwd: directory, env, stdio: ['ignore', 'pipe', 'ignore'] })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await new Promise<void>((resolve, reject) => {
    let text = ''
    child.stdout!.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      if (text.includes('{"event":"ready"')) resolve()
    })
    child.once('exit', (code) => reject(new Error(`vmswitch serve ended with ${code}: ${text}`)))
  })
  return {
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal)
      await ended
    },
  }
}
