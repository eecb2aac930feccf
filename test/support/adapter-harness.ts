// An SR-IOV adapter with its data path, without an engine: the fixture of the specification's section 9. VPorts and the wire have
// sources and sinks that are arrays.
import type { AdapterIndication } from '../../src/adapter/adapter.ts'
import { AdapterPath } from '../../src/adapter/adapter-path.ts'
import type { HardwareLimits } from '../../src/adapter/capabilities.ts'
import { ANY_VLAN } from '../../src/adapter/filter-table.ts'
import { INVALID_RID, INVALID_VF_FUNCTION_ID, PF_FUNCTION_ID, SwitchCaps } from '../../src/adapter/identifiers.ts'
import { type Keyword, Registry } from '../../src/adapter/keywords.ts'
import type { PfMiniport } from '../../src/adapter/miniport.ts'
import { AdapterOid } from '../../src/adapter/oids.ts'
import type { VfParameters, VPortParameters } from '../../src/adapter/payloads.ts'
import { filterParameters } from '../../src/adapter/receive-filters.ts'
import type { AdapterCompletion, RequestType } from '../../src/adapter/requests.ts'
import {
  adapterTablesBytes,
  SoftwareAdapter,
  type SoftwareAdapterOptions,
  sriovKeywords,
} from '../../src/adapter/software-adapter.ts'
import type { SoftwarePf } from '../../src/adapter/software-pf.ts'
import { vportStatistics } from '../../src/adapter/statistics.ts'
import type { VirtualBusDriver } from '../../src/adapter/vf-bus.ts'
import { DropReason } from '../../src/ndis/drop-reasons.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import type { SinkQueue } from '../../src/switch/delivery.ts'
import { DataPathHarness, type TestFrame, textOf } from './data-path-harness.ts'

/** MAC addresses of the VMs of the scenarios, of the PF, and of a station behind the wire. */
export const MAC = {
  a: '02:00:00:00:00:0a',
  b: '02:00:00:00:00:0b',
  c: '02:00:00:00:00:0c',
  pf: '02:00:00:00:00:01',
  peer: '02:00:00:00:00:99',
} as const
export const BROADCAST = 'ff:ff:ff:ff:ff:ff'

/** Limits of the fixture. */
export const fixtureLimits: HardwareLimits = {
  totalVFs: 8,
  maxNumVFs: 8,
  maxNumVPorts: 12,
  maxNumQueuePairs: 32,
  maxNumQueuePairsPerNonDefaultVPort: 4,
  maxNumMacAddresses: 24,
  numQueues: 7,
  switchCaps: SwitchCaps.vlanSupported | SwitchCaps.singleVPortPool | SwitchCaps.perVPortInterruptModeration,
}

export interface HarnessOptions extends Partial<SoftwareAdapterOptions> {
  readonly keywords?: Partial<Record<Keyword, number | string>>
  readonly wrap?: (pf: SoftwarePf) => PfMiniport
  readonly vportGone?: (vport: number) => Promise<void> | void
  readonly busDriver?: VirtualBusDriver
  /** Shared memory for what a test adds, at `data.spare`. */
  readonly spareBytes?: number
}

/** What a sink got. */
export interface Got {
  readonly text: string
  readonly bytes: Buffer
  /** The out-of-band 802.1Q cell: value of the tag that was taken off, or that the frame carries; 0 = none. */
  readonly tag: number
}

/** The receive ring of a VPort or of the wire: takes up to `capacity` frames. */
export class VPortSink implements SinkQueue {
  readonly offloads = 0xff
  readonly refusal = DropReason.receiveBufferFull
  capacity = Number.POSITIVE_INFINITY
  readonly frames: Got[] = []
  readonly #data: DataPathHarness

  constructor(data: DataPathHarness) {
    this.#data = data
  }

