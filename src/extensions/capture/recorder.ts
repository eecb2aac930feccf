// Turns packets into pcapng blocks in a sink: one section, one interface per switch port, described when its first packet is recorded.
// Both are preambles: where the sink is cut in files, each file begins with them.
//
// The rules it must not break: nothing is allocated per packet, and no packet block is written whose interface block did not get
// into the sink before it.
import {
  type Batch,
  PcapngWriter,
  type PortParameters,
  parseMac,
  ReceptionType,
  type Sink,
  type SwitchHandle,
} from '../../extension.ts'
import type { CaptureOptions } from './options.ts'

const PORT_IDS = 65536
const UNKNOWN = 0
const IGNORED = -1

export const CaptureCounter = { packets: 0, bytes: 1, lost: 2 } as const

/** Records packets of one processor. Fields are ordinary ones: they are read per packet. */
export class Recorder {
  private readonly sw: SwitchHandle
  private readonly sink: Sink
  private readonly options: CaptureOptions
  private readonly writer: PcapngWriter
  /** Per port id: UNKNOWN, IGNORED, or its interface number + 1. */
  private readonly interfaces = new Int32Array(PORT_IDS)
  private readonly wanted: Uint8Array | undefined
  private readonly comments = new Map<string, Uint8Array>()
  private readonly queue: number
  private described = 0
  private inSection: boolean

  constructor(sw: SwitchHandle, options: CaptureOptions) {
    this.sw = sw
    this.options = options
    this.sink = sw.sink('packets')
    this.writer = new PcapngWriter(options.snapBytes)
    this.queue = sw.processors > 1 ? sw.processor : -1
    if (options.etherTypes) {
      this.wanted = new Uint8Array(0x10000)
      for (const etherType of options.etherTypes) this.wanted[etherType] = 1
    }
    this.inSection = this.startSection()
  }

  /** Call once per batch, before its packets: sets their time. */
  begin(): void {
    const { wallClock } = this.sw
    this.writer.setTime(wallClock.seconds, wallClock.nanoseconds)
    if (!this.inSection) this.inSection = this.startSection()
  }

  /** Copies packet `i` to where blocks are built. Returns the bytes kept, or -1 if the packet is not wanted. */
  load(batch: Batch, i: number): number {
    if (this.wanted !== undefined && this.wanted[batch.etherType(i)] === 0) return -1
    return batch.copyBytes(i, 0, this.options.snapBytes, this.writer.bytes, this.writer.dataOffset)
  }

  /** Records the packet that was loaded, at port `port`. `direction`: PacketDirection. */
  record(batch: Batch, i: number, kept: number, port: number, direction: number, comment?: Uint8Array): void {
    const { writer, sink, sw } = this
    let known = this.interfaces[port]!
    if (known === UNKNOWN) {
      known = this.describe(port)
      // Describing has overwritten the place where blocks are built.
      if (known !== IGNORED) batch.copyBytes(i, 0, kept, writer.bytes, writer.dataOffset)
    }
    if (known === IGNORED) return
    const { counters } = sw
    const reception = batch.isBroadcast(i)
      ? ReceptionType.broadcast
      : batch.isMulticast(i)
        ? ReceptionType.multicast
        : ReceptionType.unicast
    const length =
      known === UNKNOWN
        ? 0
        : writer.packet(known - 1, kept, batch.frameLength(i), direction | reception, batch.packetId(i), this.queue, comment)
    if (length === 0 || !sink.write(writer.bytes, length)) {
      counters[CaptureCounter.lost] = counters[CaptureCounter.lost]! + 1
      return
    }
    counters[CaptureCounter.packets] = counters[CaptureCounter.packets]! + 1
    counters[CaptureCounter.bytes] = counters[CaptureCounter.bytes]! + length
  }

  /** The comment of a dropped packet. */
  comment(reason: string): Uint8Array {
    let comment = this.comments.get(reason)
    if (!comment) {
      comment = new TextEncoder().encode(`dropped: ${reason}`)
      this.comments.set(reason, comment)
    }
    return comment
  }

  /** Forgets a port that is gone: its id may come back under another name. */
  forget(port: number): void {
    this.interfaces[port] = UNKNOWN
  }

  private startSection(): boolean {
    return this.sink.write(this.writer.bytes, this.writer.section('vmswitch'), true)
  }

  // Writes the interface of a port, or finds that it is not to be captured. UNKNOWN if the sink has no room now.
  private describe(port: number): number {
    const found = this.sw.ports().find(({ portId }) => portId === port)
    const { ports } = this.options
    if (ports && !(found && ports.includes(found.portName))) {
      this.interfaces[port] = IGNORED
      return IGNORED
    }
    if (!this.inSection) return UNKNOWN
    const length = this.writer.interface(
      nameOf(port, found),
      `port ${port} of switch ${this.sw.parameters().switchName}`,
      this.macOf(port),
    )
    if (!this.sink.write(this.writer.bytes, length, true)) return UNKNOWN
    this.interfaces[port] = ++this.described
    return this.described
  }

  private macOf(port: number): Uint8Array | undefined {
    const mac = this.sw.nics().find(({ portId, nicIndex }) => portId === port && nicIndex === 0)?.currentMacAddress
    return mac ? parseMac(mac) : undefined
  }
}

const nameOf = (port: number, found: PortParameters | undefined): string =>
  found?.portName ?? (port === 0 ? 'extensions' : `port ${port}`)
