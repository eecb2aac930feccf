// The data path of one processor: a burst goes from a port's queue through the stack to its destinations (spec 5.1). Protocol edge:
// source and safe data are set; ingress; the switch's own forwarding where no extension forwards; egress; one delivery per
// destination, one copy each; completion in order.
//
// The rule it must not break: every packet that enters is delivered, held, or counted as dropped with a reason; nothing is allocated.

import { BURST_MAX, BURST_SLOTS, PF_DROPPED, PF_TAGGED, PF_VLAN_OOB } from '../kernels/layout.ts'
import { ANYWHERE, Batch, type PacketHandle } from '../ndis/batch.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import { LEFT_AT_EDGE, type PacketPool } from '../ndis/pool.ts'
import { SwitchContextTypes } from '../ndis/switch-context.ts'
import { type AdmissionOwner, BurstAdmission } from './burst-admission.ts'
import { Completion } from './completion.ts'
import { type Counters, PortCounter, ProcessorCounter } from './counters.ts'
import type { DataPathComponents } from './data-path-components.ts'
import type { Delivery } from './delivery.ts'
import { DeliveryForms } from './delivery-forms.ts'
import { DropLog, type DropLogOwner } from './drop-log.ts'
import { FailoverNotice } from './failover-notice.ts'
import { Forwarding } from './forwarding.ts'
import { ForwardingChoice } from './forwarding-choice.ts'
import { COPIER_BYTES, FrameCopier } from './frame-copier.ts'
import { PortGuards } from './guards/port-guards.ts'
import { InjectionRuns } from './injection-runs.ts'
import type { Module, ModuleState } from './module.ts'
import { ModuleFaults } from './module-faults.ts'
import type { InjectionsOwner } from './owned-packets.ts'
import { Placement } from './placement.ts'
import type { PortTable } from './port-table.ts'
import type { ShortCut } from './short-cut.ts'
import { ExtensionStack } from './stack.ts'
import { type BuiltInPolicies, type NativeForwarding, SwitchEdge } from './switch-edge.ts'

/** The source side of an endpoint's queue: see endpoints/endpoint.ts. */
export interface SourceQueue {
  receive(first: number, max: number): number
  complete(first: number, count: number): void
}

const SLOT_LIST_BYTES = BURST_SLOTS * 2 * 2
/** Bytes of list and scratch memory of one data path. */
export const DATA_PATH_LIST_BYTES = SLOT_LIST_BYTES + COPIER_BYTES

/** Fields are ordinary ones: they are read per packet. */
export class DataPath implements DropLogOwner, InjectionsOwner, AdmissionOwner {
  readonly stack: ExtensionStack
  readonly forwarding: Forwarding
  readonly choice: ForwardingChoice
  private readonly components: DataPathComponents
  private readonly pool: PacketPool
  private readonly counters: Counters
  private readonly delivery: Delivery
  /** The packets in work. */
  readonly batch: Batch
  readonly lost: DropLog
  private readonly copier: FrameCopier
  private readonly shortCut: ShortCut | undefined
  private readonly admission: BurstAdmission
  // Bytes of the longest frame in work.
  private longest = 0
  // Offload needs of packets that went into tunnels.
  private tunnelNeeds = 0
  private current = -1
  // The burst in work, and whose it is.
  private taking: SourceQueue | undefined
  private taken = 0
  readonly ports: PortTable
  /** Context types that this processor's extensions declared. */
  readonly contexts = new SwitchContextTypes()
  readonly guards: PortGuards
  readonly edge: SwitchEdge
  readonly placement: Placement
  private readonly completion: Completion
  private readonly faults: ModuleFaults
  private readonly injections: InjectionRuns
  readonly failover: FailoverNotice

