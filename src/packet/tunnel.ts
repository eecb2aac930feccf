// Headers of tunnels that carry Ethernet frames of virtual subnets over IP: NVGRE (RFC 7637), VXLAN (RFC 7348), Geneve (RFC 8926). They are
// written from a template per tunnel, and read with every field checked.
//
// The rule it must not break: nothing is read beyond `end`, and nothing allocates but the making of a template.
import { get16, put16 } from './bytes.ts'
import { foldSum, sumBytes } from './checksum.ts'

export const TunnelFormat = { nvgre: 0, vxlan: 1, geneve: 2 } as const
export type TunnelFormat = (typeof TunnelFormat)[keyof typeof TunnelFormat]

/** What `TunnelReader.read` says of a packet. */
export const TunnelVerdict = { sound: 0, malformed: 1, critical: 2, other: 3 } as const
export type TunnelVerdict = (typeof TunnelVerdict)[keyof typeof TunnelVerdict]

const ETHERNET = 14
const IPV4 = 20
const IPV6 = 40
const UDP = 8
const OVERLAY = 8
const UDP_PROTOCOL = 17
const GRE_PROTOCOL = 47
const ETHERNET_IN_GRE = 0x6558
const GRE_KEY = 0x2000
const VXLAN_IDENTIFIED = 0x08
const GENEVE_CONTROL = 0x80
const GENEVE_CRITICAL = 0x40
const GENEVE_LENGTH = 0x3f
const OPTION_CRITICAL = 0x80
const OPTION_LENGTH = 0x1f
const DONT_FRAGMENT = 0x40
const FRAGMENT_BITS = 0x3fff
const SOURCE_PORTS_FIRST = 0xc000 // RFC 7348 5: from 49152 on
const SOURCE_PORTS_MASK = 0x3fff

/** Bytes of a tunnel's headers, the outer Ethernet header included. */
export const tunnelBytes = (format: TunnelFormat, isIpv4: boolean): number =>
  ETHERNET + (isIpv4 ? IPV4 : IPV6) + (format === TunnelFormat.nvgre ? OVERLAY : UDP + OVERLAY)

/** No tunnel's headers are longer, as they are written here. */
export const TUNNEL_BYTES_MAX = ETHERNET + IPV6 + UDP + OVERLAY

export interface TunnelOptions {
  readonly format: TunnelFormat
  /** Both of one family, 4 or 16 octets. */
  readonly source: Uint8Array
  readonly destination: Uint8Array
  readonly sourceMac: Uint8Array
  readonly destinationMac: Uint8Array
  /** Destination port of VXLAN and Geneve. */
  readonly udpPort: number
  /** 1…255. */
  readonly ttl: number
}

/** The headers of one tunnel: all that is the same in each of its packets. Fields are ordinary ones: `write` runs per packet. */
export class TunnelTemplate {
  readonly bytes: Uint8Array
  readonly length: number
  readonly isIpv4: boolean
  private readonly format: TunnelFormat
  // Of the IPv4 header without length and traffic class.
  private readonly sum: number

  constructor({ format, source, destination, sourceMac, destinationMac, udpPort, ttl }: TunnelOptions) {
    const isIpv4 = source.length === 4
    const length = tunnelBytes(format, isIpv4)
    const bytes = new Uint8Array(length)
    const protocol = format === TunnelFormat.nvgre ? GRE_PROTOCOL : UDP_PROTOCOL
    bytes.set(destinationMac, 0)
    bytes.set(sourceMac, 6)
    put16(bytes, 12, isIpv4 ? 0x0800 : 0x86dd)
    if (isIpv4) {
      bytes[ETHERNET] = 0x45
      bytes[ETHERNET + 6] = DONT_FRAGMENT
      bytes[ETHERNET + 8] = ttl
      bytes[ETHERNET + 9] = protocol
      bytes.set(source, ETHERNET + 12)
      bytes.set(destination, ETHERNET + 16)
    } else {
      bytes[ETHERNET] = 0x60
      bytes[ETHERNET + 6] = protocol
      bytes[ETHERNET + 7] = ttl
      bytes.set(source, ETHERNET + 8)
      bytes.set(destination, ETHERNET + 24)
    }
    const above = length - OVERLAY
    if (format === TunnelFormat.nvgre) put16(bytes, above, GRE_KEY)
    else put16(bytes, above - UDP + 2, udpPort)
    if (format === TunnelFormat.vxlan) bytes[above] = VXLAN_IDENTIFIED
    else put16(bytes, above + 2, ETHERNET_IN_GRE)
    this.bytes = bytes
    this.length = length
    this.isIpv4 = isIpv4
    this.format = format
    this.sum = isIpv4 ? sumBytes(bytes, ETHERNET, ETHERNET + IPV4) : 0
  }