  deliver(list: number, count: number): number {
    const slots = new Uint16Array(this.#data.buffer, list, count)
    const taken = Math.max(0, Math.min(count, this.capacity - this.frames.length))
    for (let i = 0; i < taken; i++) {
      const bytes = this.#data.bytesOf(slots[i]!)
      const tagged = bytes.readUInt16BE(12) === 0x8100
      this.frames.push({ bytes, text: textOf(tagged ? bytes.subarray(4) : bytes), tag: this.#data.pool.vlan[slots[i]!]! })
    }
    return taken
  }
}

const octets = (mac: string): number[] => mac.split(':').map((octet) => Number.parseInt(octet, 16))

/** A frame with a text; `tags`: values of its tags, outer first. */
export function wireFrame(to: string, from: string, text: string, ...tags: number[]): Buffer {
  const head = [...octets(to), ...octets(from), ...tags.flatMap((tci) => [0x81, 0x00, tci >> 8, tci & 255]), 0x88, 0xb5]
  const bytes = Buffer.alloc(Math.max(60, head.length + text.length))
  bytes.set(head)
  bytes.write(text, head.length, 'latin1')
  return bytes
}

export class AdapterHarness {
  readonly data: DataPathHarness
  readonly software: SoftwareAdapter
  readonly path: AdapterPath
  readonly wire: number
  readonly trace: string[] = []
  readonly indications: AdapterIndication[] = []
  readonly reports: string[] = []
  nowMs = 1000
  readonly #sinks = new Map<number, VPortSink>()

  constructor(options: HarnessOptions = {}) {
    const { keywords = sriovKeywords(4), wrap, vportGone, busDriver, limits = fixtureLimits, spareBytes = 0, ...rest } = options
    const data = new DataPathHarness({ spareBytes })
    this.data = data
    this.wire = limits.maxNumVPorts
    this.software = new SoftwareAdapter(
      { limits, mac: MAC.pf, ...rest },
      {
        buffer: new SharedArrayBuffer(adapterTablesBytes(limits)),
        at: 0,
        registry: new Registry(keywords),
        nowMs: () => this.nowMs,
        statistics: (vport) => vportStatistics([data.counters], vport),
        indicate: (indication) => this.indications.push(indication),
        report: (code, _rule, message) => this.reports.push(`${code}: ${message}`),
        trace: (step) => this.trace.push(step),
        ...(wrap ? { wrap } : {}),
        ...(vportGone ? { vportGone } : {}),
        ...(busDriver ? { busDriver } : {}),
      },
    )
    const { tables } = this.software
    this.path = new AdapterPath({
      ...tables,
      pool: data.pool,
      counters: data.counters,
      delivery: data.delivery,
      nowMs: () => this.nowMs,
    })
    for (let vport = 0; vport <= this.wire; vport++) {
      const sink = new VPortSink(data)
      this.#sinks.set(vport, sink)
      data.delivery.setQueues(vport, [sink])
    }
  }

  /** A started adapter whose wire is up. */
  static async start(options: HarnessOptions = {}): Promise<AdapterHarness> {
    const harness = new AdapterHarness(options)
    await harness.software.adapter.start()
    harness.software.pf.setWire(true, true)
    return harness
  }

  request(oid: number, type: RequestType, payload?: unknown, driver = 'stack'): Promise<AdapterCompletion> {
    return this.software.adapter.request({ oid, type, payload }, driver)
  }

  async status(oid: number, type: RequestType, payload?: unknown, driver = 'stack'): Promise<number> {
    return (await this.request(oid, type, payload, driver)).status
  }

  /** The output of a request that succeeds. */
  async output<T>(oid: number, type: RequestType, payload?: unknown, driver = 'stack'): Promise<T> {
    const { status, output } = await this.request(oid, type, payload, driver)
    if (status !== NdisStatus.success) throw new Error(`status 0x${status.toString(16)}`)
    return output as T
  }

  /** ALLOCATE_VF. */
  async allocate(mac: string, driver = 'stack'): Promise<VfParameters> {
    return this.output(AdapterOid.nicSwitchAllocateVf, 'method', vfPayload(mac), driver)
  }

  /** CREATE_VPORT for a VF, or for the PF. Returns the id. */
  async vport(fn: number = PF_FUNCTION_ID, driver = 'stack', numQueuePairs = 1): Promise<number> {
    const made = await this.output<VPortParameters>(
      AdapterOid.nicSwitchCreateVPort,
      'method',
      vportPayload(fn, numQueuePairs),
      driver,
    )
    return made.vPortId
  }

  /** SET_FILTER. Returns the id. `vlan`: 0 = untagged or zero, ANY_VLAN = no VLAN test. */
  async filter(vPortId: number, mac: string, vlan = 0, driver = 'stack', flags = 0): Promise<number> {
    const payload = filterParameters(mac, vlan, vPortId, flags)
    const made = await this.output<{ filterId: number }>(AdapterOid.receiveFilterSetFilter, 'method', payload, driver)
    return made.filterId
  }

  /** A VM on a VF: VF, VPort, filter. Returns the VPort id. */
  async vm(mac: string, vlan: number = 0): Promise<{ vf: number; vport: number; filter: number }> {
    const { vfId } = await this.allocate(mac)
    const vport = await this.vport(vfId)
    return { vf: vfId, vport, filter: await this.filter(vport, mac, vlan) }
  }

  /** Activates a VPort of the PF. */
  activate(vPortId: number): Promise<number> {
    return this.status(AdapterOid.nicSwitchVPortParameters, 'set', { ...vportPayload(PF_FUNCTION_ID), vPortId, flags: 0x80000 })
  }

  /** Sends frames from a VPort (or the wire) in one burst. Returns how many were taken. */
  send(from: number, ...frames: (TestFrame | Uint8Array)[]): number {
    const { data } = this
    let completed = 0
    const source = {
      receive(first: number, max: number): number {
        const some = frames.slice(0, max)
        for (const [i, given] of some.entries()) data.fill(first + i, from, given)
        if (some.length > 0) data.kernels.parse(data.pool.base, first, some.length)
        return some.length
      },
      complete(_first: number, count: number): void {
        completed += count
      },
    }
    const taken = this.path.turn(source, from)
    if (completed !== taken) throw new Error('the burst was not completed')
    return taken
  }

  sink(vport: number): VPortSink {
    return this.#sinks.get(vport)!
  }

  /** Texts of the frames that a VPort (or the wire) got since the last look. */
  got(vport: number): string[] {
    return this.sink(vport)
      .frames.splice(0)
      .map(({ text }) => text)
  }

  drops(vport: number): Record<string, number> {
    return this.data.drops(vport)
  }
}

/** An ALLOCATE_VF payload. */
export const vfPayload = (mac: string): VfParameters => ({
  switchId: 0,
  vmName: 'vm',
  vmFriendlyName: 'vm',
  nicName: 'nic',
  permanentMacAddress: mac,
  currentMacAddress: mac,
  vfId: INVALID_VF_FUNCTION_ID,
  requestorId: INVALID_RID,
})

/** A CREATE_VPORT payload. */
export const vportPayload = (fn: number, numQueuePairs = 1): VPortParameters => ({
  flags: 0,
  switchId: 0,
  vPortId: 0,
  vPortName: 'port',
  attachedFunctionId: fn,
  numQueuePairs,
  interruptModeration: 1,
  vPortState: 1,
  processorAffinity: fn === PF_FUNCTION_ID ? [0] : [],
  lookaheadSize: 0,
})

export { ANY_VLAN }

/** A miniport that answers some requests itself and passes the others on. */
export const overriding = (pf: SoftwarePf, answers: Partial<PfMiniport>): PfMiniport =>
  new Proxy(pf, {
    get(target, name) {
      const own = Reflect.get(answers, name)
      const member = own ?? Reflect.get(target, name)
      return typeof member === 'function' && own === undefined ? member.bind(target) : member
    },
  })
