// Completion of packets as the extensions see it (spec 5.8): when a packet is done, FilterReturnNetBufferLists runs down the modules that
// it passed on egress, then FilterSendNetBufferListsComplete up those that it passed on ingress (ES-353). A packet that a module made
// comes back to that module and goes no further (ES-061, ES-062).
//
// The rule it must not break: it costs nothing unless a module has one of these handlers.
import { BURST_SLOTS, PF_DROPPED } from '../kernels/layout.ts'
import { Batch, type BatchOwner } from '../ndis/batch.ts'
import { LEFT_AT_EDGE, LEFT_ON_EGRESS, LEFT_TO_GO_ON, type PacketPool } from '../ndis/pool.ts'
import type { Module } from './module.ts'

export interface CompletionOwner extends BatchOwner {
  /** A completion handler of module `index` threw. */
  completionFailed(index: number, error: unknown): void
}

const FIRST = -1

export class Completion {
  private readonly pool: PacketPool
  private readonly owner: CompletionOwner
  private readonly batch: Batch
  private readonly slots = new Uint16Array(BURST_SLOTS)
  private count = 0
  // Of packets that a module made: its index; FIRST of others, which passed all modules.
  private maker = FIRST
  private injectedOnEgress = false

  constructor(pool: PacketPool, owner: CompletionOwner) {
    this.pool = pool
    this.owner = owner
    this.batch = new Batch(new Uint16Array(BURST_SLOTS * 2), 0, pool, owner)
  }

  /** Forgets the packets that were noted. */
  forget(): void {
    this.count = 0
  }

  /** Notes the packets of `batch`, before they go through the stack. `maker`: index of the module that made them, or -1. */
  begin(batch: Batch, maker: number): void {
    this.count = batch.length
    for (let i = 0; i < batch.length; i++) this.slots[i] = batch.slots[i]!
    this.maker = maker
    this.injectedOnEgress = !batch.ingress
  }

  // True if the packet in `slot` passed module `i` on egress.
  private passedUp(slot: number, i: number): boolean {
    if (this.maker !== FIRST && this.injectedOnEgress && i > this.maker) return false
    if ((this.pool.flags[slot]! & PF_DROPPED) === 0) return true
    const left = this.pool.leftAt[slot]!
    if (this.maker !== FIRST && this.injectedOnEgress && i === this.maker) return left !== LEFT_TO_GO_ON
    return (left & LEFT_ON_EGRESS) !== 0 && i > (left & ~LEFT_ON_EGRESS)
  }

  // True if it passed module `i` on ingress.
  private passedDown(slot: number, i: number): boolean {
    if (this.maker !== FIRST && (this.injectedOnEgress || i < this.maker)) return false
    if ((this.pool.flags[slot]! & PF_DROPPED) === 0) return true
    const left = this.pool.leftAt[slot]!
    if (left === LEFT_TO_GO_ON) return false
    return (left & LEFT_ON_EGRESS) !== 0 || left === LEFT_AT_EDGE || i < left
  }

  /** The packets noted are done: tells the modules. */
  run(modules: readonly Module[]): void {
    if (this.count === 0) return
    for (let i = 0; i < modules.length; i++) this.tell(modules[i]!, i, false)
    for (let i = modules.length - 1; i >= 0; i--) this.tell(modules[i]!, i, true)
    this.count = 0
  }

  private tell(module: Module, i: number, ingress: boolean): void {
    const handler = ingress ? module.handlers.sendComplete : module.handlers.returned
    if (handler === undefined || !module.enabled || (module.state !== 'running' && module.state !== 'pausing')) return
    const { batch } = this
    batch.length = 0
    for (let n = 0; n < this.count; n++) {
      const slot = this.slots[n]!
      if (ingress ? this.passedDown(slot, i) : this.passedUp(slot, i)) batch.slots[batch.length++] = slot
    }
    if (batch.length === 0) return
    batch.ingress = ingress
    batch.rights = 0
    batch.module = i
    try {
      handler.call(module.handlers, batch)
    } catch (error) {
      this.owner.completionFailed(i, error)
    }
  }
}
