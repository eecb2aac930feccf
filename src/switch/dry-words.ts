// Why a traced frame went the way it did, in words: the value of the frame that a policy took exception to, beside what the port may do; where
// an address is known from; what lets a frame pass.
//
// The rule it must not break: it reads the tables that decided, and changes nothing.
import * as layout from '../kernels/layout.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import type { PacketPool } from '../ndis/pool.ts'
import { formatIpv4, formatIpv6, formatMac } from '../packet/addresses.ts'
import { BandwidthBit, W_RECEIVE } from './bandwidth/bandwidth-table.ts'
import { fillBucket } from './bandwidth/token-bucket.ts'
import { GuardBit } from './guards/guard-table.ts'
import type { SourcePrefix } from './guards/source-addresses.ts'
import { BROADCAST, MULTICAST, UNKNOWN_UNICAST } from './guards/storm-limit.ts'
import { type MacTable, macText } from './mac-table.ts'
import { MonitorDirection, MonitorMode, NO_VLAN, PortFlag, type PortTable, VlanMode } from './port-table.ts'
import { TeamMembers } from './team/team-members.ts'
import { LoadBalancing } from './team/team-table.ts'

const { HEADER_STRIDE, PF_BROADCAST, PF_IPV4, PF_IPV6, PF_MULTICAST, PF_TAGGED, PF_VLAN_OOB } = layout
const ETHERTYPE_ARP = 0x0806
const ARP_SENDER = 14
const IPV4_SOURCE = 12
const IPV6_SOURCE = 8
const BITS_PER_BYTE = 8
const VLANS_SHOWN = 8
const VLAN_IDS = 4095
const STORM_KINDS: readonly string[] = ['broadcast', 'multicast', 'unknown unicast']

export interface DryWordsComponents {
  readonly pool: PacketPool
  readonly ports: PortTable
  readonly macs: MacTable
  readonly portName: (id: number) => string
  /** Milliseconds of the switch's clock, as guards and limits have it; its seconds, as addresses are learned. */
  readonly nowMs: () => number
  readonly nowSeconds: number
}

type Explain = (slot: number, port: number) => string

/** Fields are ordinary ones, as elsewhere in the switch. */
export class DryWords {
  private readonly components: DryWordsComponents
  private readonly explains: ReadonlyMap<number, Explain>

  constructor(components: DryWordsComponents) {
    this.components = components
    const { ports, pool, portName } = components
    this.explains = new Map<number, Explain>([
      [DropReason.macSpoofing, (slot, port) => this.ofSpoofing(slot, port)],
      [DropReason.dhcpGuard, (slot) => `UDP from port ${pool.sourceL4[slot]} to ${pool.destinationL4[slot]}`],
      [DropReason.routerGuard, (slot) => this.icmpText(slot)],
      [DropReason.sourceGuard, (slot, port) => this.ofSource(slot, port)],
      [DropReason.stormLimit, (slot, port) => this.stormText(slot, port, this.kindOf(slot)) ?? ''],
      [DropReason.vlan, (slot) => this.ofVlan(slot)],
      [DropReason.hairpin, (slot) => `${this.macAt(slot, 0)} is behind ${portName(pool.sourcePort[slot]!)} itself`],
      [DropReason.noDestination, (slot) => `${this.macAt(slot, 0)} ${this.nobody(slot)}`],
      [DropReason.destinationNotConnected, (slot, port) => `${this.macAt(slot, 0)} is behind ${portName(port)}`],
      [DropReason.tenantIsolation, (slot) => `all that would get it are of other tenants than ${this.sourceName(slot)}`],
      [DropReason.virtualSubnet, (slot) => this.ofSubnet(slot)],
      [DropReason.noGroupMember, (slot) => `the group is ${this.ipAt(slot, true) ?? this.macAt(slot, 0)}`],
      [DropReason.noRouterPort, (slot) => `the group is ${this.ipAt(slot, true) ?? this.macAt(slot, 0)}`],
      [DropReason.bandwidthLimit, (_, port) => this.receiveText(port) ?? ''],
      [DropReason.mtuExceeded, (slot, port) => this.ofMtu(slot, port)],
      [DropReason.linkDown, (_, port) => `the link of ${portName(port)} is down`],
      [DropReason.reservedMulticast, (slot) => `its address is ${this.macAt(slot, 0)}`],
      [
        DropReason.sourceNotConnected,
        (_, port) => `${portName(port)} is in state ${ports.connected(port) ? 'connected' : 'down'}`,
      ],
    ])
  }

