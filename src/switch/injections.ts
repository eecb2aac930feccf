// What modules send: packets that they made, cloned or held wait here until the burst in work is done.
//
// The rules it must not break: a handle is good for exactly one send, indicate, forward or release; while a packet waits here, the ports that
// it names are pinned (ES-208, ES-420).
import * as layout from '../kernels/layout.ts'
import { Keep, type PacketHandle } from '../ndis/batch.ts'
import { copyDestinations, destinationAt } from '../ndis/destinations.ts'
import { copyAllDestinations, copyPacket, copyPackets, reserveCopies } from '../ndis/packet-copies.ts'
import { RunFacts, takeRun } from '../ndis/packet-runs.ts'
import { takeStock } from '../ndis/pool-stock.ts'
import { InjectionQueue } from './injection-queue.ts'
import { type InjectionsOwner, OwnedPackets } from './owned-packets.ts'
import { PacketState, PacketTag } from './packet-tags.ts'

// V8 folds constants of a module, not imported ones.
const { BURST_MAX, DE_PORT, PF_DROPPED, POOL_SLOTS } = layout
const SLOT_MASK = POOL_SLOTS - 1
const SLOT_BITS = 31 - Math.clz32(POOL_SLOTS)
const HELD: number = PacketState.held
const {
  state: STATE,
  onIngress: ON_INGRESS,
  made: MADE,
  preserved: PRESERVED,
  dry: DRY,
  run: RUN,
  ownerShift: OWNER_SHIFT,
} = PacketTag
const OWNER_AND_STATE = (-1 << OWNER_SHIFT) | STATE

/** Owned packets and the queue of those to send. */
export class Injections extends OwnedPackets {
  private readonly facts = new RunFacts()
  private readonly queue = new InjectionQueue()
  /** Runs among the packets that `next` returned: `takenRuns` of them. */
  readonly taken = new Uint16Array(BURST_MAX)
  takenRuns = 0

  /** True if `next` returns runs. Not while `pending` is 0. */
  get beginsWithRun(): boolean {
    return this.queue.beginsWithRun
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
      if (how === Keep.cloneOne) this.tags.mark(slot, PRESERVED)
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
    this.tags.words[slot] = state | (ingress ? ON_INGRESS : 0) | (state === HELD ? 0 : MADE) | (module << OWNER_SHIFT)
  }

