// One adapter in VMQ mode of a running switch: the model on the control thread, the queues' tables and memory, which ring of the uplink
// each processor polls, and what the kernel is told about it.
//
// The rule it must not break: frames of a VM enter the switch in the order in which they came, whatever queue or processor it moves to.
import { setImmediate as immediate } from 'node:timers/promises'
import type { AdapterIndication } from '../../adapter/adapter.ts'
import type { HardwareLimits } from '../../adapter/capabilities.ts'
import { SwitchCaps } from '../../adapter/identifiers.ts'
import { Keyword, Registry } from '../../adapter/keywords.ts'
import { QUEUE_PATH_LIST_BYTES } from '../../adapter/queues/queue-path.ts'
import { type QueueTables, queueTablesBytes, viewQueueTables } from '../../adapter/queues/queue-tables.ts'
import { RegionSharedMemory } from '../../adapter/queues/shared-memory.ts'
import { type SteeringPlan, steeringPlan } from '../../adapter/queues/steering-plan.ts'
import type { VmQueue } from '../../adapter/queues/vm-queues.ts'
import { filterParameters } from '../../adapter/receive-filters.ts'
import { adapterTablesBytes, SoftwareAdapter } from '../../adapter/software-adapter.ts'
import { vportStatistics } from '../../adapter/statistics.ts'
import type { SteerResult, SteerRule } from '../../endpoints/uplink/steering.ts'
import type { SharedMemory } from '../../linux/shared-memory.ts'
import { STEER_RULES_MAX } from '../../linux/steering-table.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import { Counters, countersBytes } from '../../switch/counters.ts'
import type { AdapterConfig } from '../adapter-config.ts'
import type { PortPlace } from '../adapters/adapter-port.ts'
import type { ProcessorSet } from '../processor-set.ts'
import type { QueueModeConfig } from '../queue-config.ts'
import { RingGates, ringGatesBytes } from './ring-gates.ts'

/** Receive buffers that a VM's queue asks for, in memory of 2 KiB each; the default queue has twice as many. */
export const QUEUE_BUFFERS = 128
const QUEUE_BYTES = QUEUE_BUFFERS * 2048
/** Bindings of drivers above, and filters on the default queue. */
const SPARE_FILTERS = 8
const RINGS_MAX = 16
/** Milliseconds that a ring is waited for. */
const RING_LIMIT_MS = 2_000
const PAGE = 4096
/** The overlying driver that queues belong to. */
export const QUEUE_DRIVER = 'vmq'

export interface QueueAdapterOptions {
  /** Number of the adapter on the processors. */
  readonly index: number
  readonly config: AdapterConfig & QueueModeConfig
}

export interface QueueAdapterComponents {
  readonly memory: SharedMemory
  readonly processors: ProcessorSet
  readonly nowMs: () => number
  readonly event: (code: string, message: string) => void
  readonly indicate: (indication: AdapterIndication) => void
}

/** What steers an uplink's frames to its rings; undefined: nothing does. */
export type Steer = ((rules: readonly SteerRule[], fallback: readonly number[]) => SteerResult) | undefined

/** Where the adapter is connected, and what brings its frames. */
interface Joined extends PortPlace {
  readonly steer: Steer
}

function limitsFor(queues: number): HardwareLimits {
  const filters = queues + SPARE_FILTERS
  return {
    totalVFs: 0,
    maxNumVFs: 0,
    maxNumVPorts: 2,
    maxNumQueuePairs: 2,
    maxNumQueuePairsPerNonDefaultVPort: 1,
    maxNumMacAddresses: filters,
    numQueues: queues,
    switchCaps: SwitchCaps.vlanSupported | SwitchCaps.singleVPortPool | SwitchCaps.nicSwitchWithoutIov,
  }
}

export class QueueAdapter {
  readonly config: QueueAdapterOptions['config']
  readonly software: SoftwareAdapter
  readonly tables: QueueTables
  /** Of each processor; port ids are those of queues. The last block is the control thread's. */
  readonly counters: readonly Counters[]
  /** Processors that serve queues; the first serves the default queue too. */
  readonly served: readonly number[]
  readonly #components: QueueAdapterComponents
  readonly #index: number
  readonly #sizes: { readonly queues: number; readonly filters: number }
  readonly #gates: RingGates
  readonly #places: { readonly tables: number; readonly gates: number; readonly counters: number[]; readonly lists: number[] }
  readonly #taken: [number, number][] = []
  #joined: Joined | null = null
  #rings = 0
  #plan: SteeringPlan = { rules: [], inSoftware: [] }
  #result: SteerResult = { inKernel: [], inSoftware: [], reason: null }

