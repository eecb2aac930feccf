// Packets that modules own: clones, originated and held ones. A module has a handle, a number that names slot and generation; a stale,
// used-up or forged handle, or one of another module, is refused. What modules send waits here until the burst in work is done.
//
// The rule it must not break: a handle is good for exactly one send, forward or release, by the module that got it.
import { POOL_SLOTS } from '../kernels/layout.ts'
import type { PacketHandle } from '../ndis/batch.ts'
import { HELD_FIRST, type PacketPool } from '../ndis/pool.ts'

const OWNED = 1
const HELD = 2

/** Owned packets and the queue of those to send. */
export class Injections {
  private readonly pool: PacketPool
  private readonly state = new Uint8Array(POOL_SLOTS)
  private readonly owner = new Int16Array(POOL_SLOTS)
  private readonly heldOnIngress = new Uint8Array(POOL_SLOTS)
  private readonly destinations: (Uint32Array | null)[] = new Array(POOL_SLOTS).fill(null)
  private readonly queue = new Uint16Array(POOL_SLOTS)
  private readonly queueModule = new Int16Array(POOL_SLOTS)
  private readonly queueIngress = new Uint8Array(POOL_SLOTS)
  private head = 0
  /** Packets waiting to be sent. */
  pending = 0
  /** Of the packet that `next` returned: the module it comes from, and its direction. */
  module = -1
  ingress = true

  constructor(pool: PacketPool) {
    this.pool = pool
  }

  private handle(slot: number): PacketHandle {
    return slot | (this.pool.generation[slot]! << 10)
  }

  /**
   * Makes module `module` the owner of the copy in `slot`. `original` is the packet it was held from (its destinations are kept for
   * an egress hold), or -1 for a clone or an originated packet.
   */
  own(slot: number, original: number, ingress: boolean, module: number): PacketHandle {
    this.state[slot] = original < 0 ? OWNED : HELD
    this.owner[slot] = module
    this.heldOnIngress[slot] = ingress ? 1 : 0
    if (original >= 0 && !ingress) {
      const { pool } = this
      const count = pool.destinationCount[original]!
      if (count === 1) {
        // One destination has its place in the slot itself: most packets need no array.
        const inline = pool.destinationRoom[original] === 0
        pool.destination[slot] = inline ? pool.destination[original]! : pool.arena[pool.destinationOffset[original]!]!
        pool.destinationCount[slot] = 1
        return this.handle(slot)
      }
      const kept = new Uint32Array(count)
      for (let k = 0; k < count; k++)
        kept[k] =
          pool.destinationRoom[original] === 0 ? pool.destination[original]! : pool.arena[pool.destinationOffset[original]! + k]!
      this.destinations[slot] = kept
    }
    return this.handle(slot)
  }

  /** The slot that a handle of `module` names, or -1. */
  resolve(handle: PacketHandle, module: number): number {
    const slot = handle & 1023
    if (handle <= 0 || slot < HELD_FIRST || this.state[slot] === 0 || this.owner[slot] !== module) return -1
    return this.handle(slot) === handle ? slot : -1
  }

  isHeld(slot: number): boolean {
    return this.state[slot] === HELD
  }

  /** Queues a packet: an own one joins ingress below its module, a held one goes on from where it was taken. */
  enqueue(slot: number): void {
    const ingress = this.state[slot] === OWNED || this.heldOnIngress[slot] === 1
    const at = (this.head + this.pending++) % POOL_SLOTS
    this.queue[at] = slot
    this.queueModule[at] = this.owner[slot]!
    this.queueIngress[at] = ingress ? 1 : 0
    this.state[slot] = 0
  }

  /** Takes the next packet to send; sets `module` and `ingress`. Call only while `pending` is not 0. */
  next(): number {
    const at = this.head
    this.head = (at + 1) % POOL_SLOTS
    this.pending--
    this.module = this.queueModule[at]!
    this.ingress = this.queueIngress[at] === 1
    return this.queue[at]!
  }

  /** Puts the destinations of a packet held on egress back. */
  restoreDestinations(slot: number): void {
    const kept = this.destinations[slot]
    this.destinations[slot] = null
    if (!kept || kept.length === 0) return
    const { pool } = this
    pool.destinationCount[slot] = 0
    pool.destinationRoom[slot] = 0
    if (!pool.growDestinations(slot, kept.length)) return
    pool.arena.set(kept, pool.destinationOffset[slot]!)
    pool.destinationCount[slot] = kept.length
  }

  /** Forgets an owned packet without sending it and frees its slot. */
  drop(slot: number): void {
    this.state[slot] = 0
    this.destinations[slot] = null
    this.pool.give(slot)
  }

  /**
   * The stack changed: module indices are mapped (`map(old)` → new index or -1). Held packets of a module that left go on from its
   * place, its own unsent ones are freed. `above(old)`: new index of the nearest module above that is still there, or -1.
   */
  remap(map: (module: number) => number, above: (module: number) => number): void {
    // Below the module above on ingress; on egress that module is the next one to see it.
    const place = (module: number, ingress: boolean): number => above(module) + (ingress ? 0 : 1)
    for (let i = 0; i < this.pending; i++) {
      const at = (this.head + i) % POOL_SLOTS
      const module = this.queueModule[at]!
      const moved = map(module)
      this.queueModule[at] = moved >= 0 ? moved : place(module, this.queueIngress[at] === 1)
    }
    for (const slot of this.inOrder()) {
      const module = this.owner[slot]!
      const moved = map(module)
      if (moved >= 0) this.owner[slot] = moved
      else if (this.state[slot] === HELD) {
        this.owner[slot] = place(module, this.heldOnIngress[slot] === 1)
        this.enqueue(slot)
      } else this.drop(slot)
    }
  }

  /**
   * Takes everything from module `module`, which failed: held packets go on from where they were taken (`goOn`), or are freed after
   * `dropped` was told; its own unsent ones are freed.
   */
  surrender(module: number, goOn: boolean, dropped: (slot: number) => void): void {
    for (const slot of this.inOrder()) {
      if (this.owner[slot] !== module) continue
      if (this.state[slot] === HELD && goOn) {
        this.enqueue(slot)
        continue
      }
      if (this.state[slot] === HELD) dropped(slot)
      this.drop(slot)
    }
  }

  // Packets that modules own, in the order in which they were taken.
  private inOrder(): number[] {
    const found: number[] = []
    for (let slot = HELD_FIRST; slot < POOL_SLOTS; slot++) if (this.state[slot] !== 0) found.push(slot)
    return found.sort((a, b) => (this.pool.packetId[a]! - this.pool.packetId[b]!) | 0)
  }

  /** Packets that modules hold. */
  heldCount(): number {
    let count = 0
    for (let slot = HELD_FIRST; slot < POOL_SLOTS; slot++) if (this.state[slot] !== 0) count++
    return count
  }
}
