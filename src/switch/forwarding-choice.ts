// How a burst gets its destinations where no extension forwards: from the receive queues of an adapter, which name the port; by the short
// cut's kernel; or packet by packet.
//
// The rule it must not break: whichever does it, every packet has the same fate.
import type { Batch } from '../ndis/batch.ts'
import { type Counters, ProcessorCounter } from './counters.ts'
import type { Forwarding, SentMirror } from './forwarding.ts'
import type { QueuedForwarding } from './queued-forwarding.ts'
import type { ShortCut } from './short-cut.ts'
import type { Team } from './team/team.ts'

const { lookUps } = ProcessorCounter

/** Fields are ordinary ones: `forward` runs per burst. */
export class ForwardingChoice {
  private readonly forwarding: Forwarding
  private readonly shortCut: ShortCut | undefined
  private readonly counters: Counters
  /** The queues of the adapter below the external port, where that has some. */
  queued: QueuedForwarding | undefined
  /** The team below the external port. */
  team: Team | undefined

  constructor(forwarding: Forwarding, shortCut: ShortCut | undefined, counters: Counters) {
    this.forwarding = forwarding
    this.shortCut = shortCut
    this.counters = counters
  }

  /** Who copies what ports send. */
  set mirroring(mirroring: SentMirror) {
    this.forwarding.mirroring = mirroring
  }

  /** `source`: the port that all packets come from, or -1 if that is not known; `isDirected`: network virtualization has directed all. */
  forward(batch: Batch, source: number, isDirected = false): void {
    const { forwarding, shortCut, queued, team } = this
    if (team?.active) team.judge(batch)
    if (isDirected) return
    const left = queued !== undefined && queued.source === source ? queued.direct(batch) : batch.length
    if (left === 0) return
    this.counters.processor(lookUps, left)
    forwarding.reached = 0
    const alone = left === batch.length && shortCut !== undefined && source >= 0
    if (!alone || forwarding.learnsOf(source)) forwarding.forward(batch)
    else shortCut.forward(batch, source, forwarding, this.counters)
    batch.reached = forwarding.reached
  }
}
