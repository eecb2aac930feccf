// The processor's side of a port whose queue pairs are chosen by an indirection table.
import { QueuePairChoice } from '../../adapter/rss/queue-pair-choice.ts'
import { RssCounters } from '../../adapter/rss/queue-pair-counters.ts'
import { RssTable } from '../../adapter/rss/rss-table.ts'
import type { PacketPool } from '../../ndis/pool.ts'

export interface ChoiceComponents {
  readonly memory: { readonly buffer: ArrayBufferLike }
  readonly pool: PacketPool
  readonly nowMs: () => number
}

/** `table`, `counters`: linear addresses; without a table, none chooses. */
export function choiceOf(
  { table, counters }: { readonly table: number; readonly counters: number },
  { memory: { buffer }, pool, nowMs }: ChoiceComponents,
): QueuePairChoice | undefined {
  if (table === 0) return undefined
  return new QueuePairChoice({ pool, table: new RssTable(buffer, table, 1), counters: new RssCounters(buffer, counters), nowMs })
}
