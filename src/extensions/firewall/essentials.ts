// What passes without a rule, because without it a VM has no network at all: ARP, neighbour and router discovery, group membership, DHCP.
// README.md lists it.
//
// The rule it must not break: nothing here reaches beyond the link, as far as its headers can be held to that: a VM may not talk to strangers in
// the guise of its housekeeping.
import { type Batch, EtherType } from '../../extension.ts'

const UDP = 17
const IGMP = 2
const ICMP6 = 58
const DHCP_SERVER = 67
const DHCP_CLIENT = 68
const DHCP6_CLIENT = 546
const DHCP6_SERVER = 547
const BROADCAST = 0xffffffff
const IPV6_HEADER = 40
const HOPS_AT = 7
/** What is sent with 255 hops has passed no router when it has 255 on arrival (RFC 4861). */
const HOPS_OF_NEIGHBOURS = 255

export const Essential = {
  no: 0,
  yes: 1,
  /** A neighbour speaks: it is on the link. */
  fromNeighbour: 2,
  /** It is needed if it goes to a neighbour. */
  toNeighbour: 3,
} as const

const Icmp6 = {
  listenerQuery: 130,
  listenerReport: 131,
  listenerDone: 132,
  routerSolicitation: 133,
  routerAdvertisement: 134,
  neighbourSolicitation: 135,
  neighbourAdvertisement: 136,
  redirect: 137,
  listenerReport2: 143,
} as const

// fe80::/10, or ff02::/16: not beyond the link.
const isOfLink = (batch: Batch, i: number, at: number): boolean => {
  const first = batch.u16(i, at)
  return (first & 0xffc0) === 0xfe80 || first === 0xff02
}

const essentialIf = (isNeeded: boolean): number => (isNeeded ? Essential.yes : Essential.no)

function neighbourDiscovery(batch: Batch, i: number, outbound: boolean): number {
  const l3 = batch.networkOffset(i)
  const type = batch.u8(i, batch.transportOffset(i))
  const toLink = isOfLink(batch, i, l3 + 24)
  // Listener reports carry a router alert and one hop; they go to groups of the link.
  if (type === Icmp6.listenerReport || type === Icmp6.listenerReport2 || type === Icmp6.listenerDone)
    return essentialIf(outbound && batch.u8(i, l3 + HOPS_AT) === 1 && batch.u8(i, l3 + 24) === 0xff)
  if (type === Icmp6.listenerQuery) return essentialIf(!outbound && isOfLink(batch, i, l3 + 8))
  if (batch.transportOffset(i) !== l3 + IPV6_HEADER || batch.u8(i, l3 + HOPS_AT) !== HOPS_OF_NEIGHBOURS) return Essential.no
  switch (type) {
    case Icmp6.routerSolicitation:
      return essentialIf(outbound && toLink)
    case Icmp6.routerAdvertisement:
    case Icmp6.redirect:
      return essentialIf(!outbound && isOfLink(batch, i, l3 + 8))
    case Icmp6.neighbourSolicitation:
    case Icmp6.neighbourAdvertisement:
      if (!outbound) return Essential.fromNeighbour
      // Probes of a neighbour go to its own address, which may be any: routers would carry them to strangers.
      return toLink ? Essential.yes : Essential.toNeighbour
    default:
      return Essential.no
  }
}

function isDhcp(batch: Batch, i: number, outbound: boolean): boolean {
  const from = batch.sourcePort(i)
  const to = batch.destinationPort(i)
  const l3 = batch.networkOffset(i)
  if (batch.isIpv4(i)) {
    if (!outbound) return from === DHCP_SERVER && to === DHCP_CLIENT
    return from === DHCP_CLIENT && to === DHCP_SERVER && batch.destinationIpv4(i) === BROADCAST
  }
  if (!outbound) return from === DHCP6_SERVER && to === DHCP6_CLIENT && isOfLink(batch, i, l3 + 8)
  return from === DHCP6_CLIENT && to === DHCP6_SERVER && batch.u16(i, l3 + 24) === 0xff02
}

/** Whether IP packet `i` from a VM (`outbound`) or to it is needed for having a network. Its headers were judged readable. */
export function essentialOf(batch: Batch, i: number, outbound: boolean): number {
  const protocol = batch.protocol(i)
  if (batch.isFragment(i)) return Essential.no
  if (protocol === UDP) return essentialIf(isDhcp(batch, i, outbound))
  if (batch.isIpv6(i)) return protocol === ICMP6 ? neighbourDiscovery(batch, i, outbound) : Essential.no
  // 224.0.0.0/24 is not forwarded.
  return essentialIf(
    protocol === IGMP && batch.destinationIpv4(i) >>> 28 === 14 && (!outbound || batch.u8(i, batch.networkOffset(i) + 8) === 1),
  )
}

/** True for the frames that are not IP and pass: ARP. */
export const isEssentialFrame = (batch: Batch, i: number): boolean => batch.etherType(i) === EtherType.arp