  /** What of the packet in `slot` (-1: not known) was the reason, at `port`; '' where the reason says it all. */
  ofDrop(slot: number, reason: number, port: number): string {
    return slot < 0 ? '' : (this.explains.get(reason)?.(slot, port) ?? '')
  }

  // ---- what lets a frame pass -------------------------------------------------------------------------------------------------

  /** The guards of its port that the packet in `slot` passes; '' if there are none. */
  ofGuards(slot: number): string {
    const { pool, ports } = this.components
    const port = pool.sourcePort[slot]!
    const bits = port === 0 ? 0 : ports.guards.bits(port)
    const passed: string[] = []
    if ((bits & GuardBit.dhcp) !== 0) passed.push('dhcpGuard')
    if ((bits & GuardBit.router) !== 0) passed.push('routerGuard')
    if ((bits & GuardBit.source) !== 0) {
      const speaks = this.ipAt(slot, false)
      passed.push(speaks === undefined ? 'sourceGuard' : `sourceGuard (${speaks})`)
    }
    const isUnicast = (pool.flags[slot]! & PF_MULTICAST) === 0
    const storm = (bits & GuardBit.storm) === 0 || isUnicast ? undefined : this.stormText(slot, port, this.kindOf(slot))
    if (storm !== undefined) passed.push(`stormLimit (${storm})`)
    return passed.join(', ')
  }

  /** Why the packet in `slot`, which was forwarded, goes where it goes. `joined`: snooping chose; undefined: there is none. */
  ofForwarding(slot: number, joined: boolean | undefined): string {
    const { pool, ports } = this.components
    const kind = pool.flags[slot]!
    const vlan = this.vlanOf(slot)
    const inVlan = vlan === 0 ? '' : ` in VLAN ${vlan}`
    if ((kind & PF_BROADCAST) !== 0) return `broadcast${inVlan}: to all ports${this.apart(slot)}`
    if (joined === true)
      return `multicast${inVlan}: to members of ${this.ipAt(slot, true) ?? 'the group'} and to routers, by snooping`
    const floods =
      joined === false ? ', which snooping floods: nobody asks for members, or groups like it are never restricted' : ''
    if ((kind & PF_MULTICAST) !== 0) return `multicast${inVlan}: to all ports${this.apart(slot)}${floods}`
    const place = this.placeOf(slot)
    if (place < 0) return `nobody is known to have ${this.macAt(slot, 0)}${inVlan}: to uplinks and ports that learn`
    const isKnownPort = place < ports.ports
    return isKnownPort ? `${this.macAt(slot, 0)}${inVlan} is ${this.knownFrom(slot)}` : ''
  }

  /** What is to be said of delivery to `port`; '' if there is nothing. `priority`: the frame's, 802.1p; `remains`: it is still in its tag. */
  ofDelivery(slot: number, port: number, priority: number, remains: boolean): string {
    const { ports } = this.components
    const said: string[] = []
    if (port === ports.uplinks.port) said.push(this.memberText(slot, port))
    if (priority !== 0 && !remains && (ports.flags(port) & PortFlag.noPriority) !== 0)
      said.push(`priority ${priority} is taken off (allowIeeePriorityTag is off)`)
    const limit = this.receiveText(port)
    if (limit !== undefined) said.push(limit)
    return said.join('; ')
  }

  private memberText(slot: number, port: number): string {
    const { ports, pool } = this.components
    const members = new TeamMembers()
    members.update(ports.uplinks, ports.adapters(port))
    const source = pool.sourcePort[slot]!
    const home = source === 0 ? members.designated : members.memberOf(source)
    if (home === 0) return 'no member of the team is up'
    const isDynamic = ports.uplinks.loadBalancing === LoadBalancing.dynamic
    const whose = source === 0 ? 'the one for all' : `that of ${this.sourceName(slot)}`
    return `by member ${home} of the team, ${whose}${isDynamic ? ', or by the one that its flow is at (Dynamic)' : ' (HyperVPort)'}`
  }

