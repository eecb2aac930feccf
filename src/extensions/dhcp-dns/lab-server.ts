// What dhcp-dns is in one network: hears what guests send to it or to all, and answers with frames of its own.
//
// The rule it must not break: one answer per request at the most, to the port that asked and its address alone, within the port's rate; nothing
// of what a guest sends is believed beyond its length.
import { type Batch, DnsCode, EtherType, formatIpv4, formatMac, type SwitchHandle, udpFrame } from '../../extension.ts'
import { DhcpServer } from './dhcp4.ts'
import { DhcpType, dhcpTypeOf, readDhcp } from './dhcp4-message.ts'
import { Dhcp6Server } from './dhcp6.ts'
import { readDhcp6 } from './dhcp6-message.ts'
import { DnsServer } from './dns-server.ts'
import type { Forwarder } from './forwarder.ts'
import { Heard, LabCounter } from './lab-counters.ts'
import type { LabNames } from './lab-names.ts'
import type { LeaseTable } from './leases.ts'
import { Icmp6, LinkAnswers } from './link-answers.ts'
import type { LabNetwork } from './network-options.ts'
import type { DhcpDnsOptions, StaticLease } from './options.ts'
import type { Shortage } from './shortage.ts'
import type { AddressPair, Station } from './station.ts'

const ICMP = 1
const TCP = 6
const UDP = 17
const ICMP6 = 58
const UDP_HEADER = 8
const ECHO_REQUEST = 0x0800
const ALL_HOSTS = 0xffffffff

const Port = { dns: 53, dhcpServer: 67, dhcpClient: 68, dhcp6Client: 546, dhcp6Server: 547 } as const

export interface LabServerComponents {
  readonly sw: SwitchHandle
  readonly station: Station
  readonly leases: LeaseTable
  readonly names: LabNames
  readonly shortage: Shortage
  readonly forwarder: Forwarder | undefined
  /** What is configured for the VM at a port with a MAC address. */
  readonly fixed: (port: number, mac: string) => StaticLease | undefined
}

export class LabServer {
  readonly #sw: SwitchHandle
  readonly #station: Station
  readonly #fixed: LabServerComponents['fixed']
  readonly #dhcp: DhcpServer | undefined
  readonly #dhcp6: Dhcp6Server | undefined
  readonly #dns: DnsServer
  readonly #forwarder: Forwarder | undefined
  /** What every host says on its link. */
  readonly link: LinkAnswers

  constructor(options: DhcpDnsOptions, network: LabNetwork, components: LabServerComponents) {
    const { ipv4, ipv6 } = network
    this.#sw = components.sw
    this.#station = components.station
    this.#fixed = components.fixed
    this.#forwarder = components.forwarder
    this.#dhcp = ipv4 && new DhcpServer(options, network, ipv4, components)
    this.#dhcp6 = ipv6 && new Dhcp6Server(options, network, ipv6, components)
    this.#dns = new DnsServer(options, network, components.names)
    this.link = new LinkAnswers(options, network, components)
  }

  /** Whether packet `i` to a group may want an answer: only that costs a port of its rate. Allocates nothing. */
  mayConcern(batch: Batch, i: number): boolean {
    if (batch.etherType(i) === EtherType.arp) return batch.u32(i, batch.networkOffset(i) + 24) === this.#station.own4
    const protocol = batch.protocol(i)
    if (protocol === ICMP6) {
      const type = batch.u8(i, batch.transportOffset(i))
      return type === Icmp6.routerSolicitation || type === Icmp6.neighbourSolicitation
    }
    const port = protocol === UDP ? batch.destinationPort(i) : 0
    return port === Port.dhcpServer || port === Port.dhcp6Server
  }

