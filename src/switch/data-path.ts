// The data path of one processor: a burst goes from a port's queue through the stack to its destinations (spec 5.1). Protocol edge:
// source and safe data are set; ingress; the switch's own forwarding where no extension forwards; egress; one delivery per
// destination, one copy each; completion in order.
//
// The rule it must not break: every packet that enters is delivered, held, or counted as dropped with a reason; nothing is allocated.

import type { PacketKernels } from '../kernels/by-packet.ts'
import { BURST_MAX, BURST_SLOTS, DE_EXCLUDED, DE_PORT, PF_DROPPED, PF_MULTICAST } from '../kernels/layout.ts'
import { Batch, type BatchOwner, type PacketHandle } from '../ndis/batch.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import type { PacketPool } from '../ndis/pool.ts'
import { type Counters, PortCounter, ProcessorCounter } from './counters.ts'
import type { Delivery } from './delivery.ts'
import { Forwarding } from './forwarding.ts'
import type { Injections } from './injections.ts'
import type { MacTable } from './mac-table.ts'
import type { Module } from './module.ts'
import type { PortTable } from './port-table.ts'
import type { ShortCut } from './short-cut.ts'
import { ExtensionStack } from './stack.ts'

/** The source side of an endpoint's queue: see endpoints/endpoint.ts. */
export interface SourceQueue {
  receive(first: number, max: number): number
  complete(first: number, count: number): void
}

/** What the data path works with. */
export interface DataPathComponents {
  readonly buffer: ArrayBufferLike
  readonly pool: PacketPool
  /** Linear address of DATA_PATH_LIST_BYTES. */
  readonly list: number
  readonly kernels: PacketKernels
  readonly ports: PortTable
  readonly macs: MacTable
  readonly counters: Counters
  readonly delivery: Delivery
  readonly injections: Injections
  /** Short cuts for bursts; without them everything is done in TypeScript. */
  readonly shortCut?: ShortCut
  /** Milliseconds, monotonic, fractional. */
  readonly nowMs: () => number
  /** A module failed or broke a rule; for the log. */
  readonly report: (module: string, code: string, message: string) => void
  /** Number of a drop reason by name, registered for the module if new. */
  readonly reasonNumber: (module: string, name: string) => number
  /** The checking mode: every breach is reported, not only a module's first. */
  readonly reportAll?: boolean
}

const SCRATCH_BYTES = 2048
const SLOT_LIST_BYTES = BURST_SLOTS * 2 * 2
/** Bytes of list and scratch memory of one data path. */
export const DATA_PATH_LIST_BYTES = SLOT_LIST_BYTES + SCRATCH_BYTES

/** Fields are ordinary ones: they are read per packet. */
export class DataPath implements BatchOwner {
  readonly stack: ExtensionStack
  readonly forwarding: Forwarding
  private readonly components: DataPathComponents
  private readonly pool: PacketPool
  private readonly counters: Counters
  private readonly delivery: Delivery
  private readonly batch: Batch
  private readonly droppedBatch: Batch
  private readonly droppedReasons = new Uint8Array(BURST_SLOTS * 2)
  private readonly scratch: Uint8Array
  private readonly scratchAt: number
  private readonly shortCut: ShortCut | undefined
  // Of the burst in work.
  private admitted = 0
  private admittedBytes = 0
  private admittedMulticasts = 0
  private admittedNeeds = 0
  private current = -1

  constructor(components: DataPathComponents) {
    this.components = components
    this.pool = components.pool
    this.counters = components.counters
    this.delivery = components.delivery
    this.shortCut = components.shortCut
    const slots = new Uint16Array(components.buffer, components.list, BURST_SLOTS * 2)
    this.batch = new Batch(slots, components.list, components.pool, this)
    this.droppedBatch = new Batch(new Uint16Array(BURST_SLOTS * 2), 0, components.pool, this)
    this.scratchAt = components.list + SLOT_LIST_BYTES
    this.scratch = new Uint8Array(components.buffer, this.scratchAt, SCRATCH_BYTES)
    this.stack = new ExtensionStack({
      entered: (index) => {
        this.current = index
      },
      failed: (module) => this.failed(this.current, module),
      dropAll: (batch, reason) => this.dropAll(batch, reason),
      nowNs: () => components.nowMs() * 1e6,
    })
    this.forwarding = new Forwarding(this.pool, components.ports, components.macs, this.counters, this)
  }

