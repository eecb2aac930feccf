// Packets that modules own: clones, originated and held ones. A module has a handle, a number that names slot and generation; a stale,
// used-up or forged handle, or one of another module, is refused. What modules send waits here until the burst in work is done.
//
// The rules it must not break: a handle is good for exactly one send, indicate, forward or release, by the module that got it; while a
// packet waits here, the ports that it names are pinned (ES-208, ES-420).
import * as layout from '../kernels/layout.ts'
import { Keep, type PacketHandle } from '../ndis/batch.ts'
import { copyDestinations, destinationAt } from '../ndis/destinations.ts'
import { copyAllDestinations, copyPacket, copyPackets, reserveCopies } from '../ndis/packet-copies.ts'
import * as pools from '../ndis/pool.ts'
import type { SwitchContextTypes } from '../ndis/switch-context.ts'
import { InjectionQueue } from './injection-queue.ts'
import type { ModuleState } from './module.ts'
import { PacketPins } from './packet-pins.ts'
import type { PortTable } from './port-table.ts'

type PacketPool = pools.PacketPool
// V8 folds constants of a module, not imported ones.
const { BURST_MAX, DE_PORT, PF_DROPPED, POOL_SLOTS } = layout
const HELD_FIRST: number = pools.HELD_FIRST
const SLOT_MASK = POOL_SLOTS - 1
const SLOT_BITS = 31 - Math.clz32(POOL_SLOTS)

/** Of a packet that a module has; 0 = none has it. */
export const PacketState = { owned: 1, held: 2, bare: 3 } as const
const HELD: number = PacketState.held

// What is known of a slot's packet, in one word: its state, the bits below, and from OWNER_SHIFT on the module that has it, signed.
const STATE = 3
const ON_INGRESS = 4
/** A module made it, and did not hold it. */
const MADE = 8
/** Data or source is not that of the original any more. */
const ALTERED = 16
/** Destinations are the original's. */
const PRESERVED = 32
/** Taken in a dry run: not to be sent by anybody. */
const DRY = 64
const OWNER_SHIFT = 16
const OWNER_AND_STATE = (-1 << OWNER_SHIFT) | STATE

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

/** Owned packets and the queue of those to send. */
export class Injections {
  private readonly pool: PacketPool
  private readonly tags = new Int32Array(POOL_SLOTS)
  /** What the packets pin. */
  readonly pins: PacketPins
  private readonly queue = new InjectionQueue()
  /** The data path, once there is one. */
  host: InjectionsOwner | undefined

  constructor(pool: PacketPool) {
    this.pool = pool
    this.pins = new PacketPins(pool)
  }

  /** Packets waiting to be sent. */
  get pending(): number {
    return this.queue.count
  }

  /** Of the packets that `next` returned: the module they come from, and their direction. */
  get module(): number {
    return this.queue.module
  }

  get ingress(): boolean {
    return this.queue.ingress
  }

  /** Joins the data path that sends the packets. */
  attach(host: InjectionsOwner): void {
    this.host = host
    this.pins.ports = host.ports
  }

  private handle(slot: number): PacketHandle {
    return slot | (this.pool.generation[slot]! << SLOT_BITS)
  }

  /**
   * Makes module `module` the owner of the copy in `slot`. `original` is the packet it was held from (its destinations are kept for
   * an egress hold), or -1 for a clone or an originated packet. Returns 0, and frees the slot, if its destinations find no room.
   */
  own(slot: number, original: number, ingress: boolean, module: number): PacketHandle {
    this.begin(slot, original < 0 ? PacketState.owned : HELD, ingress, module)
    this.pins.begin(slot)
    if (original >= 0 && !ingress && !copyDestinations(this.pool, slot, original)) {
      this.drop(slot)
      return 0
    }
    this.pins.pin(slot)
    return this.handle(slot)
  }

