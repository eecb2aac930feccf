// The shared memory of an adapter's queues: the tables that the control thread writes and every processor reads.
import { QueueFilterTable, queueFilterTableBytes } from './queue-filter-table.ts'
import { QueueTable, queueTableBytes } from './queue-table.ts'

/** Size of the tables. `queues`: the default one included. */
export interface QueueTableSizes {
  readonly queues: number
  readonly filters: number
}

/** Views over the tables of one adapter's queues. */
export interface QueueTables {
  readonly queues: QueueTable
  readonly filters: QueueFilterTable
}

const aligned = (bytes: number): number => Math.ceil(bytes / 64) * 64

/** Bytes of shared memory, zeroed, that the tables take. */
export const queueTablesBytes = ({ queues, filters }: QueueTableSizes): number =>
  aligned(queueTableBytes(queues)) + aligned(queueFilterTableBytes(filters))

/** Views tables of that size at byte offset `at` of `buffer`; processors do it in their own threads. */
export const viewQueueTables = (buffer: ArrayBufferLike, at: number, { queues, filters }: QueueTableSizes): QueueTables => ({
  queues: new QueueTable(buffer, at, queues),
  filters: new QueueFilterTable(buffer, at + aligned(queueTableBytes(queues)), filters),
})
