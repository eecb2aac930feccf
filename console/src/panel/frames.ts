// Makes the frame that a person wants explained, of the words of a form.
import { arpRequestFrame, BROADCAST_MAC, echoFrame, type FrameAddresses, tcpFrame, udpFrame } from '../../../src/packet/build.ts'
import { EtherType } from '../../../src/packet/ethernet.ts'

export const frameKinds = ['ping', 'tcp', 'udp', 'arp', 'hex'] as const
export type FrameKind = (typeof frameKinds)[number]

export interface FrameWish {
  readonly kind: FrameKind
  readonly sourceMac: string
  readonly destinationMac: string
  readonly source: string
  readonly destination: string
  readonly port: string
  /** Empty: untagged. */
  readonly vlan: string
  readonly hex: string
}

const EPHEMERAL_PORT = 40_000
const PORT_MAX = 65_535
const VLAN_MAX = 4094
const FRAME_MIN = 14

const hexOf = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

function whole(text: string, max: number, what: string): number {
  if (!/^\d+$/.test(text) || Number(text) > max) throw new Error(`${what} is a number up to ${max}`)
  return Number(text)
}

/** In hexadecimal. Throws an error that says what is wrong. */
export function frameOf({ kind, sourceMac, destinationMac, source, destination, port, vlan, hex }: FrameWish): string {
  if (kind === 'hex') {
    const digits = hex.replace(/[\s:]/g, '')
    if (!/^([0-9a-f]{2})+$/i.test(digits) || digits.length < FRAME_MIN * 2)
      throw new Error(`a frame has at least ${FRAME_MIN} bytes, two digits each`)
    return digits
  }
  if (kind === 'arp') return hexOf(arpRequestFrame(sourceMac, source, destination))
  const id = vlan === '' ? null : whole(vlan, VLAN_MAX, 'VLAN')
  const tag = { protocol: EtherType.vlan, priority: 0, dropEligible: false, id: id ?? 0 }
  const addresses: FrameAddresses = {
    sourceMac,
    destinationMac: destinationMac === '' ? BROADCAST_MAC : destinationMac,
    source,
    destination,
    tags: id === null ? [] : [tag],
    hops: 64,
  }
  if (kind === 'ping') return hexOf(echoFrame(addresses, false, 1, 1, new Uint8Array(32)))
  const to = whole(port, PORT_MAX, 'Port')
  return hexOf(kind === 'tcp' ? tcpFrame(addresses, EPHEMERAL_PORT, to, { flags: 2 }) : udpFrame(addresses, EPHEMERAL_PORT, to))
}
