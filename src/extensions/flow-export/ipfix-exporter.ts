// IPFIX of one processor: meters packets into its table and sends what flows came to, when they end, when they have been long enough, and
// when there is no room for others.
//
// The rules it must not break: the data path never waits, so what a tick of the timer does is bounded; and what leaves the table was
// written into a message before.
import { type Batch, OptionError, type SwitchHandle } from '../../extension.ts'
import { FlowMeter } from './flow-meter.ts'
import { Flow, FlowTable } from './flow-table.ts'
import { remembered, statusOfReason } from './forwarding-status.ts'
import { EndReason, IpfixWriter } from './ipfix-writer.ts'
import type { IpfixOptions } from './options.ts'

const TICK_MS = 20
/** In so many milliseconds all entries are looked at. */
const SWEEP_MS = 1000
const MESSAGES_PER_TICK = 32
const DOMAIN_MAX = 0xffffffff

export const IPFIX_SINK = 'ipfix'

/** Where the messages of an observation domain stand. */
export interface IpfixNumbering {
  readonly domain: number
  readonly sequence: number
}

/** IPFIX of one processor. Fields are ordinary ones: they are read per packet. */
export class IpfixExporter {
  private readonly sw: SwitchHandle
  private readonly options: IpfixOptions
  private readonly table: FlowTable
  private readonly meter: FlowMeter
  private readonly writer: IpfixWriter
  private readonly counterAt: number
  private readonly perTick: number
  private hand = 0
  private describedMs = Number.NEGATIVE_INFINITY
  private isDescribed = false
  /** Nothing is sent before: the module that this one replaces still counts messages. */
  private isRunning = false
  private evicted = 0
  private flows = 0

  /** `counterAt`: index of the first of its counters, see `ipfixCounters`. */
  constructor(sw: SwitchHandle, options: IpfixOptions, counterAt: number) {
    this.sw = sw
    this.options = options
    this.counterAt = counterAt
    const domain = options.observationDomain + sw.processor
    if (domain > DOMAIN_MAX) throw new OptionError('ipfix.observationDomain', `is too large for ${sw.processors} processors`)
    const { seconds, nanoseconds } = sw.wallClock
    const seed = nanoseconds ^ Math.imul(seconds, 0x9e3779b1) ^ sw.processor
    this.table = new FlowTable(options.flows, seed)
    this.writer = new IpfixWriter(
      { messageBytes: options.messageBytes, domain, sampling: options.sampling },
      { sink: sw.sink(IPFIX_SINK), nowSeconds: () => sw.wallClock.seconds },
    )
    this.meter = new FlowMeter(options.sampling, seed, {
      table: this.table,
      statusOf: remembered((reason) => sw.reasonName(reason), statusOfReason),
      evict: (entry) => {
        this.evicted++
        this.send(entry, EndReason.lackOfResources)
      },
    })
    this.perTick = Math.max(64, Math.ceil((options.flows * TICK_MS) / SWEEP_MS))
    sw.every(TICK_MS, () => this.tick())
  }

  ingress(batch: Batch): void {
    this.meter.ingress(batch, this.sw.now())
  }

  egress(batch: Batch): void {
    this.meter.egress(batch, this.sw.now())
  }

  /** The ports are others, or named otherwise: says so with the next tick. */
  portsChanged(): void {
    this.describedMs = Number.NEGATIVE_INFINITY
  }

  private get wallMs(): number {
    const { seconds, nanoseconds } = this.sw.wallClock
    return seconds * 1000 + nanoseconds / 1e6 - this.sw.now()
  }

  private send(entry: number, reason: number): void {
    if (!this.isDescribed) this.describe(this.sw.now())
    this.writer.flow(this.table, entry, reason, this.wallMs)
    this.table.remove(entry)
    this.flows++
  }

  private describe(nowMs: number): void {
    if (nowMs - this.describedMs < this.options.templateIntervalMs) return
    this.describedMs = nowMs
    this.isDescribed = true
    const { switchName } = this.sw.parameters()
    this.writer.describe(
      this.sw.ports().map(({ portId, portName }) => ({
        index: portId,
        name: portName,
        description: `port ${portId} of switch ${switchName}`,
      })),
    )
    this.writer.flush()
  }

  /** It may send from now on. */
  begin(): void {
    this.isRunning = true
  }

  /** What makes the messages of the next module go on where those of this one ended. */
  get numbering(): IpfixNumbering {
    return { domain: this.writer.domain, sequence: this.writer.sequence }
  }

  /** Goes on where another module of the same observation domain ended. */
  continue({ domain, sequence }: IpfixNumbering): void {
    if (domain === this.writer.domain) this.writer.sequence = sequence >>> 0
  }

  private tick(): void {
    const { table, writer, options } = this
    if (!this.isRunning) return
    const nowMs = this.sw.now()
    this.describe(nowMs)
    const before = writer.messages + writer.lost
    const { idleTimeoutMs, activeTimeoutMs } = options
    const looks = table.count === 0 ? 0 : Math.min(this.perTick, table.capacity)
    for (let n = 0; n < looks; n++) {
      const entry = this.hand
      this.hand = entry + 1 === table.capacity ? 0 : entry + 1
      if (!table.isUsed(entry)) continue
      if (nowMs - table.number(entry, Flow.endMs) >= idleTimeoutMs) this.send(entry, EndReason.idle)
      else if (nowMs - table.number(entry, Flow.startMs) >= activeTimeoutMs) this.send(entry, EndReason.active)
      else continue
      if (writer.messages + writer.lost - before >= MESSAGES_PER_TICK) break
    }
    writer.flush()
    this.count()
  }

  /** Sends all flows: the module pauses, or ends. */
  end(): void {
    this.describe(this.sw.now())
    for (let entry = 0; entry < this.table.capacity; entry++) if (this.table.isUsed(entry)) this.send(entry, EndReason.forced)
    this.writer.flush()
    this.count()
  }

  private count(): void {
    const { counters } = this.sw
    const values = [this.flows, this.writer.messages, this.writer.lost, this.evicted, this.table.count, this.meter.others]
    for (const [i, value] of values.entries()) counters[this.counterAt + i] = value
  }
}

/** Names of the counters, in their order. */
export const ipfixCounters = [
  'ipfix-flows-sent',
  'ipfix-messages',
  'ipfix-messages-lost',
  'ipfix-flows-evicted',
  'ipfix-flows-now',
  'ipfix-not-ip',
] as const
