// DHCP guard: what a DHCP server sends does not leave a port that is no server's (spec 7.6; RFC 2131, RFC 8415, RFC 7610).
//
// The rule it must not break: a client's messages pass, whatever a server could say to a client or a relay does not.

import * as layout from '../../kernels/layout.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { frameAt, HIDDEN, isPlain, OTHER, transport } from './headers.ts'

const { PF_IPV4 } = layout
const UDP = 17
const UDP_HEADER = 8
const IPV4_SERVER = 67
const IPV4_CLIENT = 68
const IPV6_CLIENT = 546
const IPV6_SERVER = 547
const BOOT_REQUEST = 1
// DHCPv6 messages that clients and relays send: SOLICIT, REQUEST, CONFIRM, RENEW, REBIND, RELEASE, DECLINE, INFORMATION-REQUEST, RELAY-FORW,
// LEASEQUERY.
const IPV6_REQUESTS = [1, 3, 4, 5, 6, 8, 9, 11, 12, 14].reduce((bits, type) => bits | (1 << type), 0)

const isDhcpPort = (port: number): boolean => (port | 1) === IPV6_SERVER || port === IPV4_SERVER || port === IPV4_CLIENT

/** True if the packet in `slot` is to be dropped. Allocates nothing. */
export function isServerMessage(pool: PacketPool, slot: number): boolean {
  const source = pool.sourceL4[slot]!
  const destination = pool.destinationL4[slot]!
  if (isPlain(pool, slot) && (pool.protocol[slot] !== UDP || !(isDhcpPort(source) || isDhcpPort(destination)))) return false
  const found = transport(pool, slot, UDP, 4)
  if (found === OTHER) return false
  if (found === HIDDEN) return true
  const isIpv4 = (pool.flags[slot]! & PF_IPV4) !== 0
  if (destination === (isIpv4 ? IPV4_CLIENT : IPV6_CLIENT)) return true // clients hear it, whatever port it comes from
  const server = isIpv4 ? IPV4_SERVER : IPV6_SERVER
  if (destination !== server && source !== server) return false
  if (transport(pool, slot, UDP, UDP_HEADER + 1) === HIDDEN) return true
  const message = pool.header8[frameAt(pool, slot) + pool.l4[slot]! + UDP_HEADER]!
  return isIpv4 ? message !== BOOT_REQUEST : message > 31 || (IPV6_REQUESTS & (1 << message)) === 0
}
