// A processor: the data path of one worker thread with its queues, modules and timers, and its run loop. It polls while there is work,
// spins a little when it ends, then arms notifications and blocks in epoll_wait; it goes back to its event loop after every slice, so
// that requests, promises and timers advance.
//
// The rule it must not break: a slice is bounded, and between two bursts the configuration may change but never within one.

import { kernelsByPacket, type PacketKernels } from '../kernels/by-packet.ts'
import { BURST_MAX, HEADER_COPY, PF_OWNED, PF_SAFE } from '../kernels/layout.ts'
import { type AllKernels, instantiateKernels } from '../kernels/load.ts'
import { createTwin } from '../kernels/twin.ts'
import { EpollSet } from '../linux/epoll.ts'
import { drainEventFd } from '../linux/files.ts'
import { SharedMemory } from '../linux/shared-memory.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import { PortType } from '../ndis/oids.ts'
import { PacketPool } from '../ndis/pool.ts'
import { AclTable } from '../switch/acl/acl-table.ts'
import { DeliveryLimits } from '../switch/bandwidth/delivery-limits.ts'
import { ReferenceTable } from '../switch/control/references.ts'
import { ConfigurationView } from '../switch/control/view.ts'
import { Counters, PortCounter, ProcessorCounter } from '../switch/counters.ts'
import { DataPath } from '../switch/data-path.ts'
import { Delivery, type QueueChoice } from '../switch/delivery.ts'
import { describeError } from '../switch/describe-error.ts'
import { DropRing } from '../switch/drop-ring.ts'
import { type DryRunOptions, dryRun } from '../switch/dry-run.ts'
import type { TraceStep } from '../switch/dry-run-steps.ts'
import { Injections } from '../switch/injections.ts'
import { MacTable } from '../switch/mac-table.ts'
import { fill } from '../switch/packet-handle.ts'
import { PortTable } from '../switch/port-table.ts'
import { ReasonRegistry } from '../switch/reason-registry.ts'
import { ShortCut } from '../switch/short-cut.ts'
import { Alarm } from './alarm.ts'
import { createClock, WallClock } from './clock.ts'
import type { ProcessorStart, Request } from './messages.ts'
import { PacedRings } from './paced-rings.ts'
import { PollOrder } from './poll-order.ts'
import { PortQueues, type Source } from './port-queues.ts'
import { ProcessorAdapters } from './processor-adapters.ts'
import { ProcessorQueues } from './queues/processor-queues.ts'
import { Timers } from './timers.ts'
import { WindowSet } from './windows.ts'

const SLICE_MS = 2
const SLOW_SLICE_MS = 50 // a module may be what takes so long
const TURNS_PER_LOOK = 16 // rounds over all queues between two looks at the clock
const BURSTS_PER_LOOK = 32 // the same in bursts, of which a round takes up to SERVED_MAX: one that goes to all of many ports takes milliseconds
const SPIN_ROUNDS_BUSY = 400 // empty rounds before sleeping when the last slice was busy
const SPIN_ROUNDS_IDLE = 10
const BUSY_BURSTS = 32 // bursts in a slice that make it a busy one
const SLEEP_MAX_MS = 100
const LATENCY_EVERY = 8 // one burst in so many is timed
const INTERRUPTED_NS = 250_000 // the kernel ran something else meanwhile

/** One processor; lives in its worker thread. */
export class Processor {
  readonly dataPath: DataPath
  readonly pool: PacketPool
  readonly injections: Injections
  readonly reasons: ReasonRegistry
  readonly counters: Counters
  readonly timers: Timers
  readonly wallClock = new WallClock()
  readonly nowMs: () => number
  readonly kernels: PacketKernels
  /** Those in wasm, for what lies in linear memory. */
  readonly linear: AllKernels
  readonly ports: PortTable
  /** The ACLs of ports. */
  readonly acls: AclTable
  readonly memory: SharedMemory
  readonly view: ConfigurationView
  readonly references: ReferenceTable
  readonly adapters: ProcessorAdapters
  readonly queues: ProcessorQueues
  readonly #delivery: Delivery
  readonly #drops: DropRing
  readonly #macs: MacTable
  readonly #served: PortQueues
  readonly #epoll = new EpollSet()
  readonly #alarm = new Alarm(this.#epoll)
  readonly #doorbell: number
  readonly #sources = new PollOrder<Source>((source) => this.#look(source))
  readonly #paced: PacedRings<Source>
  #stopping = false
  #retired = false
  #slicing = false
  #bursts = 0
  #armed = false

