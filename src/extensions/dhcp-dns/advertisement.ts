// Router advertisements (RFC 4861, RFC 8106): which network the link is, where names are known, and whether DHCPv6 tells more.
//
// The rule it must not break: it says it is a router only if it is configured to be taken for one.
import { dnsNameBytes, parseMac } from '../../extension.ts'
import type { Ipv6Options } from './network-options.ts'
import type { DhcpDnsOptions } from './options.ts'

const ADVERTISEMENT = 134
const HOPS = 64
const MANAGED = 0x80
const OTHER = 0x40
const ON_LINK = 0x80
const AUTONOMOUS = 0x40
const LIFETIMES = 3

const word = (value: number): number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]

/** The link-local address of a MAC address (modified EUI-64). */
export function linkLocal(mac: Uint8Array): Uint8Array {
  const address = new Uint8Array(16)
  address.set([0xfe, 0x80])
  address.set([mac[0]! ^ 2, mac[1]!, mac[2]!, 0xff, 0xfe, mac[3]!, mac[4]!, mac[5]!], 8)
  return address
}

/** The ICMPv6 message, its checksum still 0. Lifetimes are those of a lease; a guest that hears nothing forgets after three intervals what is not an address. */
export function advertisement(options: DhcpDnsOptions, ipv6: Ipv6Options): Uint8Array {
  const { mode, prefix, dns, routerSeconds, intervalSeconds } = ipv6
  const flags = (mode === 'stateful' ? MANAGED | OTHER : 0) | (mode === 'stateless' ? OTHER : 0)
  const seconds = intervalSeconds * LIFETIMES
  const message = [ADVERTISEMENT, 0, 0, 0, HOPS, flags, routerSeconds >> 8, routerSeconds & 255, ...word(0), ...word(0)]
  message.push(1, 1, ...parseMac(options.mac))
  if (options.mtu !== undefined) message.push(5, 1, 0, 0, ...word(options.mtu))
  const prefixFlags = ON_LINK | (mode === 'stateful' ? 0 : AUTONOMOUS)
  const lifetime = Math.max(options.leaseSeconds, seconds)
  message.push(3, 4, prefix.length, prefixFlags, ...word(lifetime), ...word(lifetime), ...word(0), ...prefix.bytes)
  if (dns.length > 0)
    message.push(25, 1 + 2 * dns.length, 0, 0, ...word(seconds), ...dns.flatMap((address) => Array.from(address)))
  const domain = [options.domain, ...options.search].flatMap((one) => Array.from(dnsNameBytes(one)))
  const units = Math.ceil((8 + domain.length) / 8)
  message.push(31, units, 0, 0, ...word(seconds), ...domain, ...new Array<number>(units * 8 - 8 - domain.length).fill(0))
  return Uint8Array.from(message)
}