  /** Module in work, or undefined between modules. */
  get currentModule(): Module | undefined {
    return this.stack.modules[this.current]
  }

  get currentIndex(): number {
    return this.current
  }

  /**
   * Takes one burst from `queue` of port `port` through the switch. Returns the packets taken. They are given back to their owner
   * whatever happens in between: a queue holds its ring's lock from receive to complete.
   */
  turn(queue: SourceQueue, port: number): number {
    const taken = queue.receive(0, BURST_MAX)
    if (taken === 0) return 0
    try {
      this.burst(taken, port)
    } finally {
      queue.complete(0, taken)
    }
    if (this.components.injections.pending !== 0) this.inject()
    return taken
  }

  // Slots 0…taken-1 came in at `port`: what is sound goes down the stack.
  private burst(taken: number, port: number): void {
    const { pool, batch, counters, shortCut } = this
    pool.arenaUsed = 0
    this.forwarding.refresh()
    const connected = this.components.ports.connected(port)
    if (shortCut === undefined || !connected) this.admit(taken, port, connected)
    else {
      this.admitted = shortCut.admit(taken, pool.nextPacketId, batch.list)
      pool.nextPacketId = (pool.nextPacketId + taken) >>> 0
      this.admittedBytes = shortCut.bytes
      this.admittedMulticasts = shortCut.multicasts
      this.admittedNeeds = shortCut.needs
      if (this.admitted < taken) this.countDropped(taken, port)
    }
    const kept = this.admitted
    counters.port(port, PortCounter.receivedFrames, kept)
    counters.port(port, PortCounter.receivedBytes, this.admittedBytes)
    if (this.admittedMulticasts !== 0) counters.port(port, PortCounter.receivedMulticast, this.admittedMulticasts)
    counters.processor(ProcessorCounter.bursts, 1)
    counters.processor(ProcessorCounter.frames, taken)
    if (kept !== 0) {
      batch.length = kept
      batch.ingress = true
      batch.dirty = false
      batch.singleSource = true // ES-445
      this.stack.ingress(batch)
      this.downward(batch, this.admittedNeeds, port)
    }
    if (this.droppedBatch.length !== 0) this.showDropped()
  }

  // In TypeScript: numbers the packets, lists those to pass on, sums them up; counts those dropped.
  private admit(taken: number, port: number, connected: boolean): void {
    const { flags, length, packetId, needs } = this.pool
    const { slots } = this.batch
    let kept = 0
    let bytes = 0
    let multicasts = 0
    let seen = 0
    let id = this.pool.nextPacketId
    for (let slot = 0; slot < taken; slot++) {
      packetId[slot] = id++
      if (!connected && (flags[slot]! & PF_DROPPED) === 0) this.lose(slot, DropReason.sourceNotConnected, port)
      if ((flags[slot]! & PF_DROPPED) !== 0) continue
      slots[kept++] = slot
      bytes += length[slot]!
      seen |= needs[slot]!
      multicasts += (flags[slot]! & PF_MULTICAST) >> 2
    }
    this.pool.nextPacketId = id >>> 0
    this.admitted = kept
    this.admittedBytes = bytes
    this.admittedMulticasts = multicasts
    this.admittedNeeds = seen
    if (connected && kept < taken) this.countDropped(taken, port)
  }

