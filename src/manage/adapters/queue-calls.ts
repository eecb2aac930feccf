// The part of SwitchHost that is about receive queues of adapters in VMQ mode. Types only; host.ts has the rest.
//
// The rule it must not break: everything here survives JSON.
import type { QueueStatus } from '../../engine/queue-config.ts'
import type { EntryMoves, RssStatus } from '../../engine/rss/rss-config.ts'

export type { PortWithoutQueue, QueueStatus } from '../../engine/queue-config.ts'
export type { RssStatus } from '../../engine/rss/rss-config.ts'

type Answer<T> = T | Promise<T>

/** Which processor serves the queue of a port; null: as the load has it. */
export interface QueueChange {
  readonly port: string
  readonly processor: number | null
}

/** How many queue pairs of a guest are used; what is absent stays, null: all that it receives on. */
export interface VmmqChange {
  readonly port: string
  readonly vmmqEnabled?: boolean | undefined
  readonly vmmqQueuePairs?: number | null | undefined
}

/** Entries of a guest's indirection table that change their queue pair: all of them, or none. */
export interface RssMove extends EntryMoves {
  readonly port: string
}

/**
 * Calls fail with the codes no-such-port, no-queue, no-such-processor, no-queue-pairs, bad-entry, not-accepted, no-such-queue-pair,
 * no-queues.
 */
export interface QueueCalls {
  /** The default queue of each adapter first. */
  queues(): Answer<readonly QueueStatus[]>
  setQueue(change: QueueChange): Answer<QueueStatus>
  /** Guests that receive on several queue pairs. */
  rss(): Answer<readonly RssStatus[]>
  setVmmq(change: VmmqChange): Answer<RssStatus>
  moveRss(move: RssMove): Answer<RssStatus>
}
