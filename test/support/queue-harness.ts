// An adapter in queue mode with the data path of several processors, without an engine: the fixture of the specification's VMQ scenarios.
// Each processor has a pool of its own over one shared memory; the wire's frames come from arrays, what is indicated goes to arrays.
import type { AdapterIndication } from '../../src/adapter/adapter.ts'
import type { HardwareLimits } from '../../src/adapter/capabilities.ts'
import { SwitchCaps } from '../../src/adapter/identifiers.ts'
import { type Keyword, Registry } from '../../src/adapter/keywords.ts'
import { AdapterOid } from '../../src/adapter/oids.ts'
import type { FilterParameters } from '../../src/adapter/payloads.ts'
import { filteringInfo, type SharedMemoryInfo, sharedMemoryInfo } from '../../src/adapter/queues/filtering-info.ts'
import { QUEUE_PATH_LIST_BYTES, QueuePath } from '../../src/adapter/queues/queue-path.ts'
import {
  type QueueTableSizes,
  type QueueTables,
  queueTablesBytes,
  viewQueueTables,
} from '../../src/adapter/queues/queue-tables.ts'
import type { AllocationCompleteArray, QueueParameters } from '../../src/adapter/queues/queue-words.ts'
import { RegionSharedMemory } from '../../src/adapter/queues/shared-memory.ts'
import type { SoftwareQueues } from '../../src/adapter/queues/software-queues.ts'
import { filterParameters } from '../../src/adapter/receive-filters.ts'
import type { AdapterCompletion, RequestType } from '../../src/adapter/requests.ts'
import { adapterTablesBytes, SoftwareAdapter } from '../../src/adapter/software-adapter.ts'
import { vportStatistics } from '../../src/adapter/statistics.ts'
import { HEADER_COPY, HEADER_START, HEADER_STRIDE, SEGMENTS_MAX, VNET_STRIDE } from '../../src/kernels/layout.ts'
import { createTwin, linearWindows } from '../../src/kernels/twin.ts'
import { createQueueTwin } from '../../src/kernels/twin-queued.ts'
import { DropReason, dropReasonNames } from '../../src/ndis/drop-reasons.ts'
import { PacketPool, POOL_TOTAL_BYTES } from '../../src/ndis/pool.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { Counters, countersBytes } from '../../src/switch/counters.ts'
import { MAC } from './adapter-harness.ts'
import { textOf } from './data-path-harness.ts'

const ALIGNMENT = 4096
const PAYLOAD_BYTES = 1 << 20
const SCRATCH_BYTES = 1 << 17

/** Limits of the fixture. */
export const queueLimits: HardwareLimits = {
  totalVFs: 0,
  maxNumVFs: 0,
  maxNumVPorts: 12,
  maxNumQueuePairs: 32,
  maxNumQueuePairsPerNonDefaultVPort: 4,
  maxNumMacAddresses: 24,
  numQueues: 7,
  switchCaps: SwitchCaps.vlanSupported | SwitchCaps.singleVPortPool | SwitchCaps.nicSwitchWithoutIov,
}

/** Keywords of an adapter with VMQ on. */
export const vmqKeywords: Partial<Record<Keyword, number | string>> = { '*RssOrVmqPreference': 1, '*VMQ': 1 }

/** One call of NdisMIndicateReceiveNetBufferLists, as it was when it was made. */
export interface Indication {
  readonly processor: number
  readonly queue: number
  readonly flags: number
  readonly packets: readonly {
    readonly text: string
    readonly bytes: Buffer
    readonly queue: number
    readonly filteringInfo: number
    readonly memory: SharedMemoryInfo | null
    readonly slot: number
    readonly vlan: number
    readonly flags: number
  }[]
}

export interface QueueHarnessOptions {
  readonly keywords?: Partial<Record<Keyword, number | string>>
  readonly limits?: Partial<HardwareLimits>
  readonly processors?: number
  /** Bytes of shared memory for queues (default 16 MiB). */
  readonly memoryBytes?: number
  readonly moderationUs?: number
  /** Paths take whole bursts at once where they can (default), or look at each packet. */
  readonly bursts?: boolean
  /** Called in each indication, while its packets are out. */
  readonly onIndicate?: (indication: Indication) => void
}

