// Large send offload of encapsulated TCP (LSOv2 under NVGRE): cuts one large packet, whose inner TCP payload exceeds the segment size, into
// packets that fit. Not for the per-packet path: it makes arrays.
//
// The rule it must not break: every segment but the last is full (VQ-174); what can't be parsed is not cut.
import { internetChecksum, transportChecksum } from '../../packet/checksum.ts'

const ETHERNET_BYTES = 14
const ADDRESSES_BYTES = 12
const TAG_BYTES = 4
const TAG_TYPES = [0x8100, 0x88a8]
const TYPE_IPV4 = 0x0800
const TYPE_IPV6 = 0x86dd
const PROTOCOL_GRE = 47
const PROTOCOL_TCP = 6
const ETHERNET_IN_GRE = 0x6558
const GRE_BYTES = 4
const GRE_FIELD = 4
const GRE_CHECKSUM = 0x80
const GRE_KEY = 0x20
const GRE_SEQUENCE = 0x10
const GRE_KNOWN = GRE_CHECKSUM | GRE_KEY | GRE_SEQUENCE
const IPV4_BYTES = 20
const IPV6_BYTES = 40
const TCP_BYTES = 20
const FIN = 0x01
const PSH = 0x08
const CWR = 0x80

/** Where the headers of one packet stand. */
interface Layers {
  readonly outer: number
  readonly gre: number
  readonly inner: number
  readonly tcp: number
  readonly payload: number
}

interface Ip {
  readonly at: number
  readonly next: number
  readonly protocol: number
}

// The IP header behind the Ethernet header at `from`; undefined if there is none that is whole.
function ipBehind(bytes: Uint8Array, from: number): Ip | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = from + ADDRESSES_BYTES
  while (at + ETHERNET_BYTES < bytes.length && TAG_TYPES.includes(view.getUint16(at))) at += TAG_BYTES
  if (at + 2 + IPV4_BYTES > bytes.length) return undefined
  const type = view.getUint16(at)
  const ip = at + 2
  if (type === TYPE_IPV4) {
    const length = (bytes[ip]! & 15) << 2
    if (bytes[ip]! >> 4 !== 4 || length < IPV4_BYTES || (view.getUint16(ip + 6) & 0x3fff) !== 0) return undefined
    return { at: ip, next: ip + length, protocol: bytes[ip + 9]! }
  }
  if (type !== TYPE_IPV6 || ip + IPV6_BYTES > bytes.length || bytes[ip]! >> 4 !== 6) return undefined
  return { at: ip, next: ip + IPV6_BYTES, protocol: bytes[ip + 6]! }
}

function layersOf(bytes: Uint8Array): Layers | undefined {
  const outer = ipBehind(bytes, 0)
  if (!outer || outer.protocol !== PROTOCOL_GRE || outer.next + GRE_BYTES > bytes.length) return undefined
  const gre = outer.next
  const flags = bytes[gre]!
  if ((flags & ~GRE_KNOWN) !== 0 || ((bytes[gre + 2]! << 8) | bytes[gre + 3]!) !== ETHERNET_IN_GRE) return undefined
  let frame = gre + GRE_BYTES
  for (const flag of [GRE_CHECKSUM, GRE_KEY, GRE_SEQUENCE]) if ((flags & flag) !== 0) frame += GRE_FIELD
  const inner = ipBehind(bytes, frame)
  if (!inner || inner.protocol !== PROTOCOL_TCP || inner.next + TCP_BYTES > bytes.length) return undefined
  const payload = inner.next + ((bytes[inner.next + 12]! >> 4) << 2)
  if (payload < inner.next + TCP_BYTES || payload > bytes.length) return undefined
  return { outer: outer.at, gre, inner: inner.at, tcp: inner.next, payload }
}

