// Drops and exclusions: counted at the port that they concern, with their reason, and shown to the modules that watch them.
//
// The rule it must not break: each is counted once, at the source with incoming set, or at a destination without (ES-362…ES-365).

import type { DropPlaces } from '../extension.ts'
import { BURST_SLOTS, DE_EXCLUDED, DE_PORT, PF_DROPPED } from '../kernels/layout.ts'
import { Batch } from '../ndis/batch.ts'
import { destinationAt } from '../ndis/destinations.ts'
import { LEFT_AT_EDGE, LEFT_ON_EGRESS, type PacketPool } from '../ndis/pool.ts'
import type { CompletionOwner } from './completion.ts'
import { type Counters, PortCounter } from './counters.ts'
import type { Module } from './module.ts'

/** Where drops are noted with their frames. */
export interface DropNotes {
  /** `frames` drops at `port`, the first of them the packet in `slot` (-1: none is known). `module`: '' for the switch. */
  note(
    pool: PacketPool | undefined,
    slot: number,
    reason: number,
    port: number,
    incoming: boolean,
    module: string,
    frames?: number,
  ): void
}

export interface DropLogOwner extends CompletionOwner {
  reasonName(reason: number): string
  /** Index of the module in work, -1 between modules. */
  readonly currentIndex: number
  readonly currentModule: Module | undefined
}

/** Fields are ordinary ones: drops are counted per packet. */
export class DropLog {
  private readonly pool: PacketPool
  private readonly counters: Counters
  private readonly owner: DropLogOwner
  /** Keeps the last drops with their frames; set by the engine. */
  ring: DropNotes | undefined
  /** The rule of the switch that drops what is counted next; '' if none does. */
  by = ''
  private readonly batch: Batch
  private readonly reasons = new Uint8Array(BURST_SLOTS * 2)
  private readonly ports = new Uint16Array(BURST_SLOTS * 2)
  private readonly incoming = new Uint8Array(BURST_SLOTS * 2)
  private readonly places = new Int16Array(BURST_SLOTS * 2)

  constructor(pool: PacketPool, counters: Counters, owner: DropLogOwner) {
    this.pool = pool
    this.counters = counters
    this.owner = owner
    this.batch = new Batch(new Uint16Array(BURST_SLOTS * 2), 0, pool, owner)
  }

  // Made once: a burst with drops is shown without making anything.
  private shown: readonly Module[] = []
  private readonly reason = (i: number): string => this.owner.reasonName(this.reasons[i]!)
  private readonly where: DropPlaces = {
    port: (i) => this.ports[i]!,
    incoming: (i) => this.incoming[i] === 1,
    module: (i) => this.shown[this.places[i]!]?.name ?? '',
  }

  /** Drops noted since the last `show`. */
  get length(): number {
    return this.batch.length
  }

  /** Counts one drop or exclusion; `observed`: notes it for those who watch. */
  count(slot: number, reason: number, port: number, incoming: boolean, observed: boolean): void {
    this.counters.drop(port, reason, 1)
    this.counters.port(port, incoming ? PortCounter.receivedDropped : PortCounter.sendDropped, 1)
    this.ring?.note(this.pool, slot, reason, port, incoming, this.owner.currentModule?.name ?? this.by)
    if (!observed) return
    const { batch } = this
    if (batch.length >= batch.slots.length) return
    this.reasons[batch.length] = reason // the slot has one place only: it may lose several destinations
    this.ports[batch.length] = port
    this.incoming[batch.length] = incoming ? 1 : 0
    this.places[batch.length] = this.owner.currentIndex
    batch.slots[batch.length++] = slot
  }

  /** Counts a packet as lost: on ingress at its source, on egress at each destination that it still had. */
  packet(slot: number, ingress: boolean, reason: number, observed: boolean): void {
    const { pool } = this
    if (ingress) {
      this.count(slot, reason, pool.sourcePort[slot]!, true, observed)
      return
    }
    for (let k = 0; k < pool.destinationCount[slot]!; k++) {
      const entry = destinationAt(pool, slot, k)
      if ((entry & DE_EXCLUDED) === 0) this.count(slot, reason, entry & DE_PORT, false, observed)
    }
  }

  /** Forgets what was noted. */
  forget(): void {
    this.batch.length = 0
  }

  /** Drops all packets of a batch for `reason`, at the place of the module in work. */
  all(batch: Batch, reason: number, observed: boolean): void {
    const { pool } = this
    const at = this.owner.currentIndex
    for (let i = 0; i < batch.length; i++) {
      const slot = batch.slots[i]!
      if ((pool.flags[slot]! & PF_DROPPED) !== 0) continue
      pool.flags[slot] = pool.flags[slot]! | PF_DROPPED
      pool.reason[slot] = reason
      pool.leftAt[slot] = at < 0 ? LEFT_AT_EDGE : batch.ingress ? at : at | LEFT_ON_EGRESS
      this.packet(slot, batch.ingress, reason, observed)
    }
    batch.length = 0
    batch.dirty = false
  }

  /** Shows what was noted to the modules that watch drops. */
  show(modules: readonly Module[]): void {
    const { batch } = this
    this.shown = modules
    for (const [index, module] of modules.entries()) {
      if (module.state !== 'running' || !module.enabled || module.handlers.filtered === undefined) continue
      batch.rights = 0
      try {
        module.handlers.filtered(batch, this.reason, this.where)
      } catch (error) {
        this.owner.completionFailed(index, error)
      }
    }
    batch.length = 0
  }
}
