// The host's side of the guest's command agent (guest-init.ts): "id seconds base64-command" out, "= id exit-code base64-output ." back,
// a line each. Anything else on the line is the guest's noise and is passed over.
//
// The rule it must not break: a guest is not trusted. Lines and output are bounded, an answer to nothing is ignored, and every
// command settles: by an answer, by time, or by the end of the connection.
import type { Duplex } from 'node:stream'
import { LabError } from './errors.ts'

/** The guest's shell reads a request byte by byte: longer things belong into several commands. */
export const COMMAND_MAX_BYTES = 16 * 1024
const LINE_MAX_BYTES = 32 * 1024 * 1024
const DEFAULT_TIMEOUT_MS = 30_000
/** The guest ends the command by itself first; the host waits this much longer for its word. */
const GRACE_MS = 5_000

export interface CommandResult {
  /** Exit code; 137 if it took too long. */
  readonly code: number
  /** Standard output and error, in the order written. */
  readonly output: string
}

interface Pending {
  readonly command: string
  readonly timer: NodeJS.Timeout
  resolve(result: CommandResult): void
  reject(error: LabError): void
}

export class GuestAgent {
  /** Resolves with the guest's kernel release when its init is through. */
  readonly ready: Promise<string>
  readonly #name: string
  readonly #stream: Duplex
  readonly #ready = Promise.withResolvers<string>()
  readonly #pending = new Map<string, Pending>()
  #chunks: string[] = []
  #length = 0
  #nextId = 1
  #closed: LabError | null = null

  constructor(name: string, stream: Duplex) {
    this.#name = name
    this.#stream = stream
    this.ready = this.#ready.promise
    this.ready.catch(() => {})
    stream.setEncoding('latin1')
    stream.on('data', (text: string) => this.#read(text))
    stream.on('error', (error) => this.#fail(error.message))
    stream.on('close', () => this.#fail('the guest has ended'))
  }

  /** Runs a shell command line in the guest. `timeoutMs` is rounded up to seconds. */
  run(command: string, options: { timeoutMs?: number } = {}): Promise<CommandResult> {
    if (this.#closed !== null) return Promise.reject(this.#closed)
    const seconds = Math.max(1, Math.ceil((options.timeoutMs ?? DEFAULT_TIMEOUT_MS) / 1000))
    const id = String(this.#nextId++)
    const line = `${id} ${seconds} ${Buffer.from(command).toString('base64')}\n`
    if (line.length > COMMAND_MAX_BYTES)
      return Promise.reject(
        new LabError(
          'guest-command-too-long',
          `${this.#name}: a command of ${command.length} bytes; at most about ${(COMMAND_MAX_BYTES * 3) / 4}`,
        ),
      )
    const { promise, resolve, reject } = Promise.withResolvers<CommandResult>()
    const timer = setTimeout(
      () => {
        this.#pending.delete(id)
        reject(new LabError('guest-command-timeout', `${this.#name}: no answer within ${seconds} s to: ${command}`))
      },
      seconds * 1000 + GRACE_MS,
    )
    this.#pending.set(id, { command, timer, resolve, reject })
    this.#stream.write(line)
    return promise
  }

  #read(text: string): void {
    const end = text.lastIndexOf('\n')
    if (end < 0) {
      this.#keep(text)
      return
    }
    const lines = `${this.#chunks.join('')}${text.slice(0, end)}`.split('\n')
    this.#chunks = []
    this.#length = 0
    this.#keep(text.slice(end + 1))
    for (const line of lines) this.#take(line)
  }

  #keep(text: string): void {
    if (text === '') return
    this.#chunks.push(text)
    this.#length += text.length
    if (this.#length <= LINE_MAX_BYTES) return
    this.#fail(`a line of more than ${LINE_MAX_BYTES} bytes`)
    this.#stream.destroy()
  }

  #take(line: string): void {
    const [mark, id, value, output, end] = line.trimEnd().split(' ')
    if (mark !== '=') return
    if (id === 'ready') {
      this.#ready.resolve(value ?? '')
      return
    }
    // An answer without output has an empty word there.
    const pending = this.#pending.get(id)
    if (pending === undefined || end !== '.') return
    this.#pending.delete(id)
    clearTimeout(pending.timer)
    const code = Number(value)
    if (!Number.isInteger(code) || code < 0 || code > 255)
      pending.reject(new LabError('guest-protocol', `${this.#name}: exit code "${value}"`))
    else pending.resolve({ code, output: Buffer.from(output, 'base64').toString() })
  }

  #fail(reason: string): void {
    if (this.#closed !== null) return
    this.#closed = new LabError('guest-exited', `${this.#name}: ${reason}`)
    this.#ready.reject(this.#closed)
    for (const { timer, reject, command } of this.#pending.values()) {
      clearTimeout(timer)
      reject(new LabError('guest-exited', `${this.#name}: ${reason} while running: ${command}`))
    }
    this.#pending.clear()
  }
}