  constructor({ index, config }: QueueAdapterOptions, components: QueueAdapterComponents) {
    const { memory, processors, nowMs, event, indicate } = components
    this.config = config
    this.#index = index
    this.#components = components
    this.served = servedProcessors(config, processors.clients.length)
    const limits = limitsFor(config.queues)
    this.#sizes = { queues: limits.numQueues + 1, filters: limits.maxNumMacAddresses }
    const adapterAt = this.#take(adapterTablesBytes(limits))
    this.#places = {
      tables: this.#take(queueTablesBytes(this.#sizes)),
      gates: this.#take(ringGatesBytes(RINGS_MAX)),
      counters: [...processors.clients, 0].map(() => this.#take(countersBytes(this.#sizes.queues))),
      lists: processors.clients.map(() => this.#take(QUEUE_PATH_LIST_BYTES)),
    }
    const { buffer } = memory
    this.tables = viewQueueTables(buffer, this.#places.tables, this.#sizes)
    this.#gates = new RingGates(buffer, this.#places.gates, RINGS_MAX)
    this.counters = this.#places.counters.map((at) => new Counters(buffer, at, this.#sizes.queues))
    const ofControl = this.counters.at(-1)!
    const bytes = (config.queues + 2) * QUEUE_BYTES
    const region = new RegionSharedMemory(this.#take(bytes), bytes)
    region.register()
    this.software = new SoftwareAdapter(
      { limits, mac: config.mac, mtu: config.mtu, speedMbps: config.speedMbps, queues: { processors: this.served } },
      {
        buffer,
        at: adapterAt,
        registry: new Registry({ [Keyword.rssOrVmqPreference]: 1, [Keyword.vmq]: 1 }),
        nowMs,
        statistics: (vport) => vportStatistics(this.counters, vport),
        indicate,
        report: (code, rule, message) => event(code, rule === '' ? message : `${message} (${rule})`),
        queues: {
          tables: this.tables,
          memory: region,
          quiesced: () => processors.all(() => ({ kind: 'quiesce' })),
          wake: (processor) => processors.clients[processor]!.wake(),
          discarded: (queue, packets) => ofControl.drop(queue, DropReason.paused, packets),
        },
      },
    )
  }

  #take(bytes: number): number {
    const at = this.#components.memory.allocate(bytes, PAGE)
    this.#taken.push([at, bytes])
    return at
  }

  get name(): string {
    return this.config.name
  }

  /** The switch port above; 0: none is. */
  get hostPort(): number {
    return this.#joined?.port ?? 0
  }

  /** MiniportInitializeEx: the default queue is there. */
  start(): Promise<void> {
    return this.software.adapter.start()
  }

  /** The port stands above the adapter from now on; processors know its queues when this settles. */
  async join({ port, nicIndex }: PortPlace, steer: Steer): Promise<void> {
    if (this.#joined !== null) throw new Error(`adapter "${this.name}" is connected to a port already`)
    const { processors } = this.#components
    const { counters, lists, tables, gates } = this.#places
    const doorbells = processors.clients.map(({ doorbell }) => doorbell)
    const common = { adapter: this.#index, port, nicIndex, sizes: this.#sizes, tables, gates, doorbells }
    await processors.all((i) => ({ kind: 'queue-adapter', plan: { ...common, counters: counters[i]!, list: lists[i]! } }))
    this.#joined = { port, nicIndex, steer }
  }

  /** The uplink has so many rings now; 0: it is away. */
  ringsChanged(rings: number, vms: readonly VmQueue[]): void {
    this.#rings = rings
    if (rings > 0) this.#steer(vms)
  }

  /** The uplink is closed: nothing comes any more. */
  async part(): Promise<void> {
    this.#joined = null
    this.#rings = 0
    await this.#components.processors.all(() => ({ kind: 'queue-adapter-gone', adapter: this.#index }))
  }

  /** Halts the adapter and gives everything back; its queues are freed, no port is above. */
  async stop(): Promise<void> {
    await this.software.adapter.halt().catch(async () => {
      this.software.adapter.surpriseRemove()
      await this.software.adapter.halt()
    })
    for (const [at, bytes] of this.#taken) this.#components.memory.free(at, bytes)
  }

  // ---- rings ----------------------------------------------------------------------------------------------------------------

  /** The ring that a processor polls, or undefined if it polls none. */
  ringOf(processor: number): number | undefined {
    const count = this.#components.processors.clients.length
    const ring = (((processor - (this.hostPort - 1)) % count) + count) % count
    return ring < this.#rings ? ring : undefined
  }

  /** How the frames of a VM's queue come. */
  steeringOf({ wish }: Pick<VmQueue, 'wish'>): {
    readonly steering: 'kernel' | 'one-ring' | 'software'
    readonly reason: string | null
  } {
    if (this.#rings === 1) return { steering: 'one-ring', reason: null }
    const isOurs = ({ mac }: { readonly mac: string }): boolean => mac === wish.mac
    if (this.#result.inKernel.some(isOurs)) return { steering: 'kernel', reason: null }
    const unplanned = this.#plan.inSoftware[0]?.reason
    return { steering: 'software', reason: this.#result.reason ?? unplanned ?? 'the uplink is away' }
  }

  /** How the frames come that no VM's queue takes. */
  get fallback(): { readonly steering: 'kernel' | 'one-ring' | 'software'; readonly reason: string | null } {
    if (this.#rings === 1) return { steering: 'one-ring', reason: null }
    const { inSoftware, reason } = this.#result
    if (this.#rings > 1 && inSoftware.length === 0) return { steering: 'kernel', reason: null }
    return { steering: 'software', reason: reason ?? 'the uplink is away' }
  }

  #steer(vms: readonly VmQueue[]): void {
    this.#plan = steeringPlan({
      filters: vms.map(({ wish: { mac, vlan }, filterId, queueId }) => ({
        id: filterId,
        owner: QUEUE_DRIVER,
        queue: queueId,
        key: { mac, vlan, inner: false },
        parameters: filterParameters(mac, vlan, 0),
      })),
      processorOf: (queue) => this.tables.queues.processor(queue),
      ringOf: (processor) => this.ringOf(processor),
      rulesMax: STEER_RULES_MAX,
    })
    const fallback = this.ringOf(this.served[0]!)
    const steer = this.#joined?.steer
    this.#result =
      steer === undefined || fallback === undefined
        ? { inKernel: [], inSoftware: this.#plan.rules, reason: 'what the adapter is connected to has no way to choose a ring' }
        : steer(this.#plan.rules, [fallback])
  }

  /**
   * Has the kernel put the VMs' frames where their queues are now. What processor `to` gets that `from` got before is taken from its ring
   * when all that came to `from` until now has been taken from there.
   */
  async steer(vms: readonly VmQueue[], from: number, to: number): Promise<void> {
    if (this.#rings === 0) return
    const [before, after] = [this.ringOf(from), this.ringOf(to)]
    if (before === undefined || after === undefined || before === after) return this.#steer(vms)
    const { clients } = this.#components.processors
    this.#gates.shut(after)
    clients[to]!.wake()
    try {
      await this.#until(() => this.#gates.isShut(after), to)
      this.#steer(vms)
      this.#gates.drain(before)
      clients[from]!.wake()
      await this.#until(() => this.#gates.isDrained(before), from)
    } finally {
      this.#gates.open(after)
    }
  }

  async #until(done: () => boolean, processor: number): Promise<void> {
    const { nowMs, event } = this.#components
    for (const end = nowMs() + RING_LIMIT_MS; !done(); await immediate())
      if (nowMs() > end) {
        if (this.#rings > 0)
          event(
            'ring-not-served',
            `processor ${processor} did not serve its ring in ${RING_LIMIT_MS} ms: frames may be out of order`,
          )
        return
      }
  }
}

/** The processors that serve queues: as many as there are and the configuration allows. */
function servedProcessors({ baseProcessor, maxProcessors }: QueueModeConfig, processors: number): number[] {
  const count = Math.min(maxProcessors ?? processors, processors - baseProcessor)
  if (count < 1)
    throw new RangeError(`no processor ${baseProcessor} to serve queues: the switch has processors 0 to ${processors - 1}`)
  return Array.from({ length: count }, (_, i) => baseProcessor + i)
}
