// sFlow of one processor: chooses packets at random and sends their heads at once; the first processor sends the counters of ports.
//
// The rules it must not break: choosing costs next to nothing for what is not chosen; the pool of a port counts all its packets, chosen or
// not; a tick of the timer is bounded.
import { type Batch, NicState, PacketFlag, type SwitchHandle } from '../../extension.ts'
import { egressPort } from './flow-meter.ts'
import { codeOfReason, remembered } from './forwarding-status.ts'
import type { SflowOptions } from './options.ts'
import { Picker } from './picker.ts'
import { PortSums } from './port-figures.ts'
import { type SampleContext, SflowWriter } from './sflow-writer.ts'
import { headerBytes, isSuperFrame, packetsOf, segmentBytes } from './super-frame.ts'

const TICK_MS = 100
const PUBLISH_MS = 500
const PORT_IDS = 65_536
const PORTS_PER_TICK = 64
const SEVERAL = 0x80000000
const DISCARDED = 0x40000000
const { dropped: DROPPED } = PacketFlag
const IS_TAGGED = PacketFlag.tagged | PacketFlag.vlanOutOfBand

export const SFLOW_SINK = 'sflow'

/** Where the datagrams of a sub-agent stand, and the samples of its ports. */
export interface SflowNumbering {
  readonly sequence: number
  readonly ofPorts: readonly Uint32Array[]
}

/** sFlow of one processor, its sub-agent. Fields are ordinary ones: they are read per packet. */
export class SflowExporter {
  private readonly sw: SwitchHandle
  private readonly options: SflowOptions
  private readonly counterAt: number
  private readonly picker: Picker
  private readonly writer: SflowWriter
  private readonly codeOf: (reason: number) => number
  private readonly pool = new Uint32Array(PORT_IDS)
  private readonly sampled = new Uint32Array(PORT_IDS)
  private readonly drops = new Uint32Array(PORT_IDS)
  private readonly countersSent = new Uint32Array(PORT_IDS)
  private readonly about: SampleContext = { port: 0, sequence: 0, pool: 0, drops: 0, input: 0, output: 0, vlan: 0, priority: 0 }
  private readonly sums: PortSums
  private samples = 0
  private countersDueMs: number
  private waiting: number[] = []
  /** Nothing is sent before: the module that this one replaces still counts datagrams. */
  private isRunning = false

  /** `counterAt`: index of the first of its counters, see `sflowCounters`. */
  constructor(sw: SwitchHandle, options: SflowOptions, counterAt: number) {
    this.sw = sw
    this.options = options
    this.counterAt = counterAt
    this.picker = new Picker(options.sampling, sw.wallClock.nanoseconds ^ (sw.processor + 1))
    this.codeOf = remembered((reason) => sw.reasonName(reason), codeOfReason)
    const { messageBytes, agent, headerBytes, sampling } = options
    this.writer = new SflowWriter(
      { messageBytes, agent, headerBytes, sampling, subAgent: sw.processor },
      {
        sink: sw.sink(SFLOW_SINK),
        nowMs: () => sw.now(),
        lost: (port) => {
          this.drops[port] = this.drops[port]! + 1
        },
      },
    )
    this.sums = new PortSums(sw)
    this.countersDueMs = sw.now() + (sw.processor === 0 ? options.counterIntervalMs : 0)
    sw.every(TICK_MS, () => this.tick())
  }

  /** Chooses among packets that are done. */
  ingress(batch: Batch): void {
    const { picker, pool } = this
    const { sourcePort } = batch.pool
    for (let i = 0; i < batch.length; i++) {
      const slot = batch.slots[i]!
      const port = sourcePort[slot]!
      if (isSuperFrame(batch.pool, slot)) {
        this.superFrame(batch, i, port)
        continue
      }
      pool[port] = pool[port]! + 1
      if (picker.picks()) this.sample(batch, i, port, batch.pool.length[slot]!)
    }
  }

  // Chooses among the packets that it is cut into, of which each has its headers and its part of the payload.
  private superFrame(batch: Batch, i: number, port: number): void {
    const { picker, pool } = this
    const slot = batch.slots[i]!
    const length = batch.pool.length[slot]!
    const headers = headerBytes(batch.pool, slot)
    const packets = packetsOf(batch.pool, slot, headers)
    const size = packets === 1 ? length : segmentBytes(batch.pool, slot)
    let done = 0
    for (let at = picker.within(packets); at >= 0; at = picker.within(packets - done)) {
      pool[port] = pool[port]! + at + 1
      done += at + 1
      const before = (done - 1) * size
      this.sample(batch, i, port, packets === 1 ? length : headers + Math.min(size, length - headers - before))
    }
    pool[port] = pool[port]! + packets - done
  }

