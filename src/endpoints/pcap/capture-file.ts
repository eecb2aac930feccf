// Reads the frames of a capture file, pcap or pcapng, for replay.
//
// The rule it must not break: captures come from anywhere, so every length is checked against the bytes that are there.
import { PacketFormatError } from '../../packet/errors.ts'
import { PacketDirection } from '../../packet/pcapng.ts'
import { readPcapng } from '../../packet/pcapng-reader.ts'

const PCAP_MICROSECONDS = 0xa1b2c3d4
const PCAP_NANOSECONDS = 0xa1b23c4d
const FILE_HEADER = 24
const RECORD_HEADER = 16
const LINK_TYPE_ETHERNET = 1
const DIRECTION_MASK = 3

/** A frame to send again. */
export interface CapturedFrame {
  /** Milliseconds since the first frame of the file. */
  readonly timeMs: number
  readonly data: Uint8Array
}

export interface Capture {
  readonly frames: readonly CapturedFrame[]
  /** Frames left out: cut when they were captured, or of another link type than Ethernet. */
  readonly leftOut: number
}

interface Found {
  readonly timeMs: number
  readonly data: Uint8Array
  readonly whole: boolean
}

/** Reads a capture. Throws PacketFormatError if it is none. */
export function readCapture(bytes: Uint8Array): Capture {
  const found = isPcap(bytes) ? readPcap(bytes) : readNext(bytes)
  const whole = found.filter((frame) => frame.whole)
  const first = whole[0]?.timeMs ?? 0
  return {
    frames: whole.map(({ timeMs, data }) => ({ timeMs: Math.max(0, timeMs - first), data })),
    leftOut: found.length - whole.length,
  }
}

/** One record of a capture, whole or not. */
export interface CaptureRecord {
  readonly data: Uint8Array
  /** False: it was cut when it was captured, or is of another link type than Ethernet. */
  readonly whole: boolean
  /** Name of its interface; '' where the format has none. */
  readonly interfaceName: string
  /** True if the capture says that it went out there. */
  readonly isOutbound: boolean
  /** Records of one frame have the same; undefined where the format has none. */
  readonly packetId: number | undefined
}

/** All records of a capture, the first one being number 1 of analyzers. Throws PacketFormatError if it is none. */
export function readRecords(bytes: Uint8Array): readonly CaptureRecord[] {
  if (isPcap(bytes))
    return readPcap(bytes).map(({ data, whole }) => ({
      data,
      whole,
      interfaceName: '',
      isOutbound: false,
      packetId: undefined,
    }))
  return readPcapng(bytes).packets.map((packet) => ({
    data: packet.data,
    whole: packet.interface.linkType === LINK_TYPE_ETHERNET && packet.data.length === packet.originalLength,
    interfaceName: packet.interface.name,
    isOutbound: (packet.flags & DIRECTION_MASK) === PacketDirection.outbound,
    packetId: packet.id,
  }))
}

const isMagic = (value: number): boolean => value === PCAP_MICROSECONDS || value === PCAP_NANOSECONDS

function isPcap(bytes: Uint8Array): boolean {
  if (bytes.length < FILE_HEADER) return false
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return isMagic(view.getUint32(0, true)) || isMagic(view.getUint32(0, false))
}

function readPcap(bytes: Uint8Array): Found[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const little = isMagic(view.getUint32(0, true))
  const perMs = view.getUint32(0, little) === PCAP_NANOSECONDS ? 1e6 : 1e3
  const ethernet = (view.getUint32(20, little) & 0xffff) === LINK_TYPE_ETHERNET
  const found: Found[] = []
  for (let at = FILE_HEADER; at < bytes.length; ) {
    if (at + RECORD_HEADER > bytes.length) throw new PacketFormatError('bad-capture', `the capture is cut at byte ${at}`)
    const kept = view.getUint32(at + 8, little)
    if (kept > bytes.length - at - RECORD_HEADER)
      throw new PacketFormatError('bad-capture', `a frame of ${kept} bytes at byte ${at} goes beyond the capture's end`)
    found.push({
      timeMs: view.getUint32(at, little) * 1000 + view.getUint32(at + 4, little) / perMs,
      data: bytes.slice(at + RECORD_HEADER, at + RECORD_HEADER + kept),
      whole: ethernet && kept === view.getUint32(at + 12, little),
    })
    at += RECORD_HEADER + kept
  }
  return found
}

function readNext(bytes: Uint8Array): Found[] {
  return readPcapng(bytes).packets.map(({ interface: { linkType, resolution }, time, originalLength, data }) => ({
    timeMs: Number(time) / (resolution < 128 ? 10 ** (resolution - 3) : 2 ** (resolution - 128) / 1000),
    data,
    whole: linkType === LINK_TYPE_ETHERNET && data.length === originalLength,
  }))
}
