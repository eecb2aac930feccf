// Packets that modules own, and the handles that name them: a number of slot and generation. A stale, used-up or forged handle, or one of
// another module, is refused.
//
// The rule it must not break: a handle is good for the module that got it alone, and until the packet is given away.
import * as layout from '../kernels/layout.ts'
import type { PacketHandle } from '../ndis/batch.ts'
import * as pools from '../ndis/pool.ts'
import type { SwitchContextTypes } from '../ndis/switch-context.ts'
import { HeldRuns } from './held-runs.ts'
import type { ModuleState } from './module.ts'
import { PacketPins } from './packet-pins.ts'
import { PacketState, PacketTag, PacketTags } from './packet-tags.ts'
import type { PortTable } from './port-table.ts'

type PacketPool = pools.PacketPool
// V8 folds constants of a module, not imported ones.
const { POOL_SLOTS } = layout
const { HELD_FIRST } = pools
const SLOT_MASK = POOL_SLOTS - 1
const SLOT_BITS = 31 - Math.clz32(POOL_SLOTS)
const HELD: number = PacketState.held
const { onIngress: ON_INGRESS, made: MADE, altered: ALTERED, preserved: PRESERVED, dry: DRY, run: RUN } = PacketTag

/** What the data path does for the packets that modules own. */
export interface InjectionsOwner {
  readonly ports: PortTable
  /** Module `index` did what the contract forbids. */
  breachOf(index: number, rule: string, detail: string): void
  /** State of module `index`. */
  stateOf(index: number): ModuleState
  /** Counts a held packet that its module gave up. */
  gaveUp(slot: number, ingress: boolean, reason: number): void
  /** `count` packets were taken out of their batch. */
  held(count: number): void
  /** Parses the header copy of a slot anew. */
  parse(slot: number): void
  /** Copies bytes of the frame in a slot to the start of `target`. Returns how many. */
  copyBytes(slot: number, from: number, length: number, target: Uint8Array): number
  readonly contexts: SwitchContextTypes
}

/** Owned packets of one processor. Fields are ordinary ones: they are read per packet. */
export class OwnedPackets {
  protected readonly pool: PacketPool
  protected readonly tags = new PacketTags()
  /** What is held under one handle each. */
  readonly runs = new HeldRuns()
  /** What the packets pin. */
  readonly pins: PacketPins
  /** The data path, once there is one. */
  host: InjectionsOwner | undefined

  constructor(pool: PacketPool) {
    this.pool = pool
    this.pins = new PacketPins(pool)
  }

  protected handle(slot: number): PacketHandle {
    return slot | (this.pool.generation[slot]! << SLOT_BITS)
  }

  /** The slot that a handle of `module` names, or -1. */
  resolve(handle: PacketHandle, module: number): number {
    const slot = handle & SLOT_MASK
    if (handle <= 0 || slot < HELD_FIRST || this.stateOf(slot) === 0 || this.tags.ownerOf(slot) !== module) return -1
    return this.handle(slot) === handle ? slot : -1
  }

  /** What is wrong with a handle that `resolve` refused: the rule that it breaks, and in words. */
  wrong(handle: PacketHandle): { readonly rule: string; readonly what: string } {
    const slot = handle & SLOT_MASK
    const known = Number.isInteger(handle) && handle > 0 && slot >= HELD_FIRST
    if (known && this.stateOf(slot) !== 0 && this.handle(slot) === handle)
      return { rule: 'ES-064', what: 'the handle of a packet of another module was used' }
    if (known && handle < this.handle(slot) + POOL_SLOTS)
      return { rule: 'ES-066', what: 'the handle of a packet was used that was given away, or taken back' }
    return { rule: 'ES-443', what: `a handle was used that names no packet (${handle})` }
  }

  /** The slot of a packet that `module` made, with a forwarding context; -1 if the handle names none. */
  ownPacket(handle: PacketHandle, module: number): number {
    const slot = this.resolve(handle, module)
    return slot >= 0 && this.stateOf(slot) === PacketState.owned ? slot : -1
  }

  /** One of PacketState; 0 for a packet that no module has. */
  stateOf(slot: number): number {
    return this.tags.stateOf(slot)
  }

  setState(slot: number, state: number): void {
    this.tags.setState(slot, state)
  }

  isHeld(slot: number): boolean {
    return this.stateOf(slot) === HELD
  }

  /** The packet's data or source were changed. */
  alter(slot: number): void {
    this.tags.mark(slot, ALTERED)
  }

  /** True for a clone of an egress packet with its destinations, data and source as they were. ES-392 */
  isUnchangedClone(slot: number): boolean {
    return (this.tags.words[slot]! & (PRESERVED | ALTERED)) === PRESERVED
  }

  /** True for a packet that a module made, false for one that it held. */
  isOwn(slot: number): boolean {
    return this.tags.has(slot, MADE)
  }

  /** Packets under the handle of the packet in `slot`. */
  sizeOf(slot: number): number {
    return this.tags.has(slot, RUN) ? this.runs.sizes[this.runs.of(slot)]! : 1
  }

  /** Packet `i` of those under the handle of the packet in `slot`. */
  memberOf(slot: number, i: number): number {
    return i === 0 ? slot : this.runs.member(this.runs.of(slot), i)
  }

  // Calls `tell` with each packet under the handle of the one in `slot`, and whether it was taken on ingress.
  protected tellAll(slot: number, tell: (slot: number, ingress: boolean) => void): void {
    const size = this.sizeOf(slot)
    for (let i = 0; i < size; i++) tell(this.memberOf(slot, i), this.wasOnIngress(slot))
  }

  // Packets and runs that modules own, or one of them, in the order in which they were taken.
  protected inOrder(owner?: number): number[] {
    return this.tags.owned(owner).sort((a, b) => (this.pool.packetId[a]! - this.pool.packetId[b]!) | 0)
  }

  /** True if the held packet was taken on ingress. */
  wasOnIngress(slot: number): boolean {
    return this.tags.has(slot, ON_INGRESS)
  }

  /** Counts the packets under a held handle as given up. */
  gaveUp(slot: number, reason: number): void {
    this.tellAll(slot, (one, ingress) => this.host?.gaveUp(one, ingress, reason))
  }

  /** Packets that modules hold. */
  heldCount(): number {
    return this.countOf(this.tags.owned())
  }

  protected countOf(slots: readonly number[]): number {
    return slots.reduce((sum, slot) => sum + this.sizeOf(slot), 0)
  }

  /** Frees a packet that completed or was given up, and what it pinned. */
  free(slot: number): void {
    this.pins.unpin(slot)
    this.pool.give(slot)
  }

  /** A module has the packet in `slot` from a dry run: it may keep it and let it go, but when it sends it, it is forgotten. */
  withhold(slot: number): void {
    this.tags.mark(slot, DRY)
  }

  /** Forgets an owned packet, and its run, without sending it, and frees its slot. */
  drop(slot: number): void {
    this.setState(slot, 0)
    if (this.tags.has(slot, RUN)) this.dropRun(this.runs.of(slot))
    else this.free(slot)
  }

  // Frees the packets of a run; what they pin is given up for all at once.
  protected dropRun(run: number): void {
    const { runs, pool } = this
    const size = runs.sizes[run]!
    if (runs.inRow[run] === 1) pool.giveSpan(runs.firsts[run]!, size)
    else for (let i = 0; i < size; i++) pool.give(runs.member(run, i))
    this.pins.countRun(runs.sources[run]!, runs.targets[run]!, -runs.sizes[run]!)
    runs.end(run)
  }
}
