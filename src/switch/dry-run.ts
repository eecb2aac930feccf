// Sends a frame through the switch without sending it: the real data path with the real modules, tables and policies, between two bursts;
// only what would have an effect outside is another: counters, the table that learns, and the queues that frames are delivered to.
//
// The rules it must not break: the code that decides is the one that decides for guests' frames; nothing is delivered, counted or
// learned. Extensions are told by `batch.isTraced`; one that does not look at it remembers the frame as it does any other.
import type { PacketKernels } from '../kernels/by-packet.ts'
import { BURST_MAX, HEADER_COPY, PF_ORIGINATED, PF_OWNED, PF_SAFE, POOL_SLOTS } from '../kernels/layout.ts'
import type { Batch } from '../ndis/batch.ts'
import { HELD_FIRST, type PacketPool } from '../ndis/pool.ts'
import type { SwitchContextTypes } from '../ndis/switch-context.ts'
import type { AclTable } from './acl/acl-table.ts'
import { Counters, countersBytes } from './counters.ts'
import { DataPath } from './data-path.ts'
import { Delivery } from './delivery.ts'
import { PacketTrace, type TraceStep } from './dry-run-steps.ts'
import { DryWords } from './dry-words.ts'
import type { Injections } from './injections.ts'
import type { MacTable } from './mac-table.ts'
import type { Module } from './module.ts'
import { DryOverlay } from './overlay/dry-overlay.ts'
import { OverlayPath } from './overlay/overlay-path.ts'
import { fill } from './packet-handle.ts'
import type { PortTable } from './port-table.ts'
import type { ReasonRegistry } from './reason-registry.ts'
import { type Snooping, TO_TARGETS } from './snooping/snooping.ts'

/** What a dry run borrows of a processor. */
export interface DryRunComponents {
  readonly buffer: ArrayBufferLike
  readonly dataPath: DataPath
  readonly delivery: Delivery
  readonly pool: PacketPool
  readonly kernels: PacketKernels
  readonly ports: PortTable
  readonly acls: AclTable
  readonly macs: MacTable
  readonly injections: Injections
  readonly reasons: ReasonRegistry
  readonly nowMs: () => number
  readonly portName: (id: number) => string
}

export interface DryRunOptions {
  /** Port that the frame comes from, and its physical adapter (0: none). */
  readonly port: number
  readonly nicIndex: number
  readonly frame: Uint8Array
  /** Linear addresses of DATA_PATH_LIST_BYTES and of deliveryListBytes, zeroed. */
  readonly list: number
  readonly deliveryList: number
}

/** The steps of `frame` through the switch; undefined where the packet pool has no room. Call between two bursts. */
export function dryRun(options: DryRunOptions, components: DryRunComponents): readonly TraceStep[] | undefined {
  const { dataPath: main, pool, kernels, injections, ports } = components
  const { frame } = options
  main.flushInjections() // what waits to be sent is no part of this
  const slot = pool.take(frame.length, Math.min(frame.length, HEADER_COPY))
  if (slot < 0) return undefined
  fill(pool, slot, 0, frame)
  kernels.parse(pool.base, slot, 1)
  pool.flags[slot] = (pool.flags[slot]! & ~PF_ORIGINATED) | PF_OWNED | PF_SAFE
  const owned = ownedSlots(injections)
  const counters = main.stack.modules.map((module) => module.handle.counters.slice())
  const macs = components.macs.copy()
  const acls = components.acls.shadow()
  const { nowMs, portName } = components
  const { nowSeconds } = main.forwarding
  const words = new DryWords({ pool, ports, macs: components.macs, portName, nowMs, nowSeconds })
  const trace = new PacketTrace({ pool, reasons: components.reasons, portName, words, acls })
  const path = dryPath(options, components, { macs, acls, words, trace })
  try {
    trace.arrives(slot, options.port)
    path.takeOver(Uint16Array.of(slot), 1, options.port, options.nicIndex)
    for (let rounds = 0; injections.pending !== 0 && rounds < BURST_MAX; rounds++) path.settle()
  } finally {
    injections.attach(main)
    forgetQueued(injections)
    for (const kept of ownedSlots(injections)) if (!owned.has(kept)) injections.withhold(kept)
    for (const [i, module] of main.stack.modules.entries()) module.handle.counters.set(counters[i]!)
    pool.give(slot)
  }
  trace.learned(components.macs, macs, slot, frame, ports.vlan(options.port), options.port)
  return trace.steps
}

// Packets that answer packets without end: what is left of them is not sent.
function forgetQueued(injections: Injections): void {
  const slots = new Uint16Array(BURST_MAX)
  while (injections.pending !== 0) {
    const count = injections.next(slots)
    injections.freeAll(slots, count)
  }
}

function ownedSlots(injections: Injections): ReadonlySet<number> {
  const owned = new Set<number>()
  for (let slot = HELD_FIRST; slot < POOL_SLOTS; slot++) if (injections.stateOf(slot) !== 0) owned.add(slot)
  return owned
}

/** What a dry run has of its own. */
interface DryParts {
  readonly macs: MacTable
  readonly acls: AclTable
  readonly words: DryWords
  readonly trace: PacketTrace
}

