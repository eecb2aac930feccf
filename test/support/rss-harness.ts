// An adapter with RSS on VPorts of the PF, its data path, and the host's stack on eight processors, without an engine: the fixture of the
// specification's VMMQ and RSS scenarios. What is handed to another processor waits there until that one serves it.
import { SwitchCaps } from '../../src/adapter/identifiers.ts'
import { AdapterOid } from '../../src/adapter/oids.ts'
import type { VPortParameters } from '../../src/adapter/payloads.ts'
import { type FilteringInfo, PfReceive } from '../../src/adapter/pf-receive.ts'
import { WakeModeration } from '../../src/adapter/queues/wake-moderation.ts'
import type { AdapterCompletion } from '../../src/adapter/requests.ts'
import { HASH_FUNCTION_TOEPLITZ, PUBLISHED_HASH_KEY } from '../../src/adapter/rss/hash-types.ts'
import { HASH_TYPES_COMPUTED, type RssLimits, VMMQ_CAPS } from '../../src/adapter/rss/rss-limits.ts'
import type { IndirectionEntries, IndirectionEntry, RssParameters } from '../../src/adapter/rss/rss-payloads.ts'
import { RSS_LIST_BYTES, RssSteering } from '../../src/adapter/rss/rss-steering.ts'
import { Vmmq } from '../../src/adapter/rss/vmmq.ts'
import type { RssParametersV2 } from '../../src/adapter/rss/vport-rss.ts'
import { DropReason } from '../../src/ndis/drop-reasons.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { tcpFrame } from '../../src/packet/build.ts'
import { AdapterHarness, fixtureLimits, type HarnessOptions, MAC, vportPayload } from './adapter-harness.ts'

export const PROCESSORS = 8
const PF = 0xffff
const VPORTS = 6

/** RSS of the fixture: eight processors, tables of 16 entries. */
export const fixtureRss: RssLimits = {
  processors: Array.from({ length: PROCESSORS }, (_, i) => i),
  capableVPorts: 4,
  defaultEntries: 32,
  entries: 16,
  defaultQueuePairs: 8,
}

export const rssLimits = { ...fixtureLimits, switchCaps: fixtureLimits.switchCaps | VMMQ_CAPS, rss: fixtureRss }

/** Hash function and types that the fixture's VPorts are given. */
export const HASH_INFORMATION = HASH_FUNCTION_TOEPLITZ | HASH_TYPES_COMPUTED

/** A packet as the stack got it. */
export interface Indicated {
  readonly processor: number
  readonly info: FilteringInfo
  readonly bytes: Buffer
  readonly receiveQueue: number
  readonly hashInfo: number
  readonly hashValue: number
}

export interface RssHarnessOptions extends Omit<HarnessOptions, 'limits'> {
  readonly rss?: Partial<RssLimits>
  /** SwitchCaps to add and to take out. */
  readonly caps?: number
  readonly without?: number
}

/** A TCP segment of flow `flow` for a VM; `sequence` tells its packets from each other. */
export const flowFrame = (flow: number, sequence = 0, mac: string = MAC.c): Uint8Array =>
  tcpFrame(
    { sourceMac: MAC.peer, destinationMac: mac, source: `10.1.${flow >> 8}.${flow & 255}`, destination: '10.0.0.3' },
    1024 + flow,
    80,
    { sequence },
  )

const SEQUENCE_AT = 14 + 20 + 4
export const sequenceOf = (bytes: Buffer): number => bytes.readUInt32BE(SEQUENCE_AT)
/** Flow of a frame made by flowFrame. */
export const flowOf = (bytes: Buffer): number => bytes.readUInt16BE(14 + 20) - 1024

export class RssHarness {
  readonly adapter: AdapterHarness
  readonly steering: readonly RssSteering[]
  readonly processors: readonly PfReceive[]
  readonly indicated: Indicated[] = []
  /** Of processor 0, which polls the wire. */
  readonly moderation = new WakeModeration(PROCESSORS, (processor) => this.wakes.push(processor))
  readonly wakes: number[] = []
  nowUs = 0
  readonly #waiting: Indicated[][] = Array.from({ length: PROCESSORS }, () => [])

