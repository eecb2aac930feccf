// Router guard: a port that is no router's sends no router advertisements and no redirects (spec 7.6; RFC 6105, RFC 7113, RFC 1256).
//
// The rule it must not break: solicitations and all other ICMP pass.
import * as layout from '../../kernels/layout.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { frameAt, HIDDEN, isPlain, OTHER, transport } from './headers.ts'

const { PF_IPV4 } = layout
const ICMP = 1
const ICMPV6 = 58
const IPV4_REDIRECT = 5
const IPV4_ADVERTISEMENT = 9
const IPV6_ADVERTISEMENT = 134
const IPV6_REDIRECT = 137

/** True if the packet in `slot` is to be dropped. Allocates nothing. */
export function isRouterMessage(pool: PacketPool, slot: number): boolean {
  const isIpv4 = (pool.flags[slot]! & PF_IPV4) !== 0
  const protocol = isIpv4 ? ICMP : ICMPV6
  if (isPlain(pool, slot) && pool.protocol[slot] !== protocol) return false
  const found = transport(pool, slot, protocol, 1)
  if (found === OTHER) return false
  if (found === HIDDEN) return true
  const type = pool.header8[frameAt(pool, slot) + pool.l4[slot]!]!
  return isIpv4 ? type === IPV4_REDIRECT || type === IPV4_ADVERTISEMENT : type === IPV6_ADVERTISEMENT || type === IPV6_REDIRECT
}