  constructor(components: DataPathComponents) {
    this.components = components
    this.pool = components.pool
    this.counters = components.counters
    this.delivery = components.delivery
    this.shortCut = components.shortCut
    const slots = new Uint16Array(components.buffer, components.list, BURST_SLOTS * 2)
    this.batch = new Batch(slots, components.list, components.pool, this)
    this.admission = new BurstAdmission(components.pool, components.ports, slots, components.list, this)
    this.lost = new DropLog(components.pool, components.counters, this)
    this.copier = new FrameCopier(components.buffer, components.list + SLOT_LIST_BYTES, components.pool, components.kernels)
    this.stack = new ExtensionStack({
      entered: (index) => {
        this.current = index
        this.counters.inside = index + 1
      },
      failed: (module) => this.faults.failed(this.current, module),
      dropAll: (batch, reason) => this.lost.all(batch, reason, this.stack.observesDrops),
      slow: (module, ms, packets) => this.faults.slow(module, ms, packets),
      nowNs: () => components.nowMs() * 1e6,
    })
    this.forwarding = new Forwarding(this.pool, components.ports, components.macs, this.counters, this)
    this.choice = new ForwardingChoice(this.forwarding, components.shortCut, this.counters)
    this.ports = components.ports
    this.failover = new FailoverNotice(components.ports)
    this.guards = new PortGuards(this.pool, components.ports, this, components.nowMs)
    this.edge = new SwitchEdge(this.pool, components.ports, this.guards, components.acls, components.nowMs, this)
    this.placement = new Placement({ ...components, choice: this.choice }, this)
    this.completion = new Completion(this.pool, this)
    this.faults = new ModuleFaults(components, this)
    components.delivery.forms = new DeliveryForms(this.pool, components.ports, components.shortCut)
    this.injections = new InjectionRuns(this.pool, components.injections)
    components.injections.attach(this)
  }

  /** Built-in policies of the switch, and the component that forwards what it claims; undefined takes them away. */
  setHooks(policies: BuiltInPolicies | undefined, native: NativeForwarding | undefined): void {
    this.edge.policies = policies
    this.edge.native = native
    this.edge.place(this.stack)
  }

  /** Module in work, or undefined between modules. */
  get currentModule(): Module | undefined {
    return this.stack.modules[this.current]
  }

  get currentIndex(): number {
    return this.current
  }

  /**
   * Takes one burst from `queue` of port `port` (`nicIndex`: its physical adapter, from 1) through the switch. Returns the packets taken. They are given back to their owner
   * whatever happens in between: a queue holds its ring's lock from receive to complete.
   */
  turn(queue: SourceQueue, port: number, nicIndex = 0): number {
    const taken = queue.receive(0, BURST_MAX)
    if (taken === 0) return 0
    this.taking = queue
    this.taken = taken
    try {
      if (nicIndex !== 0) this.pool.sourceNic.fill(nicIndex, 0, taken) // ES-300
      this.burst(taken, port)
    } finally {
      this.taking = undefined
      this.pool.forgetSafe()
      queue.complete(0, taken)
    }
    if (this.components.injections.pending !== 0) this.inject()
    return taken
  }

  /**
   * Takes `count` packets, whose slots stand in `list`, into the switch as a burst from port `port` (`nicIndex`: its physical adapter).
   * Without a list they are slots 0…count-1, as a queue of the port has filled them.
   * Another data path of this processor took them in, is done with their destinations, and completes them afterwards; then it calls
   * `settle`. Not from within a burst.
   */
  takeOver(list: Uint16Array | undefined, count: number, port: number, nicIndex: number): void {
    this.counters.borrowed = true
    try {
      this.begin()
      if (list !== undefined) this.admission.takeOver(list, count, port, nicIndex)
      else this.admission.burst(count, port, this.shortCut)
      this.pass(count, port)
    } finally {
      this.counters.borrowed = false
      this.pool.forgetSafe()
    }
  }

  /**
   * Ends what a module was interrupted in, from outside, so that not even `finally` was run. A burst (`inBurst`) goes back to its owner; what
   * was left of it is counted as lost by the module.
   */
  interrupted(inBurst: boolean): void {
    const { batch, taking, pool } = this
    if (inBurst) this.lost.all(batch, DropReason.extensionFailed, false)
    this.lost.forget()
    this.completion.forget()
    this.injections.done()
    pool.forgetSafe()
    this.components.injections.takeStock()
    this.taking = undefined
    this.current = -1
    this.counters.inside = 0
    taking?.complete(0, this.taken)
  }

  /** Sends what extensions made of packets that were taken over. */
  settle(): void {
    if (this.components.injections.pending !== 0) this.inject()
  }