  /**
   * `keep` with Keep.hold for the packets in the first `count` slots of the pool's `originals`, which are marked as dropped. The handle of the
   * n-th goes to `handles[places[n]]`, where a 0 stands; one that finds no room is not dropped any more. Returns how many were kept.
   */
  holdAll(count: number, places: Uint8Array, ingress: boolean, module: number, handles: Float64Array): number {
    const { pool, host } = this
    const { words } = this.tags
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
      words[slot] = tag
      copies[held++] = slot
      handles[places[i]!] = slot | (generation[slot]! << SLOT_BITS)
    }
    this.pins.pinAll(copies, held)
    if (held !== 0) host?.held(held)
    return held
  }

  /**
   * `keep` with Keep.hold for the `count` packets in `slots` from index `first` on, under one handle: that of the first. 0, and nothing is held,
   * if they are no run (RunFacts) or find no room.
   */
  holdRun(slots: Uint16Array, first: number, count: number, ingress: boolean, module: number): PacketHandle {
    const { pool, host, runs, facts } = this
    const { copies } = pool
    if (!runs.hasRoom || !facts.describe(pool, slots, first, count, ingress)) return 0
    if (!takeRun(pool, slots, first, count, facts, ingress)) return 0
    if (host !== undefined && host.contexts.count !== 0)
      for (let i = 0; i < count; i++) host.contexts.move(pool, slots[first + i]!, copies[i]!)
    const slot = copies[0]!
    runs.begin(copies, count, facts)
    this.tags.words[slot] = HELD | RUN | (ingress ? ON_INGRESS : 0) | (module << OWNER_SHIFT)
    this.pins.countRun(facts.source, facts.target, count)
    host?.held(count)
    return this.handle(slot)
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
    const tag = this.tags.words[slot]!
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
    for (const slot of this.tags.owned()) {
      const owner = this.tags.ownerOf(slot)
      counts.set(owner, (counts.get(owner) ?? 0) + this.sizeOf(slot))
    }
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
    if (!this.wasOnIngress(slot)) this.tags.mark(slot, PRESERVED)
    this.pins.pin(slot)
    return true
  }

  /** `free` for the packets that `next` returned: the runs that were taken, or the first `count` of `slots`. */
  freeAll(slots: Uint16Array, count: number): void {
    if (this.takenRuns !== 0) {
      for (let i = 0; i < this.takenRuns; i++) this.dropRun(this.taken[i]!)
      this.takenRuns = 0
      return
    }
    this.pins.unpinAll(slots, count)
    this.pool.giveAll(slots, count)
  }

  /**
   * Queues a packet: an own one joins ingress below its module, or with `indicate` egress above it; a held one goes on from where it
   * was taken.
   */
  enqueue(slot: number, indicate = false): void {
    const tag = this.tags.words[slot]!
    if ((tag & DRY) !== 0) this.drop(slot)
    else this.put(slot, tag, (tag & STATE) === HELD ? (tag & ON_INGRESS) !== 0 : !indicate)
  }

  private put(slot: number, tag: number, ingress: boolean): void {
    this.queue.put(slot, tag >> OWNER_SHIFT, ingress, (tag & MADE) !== 0, (tag & RUN) !== 0)
    this.tags.words[slot] = tag & ~STATE
  }

  /**
   * Takes the next packets to send, those in a row that come from one place, to `slots`; sets `module` and `ingress`. Returns how
   * many, at most `max`. Call only while `pending` is not 0.
   */
  next(slots: Uint16Array, max: number = BURST_MAX): number {
    const { queue, runs, taken } = this
    if (!queue.beginsWithRun) return queue.next(slots, max)
    let count = 0
    let run = runs.of(queue.first)
    do {
      taken[this.takenRuns++] = run
      count += runs.list(run, slots, count)
      if (!queue.drop()) break
      run = runs.of(queue.first)
    } while (count + runs.sizes[run]! <= max)
    return count
  }

  /**
   * Something was interrupted in the middle, not between two bursts but anywhere: what is no module's and does not wait to be sent is free again,
   * and nothing is pinned but by what is.
   */
  takeStock(): void {
    const { pool, tags, runs, queue } = this
    const waiting = queue.slots()
    for (const slot of waiting) tags.setState(slot, 0)
    const slots = [...tags.owned(), ...waiting]
    const live = new Uint8Array(POOL_SLOTS)
    for (const slot of slots) for (let i = this.sizeOf(slot) - 1; i >= 0; i--) live[this.memberOf(slot, i)] = 1
    const single = slots.filter((slot) => !tags.has(slot, RUN))
    const liveRuns = slots.filter((slot) => tags.has(slot, RUN)).map((slot) => runs.of(slot))
    this.takenRuns = 0
    runs.reset(new Set(liveRuns))
    takeStock(pool, live)
    this.pins.recount(single, liveRuns, runs)
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
      const module = this.tags.ownerOf(slot)
      const moved = map(module)
      if (moved >= 0) this.tags.setOwner(slot, moved)
      else if (this.isHeld(slot)) {
        this.tags.setOwner(slot, place(module, this.wasOnIngress(slot)))
        this.enqueue(slot)
      } else this.drop(slot)
    }
  }

  /**
   * Takes everything from module `module`, which failed: held packets go on from where they were taken (`goOn`), or are freed after
   * `dropped` was told; its own unsent ones are freed.
   */
  surrender(module: number, goOn: boolean, dropped: (slot: number, ingress: boolean) => void): void {
    for (const slot of this.inOrder(module)) {
      if (this.isHeld(slot) && goOn) {
        this.enqueue(slot)
        continue
      }
      if (this.isHeld(slot)) this.tellAll(slot, dropped)
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
      const module = this.tags.ownerOf(slot)
      taken.set(module, (taken.get(module) ?? 0) + this.sizeOf(slot))
      const held = this.isHeld(slot)
      if (held && goOn(module)) {
        this.enqueue(slot)
        continue
      }
      if (held) this.gaveUp(slot, reason)
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

  /** Packets that module `module` made and that are not sent yet, or wait to be: a pause is not complete before (ES-056). */
  outstandingOf(module: number): number {
    return this.countOf(this.tags.owned(module)) + this.queue.countOf(module)
  }
}