  /** Hears packet `i` from a port, in a VLAN, and answers it if there is an answer. `isOwn`: it was sent to its Ethernet address. */
  hear(batch: Batch, i: number, port: number, vlan: number, isOwn: boolean): number {
    this.#station.vlan = vlan
    if (batch.isFragment(i)) return Heard.nothing
    if (batch.etherType(i) === EtherType.arp) {
      const isHop = this.#forwarder?.hearsHop(batch, i) === true
      const heard = this.link.arp(batch, i, port)
      return isHop && heard === Heard.nothing ? Heard.answered : heard
    }
    const protocol = batch.protocol(i)
    const at = batch.transportOffset(i)
    if (at === 0) return Heard.nothing
    if (protocol === UDP) return this.#hearUdp(batch, i, port, at, isOwn)
    if (protocol === ICMP6 && batch.isIpv6(i)) return this.link.icmp6(batch, i, port, at, isOwn)
    if (!isOwn) return Heard.nothing
    if (protocol === TCP) return this.link.refuseTcp(batch, i, at)
    if (protocol !== ICMP || batch.u16(i, at) !== ECHO_REQUEST || batch.destinationIpv4(i) !== this.#station.own4)
      return Heard.nothing
    return this.link.echo(batch, i, at, batch.networkOffset(i) + batch.u16(i, batch.networkOffset(i) + 2))
  }

  #hearUdp(batch: Batch, i: number, port: number, at: number, isOwn: boolean): number {
    const to = batch.destinationPort(i)
    const from = batch.sourcePort(i)
    if (isOwn && this.#forwarder?.hearsAnswer(batch, i, at) === true) return Heard.answered
    const isDhcp = this.#dhcp !== undefined && batch.isIpv4(i) && to === Port.dhcpServer && from === Port.dhcpClient
    const isDhcp6 = this.#dhcp6 !== undefined && batch.isIpv6(i) && to === Port.dhcp6Server && from === Port.dhcp6Client
    if (!isDhcp && !isDhcp6 && !(to === Port.dns && isOwn)) return Heard.nothing
    const station = this.#station
    if (!station.take(batch, i)) return Heard.unanswered
    const length = batch.u16(i, at + 4)
    const end = at + length
    if (length < UDP_HEADER || end > station.length) return Heard.unanswered
    if (isDhcp) return this.#hearDhcp(batch, i, port, at + UDP_HEADER, end)
    if (isDhcp6) return this.#hearDhcp6(batch, i, port, at + UDP_HEADER, end)
    return this.#hearQuestion(batch, i, port, at + UDP_HEADER, end)
  }

  #hearDhcp(batch: Batch, i: number, port: number, from: number, to: number): number {
    const { frame, own4, sender } = this.#station
    const destination = batch.destinationIpv4(i)
    if (destination !== ALL_HOSTS && destination !== own4) return Heard.nothing
    const request = readDhcp(frame, from, to)
    if (!request || formatMac(request.client) !== sender) return Heard.unanswered
    const answer = this.#dhcp!.answer(request, port, this.#fixed(port, sender), this.#sw.now())
    if (!answer) return Heard.unanswered
    const isBound = request.clientAddress !== 0 && dhcpTypeOf(answer) === DhcpType.ack
    const target = isBound ? formatIpv4(request.clientAddress) : '255.255.255.255'
    this.#count(LabCounter.offers)
    return this.#reply({ source: formatIpv4(own4), destination: target }, Port.dhcpServer, Port.dhcpClient, answer)
  }

  #hearDhcp6(batch: Batch, i: number, port: number, from: number, to: number): number {
    const station = this.#station
    const request = readDhcp6(station.frame, from, to)
    const answer = request && this.#dhcp6!.answer(request, port, this.#fixed(port, station.sender), this.#sw.now())
    if (!answer) return Heard.unanswered
    this.#count(LabCounter.leases)
    const pair = { source: station.linkLocal, destination: station.sourceIpv6(batch, i) }
    return this.#reply(pair, Port.dhcp6Server, Port.dhcp6Client, answer)
  }

  #hearQuestion(batch: Batch, i: number, port: number, from: number, to: number): number {
    const station = this.#station
    const pair = station.ownPair(batch, i)
    const query = pair && this.#dns.read(station.frame, from, to)
    if (!pair || !query) return Heard.unanswered
    let failure: number | undefined
    if (this.#forwarder && this.#dns.isOfOthers(query)) {
      if (this.#forwarder.forward(batch, i, station, pair, query, from, to, port)) return Heard.answered
      failure = DnsCode.serverFailure
    }
    this.#count(LabCounter.questions)
    const answer = this.#dns.answer(station.frame, from, query, this.#sw.now(), failure)
    return this.#reply(pair, Port.dns, batch.sourcePort(i), answer)
  }

  #reply(pair: AddressPair, from: number, to: number, data: Uint8Array): number {
    const station = this.#station
    station.answer(udpFrame(station.answering(pair), from, to, Uint8Array.from(data)))
    return Heard.answered
  }

  #count(counter: number): void {
    const { counters } = this.#sw
    counters[counter] = counters[counter]! + 1
  }
}
