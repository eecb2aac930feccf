// The entry of a processor's worker thread: starts the processor, answers the control thread's requests, runs the loop.
import { parentPort, workerData } from 'node:worker_threads'
import { pinThread } from '../linux/files.ts'
import { describeError } from '../switch/describe-error.ts'
import type { FromProcessor, ProcessorStart, Request, ToProcessor } from './messages.ts'
import { ModuleHost } from './module-host.ts'
import { Processor } from './processor.ts'
import { watchModules } from './watch-modules.ts'

const start = workerData as ProcessorStart
const port = parentPort!
const send = (message: FromProcessor): void => port.postMessage(message)
const tell = (module: string, code: string, message: string): void => send({ kind: 'report', module, code, message })
const watch = start.verify ? watchModules(tell) : undefined
const report = (module: string, code: string, message: string): void => {
  if (!watch?.takes(module, code, message)) tell(module, code, message)
}

if (start.pinTo >= 0) pinThread([start.pinTo])
const processor = new Processor(start, report)
const modules = new ModuleHost(processor, start.index, start.processors, report, (plan, definition) =>
  watch === undefined ? definition : watch.watch(plan.name, definition),
)

async function answer(request: Request): Promise<unknown> {
  switch (request.kind) {
    case 'prepare':
      return modules.prepare(request.modules)
    case 'commit':
      return modules.commit(request.order)
    case 'abandon':
      return modules.abandon(request.keys)
    case 'queues':
      return processor.setQueues(request)
    case 'view':
      Object.assign(processor.view, request.view)
      return undefined
    case 'oid':
      return modules.oid(request.request)
    case 'outcome':
      return modules.outcome(request.request, request.completion)
    case 'modules':
      return modules.reports()
    case 'close':
      modules.close()
      processor.stop()
      return undefined
  }
}

port.on('message', (message: ToProcessor) => {
  answer(message)
    .then((value) => send({ kind: 'answer', id: message.id, value }))
    .catch((error: unknown) =>
      // Also an answer that can't be sent: an extension may have put a function into it.
      send({ kind: 'error', id: message.id, message: error instanceof Error ? error.message : describeError(error) }),
    )
})

// Promises and callbacks that extensions leave behind: what they throw ends neither this thread nor the switch.
for (const event of ['uncaughtException', 'unhandledRejection'])
  process.on(event, (error: unknown) => report('code', 'uncaught-error', describeError(error)))

send({ kind: 'ready' })
try {
  await processor.run()
} catch (error) {
  report('processor', 'processor-failed', describeError(error))
  process.exit(1)
}
port.close()
