// Runs a program to its end and collects what it says. For short helpers (apt-get, dpkg-deb, busybox), never for guests.
import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { LabError } from './errors.ts'

const OUTPUT_MAX_BYTES = 64 * 1024 * 1024

export interface ProgramResult {
  /** Exit code; 128 + signal number is not used: a killed program has code -1. */
  readonly code: number
  readonly stdout: Buffer
  readonly stderr: string
}

/** The absolute path of a program on PATH (and in the sbin folders, which a user's PATH often lacks), or null. */
export async function findProgram(name: string): Promise<string | null> {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '' && !folder.includes('node_modules'))
  for (const folder of [...folders, '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin']) {
    const path = join(folder, name)
    try {
      await access(path, constants.X_OK)
      return path
    } catch {
      // Not in this folder; the next may have it.
    }
  }
  return null
}

/** Runs a program. Throws `program-missing` if it does not exist; a non-zero exit code is a result, not an error. */
export function runProgram(
  program: string,
  args: readonly string[],
  options: { cwd?: string; input?: Uint8Array } = {},
): Promise<ProgramResult> {
  const { promise, resolve, reject } = Promise.withResolvers<ProgramResult>()
  const child = spawn(program, args, { cwd: options.cwd, stdio: ['pipe', 'pipe', 'pipe'] })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  let bytes = 0
  const collect = (into: Buffer[]) => (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > OUTPUT_MAX_BYTES) child.kill('SIGKILL')
    else into.push(chunk)
  }
  child.stdout.on('data', collect(stdout))
  child.stderr.on('data', collect(stderr))
  // The program may end without reading all its input: its exit code says what that means.
  child.stdin.on('error', () => {})
  child.stdin.end(options.input)
  child.on('error', (error) => {
    reject(new LabError('program-missing', `${program} can't be started: ${error.message}`, { cause: error }))
  })
  child.on('close', (code) => {
    resolve({ code: code ?? -1, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() })
  })
  return promise
}

/** Runs a program that must succeed, and returns its standard output. Throws `program-failed` with what it said. */
export async function runOrThrow(
  program: string,
  args: readonly string[],
  options: { cwd?: string; input?: Uint8Array } = {},
): Promise<Buffer> {
  const { code, stdout, stderr } = await runProgram(program, args, options)
  if (code === 0) return stdout
  throw new LabError(
    'program-failed',
    `"${program} ${args.join(' ')}" ended with ${code}: ${stderr.trim() || stdout.toString().trim()}`,
  )
}
