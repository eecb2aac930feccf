// Builds sFlow version 5 datagrams (sflow.org, "sFlow Version 5", July 2004): flow samples with the head of a frame, and counter samples of
// ports; gives each datagram that is full to a sink.
//
// The rules it must not break: a datagram is not longer than it may be; its number goes up by one, whether the sink took it or not;
// nothing is allocated for a sample.
import type { Batch, Sink } from '../../extension.ts'
import { MessageWriter } from './message-writer.ts'

const VERSION = 5
const ADDRESS_IPV4 = 1
const ADDRESS_IPV6 = 2
const FLOW_SAMPLE = 1
const COUNTERS_SAMPLE = 2
const RAW_HEADER = 1
const EXTENDED_SWITCH = 1001
const INTERFACE_COUNTERS = 1
const PORT_NAME = 1005
const ETHERNET = 1
const FRAME_CHECK_BYTES = 4
const INTERFACE_COUNTERS_BYTES = 88
const IF_TYPE_ETHERNET = 6
const FULL_DUPLEX = 1
const STATUS_UP = 3
const STATUS_ADMIN_UP = 1
const UNKNOWN = 0xffffffff
const NAME_BYTES_MAX = 255
const UINT32 = 2 ** 32
const SAMPLES_MAX = 1024

export interface SflowWriterOptions {
  /** Bytes of the longest datagram. */
  readonly messageBytes: number
  /** 4 or 16 bytes. */
  readonly agent: Uint8Array
  readonly subAgent: number
  readonly headerBytes: number
  readonly sampling: number
}

export interface SflowWriterComponents {
  readonly sink: Sink
  /** Milliseconds since the switch started. */
  readonly nowMs: () => number
  /** A flow sample of this port was in a datagram that the sink refused. */
  readonly lost: (port: number) => void
}

/** What a flow sample says beside the frame. */
export interface SampleContext {
  port: number
  sequence: number
  pool: number
  drops: number
  input: number
  output: number
  vlan: number
  priority: number
}

/** Counters of a port, for a counter sample. */
export interface PortFigures {
  readonly port: number
  readonly name: string
  readonly isUp: boolean
  readonly receivedFrames: number
  readonly receivedBytes: number
  readonly receivedMulticast: number
  readonly receivedDropped: number
  readonly sentFrames: number
  readonly sentBytes: number
  readonly sendDropped: number
}

const padded = (bytes: number): number => (bytes + 3) & ~3
const encoder = new TextEncoder()

/** Fields are ordinary ones: they are used per sample. */
export class SflowWriter {
  private readonly options: SflowWriterOptions
  private readonly components: SflowWriterComponents
  private readonly out: MessageWriter
  private readonly countAt: number
  private samples = 0
  private readonly ports = new Uint16Array(SAMPLES_MAX)
  private flowSamples = 0
  /** Number of the datagram before. */
  sequence = 0
  /** Datagrams that the sink took. */
  datagrams = 0
  /** Datagrams that it refused. */
  lost = 0

  constructor(options: SflowWriterOptions, components: SflowWriterComponents) {
    this.options = options
    this.components = components
    this.out = new MessageWriter(options.messageBytes)
    this.countAt = 4 + 4 + options.agent.length + 12
  }

  // Begins a sample of `bytes` behind its own header, in a new datagram if there is no room.
  private begin(kind: number, bytes: number): void {
    const { out, options } = this
    if (out.at !== 0 && (out.room < bytes + 8 || this.samples === SAMPLES_MAX)) this.flush()
    if (out.at === 0) {
      out.u32(VERSION)
      out.u32(options.agent.length === 4 ? ADDRESS_IPV4 : ADDRESS_IPV6)
      out.copy(options.agent, 0, options.agent.length)
      out.u32(options.subAgent)
      this.sequence = (this.sequence + 1) >>> 0
      out.u32(this.sequence)
      out.u32(Math.floor(this.components.nowMs()) % UINT32)
      out.u32(0)
    }
    this.samples++
    out.u32(kind)
    out.u32(bytes)
  }

  /** Sends the datagram in work, if there is one. */
  flush(): void {
    const { out, components } = this
    if (out.at === 0) return
    out.u32At(this.countAt, this.samples)
    if (components.sink.write(out.bytes, out.at)) this.datagrams++
    else {
      this.lost++
      for (let i = 0; i < this.flowSamples; i++) components.lost(this.ports[i]!)
    }
    out.at = 0
    this.samples = 0
    this.flowSamples = 0
  }

  /** Writes a flow sample of packet `i`, or of one of `length` bytes that it is cut into: of its payload the first packet's is shown. */
  flowSample(batch: Batch, i: number, length: number, about: SampleContext): void {
    const { out, options } = this
    const kept = Math.min(length, options.headerBytes)
    this.begin(FLOW_SAMPLE, 32 + 8 + 16 + padded(kept) + 8 + 16)
    this.ports[this.flowSamples++] = about.port
    out.u32(about.sequence)
    out.u32(about.port)
    out.u32(options.sampling)
    out.u32(about.pool)
    out.u32(about.drops)
    out.u32(about.input)
    out.u32(about.output)
    out.u32(2)
    out.u32(RAW_HEADER)
    out.u32(16 + padded(kept))
    out.u32(ETHERNET)
    out.u32(length + FRAME_CHECK_BYTES)
    out.u32(FRAME_CHECK_BYTES)
    out.u32(kept)
    const copied = batch.copyBytes(i, 0, kept, out.bytes, out.at)
    out.at += copied
    out.zeros(padded(kept) - copied)
    out.u32(EXTENDED_SWITCH)
    out.u32(16)
    out.u32(about.vlan)
    out.u32(about.priority)
    out.u32(about.vlan)
    out.u32(about.priority)
  }

  /** Writes a counter sample of a port: generic interface counters and its name. `sequence`: how many there were of it. */
  counterSample(figures: PortFigures, sequence: number): void {
    const { out } = this
    const name = encoder.encode(figures.name).subarray(0, NAME_BYTES_MAX)
    this.begin(COUNTERS_SAMPLE, 12 + 8 + INTERFACE_COUNTERS_BYTES + 8 + 4 + padded(name.length))
    out.u32(sequence)
    out.u32(figures.port)
    out.u32(2)
    out.u32(INTERFACE_COUNTERS)
    out.u32(INTERFACE_COUNTERS_BYTES)
    out.u32(figures.port)
    out.u32(IF_TYPE_ETHERNET)
    out.u64(0) // the speed is not known
    out.u32(FULL_DUPLEX)
    out.u32(figures.isUp ? STATUS_UP : STATUS_ADMIN_UP)
    out.u64(figures.receivedBytes)
    out.u32((figures.receivedFrames - figures.receivedMulticast) % UINT32)
    out.u32(figures.receivedMulticast % UINT32)
    out.u32(UNKNOWN) // broadcasts are among the multicasts
    out.u32(figures.receivedDropped % UINT32)
    out.u32(0)
    out.u32(UNKNOWN)
    out.u64(figures.sentBytes)
    out.u32(figures.sentFrames % UINT32)
    out.u32(UNKNOWN)
    out.u32(UNKNOWN)
    out.u32(figures.sendDropped % UINT32)
    out.u32(0)
    out.u32(UNKNOWN)
    out.u32(PORT_NAME)
    out.u32(4 + padded(name.length))
    out.u32(name.length)
    out.copy(name, 0, name.length)
    out.zeros(padded(name.length) - name.length)
  }
}