  constructor({ rss, caps = 0, without = 0, ...options }: RssHarnessOptions = {}) {
    const switchCaps = (rssLimits.switchCaps | caps) & ~without
    const limits = { ...rssLimits, switchCaps, rss: { ...fixtureRss, ...rss } }
    this.adapter = new AdapterHarness({ limits, spareBytes: RSS_LIST_BYTES * PROCESSORS, ...options })
    const { data, software } = this.adapter
    this.steering = fixtureRss.processors.map((processor) => {
      const list = data.spare + processor * RSS_LIST_BYTES
      const wakes = { moderation: this.moderation, nowUs: () => this.nowUs }
      return new RssSteering({ processor }, { buffer: data.buffer, pool: data.pool, table: software.tables.rss, list, wakes })
    })
    this.processors = this.steering.map(
      (steering, processor) =>
        new PfReceive(
          { processor },
          {
            processorOf: () => undefined,
            handOver: (to, info, list, count) => this.#keep(this.#waiting[to]!, to, info, list, count),
            rss: steering,
            offloads: 0xff,
            refusal: DropReason.receiveBufferFull,
          },
        ),
    )
    for (const [processor, receive] of this.processors.entries())
      for (let vport = 0; vport < VPORTS; vport++)
        receive.bind(vport, (info, list, count) => this.#keep(this.indicated, processor, info, list, count))
    // The wire is polled by processor 0.
    for (let vport = 0; vport < VPORTS; vport++) data.delivery.setQueues(vport, [this.processors[0]!.sink(vport)])
  }

  static async start(options: RssHarnessOptions = {}): Promise<RssHarness> {
    const harness = new RssHarness(options)
    await harness.adapter.software.adapter.start()
    harness.adapter.software.pf.setWire(true, true)
    return harness
  }

  /** One that has no SR-IOV: its switch is made by a request, with queue pairs for the default VPort. */
  static async withoutIov(numQueuePairsForDefaultVPort?: number): Promise<RssHarness> {
    const harness = new RssHarness({
      caps: SwitchCaps.nicSwitchWithoutIov,
      keywords: { '*RssOrVmqPreference': 1, '*VMQ': 1 },
    })
    await harness.adapter.software.adapter.start()
    const pairs = numQueuePairsForDefaultVPort === undefined ? {} : { numQueuePairsForDefaultVPort }
    const payload = { flags: 0, switchType: 1, switchId: 0, switchFriendlyName: 'x', numVFs: 0, ...pairs }
    await harness.adapter.output(AdapterOid.nicSwitchCreateSwitch, 'method', payload, 'ndis')
    harness.adapter.software.pf.setWire(true, true)
    return harness
  }

  #keep(where: Indicated[], processor: number, info: FilteringInfo, list: number, count: number): number {
    const { data } = this.adapter
    for (const slot of new Uint16Array(data.buffer, list, count))
      where.push({
        processor,
        info,
        bytes: data.bytesOf(slot),
        receiveQueue: data.pool.receiveQueue[slot]!,
        hashInfo: data.pool.hashInfo[slot]!,
        hashValue: data.pool.hashValue[slot]!,
      })
    return count
  }

  /** The virtualization stack. `steps`: gets the OIDs of what it asks. */
  stack(steps: number[] = []): Promise<Vmmq> {
    const { adapter } = this.adapter.software
    return Vmmq.open({
      request: (request) => {
        steps.push(request.oid)
        return adapter.request(request, 'stack')
      },
      requestSynchronous: (request, processor) => adapter.requestSynchronous(request, 'stack', processor),
    })
  }

  /** An Activated VPort of the PF for C (or another VM). */
  async vport(affinity: readonly number[], numQueuePairs = 1, mac: string = MAC.c): Promise<number> {
    const payload = { ...vportPayload(PF, numQueuePairs), processorAffinity: affinity }
    const { vPortId } = await this.adapter.output<VPortParameters>(AdapterOid.nicSwitchCreateVPort, 'method', payload)
    await this.adapter.filter(vPortId, mac)
    await this.adapter.activate(vPortId)
    return vPortId
  }

  /** VPORT_PARAMETERS with NUM_QUEUE_PAIRS_CHANGED. */
  queuePairs(vPortId: number, numQueuePairs: number): Promise<number> {
    const payload = { ...vportPayload(PF, numQueuePairs), vPortId, flags: 0x00800000 }
    return this.adapter.status(AdapterOid.nicSwitchVPortParameters, 'set', payload)
  }