  /** Why `port` gets a copy of the packet in `slot`. */
  ofCopy(slot: number, port: number): string {
    const { ports, pool } = this.components
    const vlan = ports.monitorVlan(port)
    const tagged = vlan === 0 ? '' : `, tagged with VLAN ${vlan}`
    if (ports.monitorMode(port) === MonitorMode.all) return `it gets all that passes${tagged}`
    const source = pool.sourcePort[slot]!
    const session = ports.monitorSession(port)
    const isSent =
      source !== 0 &&
      ports.monitorMode(source) === MonitorMode.source &&
      ports.monitorSession(source) === session &&
      ports.monitorDirection(source) !== MonitorDirection.received
    return `${isSent ? `what ${this.sourceName(slot)} sends` : 'what a port gets'} is mirrored in session ${session}${tagged}`
  }

  /** What `port` may send; undefined: as much as it likes. */
  sendText(port: number): string | undefined {
    const { bandwidth } = this.components.ports
    if (port === 0 || !bandwidth.isOn || (bandwidth.bits(port) & BandwidthBit.send) === 0) return undefined
    return `it may send ${rateText(bandwidth.sendRate(port))}: frames beyond wait in its ring (maximumBandwidth)`
  }

  /** True if `port` may get no more now. */
  isReceiveUsedUp(port: number): boolean {
    const tokens = this.receiveTokens(port)
    return tokens !== undefined && tokens <= 0
  }

  /** The VLAN property of a port, in words. */
  vlanText(port: number): string {
    const { ports } = this.components
    const primary = ports.vlan(port)
    switch (ports.vlanMode(port)) {
      case VlanMode.access:
        return `access VLAN ${primary}`
      case VlanMode.trunk:
        return `a trunk of ${this.setText(port)}, native ${primary === NO_VLAN ? 'none' : primary}`
      case VlanMode.isolated:
        return `isolated in private VLAN ${primary}/${ports.vlanSecondary(port)}`
      case VlanMode.community:
        return `of community ${ports.vlanSecondary(port)} of private VLAN ${primary}`
      case VlanMode.promiscuous:
        return `promiscuous in private VLAN ${primary}, with ${this.setText(port)}`
      default:
        return (ports.flags(port) & PortFlag.external) !== 0 ? 'an uplink, which takes all VLANs' : 'without a VLAN'
    }
  }

  // ---- parts ------------------------------------------------------------------------------------------------------------------

  private setText(port: number): string {
    const { ports } = this.components
    const ids: number[] = []
    for (let vlan = 1; vlan < VLAN_IDS; vlan++) if (ports.vlanInSet(port, vlan)) ids.push(vlan)
    if (ids.length === VLAN_IDS - 1) return 'all VLANs'
    const shown = ids.slice(0, VLANS_SHOWN).join(', ')
    return ids.length > VLANS_SHOWN ? `VLANs ${shown} and ${ids.length - VLANS_SHOWN} more` : `VLANs ${shown || 'none'}`
  }

  private ofSpoofing(slot: number, port: number): string {
    const { ports } = this.components
    if ((ports.flags(port) & PortFlag.checkSource) === 0) return `its source, ${this.macAt(slot, 6)}, is the address of a group`
    const own = macText(ports.macLow(port), ports.macHigh(port))
    return `its source is ${this.macAt(slot, 6)}, and the address of ${this.components.portName(port)} is ${own}`
  }

  private ofSource(slot: number, port: number): string {
    const { ports } = this.components
    const speaks = this.ipAt(slot, false) ?? 'an address that can not be read'
    const allowed = ports.guards.sources(port).map(prefixText)
    if (ports.guards.learnsSources(port)) {
      const learned = [...ports.ipAddresses(port).map(formatIpv4), ...ports.ipv6Addresses(port).map(ipv6Text)]
      allowed.push(learned.length === 0 ? 'what is learned of it' : `what was learned of it (${learned.join(', ')})`)
    }
    return `it speaks for ${speaks}; ${this.components.portName(port)} may for ${allowed.join(', ') || 'no address'}`
  }

