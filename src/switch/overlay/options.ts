// What an overlay is made from: tunnels between hosts, which carry the frames of virtual subnets (network virtualization).
//
// The rule it must not break: what `checkOverlayOptions` lets through the data path can serve without another check.
import { formatMac, parseMac } from '../../packet/addresses.ts'
import { ipBytes } from '../../packet/build.ts'

export const TunnelKind = { nvgre: 'nvgre', vxlan: 'vxlan', geneve: 'geneve' } as const
export type TunnelKind = (typeof TunnelKind)[keyof typeof TunnelKind]

/** Destination ports that IANA gave. */
export const TUNNEL_UDP_PORT = { vxlan: 4789, geneve: 6081 } as const
export const TUNNEL_TTL = 64
export const PROVIDER_ADDRESSES_MAX = 8
/** Virtual subnets of one switch. */
export const OVERLAY_SUBNETS_MAX = 4095
/** Provider addresses of other hosts. */
export const OVERLAY_PEERS_MAX = 1024
/** NVGRE reserves the others (RFC 7637 3.2). */
export const NVGRE_VSID_MIN = 4096
export const NVGRE_VSID_MAX = 16_777_214
export const VSID_MAX = 0xffffff

/** An address of this host's end of the tunnels. */
export interface ProviderAddress {
  /** With its prefix length: '192.0.2.1/24', '2001:db8::1/64'. */
  readonly address: string
  /** Router to hosts that are not on the link. Without it they can't be reached. */
  readonly gateway?: string | undefined
}

export interface OverlaySubnet {
  readonly vsid: number
  /** Guests of the subnets of one domain reach each other through the router. */
  readonly routingDomain?: string | undefined
  /** Prefixes of its guests' addresses. */
  readonly prefixes?: readonly string[] | undefined
  /** Addresses of the router in it. */
  readonly gateways?: readonly string[] | undefined
  /** Provider addresses of hosts that get a copy of what is flooded, beside those of the subnet's records. */
  readonly peers: readonly string[]
}

/** A way to a prefix for the routing domain that its subnet is in. */
export interface OverlayRoute {
  /** Virtual subnet that the way leads into. */
  readonly vsid: number
  readonly prefix: string
  /** Guest of the subnet that packets are given to; without one, or if it is zeros, addresses are in the subnet itself. */
  readonly nextHop?: string | undefined
  /** Of several ways to a prefix the lowest one is taken, 0…65535. Default: 0. */
  readonly metric?: number | undefined
}

/** Where a guest of another host is. */
export interface OverlayRecord {
  readonly vsid: number
  /** The customer's MAC address. */
  readonly mac: string
  /** The customer's IP addresses: ARP and neighbour discovery about them are answered. */
  readonly addresses: readonly string[]
  /** Provider address of its host. */
  readonly provider: string
}

export interface OverlayOptions {
  readonly kind: TunnelKind
  /** At least one; the first one of a family is where tunnels of this family begin. */
  readonly providerAddresses: readonly ProviderAddress[]
  /** MAC address of the provider addresses. Default: made of the first provider address. */
  readonly providerMac?: string | undefined
  /** Destination port of VXLAN and Geneve, 1…65535. Default: 4789, 6081. */
  readonly udpPort?: number | undefined
  /** 1…255. Default: 64. */
  readonly ttl?: number | undefined
  /** Frames to unicast addresses that are not known. Default: replicate. */
  readonly unknownUnicast?: 'replicate' | 'drop' | undefined
  /** Broadcast and multicast frames; a provider group address instead: one copy to that. Default: replicate. */
  readonly multicast?: string | undefined
  /** Learn from frames that come by a tunnel where their senders are. Default: off. */
  readonly learning?: boolean | undefined
  /** Lower the segment size of TCP connections to what fits. Default: on. */
  readonly clampMss?: boolean | undefined
  /** MTU of the network between the hosts, in bytes. Default: 1500. */
  readonly mtu?: number | undefined
  readonly subnets?: readonly OverlaySubnet[] | undefined
  readonly records?: readonly OverlayRecord[] | undefined
  readonly routes?: readonly OverlayRoute[] | undefined
}

export type OverlayErrorCode = 'bad-overlay' | 'no-such-subnet' | 'no-such-record' | 'no-such-customer-route' | 'in-use' | 'full'

/** Something about an overlay that can't be. */
export class OverlayError extends Error {
  override readonly name = 'OverlayError'
  readonly code: OverlayErrorCode