  /**
   * A private copy of the packet in `original` for module `module`; 0 without room. `how` is one of Keep: a hold goes on living as the
   * same packet, with its switch contexts; a clone is another, linked to its original (ES-396, ES-433). What is held for destination `k`
   * alone is a clone too, since the original lives on.
   */
  keep(original: number, how: number, ingress: boolean, module: number, k = 0): PacketHandle {
    const { pool, host } = this
    const slot = copyPacket(pool, original)
    if (slot < 0) return this.noRoom()
    if (how === Keep.hold) {
      pool.packetId[slot] = pool.packetId[original]!
      pool.parent[slot] = pool.parent[original]!
      const handle = this.own(slot, original, ingress, module)
      if (handle === 0) return 0
      host?.contexts.move(pool, original, slot)
      host?.held(1)
      return handle
    }
    pool.parent[slot] = pool.packetId[original]!
    const handle = this.own(slot, -1, ingress, module)
    if (how === Keep.holdOne || how === Keep.cloneOne) {
      pool.destination[slot] = destinationAt(pool, original, k)
      pool.destinationCount[slot] = 1
      this.pins.pin(slot)
      if (how === Keep.cloneOne) this.mark(slot, PRESERVED)
      else {
        this.setState(slot, HELD)
        host?.held(1)
      }
      return handle
    }
    if (how === Keep.clone || this.keepDestinations(slot, original)) return handle
    this.drop(slot)
    return 0
  }

  // All that is known of the packet that the slot had before goes.
  private begin(slot: number, state: number, ingress: boolean, module: number): void {
    this.tags[slot] = state | (ingress ? ON_INGRESS : 0) | (state === HELD ? 0 : MADE) | (module << OWNER_SHIFT)
  }

  private mark(slot: number, bits: number): void {
    this.tags[slot] = this.tags[slot]! | bits
  }

  private has(slot: number, bit: number): boolean {
    return (this.tags[slot]! & bit) !== 0
  }

  private ownerOf(slot: number): number {
    return this.tags[slot]! >> OWNER_SHIFT
  }

  /**
   * `keep` with Keep.hold for the packets in the first `count` slots of the pool's `originals`, which are marked as dropped. The handle of the
   * n-th goes to `handles[places[n]]`, where a 0 stands; one that finds no room is not dropped any more. Returns how many were kept.
   */
  holdAll(count: number, places: Uint8Array, ingress: boolean, module: number, handles: Float64Array): number {
    const { pool, host, tags } = this
    const { originals, copies, generation } = pool
    const kept = reserveCopies(pool, count)
    if (kept !== count) this.leaveOut(count, places)
    copyPackets(pool, kept)
    if (!ingress) copyAllDestinations(pool, kept)
    const movesContexts = host !== undefined && host.contexts.count !== 0
    const tag = HELD | (ingress ? ON_INGRESS : 0) | (module << OWNER_SHIFT)
    let held = 0
    for (let i = 0; i < kept; i++) {
      const slot = copies[i]!
      if (slot === 0) {
        this.goesOn(originals[i]!) // its destinations found no room
        continue
      }
      if (movesContexts) host.contexts.move(pool, originals[i]!, slot)
      tags[slot] = tag
      copies[held++] = slot
      handles[places[i]!] = slot | (generation[slot]! << SLOT_BITS)
    }
    this.pins.pinAll(copies, held)
    if (held !== 0) host?.held(held)
    return held
  }

  // Of `count` packets to be copied, those that found no room go on; the others follow each other.
  private leaveOut(count: number, places: Uint8Array): void {
    const { originals, copies } = this.pool
    let kept = 0
    for (let i = 0; i < count; i++) {
      if (copies[i] === 0) {
        this.goesOn(originals[i]!)
        this.noRoom()
        continue
      }
      originals[kept] = originals[i]!
      places[kept] = places[i]!
      copies[kept++] = copies[i]!
    }
  }

  private goesOn(slot: number): void {
    this.pool.flags[slot] = this.pool.flags[slot]! & ~PF_DROPPED
  }

  /** Queues the held packet that `handle` of `module` names, to go on from where it was taken. False if it names none. */
  enqueueHeld(handle: PacketHandle, module: number): boolean {
    const slot = handle & SLOT_MASK
    const tag = this.tags[slot]!
    if (handle <= 0 || (tag & OWNER_AND_STATE) !== (HELD | (module << OWNER_SHIFT))) return false
    if ((slot | (this.pool.generation[slot]! << SLOT_BITS)) !== handle) return false
    if ((tag & DRY) !== 0) this.drop(slot)
    else this.put(slot, tag, (tag & ON_INGRESS) !== 0)
    return true
  }

