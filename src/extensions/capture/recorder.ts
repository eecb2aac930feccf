// Turns packets into pcapng blocks in a sink: one section, one interface per switch port and per place where packets of a port are
// dropped, described when its first packet is recorded. These are preambles: where the sink is cut in files, each file begins with them.
//
// The rules it must not break: nothing is allocated per packet, and no packet block is written whose interface block did not get
// into the sink before it.
import {
  type Batch,
  compileFilter,
  type DropPlaces,
  type FrameFilter,
  PACKET_HEADER_STRIDE,
  PacketDirection,
  PacketVerdict,
  PcapngWriter,
  type PortParameters,
  parseMac,
  ReceptionType,
  type Sink,
  type SwitchHandle,
} from '../../extension.ts'
import { type CaptureOptions, SNAP_BYTES_MAX } from './options.ts'

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
  private readonly filter: FrameFilter | undefined
  /** For filters that look beyond the header copy. */
  private readonly looked: Uint8Array
  /** Interfaces of drops, as `interfaces`: by module that dropped, then by port. */
  private readonly dropInterfaces = new Map<string, Map<number, number>>()
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
    this.filter = options.filter === undefined ? undefined : compileFilter(options.filter)
    this.looked = new Uint8Array(Math.min(SNAP_BYTES_MAX, this.filter?.reach ?? 0))
    this.inSection = this.startSection()
  }

  /** Call once per batch, before its packets: sets their time. */
  begin(): void {
    const { wallClock } = this.sw
    this.writer.setTime(wallClock.seconds, wallClock.nanoseconds)
    if (!this.inSection) this.inSection = this.startSection()
  }

  /** Whether ether type and filter let packet `i` through. */
  wants(batch: Batch, i: number): boolean {
    if (this.wanted !== undefined && this.wanted[batch.etherType(i)] === 0) return false
    const { filter, looked } = this
    if (filter === undefined) return true
    const { pool } = batch
    const slot = batch.slots[i]!
    const length = pool.length[slot]!
    const inHeader = pool.headerLength[slot]!
    if (filter.reach <= inHeader || inHeader === length)
      return filter.matches(pool.header8, slot * PACKET_HEADER_STRIDE + pool.headerOffset[slot]!, inHeader, length)
    return filter.matches(looked, 0, batch.copyBytes(i, 0, looked.length, looked, 0), length)
  }

  /** Copies packet `i` to where blocks are built. Returns the bytes kept. */
  load(batch: Batch, i: number): number {
    return batch.copyBytes(i, 0, this.options.snapBytes, this.writer.bytes, this.writer.dataOffset)
  }

  /** Records the packet that was loaded, at port `port`. `direction`: PacketDirection. */
  record(batch: Batch, i: number, kept: number, port: number, direction: number): void {
    let known = this.interfaces[port]!
    if (known === UNKNOWN) {
      known = this.describe(port)
      // Describing has overwritten the place where blocks are built.
      if (known !== IGNORED) this.load(batch, i)
    }
    if (known !== IGNORED) this.write(batch, i, kept, known, direction)
  }

  /** Records the packet that was loaded as dropped for `reason` where `places` says. */
  recordDrop(batch: Batch, i: number, kept: number, reason: string, places: DropPlaces): void {
    const port = places.port(i)
    const module = places.module(i)
    let ofModule = this.dropInterfaces.get(module)
    if (ofModule === undefined) {
      ofModule = new Map()
      this.dropInterfaces.set(module, ofModule)
    }
    let known = ofModule.get(port) ?? UNKNOWN
    if (known === UNKNOWN) {
      known = this.describe(port, module)
      ofModule.set(port, known)
      if (known !== IGNORED) this.load(batch, i)
    }
    if (known === IGNORED) return
    const direction = places.incoming(i) ? PacketDirection.inbound : PacketDirection.outbound
    this.write(batch, i, kept, known, direction, this.comment(reason), PacketVerdict.dropped)
  }

  // Writes the packet that was loaded. `known`: number of its interface + 1, or UNKNOWN if there was no room to describe it.
  private write(
    batch: Batch,
    i: number,
    kept: number,
    known: number,
    direction: number,
    comment?: Uint8Array,
    verdict: number = PacketVerdict.none,
  ): void {
    const { writer, sink } = this
    const { counters } = this.sw
    const reception = batch.isBroadcast(i)
      ? ReceptionType.broadcast
      : batch.isMulticast(i)
        ? ReceptionType.multicast
        : ReceptionType.unicast
    const length =
      known === UNKNOWN
        ? 0
        : writer.packet(
            known - 1,
            kept,
            batch.frameLength(i),
            direction | reception,
            batch.packetId(i),
            this.queue,
            comment,
            verdict,
          )
    if (length === 0 || !sink.write(writer.bytes, length)) {
      counters[CaptureCounter.lost] = counters[CaptureCounter.lost]! + 1
      return
    }
    counters[CaptureCounter.packets] = counters[CaptureCounter.packets]! + 1
    counters[CaptureCounter.bytes] = counters[CaptureCounter.bytes]! + length
  }

  /** The comment of a dropped packet. */
  private comment(reason: string): Uint8Array {
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
    for (const ofModule of this.dropInterfaces.values()) ofModule.delete(port)
  }

  private startSection(): boolean {
    return this.sink.write(this.writer.bytes, this.writer.section('vmswitch'), true)
  }

  // Writes the interface of a port, or of what `droppedBy` drops there, or finds that it is not to be captured. UNKNOWN if the sink has
  // no room now.
  private describe(port: number, droppedBy?: string): number {
    const found = this.sw.ports().find(({ portId }) => portId === port)
    const { ports } = this.options
    if (ports && !(found && ports.includes(found.portName))) {
      if (droppedBy === undefined) this.interfaces[port] = IGNORED
      return IGNORED
    }
    if (!this.inSection) return UNKNOWN
    const { switchName } = this.sw.parameters()
    const name = nameOf(port, found)
    const length =
      droppedBy === undefined
        ? this.writer.interface(name, `port ${port} of switch ${switchName}`, this.macOf(port))
        : this.writer.interface(
            `${name} dropped by ${droppedBy === '' ? 'switch' : droppedBy}`,
            `what ${droppedBy === '' ? 'the switch itself' : `extension ${droppedBy}`} dropped at port ${port} of switch ${switchName}`,
            undefined,
          )
    if (!this.sink.write(this.writer.bytes, length, true)) return UNKNOWN
    this.described++
    if (droppedBy === undefined) this.interfaces[port] = this.described
    return this.described
  }

  private macOf(port: number): Uint8Array | undefined {
    const mac = this.sw.nics().find(({ portId, nicIndex }) => portId === port && nicIndex === 0)?.currentMacAddress
    return mac ? parseMac(mac) : undefined
  }
}

const nameOf = (port: number, found: PortParameters | undefined): string =>
  found?.portName ?? (port === 0 ? 'extensions' : `port ${port}`)