  private ofVlan(slot: number): string {
    const { pool, portName } = this.components
    const source = pool.sourcePort[slot]!
    const tag = this.tagOf(slot)
    const has = tag === 0 ? 'it has no VLAN' : `it is of VLAN ${tag}`
    const target = this.placeOf(slot)
    const isTo = target > 0 && target < this.components.ports.ports
    return `${has}; ${portName(source)} is ${this.vlanText(source)}${isTo ? `, ${portName(target)} is ${this.vlanText(target)}` : ''}`
  }

  private ofSubnet(slot: number): string {
    const { pool, ports, portName } = this.components
    const source = pool.sourcePort[slot]!
    const target = this.placeOf(slot)
    const subnet = (port: number): string => (ports.subnet(port) === 0 ? 'none' : `${ports.subnet(port)}`)
    const other = target > 0 && target < ports.ports ? `, that of ${portName(target)} is ${subnet(target)}` : ''
    return `the virtual subnet of ${portName(source)} is ${subnet(source)}${other}`
  }

  private ofMtu(slot: number, port: number): string {
    const { pool, ports, portName } = this.components
    return `it has ${pool.length[slot]} bytes, and ${portName(port)} takes an MTU of ${ports.mtu(port)}`
  }

  // Ports that a flood leaves out.
  private apart(slot: number): string {
    const { ports, pool } = this.components
    const source = pool.sourcePort[slot]!
    let isVlan = false
    for (let port = 1; port <= ports.highest; port++) if (ports.vlanMode(port) !== VlanMode.none) isVlan = true
    if (!isVlan) return ''
    return source === 0
      ? ' that take part in it'
      : ` that take part in it (${this.components.portName(source)} is ${this.vlanText(source)})`
  }

  private nobody(slot: number): string {
    if ((this.components.pool.flags[slot]! & PF_MULTICAST) !== 0) return 'is for all, and there is nobody else'
    const place = this.placeOf(slot)
    return place < 0 ? 'is not known' : 'is known, and its port is not reached'
  }

  private knownFrom(slot: number): string {
    const { macs, nowSeconds, portName } = this.components
    const { low, high } = this.destination(slot)
    const vlan = this.vlanOf(slot)
    const place = this.placeOf(slot)
    const isFixed = macs.lookupStatic(low, high, vlan) >= 0 || macs.lookupStatic(low, high) === place
    if (isFixed) return `behind ${portName(place)}, by the configuration`
    return `behind ${portName(place)}, learned, last seen ${Math.max(0, Math.round(nowSeconds - macs.lastSeen(low, high, vlan)))} s ago`
  }

  private destination(slot: number): { low: number; high: number } {
    const { header8 } = this.components.pool
    const at = this.frameAt(slot)
    const low = header8[at + 2]! | (header8[at + 3]! << 8) | (header8[at + 4]! << 16) | (header8[at + 5]! << 24)
    return { low, high: header8[at]! | (header8[at + 1]! << 8) }
  }

  private placeOf(slot: number): number {
    const { macs } = this.components
    const { low, high } = this.destination(slot)
    const place = macs.lookup(low, high, this.vlanOf(slot))
    return place < 0 ? macs.lookupStatic(low, high) : place
  }

  // The VLAN under which its addresses are known: of private VLANs the primary one.
  private vlanOf(slot: number): number {
    const { pool, ports } = this.components
    const source = pool.sourcePort[slot]!
    const own = source === 0 ? 0 : ports.vlan(source)
    if (source !== 0 && ports.vlanMode(source) >= VlanMode.isolated) return own
    return this.tagOf(slot) || Math.max(0, own)
  }

  private tagOf(slot: number): number {
    const { pool } = this.components
    return (pool.flags[slot]! & (PF_TAGGED | PF_VLAN_OOB)) === 0 ? 0 : pool.vlan[slot]! & 0xfff
  }

  private kindOf(slot: number): number {
    const kind = this.components.pool.flags[slot]!
    return (kind & PF_BROADCAST) !== 0 ? BROADCAST : (kind & PF_MULTICAST) !== 0 ? MULTICAST : UNKNOWN_UNICAST
  }

