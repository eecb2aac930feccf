// A program under measurement, or one that makes load: started with its output in hand, paused while others are measured, and gone
// when the benchmark is.
//
// The rule it must not break: none outlives the benchmark. The kernel kills it when we die (setpriv --pdeathsig), our scope kills it
// when we end.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { BenchError } from '../benchmark.ts'
import type { Scope } from './scope.ts'

const OUTPUT_KEPT_CHARACTERS = 64 * 1024
const TAIL_LINES = 8

export interface ChildOptions {
  readonly name: string
  readonly program: string
  readonly args: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** Host processor that all its threads start on; they may pin themselves elsewhere. */
  readonly processor?: number
}

let deathSignal: boolean | undefined
const hasDeathSignal = (): boolean => {
  deathSignal ??= (spawnSync('setpriv', ['--help'], { encoding: 'utf8' }).stdout ?? '').includes('--pdeathsig')
  return deathSignal
}

/** A running program. */
export class Child {
  readonly name: string
  readonly #process: ChildProcess
  readonly #waiting = new Set<() => void>()
  #output = ''
  /** What it said on standard error: kept apart, or it would cut an answer in two. */
  #complaints = ''
  #ended: string | undefined

  constructor(options: ChildOptions, scope: Scope) {
    this.name = options.name
    const pinned = options.processor === undefined ? [] : ['taskset', '-c', String(options.processor)]
    const bound = hasDeathSignal() ? ['setpriv', '--pdeathsig', 'KILL', '--'] : []
    const [program, ...args] = [...bound, ...pinned, options.program, ...options.args]
    const child = spawn(program!, args, { stdio: ['pipe', 'pipe', 'pipe'], env: options.env ?? process.env, detached: true })
    this.#process = child
    child.stdout!.on('data', (chunk: Buffer) => {
      this.#output = (this.#output + chunk.toString()).slice(-OUTPUT_KEPT_CHARACTERS)
      this.#look()
    })
    child.stderr!.on('data', (chunk: Buffer) => {
      this.#complaints = (this.#complaints + chunk.toString()).slice(-OUTPUT_KEPT_CHARACTERS)
    })
    child.stdin!.on('error', () => {}) // it may end before it reads what it was told
    child.once('error', (error) => this.#end(`can't be started: ${error.message}`))
    child.once('exit', (code, signal) => this.#end(`ended with ${signal ?? `code ${code}`}`))
    scope.add(() => this.kill())
  }

  get pid(): number {
    return this.#process.pid ?? -1
  }

  #end(how: string): void {
    this.#ended ??= how
    this.#look()
  }

  #look(): void {
    for (const look of [...this.#waiting]) look()
  }

  #failed(what: string): BenchError {
    const tail = [this.#output, this.#complaints]
      .flatMap((said) => said.trimEnd().split('\n').slice(-TAIL_LINES))
      .join('\n')
      .trim()
    return new BenchError('CHILD_FAILED', `${this.name}: ${what}${tail === '' ? '' : `; the last it said:\n${tail}`}`)
  }

  /** Waits until `found` returns something of the standard output since the last `forget`. Throws if the program ends or time is up. */
  until<T>(what: string, timeoutMs: number, found: (output: string) => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => done(() => reject(this.#failed(`no ${what} within ${timeoutMs / 1000} s`))), timeoutMs)
      const done = (settle: () => void): void => {
        clearTimeout(timer)
        this.#waiting.delete(look)
        settle()
      }
      const look = (): void => {
        const value = found(this.#output)
        if (value !== undefined) done(() => resolve(value))
        else if (this.#ended !== undefined) {
          const how = this.#ended
          done(() => reject(this.#failed(how)))
        }
      }
      this.#waiting.add(look)
      look()
    })
  }

  /** Forgets the output so far. */
  forget(): void {
    this.#output = ''
  }

  /** Writes a line to its standard input. */
  tell(line: string): void {
    this.#process.stdin!.write(`${line}\n`)
  }

  /** Stops it from using processor time until `resume`. */
  pause(): void {
    this.#process.kill('SIGSTOP')
  }

  resume(): void {
    this.#process.kill('SIGCONT')
  }

  kill(): void {
    this.#process.kill('SIGKILL')
  }

  /** Kills it and waits until it is gone. */
  async end(): Promise<void> {
    const gone =
      this.#ended !== undefined || this.#process.pid === undefined
        ? undefined
        : new Promise<void>((resolve) => this.#process.once('exit', () => resolve()))
    this.kill()
    await gone
  }
}