export class QueueHarness {
  readonly buffer: SharedArrayBuffer
  readonly software: SoftwareAdapter
  readonly memory: RegionSharedMemory
  readonly tables: QueueTables
  readonly paths: QueuePath[] = []
  readonly pools: PacketPool[] = []
  readonly counters: Counters[] = []
  /** Counters of the control thread. */
  readonly control: Counters
  readonly indications: Indication[] = []
  readonly statuses: AdapterIndication[] = []
  readonly reports: string[] = []
  readonly trace: string[] = []
  readonly wakes: number[] = []
  readonly memoryStart: number
  readonly memoryBytes: number
  nowUs = 0
  /** What `quiesced` waits for; a test may put its own promise here. */
  quiesced: () => Promise<void> = () => Promise.resolve()
  readonly #u8: Uint8Array
  readonly #places: { tablesAt: number; sizes: QueueTableSizes; pools: number[]; counters: number[]; lists: number[] }
  readonly #payload: number
  readonly #scratch: number
  readonly #kernels: ReturnType<typeof createTwin>
  #payloadNext = 0

  constructor(options: QueueHarnessOptions = {}) {
    const { keywords = vmqKeywords, processors = 4, memoryBytes = 16 << 20, onIndicate } = options
    const limits = { ...queueLimits, ...options.limits }
    const sizes = { queues: limits.numQueues + 1, filters: limits.maxNumMacAddresses }
    let end = ALIGNMENT
    const place = (bytes: number): number => {
      const at = end
      end = Math.ceil((end + bytes) / ALIGNMENT) * ALIGNMENT
      return at
    }
    const tablesAt = place(queueTablesBytes(sizes))
    const adapterAt = place(adapterTablesBytes(limits))
    const poolsAt = Array.from({ length: processors }, () => place(POOL_TOTAL_BYTES))
    const countersAt = Array.from({ length: processors }, () => place(countersBytes(sizes.queues)))
    const controlAt = place(countersBytes(sizes.queues))
    const lists = Array.from({ length: processors }, () => place(QUEUE_PATH_LIST_BYTES))
    this.#payload = place(PAYLOAD_BYTES)
    this.#scratch = place(SCRATCH_BYTES)
    this.memoryStart = place(memoryBytes)
    this.memoryBytes = memoryBytes
    this.buffer = new SharedArrayBuffer(end)
    this.#places = { tablesAt, sizes, pools: poolsAt, counters: countersAt, lists }
    this.#u8 = new Uint8Array(this.buffer)
    this.#kernels = createTwin({
      linear: this.buffer,
      windows: linearWindows(this.buffer),
      copyForeign() {
        throw new Error('these tests have no memory outside linear memory')
      },
    })
    this.control = new Counters(this.buffer, controlAt, sizes.queues)
    this.tables = viewQueueTables(this.buffer, tablesAt, sizes)
    this.memory = new RegionSharedMemory(this.memoryStart, memoryBytes)
    this.memory.register()
    this.software = new SoftwareAdapter(
      {
        limits,
        mac: MAC.pf,
        queues: {
          processors: Array.from({ length: processors }, (_, i) => i),
          ...(options.moderationUs === undefined ? {} : { moderationUs: options.moderationUs }),
        },
      },
      {
        buffer: this.buffer,
        at: adapterAt,
        registry: new Registry(keywords),
        nowMs: () => this.nowUs / 1000,
        statistics: (vport) => vportStatistics(this.counters, vport),
        indicate: (indication) => this.statuses.push(indication),
        report: (code, rule, message) => this.reports.push(`${code} ${rule} ${message}`),
        trace: (step) => this.trace.push(step),
        queues: {
          tables: this.tables,
          memory: this.memory,
          quiesced: () => this.quiesced(),
          wake: (processor) => this.wakes.push(processor),
          discarded: (queue, packets) => this.control.drop(queue, DropReason.paused, packets),
        },
      },
    )
    for (let processor = 0; processor < processors; processor++) {
      const pool = new PacketPool(this.buffer, poolsAt[processor]!, this.#kernels)
      const counters = new Counters(this.buffer, countersAt[processor]!, sizes.queues)
      this.pools.push(pool)
      this.counters.push(counters)
      const path = new QueuePath({
        buffer: this.buffer,
        pool,
        kernels: this.#kernels,
        tables: this.tables,
        counters,
        list: lists[processor]!,
        sourcePort: 1,
        processor,
        ...(options.bursts === false ? {} : { bursts: createQueueTwin(this.buffer) }),
        indicate: (slots, _list, count, queue, flags) => {
          const indication = this.#describe(processor, slots, count, queue, flags)
          this.indications.push(indication)
          onIndicate?.(indication)
        },
        wake: (target) => this.wakes.push(target),
        nowUs: () => this.nowUs,
      })
      this.paths.push(path)
    }
  }

  static async start(options: QueueHarnessOptions = {}): Promise<QueueHarness> {
    const harness = new QueueHarness(options)
    await harness.software.adapter.start()
    return harness
  }

  /** What a thread needs to be one of the processors. */
  shared() {
    return { buffer: this.buffer, ...this.#places }
  }

  get queues(): SoftwareQueues {
    return this.software.queues!
  }

  // ---- requests -------------------------------------------------------------------------------------------------------------

  request(oid: number, type: RequestType, payload?: unknown, driver = 'stack'): Promise<AdapterCompletion> {
    return this.software.adapter.request({ oid, type, payload }, driver)
  }

  async status(oid: number, type: RequestType, payload?: unknown, driver = 'stack'): Promise<number> {
    return (await this.request(oid, type, payload, driver)).status
  }

  async output<T>(oid: number, type: RequestType, payload?: unknown, driver = 'stack'): Promise<T> {
    const { status, output } = await this.request(oid, type, payload, driver)
    if (status !== NdisStatus.success) throw new Error(`status 0x${status.toString(16)}`)
    return output as T
  }

  /** ALLOCATE_QUEUE. Returns the id. */
  async allocate(change: Partial<QueueParameters> = {}, driver = 'stack'): Promise<number> {
    const made = await this.output<QueueParameters>(AdapterOid.receiveFilterAllocateQueue, 'method', queuePayload(change), driver)
    return made.queueId
  }

  /** ALLOCATION_COMPLETE. Returns the status of each queue. */
  async complete(...queueIds: number[]): Promise<number[]> {
    const payload = { elements: queueIds.map((queueId) => ({ queueId, completionStatus: 0 })) }
    const done = await this.output<AllocationCompleteArray>(AdapterOid.receiveFilterQueueAllocationComplete, 'method', payload)
    return done.elements.map(({ completionStatus }) => completionStatus)
  }

  /** SET_FILTER. Returns the id. `vlan`: 0 = untagged or zero, ANY_VLAN = no VLAN test. */
  async filter(queueId: number, mac: string, vlan = 0, driver = 'stack', flags = 0): Promise<number> {
    const payload = { ...filterParameters(mac, vlan, 0, flags), queueId }
    const made = await this.output<FilterParameters>(AdapterOid.receiveFilterSetFilter, 'method', payload, driver)
    return made.filterId
  }

  setFilterStatus(queueId: number, mac: string, vlan = 0, driver = 'stack'): Promise<number> {
    return this.status(AdapterOid.receiveFilterSetFilter, 'method', { ...filterParameters(mac, vlan, 0), queueId }, driver)
  }

  clear(queueId: number, filterId: number, driver = 'stack'): Promise<number> {
    return this.status(AdapterOid.receiveFilterClearFilter, 'set', { queueId, filterId }, driver)
  }

  free(queueId: number, driver = 'stack'): Promise<number> {
    return this.status(AdapterOid.receiveFilterFreeQueue, 'set', { queueId }, driver)
  }

  setParameters(queueId: number, change: Partial<QueueParameters>, driver = 'stack'): Promise<number> {
    return this.status(AdapterOid.receiveFilterQueueParameters, 'set', { ...queuePayload(change), queueId }, driver)
  }

  parameters(queueId: number): Promise<QueueParameters> {
    return this.output(AdapterOid.receiveFilterQueueParameters, 'method', { flags: 0, queueId })
  }

  /** A queue that runs: allocated, with a filter for `mac`, complete. */
  async running(mac: string, change: Partial<QueueParameters> = {}, vlan = 0): Promise<{ queue: number; filter: number }> {
    const queue = await this.allocate(change)
    const filter = await this.filter(queue, mac, vlan)
    const [status] = await this.complete(queue)
    if (status !== NdisStatus.success) throw new Error(`status 0x${status!.toString(16)}`)
    return { queue, filter }
  }

  /** Name of the state of a queue as ENUM_QUEUES reports it, with its number of filters. */
  async reported(queueId: number): Promise<{ queueState: number; numFilters: number } | undefined> {
    const all = await this.output<{ queueId: number; queueState: number; numFilters: number }[]>(
      AdapterOid.receiveFilterEnumQueues,
      'statistics',
    )
    return all.find((queue) => queue.queueId === queueId)
  }

  // ---- packets ----------------------------------------------------------------------------------------------------------------

  /** Frames arrive in the receive ring that `processor` polls, in one burst. */
  receive(processor: number, ...frames: (Uint8Array | { bytes: Uint8Array; vnet?: Uint8Array; needs?: number })[]): number {
    const pool = this.pools[processor]!
    let completed = 0
    const taken = this.paths[processor]!.turn({
      receive: (first, max) => {
        const some = frames.slice(0, max)
        for (const [i, given] of some.entries()) this.#fill(pool, first + i, given)
        if (some.length > 0) this.#kernels.parse(pool.base, first, some.length)
        return some.length
      },
      complete: (_first, count) => {
        completed += count
      },
    })
    if (completed !== taken) throw new Error('the burst was not completed')
    return taken
  }

  /** The processor serves what waits in its queues' memory. */
  serve(processor: number): number {
    return this.paths[processor]!.serve()
  }

  /** What was indicated since the last look. */
  got(): Indication[] {
    return this.indications.splice(0)
  }

  /** Texts of what was indicated since the last look, by queue. */
  texts(): Record<number, string[]> {
    const found: Record<number, string[]> = {}
    for (const { packets } of this.got()) {
      for (const { queue, text } of packets) {
        found[queue] ??= []
        found[queue].push(text)
      }
    }
    return found
  }

  /** Drops of a queue on all processors by reason name. */
  drops(queue: number): Record<string, number> {
    const found: Record<string, number> = {}
    for (const [reason, name] of dropReasonNames.entries()) {
      const count = [this.control, ...this.counters].reduce((sum, block) => sum + block.readDrop(queue, reason), 0)
      if (count !== 0) found[name] = count
    }
    return found
  }

  bytesOf(processor: number, slot: number): Buffer {
    const pool = this.pools[processor]!
    const length = pool.length[slot]!
    this.#kernels.copyFrame(pool.base, slot, 0, length, this.#scratch)
    return Buffer.from(this.#u8.slice(this.#scratch, this.#scratch + length))
  }

  /** Bytes of shared memory at a linear address. */
  bytesAt(address: number, length: number): Buffer {
    return Buffer.from(this.#u8.slice(address, address + length))
  }

  #describe(processor: number, slots: Uint16Array, count: number, queue: number, flags: number): Indication {
    const pool = this.pools[processor]!
    const packets = [...slots.subarray(0, count)].map((slot) => {
      const bytes = this.bytesOf(processor, slot)
      const tagged = bytes.readUInt16BE(12) === 0x8100
      return {
        bytes,
        text: textOf(tagged ? bytes.subarray(4) : bytes),
        queue: pool.receiveQueue[slot]!,
        filteringInfo: filteringInfo(pool, slot),
        memory: sharedMemoryInfo(pool, slot),
        slot,
        vlan: pool.vlan[slot]!,
        flags: pool.flags[slot]!,
      }
    })
    return { processor, queue, flags, packets }
  }

  #fill(pool: PacketPool, slot: number, given: Uint8Array | { bytes: Uint8Array; vnet?: Uint8Array; needs?: number }): void {
    const { bytes, vnet, needs = 0 } = given instanceof Uint8Array ? { bytes: given } : given
    const header = Math.min(bytes.length, HEADER_COPY)
    if (this.#payloadNext + bytes.length > PAYLOAD_BYTES) this.#payloadNext = 0
    const at = this.#payload + this.#payloadNext
    this.#payloadNext += (bytes.length + 63) & ~63
    this.#u8.set(bytes, at)
    pool.header8.set(bytes.subarray(0, header), slot * HEADER_STRIDE + HEADER_START)
    pool.length[slot] = bytes.length
    pool.flags[slot] = 0
    pool.headerOffset[slot] = HEADER_START
    pool.headerLength[slot] = header
    pool.needs[slot] = needs
    pool.vnet.fill(0, slot * VNET_STRIDE, (slot + 1) * VNET_STRIDE)
    if (vnet) pool.vnet.set(vnet, slot * VNET_STRIDE)
    pool.segments[slot] = bytes.length > header ? 1 : 0
    pool.address[slot] = at + header
    pool.segment[(slot * SEGMENTS_MAX) << 1] = at + header
    pool.segment[((slot * SEGMENTS_MAX) << 1) + 1] = bytes.length - header
  }

  /** Linear address of the memory that the wire's frames lie in. */
  get ringAddress(): number {
    return this.#payload
  }
}

/** An ALLOCATE_QUEUE payload. */
export const queuePayload = (change: Partial<QueueParameters> = {}): QueueParameters => ({
  flags: 0,
  queueType: 1,
  queueId: 0,
  queueGroupId: 0,
  processorGroup: 0,
  processorAffinity: [0],
  numSuggestedReceiveBuffers: 128,
  msixTableEntry: 0,
  lookaheadSize: 0,
  vmName: 'vm',
  queueName: 'queue',
  portId: 0,
  interruptCoalescingDomainId: 0,
  qosSqId: 0,
  ...change,
})