  private stormText(slot: number, port: number, kind: number): string | undefined {
    const { ports, pool, nowMs } = this.components
    const bucket = ports.guards.bucket(port, kind, 1, pool.length[slot]!, nowMs() | 0)
    if (bucket === undefined) return undefined
    return `${STORM_KINDS[kind]}: at most ${bucket.rate} ${bucket.counts} a second, ${Math.floor(bucket.left)} left now`
  }

  private receiveTokens(port: number): number | undefined {
    const { bandwidth } = this.components.ports
    if (!bandwidth.isOn || (bandwidth.bits(port) & BandwidthBit.receive) === 0) return undefined
    const at = bandwidth.entry(port) + W_RECEIVE
    const copy = bandwidth.words.slice(at, at + 2)
    return fillBucket(copy, 0, bandwidth.receiveRate(port), bandwidth.receiveDepth(port), this.components.nowMs() * 1000)
  }

  private receiveText(port: number): string | undefined {
    const tokens = this.receiveTokens(port)
    if (tokens === undefined) return undefined
    return `it may get ${rateText(this.components.ports.bandwidth.receiveRate(port))}, ${tokens} bytes are left now (maximumReceiveBandwidth)`
  }

  private icmpText(slot: number): string {
    const { pool } = this.components
    const isIpv4 = (pool.flags[slot]! & PF_IPV4) !== 0
    const l4 = pool.l4[slot]!
    if (l4 === 0 || l4 >= pool.headerLength[slot]!) return 'its headers can not be read as far as needed'
    const type = pool.header8[this.frameAt(slot) + l4]!
    const name = pool.protocol[slot] === 2 ? 'IGMP' : isIpv4 ? 'ICMP' : 'ICMPv6'
    return `${name} of type ${type} from ${this.ipAt(slot, false) ?? 'an unknown address'}`
  }

  // The source or destination address of IP, or the sender of ARP; undefined: it has none.
  private ipAt(slot: number, destination: boolean): string | undefined {
    const { pool } = this.components
    const at = this.frameAt(slot) + pool.l3[slot]!
    const kind = pool.flags[slot]!
    if ((kind & PF_IPV4) !== 0) return formatIpv4(this.word(at + IPV4_SOURCE + (destination ? 4 : 0)))
    if ((kind & PF_IPV6) !== 0) return formatIpv6(pool.header8, at + IPV6_SOURCE + (destination ? 16 : 0))
    if (pool.etherType[slot] === ETHERTYPE_ARP && pool.headerLength[slot]! >= pool.l3[slot]! + 28)
      return formatIpv4(this.word(at + ARP_SENDER + (destination ? 10 : 0)))
    return undefined
  }

  private word(at: number): number {
    const { header8 } = this.components.pool
    return ((header8[at]! << 24) | (header8[at + 1]! << 16) | (header8[at + 2]! << 8) | header8[at + 3]!) >>> 0
  }

  private sourceName(slot: number): string {
    return this.components.portName(this.components.pool.sourcePort[slot]!)
  }

  private frameAt(slot: number): number {
    return slot * HEADER_STRIDE + this.components.pool.headerOffset[slot]!
  }

  private macAt(slot: number, offset: number): string {
    return formatMac(this.components.pool.header8, this.frameAt(slot) + offset)
  }
}

const ipv6Text = (words: readonly number[]): string => {
  const bytes = new DataView(new ArrayBuffer(16))
  for (const [k, word] of words.entries()) bytes.setInt32(4 * k, word)
  return formatIpv6(new Uint8Array(bytes.buffer))
}

const prefixText = ({ words, bits, isIpv6 }: SourcePrefix): string => {
  const address = isIpv6 ? ipv6Text(words) : formatIpv4(words[0]! >>> 0)
  return bits === (isIpv6 ? 128 : 32) ? address : `${address}/${bits}`
}

// Bytes per microsecond as bits per second.
function rateText(rate: number): string {
  const bits = rate * BITS_PER_BYTE * 1e6
  return bits >= 1e9
    ? `${+(bits / 1e9).toFixed(2)} Gbit/s`
    : bits >= 1e6
      ? `${+(bits / 1e6).toFixed(2)} Mbit/s`
      : `${+(bits / 1e3).toFixed(2)} kbit/s`
}