  // Says who keeps the packets that leave no room, the first, second, fourth … time that one is missing.
  private noRoom(): 0 {
    const times = ++this.refusals
    if ((times & (times - 1)) !== 0) return 0
    const counts = new Map<number, number>()
    for (let slot = HELD_FIRST; slot < POOL_SLOTS; slot++)
      if (this.stateOf(slot) !== 0) counts.set(this.ownerOf(slot), (counts.get(this.ownerOf(slot)) ?? 0) + 1)
    const [most] = [...counts].sort((a, b) => b[1] - a[1])
    if (most) this.host?.breachOf(most[0], 'ES-056', `keeps ${most[1]} packets and leaves no room for more`)
    return 0
  }
  private refusals = 0

  /** As `own` for a packet that has no forwarding context yet. */
  ownBare(slot: number, module: number): PacketHandle {
    const handle = this.own(slot, -1, true, module)
    this.setState(slot, PacketState.bare)
    return handle
  }

  // The clone in `slot` carries the destinations of the packet that it was made from; on egress it is an unchanged one (ES-387).
  private keepDestinations(slot: number, original: number): boolean {
    if (!copyDestinations(this.pool, slot, original)) return false
    if (!this.wasOnIngress(slot)) this.mark(slot, PRESERVED)
    this.pins.pin(slot)
    return true
  }

  /** Frees a packet that completed or was given up, and what it pinned. */
  free(slot: number): void {
    this.pins.unpin(slot)
    this.pool.give(slot)
  }

  /** `free` for the packets in the first `count` of `slots`. */
  freeAll(slots: Uint16Array, count: number): void {
    const { pool } = this
    this.pins.unpinAll(slots, count)
    pool.giveAll(slots, count)
  }

  /** The slot that a handle of `module` names, or -1. */
  resolve(handle: PacketHandle, module: number): number {
    const slot = handle & SLOT_MASK
    if (handle <= 0 || slot < HELD_FIRST || this.stateOf(slot) === 0 || this.ownerOf(slot) !== module) return -1
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
    return this.tags[slot]! & STATE
  }

  setState(slot: number, state: number): void {
    this.tags[slot] = (this.tags[slot]! & ~STATE) | state
  }

  isHeld(slot: number): boolean {
    return this.stateOf(slot) === HELD
  }

  /** The packet's data or source were changed. */
  alter(slot: number): void {
    this.mark(slot, ALTERED)
  }

  /** True for a clone of an egress packet with its destinations, data and source as they were. ES-392 */
  isUnchangedClone(slot: number): boolean {
    return (this.tags[slot]! & (PRESERVED | ALTERED)) === PRESERVED
  }

  /** True for a packet that a module made, false for one that it held. */
  isOwn(slot: number): boolean {
    return this.has(slot, MADE)
  }

  /**
   * Queues a packet: an own one joins ingress below its module, or with `indicate` egress above it; a held one goes on from where it
   * was taken.
   */
  enqueue(slot: number, indicate = false): void {
    const tag = this.tags[slot]!
    if ((tag & DRY) !== 0) this.drop(slot)
    else this.put(slot, tag, (tag & STATE) === HELD ? (tag & ON_INGRESS) !== 0 : !indicate)
  }

  private put(slot: number, tag: number, ingress: boolean): void {
    this.queue.put(slot, tag >> OWNER_SHIFT, ingress, (tag & MADE) !== 0)
    this.tags[slot] = tag & ~STATE
  }

  /**
   * Takes the next packets to send, those in a row that come from one place, to `slots`; sets `module` and `ingress`. Returns how
   * many, at most `max`. Call only while `pending` is not 0.
   */
  next(slots: Uint16Array, max: number = BURST_MAX): number {
    return this.queue.next(slots, max)
  }

  /** A module has the packet in `slot` from a dry run: it may keep it and let it go, but when it sends it, it is forgotten. */
  withhold(slot: number): void {
    this.mark(slot, DRY)
  }

