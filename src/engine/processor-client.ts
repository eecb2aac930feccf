// The control thread's end of one processor: starts its worker, sends requests, awaits answers.
import { Worker } from 'node:worker_threads'
import { closeFd, createEventFd, signalEventFd } from '../linux/files.ts'
import { interruptWorker } from './interrupt-worker.ts'
import type { FromProcessor, ProcessorStart, Question, Request, ToProcessor } from './messages.ts'

const CLOSE_LIMIT_MS = 5_000

interface Pending {
  resolve(value: unknown): void
  reject(error: Error): void
}

/** One processor, seen from outside. */
export class ProcessorClient {
  readonly #worker: Worker
  readonly #doorbell: number
  readonly #pending = new Map<number, Pending>()
  #nextId = 1
  #thread = 0
  #gone = false
  #closing = false
  /** Settles when the processor runs. */
  readonly ready: Promise<void>

  constructor(
    start: Omit<ProcessorStart, 'doorbell'>,
    report: (module: string, code: string, message: string) => void,
    lost: (error: Error) => void,
    asked: (question: Question) => Promise<unknown>,
  ) {
    this.#doorbell = createEventFd()
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: { ...start, doorbell: this.#doorbell } })
    this.ready = new Promise((resolve, reject) => {
      this.#worker.on('message', (message: FromProcessor) => {
        if (message.kind === 'ready') {
          this.#thread = message.thread
          resolve()
        } else if (message.kind === 'report') report(message.module, message.code, message.message)
        else if (message.kind === 'ask')
          asked(message.question).then(
            (value) => this.#post({ kind: 'reply', id: message.id, value }),
            (error: Error) => this.#post({ kind: 'reply', id: message.id, value: undefined, error: error.message }),
          )
        else this.#settle(message)
      })
      const fail = (error: Error): void => {
        reject(error)
        if (this.#gone) return
        this.#gone = true
        for (const waiting of this.#pending.values()) waiting.reject(error)
        this.#pending.clear()
        if (!this.#closing) lost(error)
      }
      this.#worker.on('error', fail)
      this.#worker.on('exit', (code) => fail(new Error(`processor ${start.index} ended with code ${code}`)))
    })
  }

  #settle(message: Extract<FromProcessor, { kind: 'answer' | 'error' }>): void {
    const waiting = this.#pending.get(message.id)
    this.#pending.delete(message.id)
    if (message.kind === 'error') waiting?.reject(new Error(message.message))
    else waiting?.resolve(message.value)
  }

  /** The event descriptor that wakes it. */
  get doorbell(): number {
    return this.#doorbell
  }

  /** Its thread's id (gettid); 0 until it is ready. */
  get thread(): number {
    return this.#thread
  }

  /** Ends what its thread is executing; its event loop goes on. False if that can't be done. */
  interrupt(): Promise<boolean> {
    return interruptWorker(this.#worker.threadId)
  }

  /** Wakes it, if it sleeps: it looks at all its queues. */
  wake(): void {
    if (!this.#gone) signalEventFd(this.#doorbell)
  }

  /** Sends a request and returns its answer. */
  request<T = void>(request: Request): Promise<T> {
    if (this.#gone) return Promise.reject(new Error('the processor is gone'))
    const id = this.#nextId++
    return new Promise<T>((resolve, reject) => {
      this.#pending.set(id, { resolve: resolve as (value: unknown) => void, reject })
      this.#post({ id, ...request })
    })
  }

  #post(message: ToProcessor): void {
    if (this.#gone) return
    this.#worker.postMessage(message)
    signalEventFd(this.#doorbell)
  }

  /**
   * Stops the processor and waits for its thread to end. The thread ends by itself, for it gives back descriptors of its own; one that
   * an extension keeps busy is ended after CLOSE_LIMIT_MS.
   */
  async close(): Promise<void> {
    this.#closing = true // from here on its end is what was asked for
    if (!this.#gone) {
      const ended = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()))
      const limit = new Promise<void>((resolve) => setTimeout(resolve, CLOSE_LIMIT_MS).unref())
      await Promise.race([this.request({ kind: 'close' }).catch(() => undefined), limit])
      this.#gone = true
      signalEventFd(this.#doorbell)
      await Promise.race([ended, limit])
    }
    await this.#worker.terminate()
    closeFd(this.#doorbell)
  }
}