// A data path like the processor's own, of the same classes, over the same packets, ports and modules.
function dryPath(options: DryRunOptions, components: DryRunComponents, own: DryParts): DataPath {
  const { macs, acls, words, trace } = own
  const { dataPath: main, pool, kernels, ports, reasons, injections } = components
  const counters = new Counters(new SharedArrayBuffer(countersBytes(ports.ports)), 0, ports.ports)
  const delivery = new Delivery(components.buffer, options.deliveryList, ports.ports, {
    pool,
    kernels,
    counters,
    reasonName: (reason) => reasons.name(reason),
  })
  for (let port = 1; port <= ports.highest; port++)
    if (components.delivery.reaches(port)) delivery.setQueues(port, [trace.sink(components.buffer, port)])
  const path = new DataPath({
    buffer: components.buffer,
    pool,
    list: options.list,
    kernels,
    ports,
    acls,
    macs,
    counters,
    delivery,
    injections,
    nowMs: components.nowMs,
    report: (module, code, message) => trace.reports(module, code, message),
    reasonNumber: (_module, name) => reasons.number(name),
    reportAll: true,
  })
  ;(path as { contexts: SwitchContextTypes }).contexts = main.contexts // what modules declared stays declared
  const { native, policies } = main.edge
  if (native instanceof OverlayPath)
    path.setHooks(policies, new DryOverlay(native, { pool, ports, owner: path, trace, portName: components.portName }))
  path.batch.isTraced = true
  path.batch.explained = (slot, text) => trace.explained(slot, text)
  path.forwarding.nowSeconds = main.forwarding.nowSeconds
  path.forwarding.learnsNothing = true
  path.guards.learns = false
  const joined = watchSnooping(path, main)
  path.lost.ring = trace
  delivery.drops = trace
  path.stack.set(main.stack.modules.map((module) => watched(module, trace)))
  if (components.delivery.limits !== undefined) delivery.limits = new DryLimits(words)
  watchStages(path, trace, (slot) => words.ofForwarding(slot, joined()))
  return path
}

// The switch's own stages, each watched.
function watchStages({ choice, edge, placement, stack }: DataPath, trace: PacketTrace, why: (slot: number) => string): void {
  const forward = choice.forward.bind(choice)
  choice.forward = (batch, source) => trace.during('forwarding', '', batch, () => forward(batch, source), why)
  const before = edge.beforeForwarding.bind(edge)
  edge.beforeForwarding = (batch) => trace.policies('ingress', batch, () => before(batch))
  const after = edge.afterForwarding.bind(edge)
  edge.afterForwarding = (batch) => trace.policies('egress', batch, () => after(batch))
  const separate = edge.separate.bind(edge)
  edge.separate = (batch) => trace.placing(batch, 'it is not in the same virtual subnet', () => separate(batch))
  const finish = placement.finish.bind(placement)
  placement.finish = (batch) => trace.placing(batch, "it is another tenant's", () => finish(batch))
  const compile = stack.compile.bind(stack)
  stack.compile = () => {
    compile()
    const { egress } = stack
    stack.egress = (batch) => trace.upward(batch, () => egress(batch))
  }
  stack.compile()
}

// The running switch's snooping, which learns nothing: true if it chose where the last multicast frame goes, undefined where there is none.
function watchSnooping(path: DataPath, main: DataPath): () => boolean | undefined {
  const { snooping } = main.forwarding
  let verdict = 0
  if (snooping === undefined) return () => undefined
  const place: Snooping['place'] = (...asked) => {
    verdict = snooping.place(...asked)
    return verdict
  }
  path.forwarding.snooping = Object.create(snooping, { place: { value: place } }) as Snooping
  return () => verdict === TO_TARGETS
}

// What ports may get, looked at and not used up.
class DryLimits {
  readonly bytes = 0
  dropped = 0
  droppedSlot = -1
  private readonly words: DryWords

  constructor(words: DryWords) {
    this.words = words
  }

  concerns(port: number): boolean {
    return this.words.isReceiveUsedUp(port)
  }

  apply(lists: Uint16Array, first: number, count: number): number {
    this.dropped = count
    this.droppedSlot = lists[first]!
    return 0
  }
}

// The module with its real handlers, each watched. What happens to it here (a failure) happens to this one only.
function watched(module: Module, trace: PacketTrace): Module {
  const { handlers } = module
  const watch = (direction: 'ingress' | 'egress') => {
    const handler = handlers[direction]
    if (handler === undefined) return undefined
    if (module.class === 'capturing') return () => trace.passedOver(direction, module.name)
    return (batch: Batch) => trace.during(direction, module.name, batch, () => handler.call(handlers, batch))
  }
  const own = {
    ingress: watch('ingress'),
    egress: watch('egress'),
    ...(module.class === 'capturing'
      ? {}
      : { sendComplete: handlers.sendComplete?.bind(handlers), returned: handlers.returned?.bind(handlers) }),
  }
  return Object.create(module, {
    handlers: { value: Object.fromEntries(Object.entries(own).filter(([, handler]) => handler !== undefined)) },
    state: { value: module.state, writable: true },
    faults: { value: 0, writable: true },
    lastFault: { value: '', writable: true },
    breaches: { value: 0, writable: true },
    slowBatches: { value: 0, writable: true },
    sampledNs: { value: 0, writable: true },
    sampledPackets: { value: 0, writable: true },
  }) as Module
}
