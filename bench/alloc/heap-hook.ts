// Loaded into every thread of a switch process (`--import`): a processor's worker counts its own garbage collections and, asked over a
// channel, says how much heap it uses. So `src/` needs nothing for it.
//
// The rule it must not break: between two questions it allocates nothing, but when a collection has happened.
import { PerformanceObserver } from 'node:perf_hooks'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { BroadcastChannel, isMainThread, threadId } from 'node:worker_threads'
import { HEAP_CHANNEL, type HeapAnswer, type HeapQuestion } from './heap-question.ts'

// A message of a BroadcastChannel comes as an event, whose type the runtime's own types do not know.
const dataOf = (event: unknown): HeapQuestion | HeapAnswer => (event as { data: HeapQuestion | HeapAnswer }).data

if (!isMainThread) {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  let collections = 0
  new PerformanceObserver((list) => {
    collections += list.getEntries().length
  }).observe({ entryTypes: ['gc'] })
  const channel = new BroadcastChannel(HEAP_CHANNEL)
  channel.onmessage = (event: unknown) => {
    const question = dataOf(event)
    if (question.kind !== 'question') return
    if (question.collect) collect()
    // The observer is told of a collection in a later turn of the event loop.
    setTimeout(() => {
      const answer: HeapAnswer = { kind: 'answer', thread: threadId, usedBytes: getHeapStatistics().used_heap_size, collections }
      channel.postMessage(answer)
    }, 100)
  }
  channel.unref()
}