  /** OID_GEN_RECEIVE_SCALE_PARAMETERS on a VPort: RSS on with this table. */
  spread(vPortId: number, table: readonly number[], change: Partial<RssParameters> = {}): Promise<number> {
    const payload: RssParameters = {
      flags: 0,
      baseCpuNumber: 0,
      hashInformation: HASH_INFORMATION,
      indirectionTable: table,
      hashSecretKey: PUBLISHED_HASH_KEY,
      defaultProcessorNumber: table[0] ?? 0,
      ...change,
    }
    return this.aimed(AdapterOid.genReceiveScaleParameters, vPortId, payload)
  }

  /** OID_GEN_RECEIVE_SCALE_PARAMETERS_V2 on a VPort. */
  v2(vPortId: number, change: Partial<RssParametersV2>): Promise<number> {
    const payload: RssParametersV2 = {
      flags: 0,
      hashInformation: HASH_INFORMATION,
      hashSecretKey: PUBLISHED_HASH_KEY,
      numberOfQueues: 0,
      numberOfIndirectionTableEntries: 0,
      ...change,
    }
    return this.aimed(AdapterOid.genReceiveScaleParametersV2, vPortId, payload)
  }

  /** A set that is aimed at a VPort. */
  async aimed(oid: number, vPortId: number, payload: unknown, driver = 'stack'): Promise<number> {
    return (await this.adapter.software.adapter.request({ oid, type: 'set', payload, vPortId }, driver)).status
  }

  async query<T>(oid: number, vPortId: number): Promise<T> {
    const { status, output } = await this.adapter.software.adapter.request({ oid, type: 'query', vPortId }, 'stack')
    if (status !== NdisStatus.success) throw new Error(`status 0x${status.toString(16)}`)
    return output as T
  }

  parameters(vPortId: number): Promise<RssParameters> {
    return this.query(AdapterOid.genReceiveScaleParameters, vPortId)
  }

  parametersV2(vPortId: number): Promise<RssParametersV2> {
    return this.query(AdapterOid.genReceiveScaleParametersV2, vPortId)
  }

  async table(vPortId: number): Promise<readonly number[]> {
    return (await this.parameters(vPortId)).indirectionTable
  }

  /** A batch of moves [VPort, index, target], issued on `processor`. */
  batch(processor: number, moves: readonly (readonly [number, number, number])[], driver = 'stack'): AdapterCompletion {
    const entries: IndirectionEntry[] = moves.map(([vPortId, indirectionTableIndex, targetProcessorNumber]) => ({
      switchId: 0,
      vPortId,
      flags: 0,
      indirectionTableIndex,
      targetProcessorNumber,
    }))
    const oid = AdapterOid.genRssSetIndirectionTableEntries
    return this.adapter.software.adapter.requestSynchronous(
      { oid, type: 'method', payload: { flags: 0, entries } },
      driver,
      processor,
    )
  }

  /** Statuses of the entries of a batch. */
  moves(processor: number, ...moves: (readonly [number, number, number])[]): number[] {
    const { status, output } = this.batch(processor, moves)
    if (status !== NdisStatus.success) throw new Error(`status 0x${status.toString(16)}`)
    return (output as IndirectionEntries).entries.map(({ entryStatus }) => entryStatus!)
  }

  /** Frames arrive from the wire, in bursts. */
  receive(...frames: Uint8Array[]): void {
    for (let i = 0; i < frames.length; i += 32) this.adapter.send(this.adapter.wire, ...frames.slice(i, i + 32))
  }

  /** A processor takes what was handed to it. */
  serve(processor: number): void {
    this.indicated.push(...this.#waiting[processor]!.splice(0))
  }

  /** All that was indicated since the last look, when every processor has taken what it was handed. */
  got(): Indicated[] {
    for (let processor = 0; processor < PROCESSORS; processor++) this.serve(processor)
    return this.indicated.splice(0)
  }

  /** Processors that something was indicated on since the last look. */
  on(): number[] {
    return [...new Set(this.got().map(({ processor }) => processor))].sort((a, b) => a - b)
  }
}