  /** Forgets an owned packet without sending it and frees its slot. */
  drop(slot: number): void {
    this.setState(slot, 0)
    this.free(slot)
  }

  /**
   * The stack changed: module indices are mapped (`map(old)` → new index or -1). Held packets of a module that left go on from its
   * place, its own unsent ones are freed. `above(old)`: new index of the nearest module above that is still there, or -1.
   */
  remap(map: (module: number) => number, above: (module: number) => number): void {
    // Below the module above on ingress; on egress that module is the next one to see it.
    const place = (module: number, ingress: boolean): number => above(module) + (ingress ? 0 : 1)
    this.queue.remap((module, ingress) => {
      const moved = map(module)
      return moved >= 0 ? moved : place(module, ingress)
    })
    for (const slot of this.inOrder()) {
      const module = this.ownerOf(slot)
      const moved = map(module)
      if (moved >= 0) this.setOwner(slot, moved)
      else if (this.isHeld(slot)) {
        this.setOwner(slot, place(module, this.wasOnIngress(slot)))
        this.enqueue(slot)
      } else this.drop(slot)
    }
  }

  private setOwner(slot: number, module: number): void {
    this.tags[slot] = (this.tags[slot]! & ~(-1 << OWNER_SHIFT)) | (module << OWNER_SHIFT)
  }

  /**
   * Takes everything from module `module`, which failed: held packets go on from where they were taken (`goOn`), or are freed after
   * `dropped` was told; its own unsent ones are freed.
   */
  surrender(module: number, goOn: boolean, dropped: (slot: number, ingress: boolean) => void): void {
    for (const slot of this.inOrder()) {
      if (this.ownerOf(slot) !== module) continue
      if (this.isHeld(slot) && goOn) {
        this.enqueue(slot)
        continue
      }
      if (this.isHeld(slot)) dropped(slot, this.wasOnIngress(slot))
      this.drop(slot)
    }
  }

  /**
   * Takes from all modules the packets that name `port` as source or destination, which is going: held ones go on from where they were
   * taken (`goOn` of the module) or are counted as lost for `reason`; own unsent ones are freed. Returns how many by module.
   */
  surrenderPort(port: number, goOn: (module: number) => boolean, reason: number): ReadonlyMap<number, number> {
    const taken = new Map<number, number>()
    for (const slot of this.inOrder()) {
      if (!this.names(slot, port)) continue
      const module = this.ownerOf(slot)
      taken.set(module, (taken.get(module) ?? 0) + 1)
      const held = this.isHeld(slot)
      if (held && goOn(module)) {
        this.enqueue(slot)
        continue
      }
      if (held) this.host?.gaveUp(slot, this.wasOnIngress(slot), reason)
      this.drop(slot)
    }
    return taken
  }

  private names(slot: number, port: number): boolean {
    const { pool } = this
    if (pool.sourcePort[slot] === port) return true
    for (let k = 0; k < pool.destinationCount[slot]!; k++) if ((destinationAt(pool, slot, k) & DE_PORT) === port) return true
    return false
  }

  // Packets that modules own, in the order in which they were taken.
  private inOrder(): number[] {
    const found: number[] = []
    for (let slot = HELD_FIRST; slot < POOL_SLOTS; slot++) if (this.stateOf(slot) !== 0) found.push(slot)
    return found.sort((a, b) => (this.pool.packetId[a]! - this.pool.packetId[b]!) | 0)
  }

  /** True if the held packet was taken on ingress. */
  wasOnIngress(slot: number): boolean {
    return this.has(slot, ON_INGRESS)
  }

  /** Packets that modules hold. */
  heldCount(): number {
    let count = 0
    for (let slot = HELD_FIRST; slot < POOL_SLOTS; slot++) if (this.stateOf(slot) !== 0) count++
    return count
  }

  /** Packets that module `module` made and that are not sent yet, or wait to be: a pause is not complete before (ES-056). */
  outstandingOf(module: number): number {
    let count = 0
    for (let slot = HELD_FIRST; slot < POOL_SLOTS; slot++) if (this.stateOf(slot) !== 0 && this.ownerOf(slot) === module) count++
    return count + this.queue.countOf(module)
  }
}
