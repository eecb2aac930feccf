// The software guests of a failover lab as the lab's thread sees them: they run on a thread of their own, so that what the switch's
// control thread does is not in the figures.
import { Worker } from 'node:worker_threads'
import { LabError, type LabErrorCode } from '../errors.ts'
import type { FromGuests, GuestRequest, LoadOptions, LoadOutcome } from './guest-messages.ts'
import type { Path, StreamEnd } from './numbered-frames.ts'
import type { PairedGuestOptions } from './paired-guest.ts'

interface Asked {
  resolve(value: unknown): void
  reject(error: Error): void
}

export class SoftwareGuests {
  readonly #worker: Worker
  readonly #asked = new Map<number, Asked>()
  readonly #ended: Promise<void>
  #last = 0
  #failure: Error | null = null

  constructor() {
    this.#worker = new Worker(new URL('./guest-thread.ts', import.meta.url))
    this.#worker.on('message', (message: FromGuests) => {
      const asked = this.#asked.get(message.id)
      this.#asked.delete(message.id)
      if ('error' in message) asked?.reject(new LabError(message.error.code as LabErrorCode, message.error.message))
      else asked?.resolve(message.value)
    })
    this.#worker.on('error', (error) => this.#fail(new LabError('guest-exited', `the software guests failed: ${error.message}`)))
    this.#ended = new Promise((resolve) =>
      this.#worker.on('exit', () => {
        this.#fail(new LabError('guest-exited', 'the software guests have ended'))
        resolve()
      }),
    )
  }

  /** Starts a guest whose synthetic card's device is at `path`. */
  async start(guest: PairedGuestOptions, path: string): Promise<void> {
    await this.#ask({ kind: 'start', guest, path })
  }

  /** Plugs the function at `path` into a guest; settles when its driver runs. */
  async plug(guest: string, path: string): Promise<void> {
    await this.#ask({ kind: 'plug', guest, path })
  }

  /** Settles when the guest has let go of its function. */
  async unplug(guest: string): Promise<void> {
    await this.#ask({ kind: 'unplug', guest })
  }

  /** `remote`: the guest is a real one, and its peer one of these. */
  async startLoad(guest: string, peer: string, options: LoadOptions, remote?: StreamEnd): Promise<void> {
    await this.#ask({ kind: 'load', guest, peer, options, remote })
  }

  /** The switch sends frames for a real guest this way from now on. */
  async tellPath(path: Path): Promise<void> {
    await this.#ask({ kind: 'path', path })
  }

  /** Ends the load; settles when all that was on its way has come. */
  async finishLoad(): Promise<LoadOutcome> {
    return (await this.#ask({ kind: 'finish' })) as LoadOutcome
  }

  async close(): Promise<void> {
    if (this.#failure === null) await this.#ask({ kind: 'close' }).catch(() => undefined)
    await this.#ended
  }

  #ask(request: GuestRequest): Promise<unknown> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    const id = ++this.#last
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject })
      this.#worker.postMessage({ ...request, id })
    })
  }

  #fail(error: Error): void {
    this.#failure ??= error
    for (const { reject } of this.#asked.values()) reject(error)
    this.#asked.clear()
  }
}