  // Packets that the ring's kernel dropped.
  private countDropped(taken: number, port: number): void {
    const { flags, reason } = this.pool
    for (let slot = 0; slot < taken; slot++) if ((flags[slot]! & PF_DROPPED) !== 0) this.filtered(slot, reason[slot]!, port, true)
  }

  // Miniport edge, egress and delivery of what came down the stack. `seen`: the offload needs among the packets; `source`: the port
  // that all of them come from, or -1 if that is not known.
  private downward(batch: Batch, seen: number, source: number): void {
    if (batch.length === 0) return
    if (this.stack.hasForwarding) this.dropUndirected(batch)
    else this.forward(batch, source) // ES-331
    if (batch.dirty) batch.settle()
    if (batch.length === 0) return
    batch.ingress = false
    this.stack.egress(batch)
    if (batch.length !== 0) this.deliver(batch, seen)
  }

  private forward(batch: Batch, source: number): void {
    const { shortCut, forwarding } = this
    if (shortCut === undefined || source < 0) forwarding.forward(batch)
    else shortCut.forward(batch, source, forwarding, this.counters)
  }

  // ES-317: what a forwarding extension left without a destination is dropped.
  private dropUndirected(batch: Batch): void {
    const { destinationCount } = this.pool
    for (let i = 0; i < batch.length; i++)
      if (destinationCount[batch.slots[i]!] === 0)
        this.refuse(batch, i, DropReason.noDestination, this.pool.sourcePort[batch.slots[i]!]!)
  }

  // Sorts the packets by destination port and hands each port its list.
  private deliver(batch: Batch, seen: number): void {
    const { pool, delivery, shortCut } = this
    if (shortCut !== undefined) {
      delivery.sorted(shortCut.sort(batch.list, batch.length))
      if (shortCut.overflow === 0) {
        delivery.flush(seen)
        return
      }
      delivery.discard() // an extension added too many copies for one port: they are counted where they are lost
    }
    const { slots } = batch
    const { destination, destinationCount, destinationRoom, destinationOffset, arena, length } = pool
    for (let i = 0; i < batch.length; i++) {
      const slot = slots[i]!
      if (destinationRoom[slot] === 0) {
        const entry = destination[slot]!
        if ((entry & DE_EXCLUDED) === 0) delivery.add(entry & DE_PORT, slot, length[slot]!)
        continue
      }
      const first = destinationOffset[slot]!
      const end = first + destinationCount[slot]!
      for (let k = first; k < end; k++) {
        const entry = arena[k]!
        if ((entry & DE_EXCLUDED) === 0) delivery.add(entry & DE_PORT, slot, length[slot]!)
      }
    }
    delivery.flush(seen)
  }

  // Packets that extensions sent, originated or gave back: in order, each from its place in the stack.
  private inject(): void {
    const { injections } = this.components
    const { pool, batch, counters } = this
    for (let rounds = 0; injections.pending !== 0 && rounds < BURST_SLOTS; rounds++) {
      const slot = injections.next()
      pool.arenaUsed = 0
      this.forwarding.refresh()
      batch.slots[0] = slot
      batch.length = 1
      batch.dirty = false
      batch.ingress = injections.ingress
      counters.processor(ProcessorCounter.originated, 1)
      if (injections.ingress) {
        this.stack.runFrom('ingress', injections.module, batch)
        this.downward(batch, pool.needs[slot]!, -1)
      } else {
        injections.restoreDestinations(slot)
        this.stack.runFrom('egress', injections.module, batch)
        if (batch.length !== 0) this.deliver(batch, pool.needs[slot]!)
      }
      if (this.droppedBatch.length !== 0) this.showDropped()
      pool.give(slot)
    }
  }

  /** Sends what extensions queued outside of a burst (timers). Returns true if there was something. */
  flushInjections(): boolean {
    if (this.components.injections.pending === 0) return false
    this.inject()
    return true
  }

  // ---- BatchOwner ---------------------------------------------------------------------------------------------------------

