// TCP segments as bytes (RFC 9293, 3.1), and arithmetic on sequence numbers, which wrap.
import { IpProtocol, internetChecksum, pseudoHeader } from './wire.ts'

export const TCP_HEADER_BYTES = 20
export const TcpFlag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16 } as const
/** What a peer takes that does not say its segment size (RFC 9293, 3.7.1). */
export const DEFAULT_SEGMENT_BYTES = 536
const OPTION_END = 0
const OPTION_NOTHING = 1
const OPTION_SEGMENT_SIZE = 2

export interface TcpSegment {
  readonly sourcePort: number
  readonly destinationPort: number
  readonly sequence: number
  readonly acknowledgment: number
  readonly flags: number
  readonly window: number
  /** The segment size that a SYN announces; 0: none. */
  readonly segmentBytes: number
  readonly payload: Uint8Array
}

/** a − b on the circle of sequence numbers: negative if a lies before b. */
export const sequenceDifference = (a: number, b: number): number => (a - b) | 0
export const sequenceAdd = (a: number, bytes: number): number => (a + bytes) >>> 0

export function buildTcp(source: Uint8Array, destination: Uint8Array, segment: TcpSegment): Buffer {
  const optionBytes = segment.segmentBytes > 0 ? 4 : 0
  const headerBytes = TCP_HEADER_BYTES + optionBytes
  const packet = Buffer.alloc(headerBytes + segment.payload.length)
  packet.writeUInt16BE(segment.sourcePort, 0)
  packet.writeUInt16BE(segment.destinationPort, 2)
  packet.writeUInt32BE(segment.sequence, 4)
  packet.writeUInt32BE(segment.acknowledgment, 8)
  packet[12] = (headerBytes / 4) << 4
  packet[13] = segment.flags
  packet.writeUInt16BE(segment.window, 14)
  if (optionBytes > 0) {
    packet[20] = OPTION_SEGMENT_SIZE
    packet[21] = 4
    packet.writeUInt16BE(segment.segmentBytes, 22)
  }
  packet.set(segment.payload, headerBytes)
  packet.writeUInt16BE(internetChecksum(pseudoHeader(source, destination, IpProtocol.tcp, packet.length), packet), 16)
  return packet
}

/** A segment with a right checksum and a header inside the packet. */
export function parseTcp(source: Uint8Array, destination: Uint8Array, packet: Buffer): TcpSegment | null {
  if (packet.length < TCP_HEADER_BYTES) return null
  const headerBytes = (packet[12] >> 4) * 4
  if (headerBytes < TCP_HEADER_BYTES || headerBytes > packet.length) return null
  if (internetChecksum(pseudoHeader(source, destination, IpProtocol.tcp, packet.length), packet) !== 0) return null
  return {
    sourcePort: packet.readUInt16BE(0),
    destinationPort: packet.readUInt16BE(2),
    sequence: packet.readUInt32BE(4),
    acknowledgment: packet.readUInt32BE(8),
    flags: packet[13],
    window: packet.readUInt16BE(14),
    segmentBytes: findSegmentSize(packet.subarray(TCP_HEADER_BYTES, headerBytes)),
    payload: packet.subarray(headerBytes),
  }
}

function findSegmentSize(options: Buffer): number {
  for (let at = 0; at < options.length && options[at] !== OPTION_END; ) {
    if (options[at] === OPTION_NOTHING) {
      at++
      continue
    }
    const length = options[at + 1] ?? 0
    if (length < 2 || at + length > options.length) return 0
    if (options[at] === OPTION_SEGMENT_SIZE && length === 4) return options.readUInt16BE(at + 2)
    at += length
  }
  return 0
}
