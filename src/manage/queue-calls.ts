// The part of SwitchHost that is about receive queues of adapters in VMQ mode. Types only; host.ts has the rest.
//
// The rule it must not break: everything here survives JSON.
import type { QueueStatus } from '../engine/queue-config.ts'

export type { PortWithoutQueue, QueueStatus } from '../engine/queue-config.ts'

type Answer<T> = T | Promise<T>

/** Which processor serves the queue of a port; null: as the load has it. */
export interface QueueChange {
  readonly port: string
  readonly processor: number | null
}

/** Calls fail with the codes no-such-port, no-queue, no-such-processor. */
export interface QueueCalls {
  /** The default queue of each adapter first. */
  queues(): Answer<readonly QueueStatus[]>
  setQueue(change: QueueChange): Answer<QueueStatus>
}