  reasonNumber(name: string): number {
    return this.components.reasonNumber(this.currentModule?.name ?? 'switch', name)
  }

  filtered(slot: number, reason: number, port: number, incoming: boolean): void {
    this.counters.drop(port, reason, 1)
    this.counters.port(port, incoming ? PortCounter.receivedDropped : PortCounter.sendDropped, 1)
    if (this.stack.observesDrops) {
      const { droppedBatch } = this
      if (droppedBatch.length >= droppedBatch.slots.length) return
      this.droppedReasons[droppedBatch.length] = reason // the slot has one place only: it may lose several destinations
      droppedBatch.slots[droppedBatch.length++] = slot
    }
  }

  breach(rule: string, detail: string): void {
    const module = this.currentModule
    if (!module) return
    module.breaches++
    if (module.breaches === 1 || this.components.reportAll) this.components.report(module.name, rule, detail)
  }

  connected(portId: number, nicIndex: number): boolean {
    return this.components.ports.usable(portId, nicIndex)
  }

  keep(slot: number, taken: boolean): PacketHandle {
    const copied = this.pool.copy(slot)
    if (copied < 0) return 0
    if (taken) this.counters.processor(ProcessorCounter.held, 1)
    return this.components.injections.own(copied, taken ? slot : -1, this.batch.ingress, this.current)
  }

  copyFrame(slot: number, from: number, length: number, target: Uint8Array, at: number): number {
    const { kernels } = this.components
    const { scratch, scratchAt } = this
    let copied = 0
    while (copied < length) {
      const part = kernels.copyFrame(this.pool.base, slot, from + copied, Math.min(length - copied, scratch.length), scratchAt)
      if (part === 0) break
      for (let i = 0; i < part; i++) target[at + copied + i] = scratch[i]!
      copied += part
    }
    return copied
  }

  parse(slot: number): void {
    this.components.kernels.parse(this.pool.base, slot, 1)
  }

  // ---- drops --------------------------------------------------------------------------------------------------------------

  /** ForwardingOwner: drops position `i` for `reason`, reported at `port`. */
  refuse(batch: Batch, i: number, reason: number, port: number): void {
    this.lose(batch.slots[i]!, reason, port)
    batch.dirty = true
  }

  private lose(slot: number, reason: number, port: number): void {
    this.pool.flags[slot] = this.pool.flags[slot]! | PF_DROPPED
    this.pool.reason[slot] = reason
    this.filtered(slot, reason, port, port === this.pool.sourcePort[slot])
  }

  private dropAll(batch: Batch, reason: number): void {
    for (let i = 0; i < batch.length; i++) {
      const slot = batch.slots[i]!
      if ((this.pool.flags[slot]! & PF_DROPPED) === 0) this.lose(slot, reason, this.pool.sourcePort[slot]!)
    }
    batch.length = 0
    batch.dirty = false
  }

  // A module that failed gives nothing back any more: what it holds goes on past it, or is dropped.
  private failed(index: number, module: Module): void {
    const reason = module.onFailure === 'open' ? DropReason.none : DropReason.extensionFailed
    this.components.injections.surrender(index, reason === DropReason.none, (slot) => {
      const port = this.pool.sourcePort[slot]!
      this.counters.drop(port, reason, 1)
      this.counters.port(port, PortCounter.receivedDropped, 1)
    })
    this.components.report(module.name, 'extension-failed', module.lastFault)
  }

  private showDropped(): void {
    const { droppedBatch } = this
    const reason = (i: number): string => this.delivery.reasonName(this.droppedReasons[i]!)
    for (const [index, module] of this.stack.modules.entries()) {
      if (module.state !== 'running' || !module.enabled || module.handlers.filtered === undefined) continue
      droppedBatch.rights = 0
      try {
        module.handlers.filtered(droppedBatch, reason)
      } catch (error) {
        module.fail(error)
        this.failed(index, module)
        this.stack.compile()
      }
    }
    droppedBatch.length = 0
  }
}