  /**
   * Writes the headers to `to[at…at+length-1]` for a frame of `inner` bytes in virtual subnet `vsid`. `flow`: any number, the same for
   * packets whose order matters; `trafficClass`: DSCP and ECN. The UDP checksum is left out, as RFC 7348, RFC 8926 and RFC 6936 allow.
   */
  write(to: Uint8Array, at: number, inner: number, vsid: number, flow: number, trafficClass: number): void {
    const { bytes, length } = this
    for (let i = 0; i < length; i++) to[at + i] = bytes[i]!
    this.describe(to, at, inner, trafficClass)
    const above = at + length - OVERLAY
    to[above + 4] = vsid >>> 16
    to[above + 5] = vsid >>> 8
    to[above + 6] = vsid
    if (this.format === TunnelFormat.nvgre) to[above + 7] = flow
    else put16(to, above - UDP, SOURCE_PORTS_FIRST | ((flow ^ (flow >>> 14)) & SOURCE_PORTS_MASK))
  }

  // Lengths, traffic class and the IPv4 checksum.
  private describe(to: Uint8Array, at: number, inner: number, trafficClass: number): void {
    const ip = at + ETHERNET
    const above = this.length - ETHERNET + inner
    if (this.isIpv4) {
      to[ip + 1] = trafficClass
      put16(to, ip + 2, above)
      let sum = this.sum + above + trafficClass
      sum = (sum & 0xffff) + (sum >>> 16)
      sum = (sum & 0xffff) + (sum >>> 16)
      put16(to, ip + 10, ~sum & 0xffff)
    } else {
      to[ip] = 0x60 | (trafficClass >> 4)
      to[ip + 1] = (trafficClass & 15) << 4
      put16(to, ip + 4, above - IPV6)
    }
    if (this.format !== TunnelFormat.nvgre) put16(to, at + this.length - OVERLAY - UDP + 4, inner + OVERLAY + UDP)
  }
}

/** Lengths and IPv4 checksum of headers that stand before one of several frames that a super-frame was cut into. */
export function resizeTunnel(bytes: Uint8Array, at: number, headers: number, inner: number): void {
  const ip = at + ETHERNET
  const above = headers - ETHERNET + inner
  const isIpv4 = bytes[ip]! >> 4 === 4
  if (isIpv4) {
    put16(bytes, ip + 2, above)
    put16(bytes, ip + 10, 0)
    put16(bytes, ip + 10, foldSum(sumBytes(bytes, ip, ip + IPV4)))
  } else put16(bytes, ip + 4, above - IPV6)
  const protocol = bytes[ip + (isIpv4 ? 9 : 6)]!
  if (protocol === UDP_PROTOCOL) put16(bytes, at + headers - OVERLAY - UDP + 4, inner + OVERLAY + UDP)
}

/** Reads tunnel packets; what it found stands in its fields. Fields are ordinary ones: it runs per packet. */
export class TunnelReader {
  readonly format: TunnelFormat
  readonly udpPort: number
  /** Bytes from the frame's start to the inner frame. */
  headers = 0
  /** Bytes of the inner frame. */
  inner = 0
  vsid = 0
  /** Congestion bits of the outer header. */
  ecn = 0
  /** Where the outer addresses stand. */
  source = 0
  destination = 0
  addressBytes = 4

  constructor(format: TunnelFormat, udpPort: number) {
    this.format = format
    this.udpPort = udpPort
  }

  /**
   * Reads the untagged frame whose first bytes, those up to `bytes[end-1]`, stand from `at` on, and which has `length` bytes in all.
   * `other`: it is no packet of such a tunnel.
   */
  read(bytes: Uint8Array, at: number, end: number, length: number): TunnelVerdict {
    const ip = at + ETHERNET
    if (end < ip + IPV4) return TunnelVerdict.other
    const type = get16(bytes, at + 12)
    if (type === 0x0800) return this.ipv4(bytes, at, ip, end, length)
    return type === 0x86dd ? this.ipv6(bytes, at, ip, end, length) : TunnelVerdict.other
  }

  private ipv4(bytes: Uint8Array, at: number, ip: number, end: number, length: number): TunnelVerdict {
    const header = (bytes[ip]! & 15) * 4
    const total = get16(bytes, ip + 2)
    if (!this.isOurs(bytes[ip + 9]!)) return TunnelVerdict.other
    if (bytes[ip]! >> 4 !== 4 || header < IPV4 || total < header || total > length - ETHERNET) return TunnelVerdict.malformed
    if (ip + header + UDP > end || (get16(bytes, ip + 6) & FRAGMENT_BITS) !== 0) return TunnelVerdict.malformed
    if (foldSum(sumBytes(bytes, ip, ip + header)) !== 0) return TunnelVerdict.malformed
    this.ecn = bytes[ip + 1]! & 3
    this.source = ip + 12
    this.destination = ip + 16
    this.addressBytes = 4
    return this.above(bytes, at, ip + header, end, total - header)
  }

