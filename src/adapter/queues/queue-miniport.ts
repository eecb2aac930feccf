// What NDIS asks of the miniport for receive queues. NDIS (queue-handlers.ts) has validated every request and given the ids; the miniport
// carries it out. A promise is NDIS_STATUS_PENDING.
//
// The rule it must not break: the answers to `clearFilter` and `freeQueue` are success: they can't fail (VQ-131).
import type { NdisStatus } from '../../ndis/status.ts'
import type { Answer, Outcome } from '../miniport.ts'
import type { OffloadParameters } from './offload-state.ts'
import type { QueueFilter } from './queue-filters.ts'
import type { QueueParameters } from './queue-words.ts'

/** What the miniport adds to a queue's parameters. */
export interface QueueResources {
  readonly msixTableEntry: number
  readonly interruptCoalescingDomainId: number
}

/** What the miniport tells while it frees a queue. */
export interface FreeProgress {
  /** DMA has stopped. */
  readonly stopped: () => void
  /** All packets are back and everything is freed; a request that a reset aborted has completed before. */
  readonly gone: () => void
}

export interface QueueMiniport {
  /** Takes what the queue needs but its memory (VQ-041); `value`: its interrupt. */
  allocateQueue(parameters: QueueParameters): Outcome<QueueResources>
  /** Balances shared memory over a batch; one status per queue, in order (VQ-048, VQ-049). The queues' filters count from now on. */
  completeAllocation(
    batch: readonly { readonly parameters: QueueParameters; readonly filters: readonly QueueFilter[] }[],
  ): NdisStatus[]
  /** `parameters`: as they become; `value`: the queue's interrupt from now on. */
  setQueueParameters(parameters: QueueParameters): Outcome<QueueResources>
  /** Stops DMA, waits for the packets that are out, frees what the queue had (VQ-125 to VQ-129). */
  freeQueue(queueId: number, progress: FreeProgress): Answer
  /** `complete`: the queue's allocation is: else the filter does not count yet (PD-19). */
  setQueueFilter(filter: QueueFilter, complete: boolean): Answer
  /** `last`: the queue has no other filter; what is in it is discarded (VQ-066). */
  clearQueueFilter(filter: QueueFilter, last: boolean): Answer
  /** Takes the filter to another queue in one step, and settles when the queue it left has given out what it had. */
  moveQueueFilter(filter: QueueFilter, toQueue: number, last: boolean): Answer
  /** EncapsulatedPacketTaskOffload on or off; settles when no packet is half processed (VQ-170). */
  setOffload(parameters: OffloadParameters): Answer
  /** MiniportResetEx: requests that are pended end with REQUEST_ABORTED (VQ-131). */
  abortPended(): void
  /** MiniportHaltEx: the memory of the default queue goes too (VQ-130). */
  halt(): void
}
