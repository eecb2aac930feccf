// One QEMU guest of the lab: starts it, waits until its agent answers, runs commands in it, stops it.
//
// The rule it must not break: whatever happens to the guest, every promise given out settles, and nothing of it is left when
// `stop` has returned.
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { acceptOne, type Waiting } from './accept-one.ts'
import { type CommandResult, GuestAgent } from './agent.ts'
import { type Child, type ChildExit, startChild } from './children.ts'
import { LabError } from './errors.ts'
import type { GuestImage } from './images.ts'
import { type PingOptions, type PingResult, parsePing, pingCommand } from './ping.ts'
import { type Accelerator, type NicOptions, qemuArguments } from './qemu-arguments.ts'
import { QmpClient, type QmpEvent } from './qmp.ts'
import { runOrThrow } from './run-program.ts'

export const QEMU_PROGRAM = 'qemu-system-x86_64'
const DEFAULT_MEMORY_MIB = 256
const DEFAULT_BOOT_TIMEOUT_MS = 90_000
const STOP_TIMEOUT_MS = 3_000
const LOG_TAIL_LINES = 15

export interface QemuGuestOptions {
  /** Also its host name: letters, digits, dashes. */
  readonly name: string
  readonly image: GuestImage
  /** A folder of the run for sockets, logs and the pid file; short, since socket paths are limited. */
  readonly runDirectory: string
  readonly nics: readonly NicOptions[]
  readonly accelerator: Accelerator
  /** MiB, 256 without it. */
  readonly memoryMiB?: number
  readonly processors?: number
  readonly bootTimeoutMs?: number
  readonly extraArguments?: readonly string[]
  readonly program?: string
  readonly onEvent?: (event: QmpEvent) => void
}

/** The major version of a QEMU, e.g. 7. Throws if it is not there. */
export async function qemuMajor(program = QEMU_PROGRAM): Promise<number> {
  const text = (await runOrThrow(program, ['--version'])).toString()
  const match = /version (\d+)\./.exec(text)
  if (match === null) throw new LabError('program-failed', `${program} --version says "${text.trim()}": no version number in it`)
  return Number(match[1])
}

export class QemuGuest {
  readonly name: string
  readonly consoleFile: string
  readonly logFile: string
  readonly #options: QemuGuestOptions
  #child: Child | null = null
  #qmp: QmpClient | null = null
  #agent: GuestAgent | null = null
  #waiting: Waiting[] = []
  #startedAtMs = 0
  #bootMs = 0
  /** The start that is under way or done, until the guest is stopped. */
  #started: Promise<void> | null = null
  #stopAsked = false

  constructor(options: QemuGuestOptions) {
    this.#options = options
    this.name = options.name
    this.consoleFile = join(options.runDirectory, `${options.name}.console.log`)
    this.logFile = join(options.runDirectory, `${options.name}.qemu.log`)
  }

  /** Milliseconds from start to ready; 0 before. */
  get bootMs(): number {
    return this.#bootMs
  }

  get qmp(): QmpClient {
    if (this.#qmp === null) throw new LabError('guest-exited', `${this.name} is not running`)
    return this.#qmp
  }

  /** Resolves when QEMU has ended, for whatever reason. */
  get exited(): Promise<ChildExit> {
    if (this.#child === null) throw new LabError('guest-exited', `${this.name} has not been started`)
    return this.#child.exited
  }

  /**
   * Starts QEMU. Returns as soon as its process runs and its protocol answers; the guest boots on. A stopped guest can be started
   * again.
   */
  async start(): Promise<void> {
    if (this.#started !== null) throw new LabError('guest-exited', `${this.name} has been started already; stop it first`)
    this.#stopAsked = false
    this.#started = this.#launch()
    try {
      await this.#started
    } catch (error) {
      await this.#end()
      throw error
    }
  }

  async #launch(): Promise<void> {
    const options = this.#options
    const socketPath = (kind: string) => join(options.runDirectory, `${options.name}.${kind}`)
    await Promise.all(
      [this.consoleFile, this.logFile, socketPath('agent'), socketPath('qmp')].map((path) => rm(path, { force: true })),
    )
    const agent = await acceptOne(socketPath('agent'))
    this.#waiting.push(agent)
    const qmp = await acceptOne(socketPath('qmp'))
    this.#waiting.push(qmp)
    const args = qemuArguments({
      name: options.name,
      image: options.image,
      memoryMiB: options.memoryMiB ?? DEFAULT_MEMORY_MIB,
      processors: options.processors ?? 1,
      nics: options.nics,
      accelerator: options.accelerator,
      qemuMajor: await qemuMajor(options.program),
      agentSocket: agent.path,
      qmpSocket: qmp.path,
      consoleFile: this.consoleFile,
      extraArguments: options.extraArguments ?? [],
    })
    this.#checkNotStopped()
    this.#startedAtMs = performance.now()
    this.#child = await startChild(options.program ?? QEMU_PROGRAM, args, {
      name: options.name,
      runDirectory: options.runDirectory,
      logFile: this.logFile,
    })
    this.#checkNotStopped()
    this.#agent = new GuestAgent(options.name, await this.#unlessExited(agent.socket))
    const events = options.onEvent === undefined ? {} : { onEvent: options.onEvent }
    this.#qmp = new QmpClient(await this.#unlessExited(qmp.socket), events)
    await this.#unlessExited(this.#qmp.negotiate())
  }