  private begin(): void {
    this.pool.arenaUsed = 0
    this.forwarding.refresh()
    this.placement.refresh()
    if (!this.edge.refresh()) return
    this.forwarding.storms = this.guards.limitsUnknown ? this.guards : undefined
    this.edge.place(this.stack)
  }

  // Slots 0…taken-1 came in at `port`: what is sound goes down the stack.
  private burst(taken: number, port: number): void {
    this.begin()
    this.admission.burst(taken, port, this.shortCut)
    this.pass(taken, port)
  }

  // Down the stack with what was admitted of `taken` packets from `port`.
  private pass(taken: number, port: number): void {
    const { batch, counters, admission } = this
    const kept = admission.count
    counters.port(port, PortCounter.receivedFrames, kept)
    counters.port(port, PortCounter.receivedBytes, admission.bytes)
    if (admission.multicasts !== 0) counters.port(port, PortCounter.receivedMulticast, admission.multicasts)
    counters.processor(ProcessorCounter.bursts, 1)
    counters.processor(ProcessorCounter.frames, taken)
    if (kept !== 0) {
      batch.length = kept
      batch.ingress = true
      batch.dirty = false
      batch.oneSource = true // ES-445
      batch.reached = ANYWHERE
      batch.mayBeTagged = (admission.flags & (PF_TAGGED | PF_VLAN_OOB)) !== 0
      this.longest = admission.longest
      if (this.stack.observesCompletion) this.completion.begin(batch, -1)
      this.stack.ingress(batch)
      this.downward(batch, admission.needs, port)
    }
    if (this.lost.length !== 0) this.lost.show(this.stack.modules)
    if (this.stack.observesCompletion) this.completion.run(this.stack.modules)
  }

  // Miniport edge, egress and delivery of what came down the stack. `seen`: the offload needs among the packets; `source`: the port
  // that all of them come from, or -1 if that is not known.
  private downward(batch: Batch, seen: number, source: number): void {
    if (batch.length === 0) return
    if (batch.destinationGroupBy >= 0) batch.consumeDestinationGroup(this) // ES-342
    this.tunnelNeeds = 0
    this.edge.atMiniportEdge(batch)
    if (batch.dirty) batch.settle()
    if (this.stack.hasForwarding) this.dropUndirected(batch)
    else this.choice.forward(batch, source, this.edge.isAllNative) // ES-331
    this.edge.separate(batch)
    if (batch.dirty) batch.settle()
    this.placement.finish(batch) // ES-338
    if (batch.length === 0) return
    batch.ingress = false
    this.stack.egress(batch)
    if (batch.length !== 0) this.deliver(batch, seen | this.tunnelNeeds)
  }

  /** OverlayPathOwner: the packet in `slot` is a tunnel packet now. */
  encapsulated(slot: number): void {
    this.wrapped(this.pool.needs[slot]!, this.pool.length[slot]!)
  }

  /** Packets went into tunnels: the OR of their offload needs, and the length of the longest. */
  wrapped(needs: number, longest: number): void {
    this.tunnelNeeds |= needs
    this.longest = Math.max(this.longest, longest)
  }

  /** OverlayPathOwner */
  get modules(): number {
    return this.stack.modules.length
  }

  // ES-317: what a forwarding extension left without a destination is dropped.
  private dropUndirected(batch: Batch): void {
    const { destinationCount } = this.pool
    for (let i = 0; i < batch.length; i++)
      if (destinationCount[batch.slots[i]!] === 0)
        this.forwarding.unreceived(batch, i, DropReason.noDestination, this.pool.sourcePort[batch.slots[i]!]!)
  }

  // Sorts the packets by destination port and hands each port its list.
  private deliver(batch: Batch, seen: number): void {
    const { delivery, shortCut } = this
    const formed = batch.mayBeTagged || this.longest > this.forwarding.frameMax
    if (shortCut !== undefined) {
      delivery.sorted(shortCut.sort(batch.list, batch.length))
      if (shortCut.overflow === 0) {
        delivery.flush(seen, formed)
        return
      }
      delivery.discard() // an extension added too many copies for one port: they are counted where they are lost
    }
    delivery.addAll(batch)
    delivery.flush(seen, formed)
  }

