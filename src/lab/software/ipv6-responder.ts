// As much IPv6 as makes a software guest a good neighbour: it answers neighbour solicitations (RFC 4861) and echo requests
// (RFC 4443) at its link-local address.
import { linkLocalOf, solicitedNodeOf } from './addresses.ts'
import { IpProtocol, internetChecksum, pseudoHeader } from './wire.ts'

const HEADER_BYTES = 40
const HOP_LIMIT_MAX = 255
const HOP_LIMIT_DEFAULT = 64
const SOLICITATION_BYTES = 24
const MessageType = { echoRequest: 128, echoReply: 129, solicitation: 135, advertisement: 136 } as const
/** "Solicited" and "override". */
const ADVERTISEMENT_FLAGS = 0x6000_0000
const OPTION_TARGET_MAC = 2

function build(source: Uint8Array, destination: Uint8Array, hopLimit: number, message: Buffer): Buffer {
  const packet = Buffer.alloc(HEADER_BYTES + message.length)
  packet[0] = 0x60
  packet.writeUInt16BE(message.length, 4)
  packet[6] = IpProtocol.icmpv6
  packet[7] = hopLimit
  packet.set(source, 8)
  packet.set(destination, 24)
  message.writeUInt16BE(0, 2)
  message.writeUInt16BE(internetChecksum(pseudoHeader(source, destination, IpProtocol.icmpv6, message.length), message), 2)
  packet.set(message, HEADER_BYTES)
  return packet
}

export class Ipv6Responder {
  /** The link-local address. */
  readonly address: Buffer
  readonly #mac: Uint8Array
  readonly #group: Buffer

  constructor(mac: Uint8Array) {
    this.#mac = mac
    this.address = linkLocalOf(mac)
    this.#group = solicitedNodeOf(this.address)
  }

  /** The answer to a packet, or null if there is none. */
  answer(packet: Buffer): Buffer | null {
    if (packet.length < HEADER_BYTES || packet[0] >> 4 !== 6 || packet[6] !== IpProtocol.icmpv6) return null
    const length = packet.readUInt16BE(4)
    if (length < 8 || HEADER_BYTES + length > packet.length) return null
    const source = packet.subarray(8, 24)
    const destination = packet.subarray(24, 40)
    const message = packet.subarray(HEADER_BYTES, HEADER_BYTES + length)
    const forUs = destination.equals(this.address) || destination.equals(this.#group)
    if (!forUs || source[0] === 0xff) return null
    if (internetChecksum(pseudoHeader(source, destination, IpProtocol.icmpv6, length), message) !== 0) return null
    if (message[0] === MessageType.solicitation && packet[7] === HOP_LIMIT_MAX) return this.#advertise(source, message)
    if (message[0] === MessageType.echoRequest && destination.equals(this.address)) return this.#echo(source, message)
    return null
  }

  #advertise(source: Buffer, solicitation: Buffer): Buffer | null {
    // An unspecified source is a neighbour that checks whether the address is taken: it has no address to answer to.
    const unspecified = source.every((byte) => byte === 0)
    if (solicitation.length < SOLICITATION_BYTES || unspecified || !solicitation.subarray(8, 24).equals(this.address)) return null
    const message = Buffer.alloc(SOLICITATION_BYTES + 8)
    message[0] = MessageType.advertisement
    message.writeUInt32BE(ADVERTISEMENT_FLAGS, 4)
    message.set(this.address, 8)
    message[24] = OPTION_TARGET_MAC
    message[25] = 1
    message.set(this.#mac, 26)
    return build(this.address, source, HOP_LIMIT_MAX, message)
  }

  #echo(source: Buffer, request: Buffer): Buffer {
    const message = Buffer.from(request)
    message[0] = MessageType.echoReply
    return build(this.address, source, HOP_LIMIT_DEFAULT, message)
  }
}
