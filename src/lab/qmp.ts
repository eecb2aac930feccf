// A client of QEMU's machine protocol (QMP): one JSON object a line, commands answered by id, events in between.
//
// The rule it must not break: every command settles. A lost connection fails all that are still open.
import type { Socket } from 'node:net'
import { LabError } from './errors.ts'

/** A reply longer than this is not one that we asked for. */
const LINE_MAX_BYTES = 16 * 1024 * 1024

export interface QmpEvent {
  readonly event: string
  readonly data: Readonly<Record<string, unknown>>
}

interface Pending {
  readonly command: string
  resolve(value: unknown): void
  reject(error: LabError): void
}

interface Message {
  readonly QMP?: unknown
  readonly id?: number
  readonly return?: unknown
  readonly error?: { readonly class: string; readonly desc: string }
  readonly event?: string
  readonly data?: Record<string, unknown>
}

export class QmpClient {
  readonly #socket: Socket
  readonly #pending = new Map<number, Pending>()
  readonly #greeted = Promise.withResolvers<void>()
  readonly #onEvent: (event: QmpEvent) => void
  #nextId = 1
  #buffer = ''
  #closed: LabError | null = null

  constructor(socket: Socket, components: { onEvent?: (event: QmpEvent) => void } = {}) {
    this.#socket = socket
    this.#onEvent = components.onEvent ?? (() => {})
    // Whoever waits for the greeting gets the error; nobody waiting is no reason to end the process.
    this.#greeted.promise.catch(() => {})
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => this.#read(text))
    socket.on('error', (error) => this.#fail(error.message))
    socket.on('close', () => this.#fail('QEMU has closed the connection'))
  }

  /** Waits for the greeting and ends the negotiation; commands are possible after it. */
  async negotiate(): Promise<void> {
    await this.#greeted.promise
    await this.execute('qmp_capabilities')
  }

  /** Runs a command and returns its reply. Throws `qmp-failed` with QEMU's own words. */
  execute(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    if (this.#closed !== null) return Promise.reject(this.#closed)
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const id = this.#nextId++
    this.#pending.set(id, { command, resolve, reject })
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`)
    return promise
  }

  close(): void {
    this.#socket.destroy()
  }

  #read(text: string): void {
    this.#buffer += text
    for (let end = this.#buffer.indexOf('\n'); end >= 0; end = this.#buffer.indexOf('\n')) {
      const line = this.#buffer.slice(0, end)
      this.#buffer = this.#buffer.slice(end + 1)
      if (line.trim() !== '') this.#take(line)
    }
    if (this.#buffer.length > LINE_MAX_BYTES) this.#abandon('QEMU sent a line without end')
  }

  #take(line: string): void {
    let message: Message
    try {
      message = JSON.parse(line) as Message
    } catch {
      this.#abandon(`QEMU sent something that is not JSON: ${line.slice(0, 80)}`)
      return
    }
    if (message.QMP !== undefined) this.#greeted.resolve()
    else if (message.event !== undefined) this.#onEvent({ event: message.event, data: message.data ?? {} })
    else if (message.id !== undefined) this.#settle(message.id, message)
  }

  #settle(id: number, message: Message): void {
    const pending = this.#pending.get(id)
    if (pending === undefined) return
    this.#pending.delete(id)
    if (message.error === undefined) pending.resolve(message.return)
    else pending.reject(new LabError('qmp-failed', `QMP ${pending.command}: ${message.error.desc} (${message.error.class})`))
  }

  #abandon(reason: string): void {
    this.#fail(reason)
    this.#socket.destroy()
  }

  #fail(reason: string): void {
    if (this.#closed !== null) return
    this.#closed = new LabError('qmp-failed', `QMP: ${reason}`)
    this.#greeted.reject(this.#closed)
    for (const { command, reject } of this.#pending.values()) reject(new LabError('qmp-failed', `QMP ${command}: ${reason}`))
    this.#pending.clear()
  }
}