  private sample(batch: Batch, i: number, port: number, length: number): void {
    const { about, sampled, writer } = this
    const slot = batch.slots[i]!
    const flags = batch.pool.flags[slot]!
    const isTagged = (flags & IS_TAGGED) !== 0
    sampled[port] = sampled[port]! + 1
    about.port = port
    about.sequence = sampled[port]!
    about.pool = this.pool[port]!
    about.drops = this.drops[port]!
    about.input = port
    about.output = (flags & DROPPED) !== 0 ? (DISCARDED | this.codeOf(batch.pool.reason[slot]!)) >>> 0 : this.output(batch, i)
    about.vlan = isTagged ? batch.vlanId(i) : 0
    about.priority = isTagged ? batch.priority(i) : 0
    writer.flowSample(batch, i, length, about)
    this.samples++
  }

  private output(batch: Batch, i: number): number {
    const only = egressPort(batch, i)
    if (only !== 0) return only
    let count = 0
    for (let k = batch.destinationCount(i) - 1; k >= 0; k--) if (!batch.isExcluded(i, k)) count++
    return (SEVERAL | count) >>> 0
  }

  /** A port is gone: its number may come back for another one. */
  forget(portId: number): void {
    this.pool[portId] = 0
    this.sampled[portId] = 0
    this.drops[portId] = 0
    this.countersSent[portId] = 0
  }

  /** It may send from now on. */
  begin(): void {
    this.isRunning = true
  }

  /** What makes the datagrams of the next module go on where those of this one ended. */
  get numbering(): SflowNumbering {
    return { sequence: this.writer.sequence, ofPorts: this.ofPorts }
  }

  /** Goes on where another module ended: collectors take a number that goes back for another agent. */
  continue({ sequence, ofPorts }: SflowNumbering): void {
    this.writer.sequence = sequence >>> 0
    for (const [i, numbers] of this.ofPorts.entries()) numbers.set(ofPorts[i]!)
  }

  private get ofPorts(): readonly Uint32Array[] {
    return [this.pool, this.sampled, this.drops, this.countersSent]
  }

  private tick(): void {
    const { sw, options, writer } = this
    if (!this.isRunning) return
    if (options.counterIntervalMs !== 0) {
      const nowMs = sw.now()
      if (sw.processor !== 0) this.publish(nowMs)
      else if (nowMs >= this.countersDueMs) {
        this.countersDueMs = nowMs + options.counterIntervalMs
        this.waiting = sw.ports().map(({ portId }) => portId)
      }
      if (this.waiting.length !== 0) this.tellCounters(this.waiting.splice(0, PORTS_PER_TICK))
    }
    writer.flush()
    this.count()
  }

  private publish(nowMs: number): void {
    if (nowMs < this.countersDueMs) return
    this.countersDueMs = nowMs + PUBLISH_MS
    for (const { portId } of this.sw.ports()) this.sums.publish(portId)
  }

  private tellCounters(ports: readonly number[]): void {
    const { sw, writer } = this
    const names = new Map(sw.ports().map(({ portId, portName }) => [portId, portName]))
    const up = new Set(
      sw
        .nics()
        .filter(({ nicState }) => nicState === NicState.connected)
        .map(({ portId }) => portId),
    )
    for (const port of ports) {
      const name = names.get(port)
      if (name === undefined) continue // it went meanwhile
      this.countersSent[port] = this.countersSent[port]! + 1
      writer.counterSample({ port, name, isUp: up.has(port), ...this.sums.sum(port) }, this.countersSent[port]!)
    }
  }

  /** Sends what is left: the module pauses, or ends. */
  end(): void {
    this.writer.flush()
    this.count()
  }

  private count(): void {
    const { counters } = this.sw
    for (const [i, value] of [this.samples, this.writer.datagrams, this.writer.lost].entries())
      counters[this.counterAt + i] = value
  }
}

/** Names of the counters, in their order. */
export const sflowCounters = ['sflow-samples', 'sflow-datagrams', 'sflow-datagrams-lost'] as const
