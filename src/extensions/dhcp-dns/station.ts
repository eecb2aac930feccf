// The station that dhcp-dns is in one network: its addresses, the packet that it looks at, and how it sends.
//
// The rule it must not break: what it reads of a packet is a copy, which its sender can't change any more; what it sends goes into the VLAN that the
// packet is of.
import {
  type Batch,
  type FrameAddresses,
  formatIpv4,
  formatIpv6,
  formatMac,
  NdisStatus,
  parseMac,
  type SwitchHandle,
} from '../../extension.ts'
import { linkLocal } from './advertisement.ts'
import type { LabNetwork } from './network-options.ts'

const FRAME_BYTES_MIN = 60
const FRAME_BYTES_MAX = 1600
const SOURCE_MAC_AT = 6
const IPV6_SOURCE_AT = 8
const IPV6_DESTINATION_AT = 24

/** Source and destination of an answer, as text. */
export interface AddressPair {
  readonly source: string
  readonly destination: string
}

export class Station {
  /** Its Ethernet address, as text and as bytes. */
  readonly mac: string
  readonly macBytes: Uint8Array
  /** Its upper 16 and lower 32 bits. */
  readonly macHigh: number
  readonly macLow: number
  /** Its IPv4 address; 0: none. */
  readonly own4: number
  /** Its IPv6 addresses, that of the link last; none without IPv6. */
  readonly own6: readonly string[]
  readonly linkLocal: string
  /** The packet that `take` copied. */
  readonly frame = new Uint8Array(FRAME_BYTES_MAX)
  length = 0
  /** The VLAN that the packet in work is of; 0: none. */
  vlan = 0
  readonly #sw: SwitchHandle

  constructor(mac: string, { ipv4, ipv6 }: LabNetwork, sw: SwitchHandle) {
    this.#sw = sw
    this.mac = mac
    this.macBytes = parseMac(mac)
    const view = new DataView(this.macBytes.buffer)
    this.macHigh = view.getUint16(0)
    this.macLow = view.getUint32(2)
    this.own4 = ipv4?.address ?? 0
    this.linkLocal = formatIpv6(linkLocal(this.macBytes))
    this.own6 = ipv6 ? [formatIpv6(ipv6.address), this.linkLocal] : []
  }

  /** Copies packet `i`; false if it is too long or there is no room. */
  take(batch: Batch, i: number): boolean {
    const length = batch.frameLength(i)
    if (length > this.frame.length || !batch.makeSafe(i)) return false
    this.length = batch.copyBytes(i, 0, length, this.frame, 0)
    return this.length === length
  }

  /** Ethernet address of who sent the packet that was taken. */
  get sender(): string {
    return formatMac(this.frame, SOURCE_MAC_AT)
  }

  /** IPv6 address of who sent the packet that was taken. */
  sourceIpv6(batch: Batch, i: number): string {
    return formatIpv6(this.frame, batch.networkOffset(i) + IPV6_SOURCE_AT)
  }

  /** The addresses of an answer to a packet that was sent to an address of its own; undefined if it was not. */
  ownPair(batch: Batch, i: number): AddressPair | undefined {
    if (batch.isIpv4(i)) {
      if (this.own4 === 0 || batch.destinationIpv4(i) !== this.own4) return undefined
      return { source: formatIpv4(this.own4), destination: formatIpv4(batch.sourceIpv4(i)) }
    }
    const own = formatIpv6(this.frame, batch.networkOffset(i) + IPV6_DESTINATION_AT)
    return this.own6.includes(own) ? { source: own, destination: this.sourceIpv6(batch, i) } : undefined
  }

  /** Addresses of a frame to who sent the packet that was taken. */
  answering(pair: AddressPair): FrameAddresses {
    return { sourceMac: this.mac, destinationMac: this.sender, ...pair }
  }

  /** Sends a frame of its own into the VLAN of the packet in work; it is lost if the pool has no room. */
  answer(frame: Uint8Array): void {
    this.send(frame, this.vlan)
  }

  /** Sends a frame of its own into a VLAN; 0: none. */
  send(frame: Uint8Array, vlan: number): void {
    const handle = this.#sw.originate(ready(frame, vlan))
    if (handle !== 0 && this.#sw.send(handle) !== NdisStatus.success) this.#sw.release(handle)
  }
}

// Long enough for a wire, with the tag of a VLAN.
function ready(frame: Uint8Array, vlan: number): Uint8Array {
  const tag = vlan === 0 ? 0 : 4
  if (tag === 0 && frame.length >= FRAME_BYTES_MIN) return frame
  const whole = new Uint8Array(Math.max(FRAME_BYTES_MIN, frame.length) + tag)
  whole.set(frame.subarray(0, 12))
  if (tag !== 0) whole.set([0x81, 0, vlan >> 8, vlan & 255], 12)
  whole.set(frame.subarray(12), 12 + tag)
  return whole
}
