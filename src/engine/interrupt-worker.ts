// Ends what a worker thread is executing, as a debugger's "terminate execution" does: neither `catch` nor `finally` runs, and the thread's
// event loop goes on with its next message.
//
// The rule it must not break: whoever calls knows that the thread is in code that may end anywhere.
import { Session, url } from 'node:inspector'

const LIMIT_MS = 2_000
const REQUEST = JSON.stringify({ id: 1, method: 'Runtime.terminateExecution' })

/** Interrupts the worker with this thread id. False if it did not hear of it, or if a debugger is listening, which may have stopped it. */
export async function interruptWorker(threadId: number): Promise<boolean> {
  if (url() !== undefined) return false
  const session = new Session()
  session.connect()
  let limit: NodeJS.Timeout | undefined
  try {
    return await new Promise<boolean>((resolve) => {
      let own = ''
      limit = setTimeout(() => resolve(false), LIMIT_MS)
      session.on('NodeWorker.attachedToWorker', ({ params }) => {
        if (params.workerInfo.workerId !== String(threadId)) return
        own = params.sessionId
        session.post('NodeWorker.sendMessageToWorker', { sessionId: own, message: REQUEST })
      })
      session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => {
        if (params.sessionId === own) resolve(true)
      })
      session.post('NodeWorker.enable', { waitForDebuggerOnStart: false })
    })
  } finally {
    clearTimeout(limit)
    session.post('NodeWorker.disable')
    session.disconnect()
  }
}