  /** Waits until the guest's init is through. Throws `guest-exited` or `guest-boot-timeout` with the tail of its logs. */
  async ready(): Promise<void> {
    const limitMs = this.#options.bootTimeoutMs ?? DEFAULT_BOOT_TIMEOUT_MS
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => late.reject(new LabError('guest-boot-timeout', `not up within ${limitMs / 1000} s`)), limitMs)
    try {
      await this.#unlessExited(Promise.race([this.#needAgent().ready, late.promise]))
      this.#bootMs = performance.now() - this.#startedAtMs
    } catch (error) {
      if (!(error instanceof LabError) || error.code !== 'guest-boot-timeout') throw error
      throw new LabError('guest-boot-timeout', `${this.name}: ${error.message}${await this.#logTail()}`, { cause: error })
    } finally {
      clearTimeout(timer)
    }
  }

  /** Runs a shell command line in the guest (30 s without `timeoutMs`). */
  run(command: string, options: { timeoutMs?: number } = {}): Promise<CommandResult> {
    return this.#needAgent().run(command, options)
  }

  /** Like `run`, but a non-zero exit code is an error. Returns what it printed, trimmed. */
  async check(command: string, options: { timeoutMs?: number } = {}): Promise<string> {
    const { code, output } = await this.run(command, options)
    if (code !== 0) throw new LabError('program-failed', `${this.name}: "${command}" ended with ${code}: ${output.trim()}`)
    return output.trim()
  }

  /** Pings an address from the guest. Lost answers are a result, not an error. */
  async ping(address: string, options: PingOptions = {}): Promise<PingResult> {
    const { command, timeoutMs } = pingCommand(address, options)
    const { output } = await this.run(command, { timeoutMs })
    return parsePing(output)
  }

  /** Ends the guest: asks QEMU, then kills it. May be called at any time, more than once. */
  async stop(): Promise<void> {
    this.#stopAsked = true
    const started = this.#started
    if (started === null) return
    // A guest that is starting fails at its next step, at the latest when its QEMU is gone.
    await this.#end()
    await started.catch(() => {})
    await this.#end()
    this.#started = null
  }

  async #end(): Promise<void> {
    for (const waiting of this.#waiting) waiting.close()
    this.#waiting = []
    const child = this.#child
    if (child === null) return
    const force = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    if (this.#qmp === null) child.kill('SIGKILL')
    else this.#qmp.execute('quit').catch(() => child.kill('SIGKILL'))
    await child.exited
    clearTimeout(force)
    this.#qmp?.close()
    this.#qmp = null
    for (const kind of ['agent', 'qmp']) await rm(join(this.#options.runDirectory, `${this.name}.${kind}`), { force: true })
  }

  /** A guest may be stopped while it starts: then it goes no further. */
  #checkNotStopped(): void {
    if (this.#stopAsked) throw new LabError('interrupted', `${this.name}: stopped before it was up`)
  }

  #needAgent(): GuestAgent {
    if (this.#agent === null) throw new LabError('guest-exited', `${this.name} is not running`)
    return this.#agent
  }

  async #unlessExited<T>(wanted: Promise<T>): Promise<T> {
    const ended = this.exited.then(async ({ code, signal }) => {
      throw new LabError('guest-exited', `${this.name}: QEMU ended (${signal ?? `code ${code}`})${await this.#logTail()}`)
    })
    ended.catch(() => {})
    // The connection breaks a moment before the exit is known; the exit tells more.
    return Promise.race([wanted.catch((error) => (isConnectionLoss(error) ? ended : Promise.reject(error))), ended])
  }

  async #logTail(): Promise<string> {
    const parts: string[] = []
    for (const file of [this.logFile, this.consoleFile]) {
      const text = (await readFile(file, 'utf8').catch(() => '')).trim()
      if (text !== '') parts.push(`\n--- ${file}\n${text.split('\n').slice(-LOG_TAIL_LINES).join('\n')}`)
    }
    return parts.join('')
  }
}

const isConnectionLoss = (error: unknown): boolean =>
  error instanceof LabError && (error.code === 'guest-exited' || error.code === 'qmp-failed')
