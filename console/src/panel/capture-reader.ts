// Takes a pcapng stream apart as it comes: whole blocks only, packets of each piece decoded with the headers that came before them.
//
// The rule it must not break: memory is bounded; what is too much is told, not silently left out.
import { readPcapng } from '../../../src/packet/pcapng-reader.ts'
import { summarizeFrame } from '../../../src/packet/summary.ts'

const BLOCK_HEAD = 8
const ENHANCED_PACKET = 6
/** Bytes kept for the download. */
export const KEPT_MAX_BYTES = 64 * 1024 * 1024
const INBOUND = 1

export interface CapturedFrame {
  readonly number: number
  /** HH:MM:SS.µs */
  readonly time: string
  readonly port: string
  readonly direction: 'in' | 'out' | ''
  readonly length: number
  readonly summary: string
  readonly comments: readonly string[]
  readonly data: Uint8Array
}

export class CaptureReader {
  #head = new Uint8Array(0)
  #rest = new Uint8Array(0)
  #number = 0
  #kept: Uint8Array[] = []
  #keptBytes = 0
  /** No room for more: the download ends here. */
  full = false

  /** The frames of what came. Throws PacketFormatError if it is no capture. */
  take(chunk: Uint8Array): CapturedFrame[] {
    const bytes = joined([this.#rest, chunk])
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const packets: Uint8Array[] = []
    let at = 0
    while (at + BLOCK_HEAD <= bytes.length) {
      const length = view.getUint32(at + 4, true)
      if (length < BLOCK_HEAD || at + length > bytes.length) break
      const block = bytes.subarray(at, at + length)
      if (view.getUint32(at, true) === ENHANCED_PACKET) packets.push(block)
      else this.#head = joined([this.#head, block])
      at += length
    }
    this.#keep(bytes.slice(0, at))
    this.#rest = bytes.slice(at)
    if (packets.length === 0) return []
    return readPcapng(joined([this.#head, ...packets])).packets.map((packet): CapturedFrame => {
      const micros = Number(packet.time / 10n ** BigInt(Math.max(0, packet.interface.resolution - 6)))
      const direction = packet.flags & 3
      return {
        number: ++this.#number,
        time: `${new Date(micros / 1000).toISOString().slice(11, 19)}.${String(micros % 1_000_000).padStart(6, '0')}`,
        port: packet.interface.name,
        direction: direction === 0 ? '' : direction === INBOUND ? 'in' : 'out',
        length: packet.originalLength,
        summary: summarizeFrame(packet.data, packet.originalLength).replace(/^\S+ > \S+ /, ''),
        comments: packet.comments,
        data: packet.data,
      }
    })
  }

  #keep(bytes: Uint8Array): void {
    if (this.full || bytes.length === 0) return
    this.full = this.#keptBytes + bytes.length > KEPT_MAX_BYTES
    if (this.full) return
    this.#kept.push(bytes)
    this.#keptBytes += bytes.length
  }

  /** What came so far, as a file. */
  file(): Blob {
    return new Blob(this.#kept as BlobPart[], { type: 'application/vnd.tcpdump.pcap' })
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
