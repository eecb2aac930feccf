// What the control thread hands to processors about an adapter's receive queues: plain data that a thread can be sent.
import type { QueueTableSizes } from '../../adapter/queues/queue-tables.ts'
import type { QueuePlan } from '../../endpoints/endpoint.ts'

/** An adapter in queue mode as a processor serves it: the tables that all share, and what of it belongs to this processor. */
export interface QueueAdapterPlan {
  readonly adapter: number
  /** The switch port that it stands below, and its index there. */
  readonly port: number
  readonly nicIndex: number
  readonly sizes: QueueTableSizes
  /** Linear addresses: of the queues' tables and of the gates of the uplink's rings. */
  readonly tables: number
  readonly gates: number
  /** Of this processor's counters, whose port ids are those of queues, and of its list. */
  readonly counters: number
  readonly list: number
  /** Event descriptors that wake the processors. */
  readonly doorbells: readonly number[]
}

/** A ring of an uplink whose bursts are given to the queues of an adapter. */
export interface QueueRingPlan extends QueuePlan {
  readonly queueAdapter: number
}

/** The adapter whose queues take what comes on a ring; undefined: the switch itself does. */
export const queueAdapterOf = (plan: QueuePlan): number | undefined => (plan as Partial<QueueRingPlan>).queueAdapter
