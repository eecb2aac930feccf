// Statistics of receive queues, read from the counters of all processors.
import { DROP_REASONS_MAX, DropReason } from '../../ndis/drop-reasons.ts'
import { PortCounter } from '../../switch/counters.ts'
import type { CounterBlock } from '../statistics.ts'

export interface QueueStatistics {
  /** Frames that were assigned to the queue, those included that were lost afterwards. */
  readonly frames: number
  readonly bytes: number
  /** Frames that found its memory full. */
  readonly overrun: number
  /** Frames that were discarded because its last filter had gone. */
  readonly discarded: number
  /** Drops by reason number, those that happened; of the default queue also what the packet filter did not want. */
  readonly drops: ReadonlyMap<number, number>
}

/** The sum over processors for one queue. */
export function queueStatistics(blocks: readonly CounterBlock[], queue: number): QueueStatistics {
  const sum = (counter: number): number => blocks.reduce((total, block) => total + block.readPort(queue, counter), 0)
  const drops = new Map<number, number>()
  for (let reason = 1; reason < DROP_REASONS_MAX; reason++) {
    const count = blocks.reduce((total, block) => total + block.readDrop(queue, reason), 0)
    if (count !== 0) drops.set(reason, count)
  }
  return {
    frames: sum(PortCounter.receivedFrames),
    bytes: sum(PortCounter.receivedBytes),
    overrun: drops.get(DropReason.receiveBufferFull) ?? 0,
    discarded: drops.get(DropReason.paused) ?? 0,
    drops,
  }
}