  private ipv6(bytes: Uint8Array, at: number, ip: number, end: number, length: number): TunnelVerdict {
    if (end < ip + IPV6 + UDP || !this.isOurs(bytes[ip + 6]!)) return TunnelVerdict.other
    const payload = get16(bytes, ip + 4)
    if (bytes[ip]! >> 4 !== 6 || payload > length - ETHERNET - IPV6) return TunnelVerdict.malformed
    this.ecn = (bytes[ip + 1]! >> 4) & 3
    this.source = ip + 8
    this.destination = ip + 24
    this.addressBytes = 16
    return this.above(bytes, at, ip + IPV6, end, payload)
  }

  private isOurs(protocol: number): boolean {
    return protocol === (this.format === TunnelFormat.nvgre ? GRE_PROTOCOL : UDP_PROTOCOL)
  }

  // What stands above IP: `payload` bytes from `from` on.
  private above(bytes: Uint8Array, at: number, from: number, end: number, payload: number): TunnelVerdict {
    let header = from
    let rest = payload
    if (this.format !== TunnelFormat.nvgre) {
      if (get16(bytes, from + 2) !== this.udpPort) return TunnelVerdict.other
      if (get16(bytes, from + 4) !== payload) return TunnelVerdict.malformed
      header += UDP
      rest -= UDP
    } else if (get16(bytes, from + 2) !== ETHERNET_IN_GRE) return TunnelVerdict.other
    let overhead = OVERLAY
    if (header + OVERLAY > end || rest < OVERLAY + ETHERNET) return TunnelVerdict.malformed
    if (this.format === TunnelFormat.nvgre) {
      if (get16(bytes, header) !== GRE_KEY) return TunnelVerdict.malformed // RFC 7637 3.2: a key, and nothing else
    } else if (this.format === TunnelFormat.vxlan) {
      if ((bytes[header]! & VXLAN_IDENTIFIED) === 0) return TunnelVerdict.malformed
    } else {
      const verdict = this.geneve(bytes, header, end)
      if (verdict !== TunnelVerdict.sound) return verdict
      overhead += (bytes[header]! & GENEVE_LENGTH) * 4
    }
    if (header + overhead + ETHERNET > end || rest < overhead + ETHERNET) return TunnelVerdict.malformed
    this.vsid = (bytes[header + 4]! << 16) | (bytes[header + 5]! << 8) | bytes[header + 6]!
    this.headers = header + overhead - at
    this.inner = rest - overhead
    return TunnelVerdict.sound
  }

  // RFC 8926 3.4, 3.5: what is critical and not known here is refused.
  private geneve(bytes: Uint8Array, header: number, end: number): TunnelVerdict {
    if (bytes[header]! >> 6 !== 0 || get16(bytes, header + 2) !== ETHERNET_IN_GRE) return TunnelVerdict.malformed
    const last = header + OVERLAY + (bytes[header]! & GENEVE_LENGTH) * 4
    if (last > end) return TunnelVerdict.malformed
    if ((bytes[header + 1]! & (GENEVE_CONTROL | GENEVE_CRITICAL)) !== 0) return TunnelVerdict.critical
    for (let option = header + OVERLAY; option < last; ) {
      if ((bytes[option + 2]! & OPTION_CRITICAL) !== 0) return TunnelVerdict.critical
      option += 4 + (bytes[option + 3]! & OPTION_LENGTH) * 4
      if (option > last) return TunnelVerdict.malformed
    }
    return TunnelVerdict.sound
  }
}

/** Traffic class of the IP packet at `ip`. */
export const trafficClassOf = (bytes: Uint8Array, ip: number): number =>
  bytes[ip]! >> 4 === 4 ? bytes[ip + 1]! : ((bytes[ip]! & 15) << 4) | (bytes[ip + 1]! >> 4)

/**
 * Brings the congestion bits of the outer header to the inner IP packet at `ip` (RFC 6040 4.2). False: the packet is to be dropped, for its
 * sender would not understand that there is congestion.
 */
export function decapsulateEcn(bytes: Uint8Array, ip: number, outer: number): boolean {
  if (outer === 0 || outer === 2) return true
  const isIpv4 = bytes[ip]! >> 4 === 4
  const inner = trafficClassOf(bytes, ip) & 3
  if (inner === 0) return outer !== 3
  if (inner === 3 || inner === outer) return true
  if (!isIpv4) {
    bytes[ip + 1] = (bytes[ip + 1]! & 0xcf) | (outer << 4)
    return true
  }
  const before = get16(bytes, ip)
  bytes[ip + 1] = (bytes[ip + 1]! & 0xfc) | outer
  // RFC 1624: the sum follows the one word that changed.
  put16(bytes, ip + 10, foldSum((~get16(bytes, ip + 10) & 0xffff) + (~before & 0xffff) + get16(bytes, ip)))
  return true
}