  constructor(start: ProcessorStart, report: (module: string, code: string, message: string) => void) {
    const memory = SharedMemory.attach({ memory: start.memory })
    const { addresses } = start
    this.memory = memory
    this.view = new ConfigurationView(start.switchName, start.switchFriendlyName)
    this.references = new ReferenceTable(memory.buffer, addresses.references, start.ports)
    this.nowMs = createClock(start.startedMs)
    this.timers = new Timers(this.nowMs, (owner, error) => report(owner, 'timer-failed', describeError(error)))
    const windows = new WindowSet(memory)
    const any = createTwin(windows)
    const linear = instantiateKernels(start.kernels, memory.memory)
    this.linear = linear
    const kernels = kernelsByPacket(memory.buffer, addresses.pool, linear, any)
    this.kernels = kernels
    const context = { memory, kernels: { linear, any }, pool: addresses.pool, scratch: addresses.scratch }
    this.pool = new PacketPool(memory.buffer, addresses.pool, kernels)
    this.ports = new PortTable(memory.buffer, addresses.portTable, start.ports)
    this.acls = new AclTable(start.ports, start.index, {
      kernel: { kernels: linear, buffer: memory.buffer, block: addresses.classify },
    })
    this.counters = new Counters(memory.buffer, addresses.counters, start.ports)
    this.reasons = new ReasonRegistry(memory.buffer, addresses.reasons)
    this.injections = new Injections(this.pool)
    const reasonName = (reason: number): string => this.reasons.name(reason)
    this.#delivery = new Delivery(memory.buffer, addresses.delivery, start.ports, {
      pool: this.pool,
      kernels,
      counters: this.counters,
      reasonName,
    })
    this.#drops = new DropRing(memory.buffer, addresses.drops, this.wallClock)
    this.#delivery.drops = this.#drops
    const shortCut = new ShortCut(
      memory.buffer,
      {
        pool: addresses.pool,
        block: addresses.switching,
        portTable: addresses.portTable,
        macTable: addresses.macTable,
        macEntries: start.macEntries,
      },
      { kernels: linear, ports: this.ports, delivery: this.#delivery },
    )
    const macs = new MacTable(memory.buffer, addresses.macTable, start.macEntries, start.ports)
    this.#macs = macs
    this.dataPath = new DataPath({
      shortCut,
      buffer: memory.buffer,
      pool: this.pool,
      list: addresses.list,
      kernels,
      ports: this.ports,
      acls: this.acls,
      macs,
      counters: this.counters,
      delivery: this.#delivery,
      injections: this.injections,
      nowMs: this.nowMs,
      report,
      reasonNumber: (_module, name) => this.reasons.number(name),
      reportAll: start.verify,
    })
    this.dataPath.placement.team.processor = start.index
    this.dataPath.lost.ring = this.#drops
    this.adapters = new ProcessorAdapters({
      memory,
      pool: this.pool,
      kernels,
      linear,
      dataPath: this.dataPath,
      reasonName,
      nowMs: this.nowMs,
    })
    const { dataPath, pool, counters, nowMs } = this
    this.queues = new ProcessorQueues({ memory, pool, kernels, linear, dataPath, macs, counters, processor: start.index, nowMs })
    this.#served = new PortQueues({
      context,
      windows,
      epoll: this.#epoll,
      sources: this.#sources,
      delivery: this.#delivery,
      adapters: this.adapters,
      queues: this.queues,
      counters,
    })
    this.#paced = new PacedRings({ table: this.ports.bandwidth, pool, dataPath, nowMs })
    this.#delivery.limits = new DeliveryLimits(this.ports.bandwidth, pool, nowMs)
    this.#epoll.add(this.#paced.timer)
    this.#doorbell = start.doorbell
    this.#epoll.add(start.doorbell)
  }

  /**
   * Takes a frame into the switch as though it came from the port's connection (`nicIndex`: its physical adapter): all modules see it.
   * Returns false without room.
   */
  inject(port: number, nicIndex: number, frame: Uint8Array): boolean {
    const { pool } = this
    const slot = pool.take(frame.length, Math.min(frame.length, HEADER_COPY))
    if (slot < 0) return false
    fill(pool, slot, 0, frame)
    this.kernels.parse(pool.base, slot, 1)
    pool.flags[slot] = pool.flags[slot]! | PF_OWNED | PF_SAFE
    pool.sourcePort[slot] = port
    pool.sourceNic[slot] = nicIndex
    this.injections.own(slot, -1, true, -1)
    this.injections.enqueue(slot)
    this.#wake()
    return true
  }

  /** The steps of a frame through the switch, without sending it. */
  trace(options: Omit<DryRunOptions, 'nicIndex'>): readonly TraceStep[] | undefined {
    const nicIndex = this.view.port(options.port)?.portType === PortType.external ? 1 : 0
    const { dataPath, pool, kernels, ports, acls, injections, reasons, nowMs } = this
    return dryRun(
      { ...options, nicIndex },
      {
        buffer: this.memory.buffer,
        dataPath,
        delivery: this.#delivery,
        pool,
        kernels,
        ports,
        acls,
        macs: this.#macs,
        injections,
        reasons,
        nowMs,
        portName: (id) => this.view.port(id)?.portName ?? (id === 0 ? 'extensions' : `port ${id}`),
      },
    )
  }

  /** Replaces the queues of a port or VPort; those that are gone are closed when this returns. */
  setQueues(request: Extract<Request, { kind: 'queues' }>): void {
    this.#wake()
    this.#served.set(request)
  }

  /** Who chooses where a port has several queue pairs; undefined: a hash of delivery's own. */
  setChoice(port: number, choice: QueueChoice | undefined): void {
    this.#delivery.setChoice(port, choice)
  }

  /** Takes no more frames from outside. */
  retire(): void {
    this.#wake()
    this.#retired = true
  }

  /** Stops the loop after the present slice. */
  stop(): void {
    this.#stopping = true
  }

  /** Runs until `stop`. */
  async run(): Promise<void> {
    while (!this.#stopping) {
      const bursts = this.#slice()
      if (bursts === 0) this.#sleep()
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    this.#wake()
    this.#served.close()
    this.#alarm.close()
    this.#epoll.close()
    this.#paced.close()
  }

  /**
   * A module was interrupted from outside in the middle of a slice: ends what it was in (`inBurst`: a burst), after which `run` may be called
   * anew. Throws if no slice was.
   */
  interrupted(inBurst: boolean): void {
    if (!this.#slicing) throw new Error('no slice was interrupted')
    this.#slicing = false
    this.dataPath.interrupted(inBurst)
    this.timers.interrupted()
    this.counters.processor(ProcessorCounter.interruptions, 1)
  }

  // Serves all queues until the slice is over or nothing came for a while. Returns the bursts served.
  #slice(): number {
    const began = performance.now()
    this.#slicing = true
    const end = began + SLICE_MS
    const retired = this.#retired
    const spin = this.#bursts >= BUSY_BURSTS ? SPIN_ROUNDS_BUSY : SPIN_ROUNDS_IDLE
    this.dataPath.forwarding.nowSeconds = Math.floor(this.nowMs() / 1000)
    this.wallClock.expire()
    this.timers.run()
    let bursts = this.dataPath.flushInjections() ? 1 : 0
    let empty = 0
    let rounds = 0
    let look = TURNS_PER_LOOK
    let burstsAtLook = 0
    for (;;) {
      const served = retired ? 0 : this.#sources.round()
      bursts += served
      if (served !== 0) empty = 0
      else if (++empty >= spin) break
      if (++rounds < look && bursts - burstsAtLook < BURSTS_PER_LOOK) continue
      look = rounds + TURNS_PER_LOOK
      burstsAtLook = bursts
      this.timers.runExact()
      if (this.dataPath.flushInjections()) {
        bursts++
        empty = 0
      }
      if (performance.now() >= end) break
    }
    this.#countLost()
    this.#bursts = bursts
    this.counters.processor(ProcessorCounter.turns, rounds)
    if (bursts !== 0) {
      const took = performance.now() - began
      this.counters.processor(ProcessorCounter.busyNs, took * 1e6)
      if (took >= SLOW_SLICE_MS) this.dataPath.stack.lookCloser()
    }
    this.#slicing = false
    return bursts
  }

  // Frames that came faster than we took them are drops of their port.
  #countLost(): void {
    for (const { queue, port, counters } of this.#sources.all) {
      const lost = queue.takeLost?.() ?? 0
      if (lost === 0) continue
      counters.drop(port, DropReason.receiveBufferFull, lost)
      counters.port(port, PortCounter.receivedDropped, lost)
      if (counters === this.counters) this.#drops.note(undefined, -1, DropReason.receiveBufferFull, port, true, '', lost)
    }
  }

  // One turn of a queue. Returns the packets taken.
  #look(source: Source): number {
    this.wallClock.expire()
    const timed = ++this.#latencyTick % LATENCY_EVERY === 0
    const before = timed ? performance.now() : 0
    const { path, queue, port } = source
    const taken = this.#paced.concerns(source)
      ? this.#paced.turn(source)
      : path === undefined
        ? this.dataPath.turn(queue, port, source.nicIndex)
        : path.turn(queue, port)
    if (timed && taken !== 0) this.#time(taken, (performance.now() - before) * 1e6)
    return taken
  }

  #time(taken: number, ns: number): void {
    const { counters } = this
    counters.latency(ns)
    if (taken < BURST_MAX || ns > INTERRUPTED_NS) return
    counters.processor(ProcessorCounter.fullBursts, 1)
    counters.processor(ProcessorCounter.fullBurstNs, (ns * BURST_MAX) / taken)
  }

  #latencyTick = 0

  // Arms every queue but those that have to wait; if none has work, blocks until one has, a timer is due, or somebody rings.
  #sleep(): void {
    if (!this.#armAll() || !this.#paced.setTimer()) return
    const timeout = Math.min(SLEEP_MAX_MS, this.timers.untilNextMs())
    this.counters.processor(ProcessorCounter.sleeps, 1)
    const ready = this.#alarm.wait(timeout, this.timers.untilExactMs())
    this.#paced.woken((source) => this.#sources.promote(source))
    let others = 0
    for (let i = 0; i < ready; i++) {
      const fd = this.#epoll.ready(i)
      if (fd === this.#doorbell) drainEventFd(this.#doorbell)
      if (fd !== this.#paced.timer) others++
    }
    if (others !== 0) this.#wake()
  }

  // False if one has work.
  #armAll(): boolean {
    if (this.#retired) return true
    if (!this.#armed) {
      this.#armed = true
      this.#paced.begin()
      for (const source of this.#sources.all) if (!this.#paced.leaves(source) && !this.#arm(source)) return false
    } else
      for (let waited = this.#paced.next(); waited !== undefined; waited = this.#paced.next())
        if (!this.#arm(waited)) return false
    return true
  }

  #arm({ queue }: Source): boolean {
    if (!queue.arm(this.#epoll)) return true
    this.#wake()
    return false
  }

  #wake(): void {
    if (!this.#armed) return
    this.#armed = false
    for (const source of this.#sources.all) source.queue.disarm(this.#epoll)
    this.#sources.wake()
  }
}