/**
 * Cuts an encapsulated TCP packet into packets of `mss` bytes of inner TCP payload, checksums complete. IP identifications of both headers
 * count up from those given (VQ-175), so do GRE sequence numbers. Returns the packet alone if it fits, and undefined if it is none that
 * can be cut.
 */
export function segmentEncapsulated(bytes: Uint8Array, mss: number): Uint8Array[] | undefined {
  const layers = layersOf(bytes)
  if (!layers || !(Number.isInteger(mss) && mss > 0)) return undefined
  const total = bytes.length - layers.payload
  const count = Math.max(1, Math.ceil(total / mss))
  return Array.from({ length: count }, (_, i) => cut(bytes, layers, i, i === count - 1, mss))
}

function cut(bytes: Uint8Array, layers: Layers, index: number, last: boolean, mss: number): Uint8Array {
  const { outer, gre, inner, tcp, payload } = layers
  const from = payload + index * mss
  const body = bytes.subarray(from, Math.min(bytes.length, from + mss))
  const segment = new Uint8Array(payload + body.length)
  segment.set(bytes.subarray(0, payload))
  segment.set(body, payload)
  const view = new DataView(segment.buffer)
  view.setUint32(tcp + 4, view.getUint32(tcp + 4) + index * mss)
  const flags = segment[tcp + 13]!
  segment[tcp + 13] = flags & (last ? 0xff : ~(FIN | PSH)) & (index === 0 ? 0xff : ~CWR)
  finishIp(view, inner, index)
  view.setUint16(tcp + 16, 0)
  view.setUint16(tcp + 16, transportChecksum(segment, inner, PROTOCOL_TCP, tcp, segment.length))
  finishGre(view, gre, index)
  finishIp(view, outer, index)
  return segment
}

// Length, identification and checksum of the IP header at `ip`, whose packet reaches to the end.
function finishIp(view: DataView, ip: number, index: number): void {
  const bytes = new Uint8Array(view.buffer)
  if (bytes[ip]! >> 4 === 6) {
    view.setUint16(ip + 4, bytes.length - ip - IPV6_BYTES)
    return
  }
  view.setUint16(ip + 2, bytes.length - ip)
  view.setUint16(ip + 4, view.getUint16(ip + 4) + index)
  view.setUint16(ip + 10, 0)
  view.setUint16(ip + 10, internetChecksum(bytes, ip, ip + ((bytes[ip]! & 15) << 2)))
}

function finishGre(view: DataView, gre: number, index: number): void {
  const bytes = new Uint8Array(view.buffer)
  const flags = bytes[gre]!
  const summed = (flags & GRE_CHECKSUM) !== 0
  const sequence = gre + GRE_BYTES + (summed ? GRE_FIELD : 0) + ((flags & GRE_KEY) !== 0 ? GRE_FIELD : 0)
  if ((flags & GRE_SEQUENCE) !== 0) view.setUint32(sequence, view.getUint32(sequence) + index)
  if (!summed) return
  view.setUint16(gre + GRE_BYTES, 0)
  view.setUint16(gre + GRE_BYTES, internetChecksum(bytes, gre, bytes.length))
}

/** Verdict on the IP header checksums of an encapsulated packet: 'none' if neither header has one. */
export type IpChecksumVerdict = 'succeeded' | 'failed' | 'none'

/**
 * Checks the IP header checksums of an encapsulated packet whose outer IP header is at `outer` and whose inner one is at `inner`: with IPv4
 * outside and inside both must be right (VQ-173). Each version stands for itself (VQ-167).
 */
export function encapsulatedIpChecksum(bytes: Uint8Array, outer: number, inner: number): IpChecksumVerdict {
  let found: IpChecksumVerdict = 'none'
  for (const ip of [outer, inner]) {
    if (bytes[ip]! >> 4 !== 4) continue
    if (internetChecksum(bytes, ip, ip + ((bytes[ip]! & 15) << 2)) !== 0) return 'failed'
    found = 'succeeded'
  }
  return found
}
