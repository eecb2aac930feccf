// What the main thread of a switch process and its processors say to each other about their heaps.
import { BroadcastChannel } from 'node:worker_threads'

export const HEAP_CHANNEL = 'vmswitch-bench-heap'

export interface HeapQuestion {
  readonly kind: 'question'
  /** Collect garbage first. */
  readonly collect: boolean
}

/** The heap of one processor's thread. */
export interface HeapAnswer {
  readonly kind: 'answer'
  readonly thread: number
  readonly usedBytes: number
  /** Garbage collections since the thread began, forced ones included. */
  readonly collections: number
}

/** Asks the first processor that answers. Needs `heap-hook.ts` in its thread. */
export function askHeap(collect: boolean): Promise<HeapAnswer> {
  const channel = new BroadcastChannel(HEAP_CHANNEL)
  return new Promise<HeapAnswer>((resolve) => {
    channel.onmessage = (event: unknown) => {
      const { data } = event as { data: HeapQuestion | HeapAnswer }
      if (data.kind === 'answer') resolve(data)
    }
    const question: HeapQuestion = { kind: 'question', collect }
    channel.postMessage(question)
  }).finally(() => channel.close())
}
