// Ends what a worker thread is executing, as a debugger's "terminate execution" does: neither `catch` nor `finally` runs, and the thread's
// event loop goes on with its next message.
//
// The rule it must not break: whoever calls knows that the thread is in code that may end anywhere.
import { Session, url } from 'node:inspector'

const LIMIT_MS = 2_000
const LOOK_MS = 20

/** This process's session with its workers: begun when first needed, and kept, since Node does not tell a second one of the workers. */
class WorkerSessions {
  readonly #session = new Session()
  // By thread id the session with a worker; what each has answered.
  readonly #sessions = new Map<string, string>()
  readonly #answers = new Map<string, number>()
  #requests = 0

  constructor() {
    this.#session.connect()
    this.#session.on('NodeWorker.attachedToWorker', ({ params }) => {
      this.#sessions.set(params.workerInfo.workerId, params.sessionId)
    })
    this.#session.on('NodeWorker.detachedFromWorker', ({ params }) => {
      for (const [worker, session] of this.#sessions) if (session === params.sessionId) this.#sessions.delete(worker)
      this.#answers.delete(params.sessionId)
    })
    this.#session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => {
      this.#answers.set(params.sessionId, (JSON.parse(params.message) as { id?: number }).id ?? 0)
    })
    this.#session.post('NodeWorker.enable', { waitForDebuggerOnStart: false })
  }

  /** Asks a worker to end what it executes; false if it did not answer in time. */
  async end(threadId: number): Promise<boolean> {
    const id = ++this.#requests
    let isAsked = false
    for (const until = performance.now() + LIMIT_MS; performance.now() < until; ) {
      const sessionId = this.#sessions.get(String(threadId))
      if (sessionId !== undefined && !isAsked) {
        const message = JSON.stringify({ id, method: 'Runtime.terminateExecution' })
        this.#session.post('NodeWorker.sendMessageToWorker', { sessionId, message })
        isAsked = true
      }
      if (sessionId !== undefined && this.#answers.get(sessionId) === id) return true
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
    return false
  }
}

let sessions: WorkerSessions | undefined

/** Interrupts the worker with this thread id. False if it did not hear of it, or if a debugger is listening, which may have stopped it. */
export async function interruptWorker(threadId: number): Promise<boolean> {
  if (url() !== undefined) return false
  sessions ??= new WorkerSessions()
  return sessions.end(threadId)
}