  constructor(code: OverlayErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

const bad = (message: string): OverlayError => new OverlayError('bad-overlay', message)

/** Bytes of an IP address in text; throws OverlayError with `what` it was to be. */
export function addressOf(text: string, what: string): Uint8Array {
  try {
    return ipBytes(text)
  } catch {
    throw bad(`${what}: "${text}" is not an IPv4 or IPv6 address`)
  }
}

/** Normal form of a MAC address that one station has. */
export function macOf(text: string, what: string): string {
  let bytes: Uint8Array
  try {
    bytes = parseMac(text)
  } catch {
    throw bad(`${what}: "${text}" is not a MAC address`)
  }
  if ((bytes[0]! & 1) !== 0 || bytes.every((octet) => octet === 0))
    throw bad(`${what}: ${text} is not the address of one station`)
  return formatMac(bytes)
}

/** Throws OverlayError unless `vsid` is one that the kind of tunnel can carry. */
export function checkVsid(kind: TunnelKind, vsid: number): void {
  const [least, most] = kind === 'nvgre' ? [NVGRE_VSID_MIN, NVGRE_VSID_MAX] : [1, VSID_MAX]
  if (!(Number.isInteger(vsid) && vsid >= least && vsid <= most))
    throw bad(`virtual subnet ${vsid}: with ${kind} it is a whole number from ${least} to ${most}`)
}

/** Whether bytes are a group's address. */
export const isGroup = (address: Uint8Array): boolean => (address.length === 4 ? address[0]! >> 4 === 14 : address[0] === 0xff)

const isUnspecified = (address: Uint8Array): boolean => address.every((octet) => octet === 0)

/** The unicast provider address that `text` names; throws OverlayError. */
export function providerOf(text: string, what = 'provider address'): Uint8Array {
  const address = addressOf(text, what)
  if (isGroup(address) || isUnspecified(address)) throw bad(`${what}: ${text} is not the address of one host`)
  return address
}

/** The parts of '192.0.2.1/24'; throws OverlayError. */
export function linkOf(text: string): { readonly bytes: Uint8Array; readonly length: number } {
  const [address = '', length = '', ...more] = text.split('/')
  const bytes = providerOf(address)
  const bits = /^[1-9]\d{0,2}$/.test(length) && more.length === 0 ? Number(length) : 0
  if (bits === 0 || bits > bytes.length * 8)
    throw bad(`provider address "${text}": give it with its prefix length, such as 192.0.2.1/24`)
  return { bytes, length: bits }
}

/** Throws OverlayError with what is wrong, if something is. */
export function checkOverlayOptions(options: OverlayOptions): void {
  const { kind, providerAddresses, ttl = TUNNEL_TTL, udpPort = 1, mtu = 1500, multicast = 'replicate' } = options
  if (!Object.hasOwn(TunnelKind, kind)) throw bad(`overlay kind "${kind}": it is nvgre, vxlan or geneve`)
  if (providerAddresses.length === 0 || providerAddresses.length > PROVIDER_ADDRESSES_MAX)
    throw bad(`an overlay has from 1 to ${PROVIDER_ADDRESSES_MAX} provider addresses, not ${providerAddresses.length}`)
  const seen = new Set<string>()
  for (const { address, gateway } of providerAddresses) {
    const { bytes: own } = linkOf(address)
    if (seen.has(own.join())) throw bad(`provider address ${address} is there twice`)
    seen.add(own.join())
    if (gateway !== undefined && providerOf(gateway, 'gateway').length !== own.length)
      throw bad(`gateway ${gateway} is of another family than ${address}`)
  }
  if (!(Number.isInteger(ttl) && ttl >= 1 && ttl <= 255)) throw bad(`TTL ${ttl}: it is a whole number from 1 to 255`)
  if (!(Number.isInteger(udpPort) && udpPort >= 1 && udpPort <= 65535)) throw bad(`UDP port ${udpPort}: it is from 1 to 65535`)
  if (!(Number.isInteger(mtu) && mtu >= 1280 && mtu <= 65535)) throw bad(`MTU ${mtu}: it is from 1280 to 65535 bytes`)
  if (multicast !== 'replicate' && multicast !== 'drop' && !isGroup(addressOf(multicast, 'multicast')))
    throw bad(`multicast: ${multicast} is not the address of a group; it is one, or replicate, or drop`)
  if (options.providerMac !== undefined) macOf(options.providerMac, 'MAC address of the provider addresses')
}
