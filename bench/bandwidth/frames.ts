// The frames of the bandwidth benchmark: TCP over IPv4, of any length; longer ones than Ethernet takes are left to segment.
import { VNET_GSO_TCPV4, VNET_HEADER, VNET_NEEDS_CSUM } from '../../src/kernels/layout.ts'
import { tcpFrame } from '../../src/packet/build.ts'

const HEADERS = 54
const TCP_AT = 34
const CHECKSUM_AT = 16
const SEGMENT = 1460
const FRAME_MAX = 1514

/** Address of the guest that sends, by its number. */
export const senderMac = (sender: number): string => `02:00:00:00:81:0${sender + 1}`
export const RECEIVER_MAC = '02:00:00:00:81:f1'

/** A frame of `bytes` from a sender, and what its guest says of it. */
export function frameOf(sender: number, bytes: number): { readonly frame: Uint8Array; readonly vnet: Uint8Array } {
  const ends = {
    sourceMac: senderMac(sender),
    destinationMac: RECEIVER_MAC,
    source: `10.81.0.${sender + 1}`,
    destination: '10.81.0.241',
  }
  const vnet = Buffer.alloc(VNET_HEADER)
  if (bytes > FRAME_MAX) {
    vnet[0] = VNET_NEEDS_CSUM
    vnet[1] = VNET_GSO_TCPV4
    vnet.writeUInt16LE(HEADERS, 2)
    vnet.writeUInt16LE(SEGMENT, 4)
    vnet.writeUInt16LE(TCP_AT, 6)
    vnet.writeUInt16LE(CHECKSUM_AT, 8)
  }
  return { frame: tcpFrame(ends, 1000, 2000, { data: Buffer.alloc(bytes - HEADERS) }), vnet }
}

/** Bytes of such a frame on the wire, from the destination address to the end of the payload: those of all its segments. */
export const wireBytesOf = (bytes: number): number =>
  bytes <= FRAME_MAX ? bytes : bytes + (Math.ceil((bytes - HEADERS) / SEGMENT) - 1) * HEADERS
