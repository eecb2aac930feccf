// The entry of a processor's worker thread: starts the processor, answers the control thread's requests, runs the loop.
import { parentPort, workerData } from 'node:worker_threads'
import { pinThread } from '../linux/files.ts'
import { sys } from '../linux/libc.ts'
import type { OidOutcome } from '../switch/control/oid-path.ts'
import { describeError } from '../switch/describe-error.ts'
import type { FromProcessor, ProcessorStart, Question, Request, ToProcessor } from './messages.ts'
import { ModuleHost } from './module-host.ts'
import { ProcessorOverlay } from './overlay/processor-overlay.ts'
import { Processor } from './processor.ts'
import { choiceOf } from './rss/queue-pair-plan.ts'
import { snoop } from './snooping/snoop.ts'
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

// Questions to the control thread that are not answered yet.
const asked = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
let lastQuestion = 0
const ask = (question: Question): Promise<unknown> =>
  new Promise((resolve, reject) => {
    asked.set(++lastQuestion, { resolve, reject })
    send({ kind: 'ask', id: lastQuestion, question })
  })

const modules = new ModuleHost(processor, start, {
  report,
  ask,
  wrap: (plan, definition) => (watch === undefined ? definition : watch.watch(plan.name, definition)),
})

processor.dataPath.failover.told = (failed, low, high) => {
  ask({ kind: 'failover', port: failed, low, high }).catch(() => undefined) // the port may be gone
}

const overlay = new ProcessorOverlay(processor, (frame) => {
  ask({ kind: 'overlay-heard', frame }).catch(() => undefined) // what is lost is sent again
})

async function answer(request: Request): Promise<unknown> {
  switch (request.kind) {
    case 'prepare':
      return modules.prepare(request.modules)
    case 'commit':
      return modules.commit(request.order)
    case 'start':
      return modules.start(request.keys)
    case 'pause':
      return modules.pause(request.key)
    case 'resume':
      return modules.resume(request.key)
    case 'abandon':
      return modules.abandon(request.keys)
    case 'queues':
      return processor.setQueues(request)
    case 'queue-pairs':
      return processor.setChoice(request.port, choiceOf(request, processor))
    case 'acls':
      return processor.acls.receive(request.port, request.plan)
    case 'adapter':
      return processor.adapters.open(request.plan)
    case 'adapter-host':
      return processor.adapters.setHost(request.adapter, request.port, request.nicIndex)
    case 'adapter-gone':
      return processor.adapters.close(request.adapter)
    case 'queue-adapter':
      return processor.queues.open(request.plan)
    case 'queue-adapter-gone':
      return processor.queues.close(request.adapter)
    case 'snooping':
      return snoop(processor, request.plan)
    case 'overlay':
      return overlay.open(request.plan)
    case 'overlay-change':
      return overlay.change(request.change)
    case 'transmit':
      return overlay.transmit(request.port, request.frame)
    case 'quiesce':
      return undefined
    case 'view':
      return processor.view.apply(request.change)
    case 'activate':
      return modules.activate()
    case 'originate':
      return modules.originate(request.key, request.request)
    case 'indicate':
      if (request.from !== undefined) return modules.indicateFrom(request.from, request.indication)
      return modules.indicate(request.indication)
    case 'revoke':
      return modules.revoke(request.portId, request.nicIndex)
    case 'oid':
      return modules.oid(request.request)
    case 'oids': {
      const outcomes: OidOutcome[] = []
      for (const one of request.requests) outcomes.push(await modules.oid(one))
      return outcomes
    }
    case 'inject':
      return processor.inject(request.port, request.nicIndex ?? 0, request.frame)
    case 'trace':
      return processor.trace(request)
    case 'interrupted': {
      const { place, seconds } = request
      processor.interrupted(place > 0)
      modules.interrupted(place, `it did not return for ${seconds} s, and was interrupted`)
      void work() // what ran before was ended with the slice
      return undefined
    }
    case 'outcome':
      return modules.outcome(request.request, request.completion)
    case 'modules':
      return modules.reports()
    case 'retire':
      return processor.retire()
    case 'close':
      await modules.close()
      processor.stop()
      return undefined
  }
}

port.on('message', (message: ToProcessor) => {
  if (message.kind === 'reply') {
    const waiting = asked.get(message.id)
    asked.delete(message.id)
    if (message.error === undefined) waiting?.resolve(message.value)
    else waiting?.reject(new Error(message.error))
    return
  }
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

async function work(): Promise<void> {
  try {
    await processor.run()
  } catch (error) {
    report('processor', 'processor-failed', describeError(error))
    process.exit(1)
  }
  process.exit(0) // ends this thread, whatever timers extensions left behind
}

send({ kind: 'ready', thread: sys.gettid() })
void work()