  // Packets that extensions sent, originated or gave back.
  private inject(): void {
    const { injections } = this.components
    for (let sent = 0; injections.pending !== 0 && sent < BURST_SLOTS; ) {
      this.begin()
      sent += this.injections.next(this.batch)
      this.injectRun()
    }
  }

  private injectRun(): void {
    const { batch, counters, injections, choice } = this
    this.longest = injections.longest
    batch.reached = ANYWHERE
    counters.processor(ProcessorCounter.originated, batch.length)
    if (this.stack.observesCompletion) this.completion.begin(batch, injections.maker)
    if (injections.ingress) {
      this.stack.runFrom('ingress', injections.module, batch)
      // An adapter's queues have decided about packets that come from it, and not about those that were held since.
      this.downward(batch, injections.needs, choice.queued?.source === injections.source ? -1 : injections.source)
    } else {
      this.stack.runFrom('egress', injections.module, batch)
      if (batch.length !== 0) this.deliver(batch, injections.needs)
    }
    if (this.lost.length !== 0) this.lost.show(this.stack.modules)
    if (this.stack.observesCompletion) this.completion.run(this.stack.modules)
    injections.done()
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
    this.lost.count(slot, reason, port, incoming, this.stack.observesDrops)
  }

  reasonName(reason: number): string {
    return this.delivery.reasonName(reason)
  }

  breach(rule: string, detail: string): void {
    this.breachOf(this.current, rule, detail)
  }

  breachOf(index: number, rule: string, detail: string): void {
    this.faults.breach(this.stack.modules[index], rule, detail)
  }

  connected(portId: number, nicIndex: number): boolean {
    return this.components.ports.usable(portId, nicIndex)
  }

  keep(slot: number, how: number, k = 0): PacketHandle {
    return this.components.injections.keep(slot, how, this.batch.ingress, this.current, k)
  }

  holdAll(count: number, places: Uint8Array, handles: Float64Array): number {
    return this.components.injections.holdAll(count, places, this.batch.ingress, this.current, handles)
  }

  holdRun(first: number, count: number): PacketHandle {
    const { batch, current } = this
    return this.components.injections.holdRun(batch.slots, first, count, batch.ingress, current)
  }

  held(count: number): void {
    this.counters.processor(ProcessorCounter.held, count)
  }

  ownPacket(packet: PacketHandle): number {
    return this.components.injections.ownPacket(packet, this.current)
  }

  packetChanged(slot: number): void {
    this.components.injections.alter(slot) // ES-391
    this.components.injections.pins.pin(slot) // ES-420
  }

  stateOf(index: number): ModuleState {
    return this.stack.modules[index]?.state ?? 'detached'
  }

  copyBytes(slot: number, from: number, length: number, target: Uint8Array): number {
    return this.copier.bytes(slot, from, length, target)
  }

  copyFrame(slot: number, from: number, length: number, target: Uint8Array, at: number): number {
    return this.copier.payload(slot, from, length, target, at)
  }

  checksum(slot: number): boolean {
    return this.components.kernels.checksum(this.pool.base, slot) === 1
  }

  parse(slot: number): void {
    this.copier.parse(slot)
  }

  // ---- drops --------------------------------------------------------------------------------------------------------------

  /** ForwardingOwner: drops position `i` for `reason`, reported at `port`. */
  refuse(batch: Batch, i: number, reason: number, port: number): void {
    this.lose(batch.slots[i]!, reason, port)
    batch.dirty = true
  }

  /** ForwardingOwner */
  failedOver(port: number, low: number, high: number): void {
    this.failover.tell(port, low, high)
  }

  /** AdmissionOwner: drops the packet in `slot` for `reason`, reported at `port`. */
  lose(slot: number, reason: number, port: number): void {
    this.pool.flags[slot] = this.pool.flags[slot]! | PF_DROPPED
    this.pool.reason[slot] = reason
    this.pool.leftAt[slot] = LEFT_AT_EDGE
    this.filtered(slot, reason, port, port === this.pool.sourcePort[slot])
  }

  gaveUp(slot: number, ingress: boolean, reason: number): void {
    this.lost.packet(slot, ingress, reason, this.stack.observesDrops)
  }

  completionFailed(index: number, error: unknown): void {
    const module = this.stack.modules[index]!
    module.fail(error)
    this.faults.failed(index, module)
    this.stack.compile()
  }
}
