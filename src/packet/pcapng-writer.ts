// Writes pcapng blocks into one buffer of its own, block by block: the caller hands each block to where it belongs. Little-endian,
// nanosecond time stamps.
//
// The rule it must not break: packet blocks allocate nothing. Fields are ordinary ones, because they are written per packet.
import {
  BlockType,
  BYTE_ORDER_MAGIC,
  LINK_TYPE_ETHERNET,
  NANOSECOND_RESOLUTION,
  PcapngOption,
  VERDICT_TRAFFIC_CONTROL,
} from './pcapng.ts'

const PACKET_HEADER_BYTES = 28
const OPTION_HEADER_BYTES = 4
/** Room beside the packet's bytes: block header and trailer, flags, id, queue, verdict, and a comment. */
export const COMMENT_BYTES_MAX = 128
const PACKET_EXTRA_BYTES = PACKET_HEADER_BYTES + 8 + 12 + 8 + 16 + OPTION_HEADER_BYTES + COMMENT_BYTES_MAX + 4 + 4 + 4
const TEXT_BYTES_MAX = 256
const DESCRIPTION_BYTES_MAX = 16 + 4 * (OPTION_HEADER_BYTES + TEXT_BYTES_MAX) + 8
const TWO_32 = 4294967296

const padded = (length: number): number => (length + 3) & ~3

/** Builds blocks in `bytes`; each method returns the length of the block that now stands there. */
export class PcapngWriter {
  /** The block last built, from index 0. */
  readonly bytes: Uint8Array
  /** Bytes of a packet that are kept at the most. */
  readonly snapBytes: number
  /** Where `packet` wants the packet's bytes: fill them in before or after the call. */
  readonly dataOffset = PACKET_HEADER_BYTES
  private readonly view: DataView
  private at = 0
  private timeHigh = 0
  private timeLow = 0

  constructor(snapBytes: number) {
    this.snapBytes = snapBytes
    this.bytes = new Uint8Array(Math.max(DESCRIPTION_BYTES_MAX, padded(snapBytes) + PACKET_EXTRA_BYTES))
    this.view = new DataView(this.bytes.buffer)
  }

  /** The start of a section: everything before it is forgotten by readers, interfaces too. */
  section(application: string): number {
    const { view } = this
    this.begin(BlockType.sectionHeader)
    view.setUint32(8, BYTE_ORDER_MAGIC, true)
    view.setUint16(12, 1, true)
    view.setUint16(14, 0, true)
    view.setUint32(16, 0xffffffff, true) // length of the section: not known
    view.setUint32(20, 0xffffffff, true)
    this.at = 24
    this.textOption(PcapngOption.sectionApplication, application)
    return this.finish()
  }

  /** Describes the next interface; the first one of a section has number 0. `mac`: six octets or undefined. */
  interface(name: string, description: string, mac?: Uint8Array): number {
    const { view } = this
    this.begin(BlockType.interfaceDescription)
    view.setUint16(8, LINK_TYPE_ETHERNET, true)
    view.setUint16(10, 0, true)
    view.setUint32(12, this.snapBytes, true)
    this.at = 16
    this.textOption(PcapngOption.interfaceName, name)
    if (description !== '') this.textOption(PcapngOption.interfaceDescription, description)
    if (mac) this.bytesOption(PcapngOption.interfaceMac, mac)
    this.optionHeader(PcapngOption.interfaceResolution, 1)
    view.setUint32(this.at, NANOSECOND_RESOLUTION, true)
    this.at += 4
    return this.finish()
  }

  /** Sets the time of the packets that follow: seconds since 1970 (below 2^34) and nanoseconds. */
  setTime(seconds: number, nanoseconds: number): void {
    // seconds * 1e9 does not fit 53 bits: multiply its halves.
    const upper = Math.floor(seconds / 65536) * 1e9
    const lower = (upper % 65536) * 65536 + (seconds % 65536) * 1e9 + nanoseconds
    this.timeLow = lower % TWO_32
    this.timeHigh = Math.floor(upper / 65536) + Math.floor(lower / TWO_32)
  }

  /**
   * One packet of interface `iface`: `kept` of its `length` bytes stand, or will stand, at `dataOffset`. `flags`: direction and
   * reception type. `queue`: number or -1. `comment`: ASCII bytes, cut at COMMENT_BYTES_MAX, or undefined. `verdict`: PacketVerdict.
   * Allocates nothing.
   */
  packet(
    iface: number,
    kept: number,
    length: number,
    flags: number,
    id: number,
    queue: number,
    comment?: Uint8Array,
    verdict = -1,
  ): number {
    const { view } = this
    this.begin(BlockType.enhancedPacket)
    view.setUint32(8, iface, true)
    view.setUint32(12, this.timeHigh, true)
    view.setUint32(16, this.timeLow, true)
    view.setUint32(20, kept, true)
    view.setUint32(24, length, true)
    const end = PACKET_HEADER_BYTES + kept
    this.at = padded(end)
    for (let i = end; i < this.at; i++) this.bytes[i] = 0
    this.optionHeader(PcapngOption.packetFlags, 4)
    view.setUint32(this.at, flags, true)
    this.at += 4
    this.optionHeader(PcapngOption.packetId, 8)
    view.setUint32(this.at, id, true)
    view.setUint32(this.at + 4, 0, true)
    this.at += 8
    if (queue >= 0) {
      this.optionHeader(PcapngOption.packetQueue, 4)
      view.setUint32(this.at, queue, true)
      this.at += 4
    }
    if (verdict >= 0) this.verdictOption(verdict)
    if (comment) this.bytesOption(PcapngOption.comment, comment)
    return this.finish()
  }

  private verdictOption(verdict: number): void {
    const { view } = this
    this.optionHeader(PcapngOption.packetVerdict, 9)
    view.setUint32(this.at, VERDICT_TRAFFIC_CONTROL | (verdict << 8), true) // kind, then the number in eight bytes
    view.setUint32(this.at + 4, 0, true)
    view.setUint32(this.at + 8, 0, true)
    this.at += 12
  }

  private begin(type: number): void {
    this.view.setUint32(0, type, true)
  }

  private finish(): number {
    this.view.setUint32(this.at, 0, true) // opt_endofopt
    const length = this.at + 8
    this.view.setUint32(4, length, true)
    this.view.setUint32(this.at + 4, length, true)
    return length
  }

  private optionHeader(code: number, length: number): void {
    this.view.setUint16(this.at, code, true)
    this.view.setUint16(this.at + 2, length, true)
    this.at += OPTION_HEADER_BYTES
  }

  private bytesOption(code: number, value: Uint8Array): void {
    const length = Math.min(value.length, COMMENT_BYTES_MAX)
    this.optionHeader(code, length)
    const end = this.at + padded(length)
    for (let i = 0; i < length; i++) this.bytes[this.at + i] = value[i]!
    for (let i = this.at + length; i < end; i++) this.bytes[i] = 0
    this.at = end
  }

  private textOption(code: number, text: string): void {
    const { written } = new TextEncoder().encodeInto(text, this.bytes.subarray(this.at + 4, this.at + 4 + TEXT_BYTES_MAX))
    this.optionHeader(code, written)
    const end = this.at + padded(written)
    this.bytes.fill(0, this.at + written, end)
    this.at = end
  }
}
