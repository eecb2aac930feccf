// The load whose fate a failover lab tells: frames with a number and the path that their sender chose, and what became of each. They are
// UDP from one software guest to another, or echo requests that a real guest's kernel answers: then a round trip is one frame.
// Numbers start at 0 for each stream; times are microseconds of performance.now(), which sender and receiver share.
//
// The rule it must not break: a number is used once, and only for a frame that a card took.
import { formatIpv4, parseIpv4, parseMac } from '../software/addresses.ts'
import {
  buildEthernet,
  buildIcmpEcho,
  buildIpv4,
  buildUdp,
  EtherType,
  IcmpType,
  IpProtocol,
  internetChecksum,
} from '../software/wire.ts'

/** UDP port that numbered frames go to. */
export const LOAD_PORT = 40_100
const MAGIC = 0x766d_7366
const PAYLOAD_BYTES = 86 // a frame of 128 bytes
const PAYLOAD_AT = 42 // behind UDP and behind ICMP
const IP_PROTOCOL_AT = 23
const ICMP_AT = 34
const ICMP_CHECKSUM_AT = 36
const UDP_PORT_AT = 36
const UDP_CHECKSUM_AT = 40

/** Which card a frame went through at the guest that has two. */
export const Path = { synthetic: 0, vf: 1 } as const
export type Path = (typeof Path)[keyof typeof Path]

/** What became of a stream's frames. Survives a message between threads. */
export interface StreamRecord {
  /** `from → to`, names of guests. */
  readonly name: string
  /** For number N: when a card took the frame, and which path it went, where its sender has two. */
  readonly sentUs: Float64Array
  readonly sentPath: Uint8Array
  /** In the order of arrival: numbers, times, and paths at the guest that has two cards. */
  readonly receivedNumber: Uint32Array
  readonly receivedUs: Float64Array
  readonly receivedPath: Uint8Array
}

export interface StreamEnd {
  readonly mac: string
  readonly address: string
}

/** Microseconds since some fixed moment. */
export const nowUs = (): number => performance.now() * 1000

export interface StreamOptions {
  readonly name: string
  /** 0…255, of its own. */
  readonly id: number
  readonly protocol: 'udp' | 'echo'
  /** Who knows a frame's path: the guest with two cards sends, or receives; or it is asked for when a frame comes. */
  readonly path: 'sender' | 'receiver' | (() => Path)
}

/** One direction of the load, or its round trip: its sender's half and its receiver's. */
export class NumberedStream {
  readonly name: string
  readonly #options: StreamOptions
  readonly #frame: Buffer
  readonly #sentUs: number[] = []
  readonly #sentPath: number[] = []
  readonly #receivedNumber: number[] = []
  readonly #receivedUs: number[] = []
  readonly #receivedPath: number[] = []

  constructor(options: StreamOptions, from: StreamEnd, to: StreamEnd) {
    this.name = options.name
    this.#options = options
    const [source, destination] = [from, to].map(({ address }) => parseIpv4(address)) as [Buffer, Buffer]
    const content = Buffer.alloc(PAYLOAD_BYTES)
    content.writeUInt32BE(MAGIC, 0)
    content.writeUInt8(options.id, 4)
    const isEcho = options.protocol === 'echo'
    const payload = isEcho
      ? buildIcmpEcho({ type: IcmpType.echoRequest, identifier: LOAD_PORT, sequence: options.id, payload: content })
      : buildUdp(source, destination, { sourcePort: LOAD_PORT, destinationPort: LOAD_PORT, payload: content })
    const packet = buildIpv4({ source, destination, protocol: isEcho ? IpProtocol.icmp : IpProtocol.udp, payload }, 1)
    this.#frame = buildEthernet(parseMac(to.mac), parseMac(from.mac), EtherType.ipv4, packet)
    if (!isEcho) this.#frame.writeUInt16BE(0, UDP_CHECKSUM_AT) // not summed: the number differs in each frame
  }

  /** Frames sent. */
  get sent(): number {
    return this.#sentUs.length
  }

  get received(): number {
    return this.#receivedNumber.length
  }

  /** Sends the next frame by `transmit`, which says whether a card took it. */
  send(path: Path, transmit: (frame: Buffer) => boolean): boolean {
    this.#frame.writeUInt8(path, PAYLOAD_AT + 5)
    this.#frame.writeUInt32BE(this.#sentUs.length, PAYLOAD_AT + 6)
    if (this.#options.protocol === 'echo') {
      this.#frame.writeUInt16BE(0, ICMP_CHECKSUM_AT)
      this.#frame.writeUInt16BE(internetChecksum(this.#frame.subarray(ICMP_AT)), ICMP_CHECKSUM_AT)
    }
    const atUs = nowUs()
    if (!transmit(this.#frame)) return false
    this.#sentUs.push(atUs)
    this.#sentPath.push(path)
    return true
  }

  /** Notes a frame that came through card `path`. Returns false for one that is not of this stream. */
  receive(frame: Buffer, path: Path): boolean {
    if (frame.length < PAYLOAD_AT + 10 || frame.readUInt32BE(PAYLOAD_AT) !== MAGIC) return false
    const { id, protocol } = this.#options
    if (frame.readUInt8(PAYLOAD_AT + 4) !== id) return false
    const isOwn =
      protocol === 'echo'
        ? frame.readUInt8(IP_PROTOCOL_AT) === IpProtocol.icmp && frame.readUInt8(ICMP_AT) === IcmpType.echoReply
        : frame.readUInt8(IP_PROTOCOL_AT) === IpProtocol.udp && frame.readUInt16BE(UDP_PORT_AT) === LOAD_PORT
    if (!isOwn) return false
    this.#receivedNumber.push(frame.readUInt32BE(PAYLOAD_AT + 6))
    this.#receivedUs.push(nowUs())
    this.#receivedPath.push(this.#pathOf(frame, path))
    return true
  }

  #pathOf(frame: Buffer, own: Path): number {
    const { path } = this.#options
    if (typeof path === 'function') return path()
    return path === 'receiver' ? own : frame.readUInt8(PAYLOAD_AT + 5)
  }

  record(): StreamRecord {
    return {
      name: this.name,
      sentUs: Float64Array.from(this.#sentUs),
      sentPath: Uint8Array.from(this.#sentPath),
      receivedNumber: Uint32Array.from(this.#receivedNumber),
      receivedUs: Float64Array.from(this.#receivedUs),
      receivedPath: Uint8Array.from(this.#receivedPath),
    }
  }
}

/** The address without its prefix length. */
export const plainAddress = (address: string): string => formatIpv4(parseIpv4(address.split('/')[0]!))
