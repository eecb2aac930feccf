// What every host says on its link, and this one too: who has its addresses (ARP, neighbour discovery), answers to pings, that nobody listens
// where TCP knocks; and what it hears of guests' own addresses there.
//
// The rule it must not break: it speaks for its own addresses alone, and learns no address that somebody else has.
import {
  arpFrame,
  type Batch,
  echoFrame,
  formatIpv6,
  formatMac,
  ipFrame,
  isInPrefix,
  type SwitchHandle,
  tcpFrame,
} from '../../extension.ts'
import { advertisement } from './advertisement.ts'
import { Heard, LabCounter } from './lab-counters.ts'
import { LeaseState, type LeaseTable } from './leases.ts'
import { isOfNetwork, type LabNetwork } from './network-options.ts'
import type { DhcpDnsOptions } from './options.ts'
import type { Station } from './station.ts'

const ICMP6 = 58
const ICMP_HEADER = 8
const IPV6_HEADER = 40
const ECHO_BYTES_MAX = 1400
const ALL_NODES = 'ff02::1'
const PROBED_MS = 86_400_000
const HEARD_MS = 3_600_000
const ARP_ETHERNET_IPV4 = 0x10800
const ARP_REQUEST = 0x6040001
const TCP_RESET = 4
const TCP_ACK = 16
const TCP_HEADER = 20

export const Icmp6 = { echo: 128, routerSolicitation: 133, neighbourSolicitation: 135, neighbourAdvertisement: 136 } as const

export interface LinkAnswersComponents {
  readonly sw: SwitchHandle
  readonly station: Station
  readonly leases: LeaseTable
}

export class LinkAnswers {
  readonly #options: DhcpDnsOptions
  readonly #network: LabNetwork
  readonly #sw: SwitchHandle
  readonly #station: Station
  readonly #leases: LeaseTable
  /** IPv4 addresses that are no guest's. */
  readonly #foreign: ReadonlySet<number>

  constructor(options: DhcpDnsOptions, network: LabNetwork, { sw, station, leases }: LinkAnswersComponents) {
    this.#options = options
    this.#network = network
    this.#sw = sw
    this.#station = station
    this.#leases = leases
    const { ipv4 } = network
    this.#foreign = new Set(ipv4 ? [ipv4.address, ...(ipv4.router === undefined ? [] : [ipv4.router]), ...ipv4.dns] : [])
  }

  /** Whether a question in ARP tells an address that may be new: allocates nothing. */
  mayTell(batch: Batch, i: number): boolean {
    const { ipv4 } = this.#network
    const sender = batch.u32(i, batch.networkOffset(i) + 14)
    return ipv4 !== undefined && sender !== 0 && isOfNetwork(sender, ipv4.prefix) && !this.#foreign.has(sender)
  }

  arp(batch: Batch, i: number, port: number): number {
    const at = batch.networkOffset(i)
    const station = this.#station
    if (station.own4 === 0 || batch.u32(i, at) !== ARP_ETHERNET_IPV4 || batch.u32(i, at + 4) !== ARP_REQUEST) return Heard.nothing
    const isAsked = batch.u32(i, at + 24) === station.own4
    const senderIpv4 = batch.u32(i, at + 14)
    const isNews =
      this.mayTell(batch, i) && batch.u16(i, at + 8) === batch.sourceMacHigh(i) && batch.u32(i, at + 10) === batch.sourceMacLow(i)
    if (isNews) this.#learn4(port, senderIpv4, batch.sourceMacHigh(i), batch.sourceMacLow(i))
    if (!isAsked) return Heard.nothing
    if (!station.take(batch, i)) return Heard.unanswered
    const targetMac = station.frame.slice(6, 12)
    const reply = { operation: 2, senderMac: station.macBytes, senderIpv4: station.own4, targetMac, targetIpv4: senderIpv4 }
    station.answer(arpFrame(formatMac(targetMac), reply))
    return Heard.answered
  }

  /** A ping: `at` is where ICMP begins, `end` where the packet ends. */
  echo(batch: Batch, i: number, at: number, end: number): number {
    const station = this.#station
    if (!station.take(batch, i)) return Heard.unanswered
    const pair = station.ownPair(batch, i)
    if (!pair || end > station.length || end < at + ICMP_HEADER || end - at > ECHO_BYTES_MAX + ICMP_HEADER)
      return Heard.unanswered
    const data = station.frame.slice(at + ICMP_HEADER, end)
    station.answer(echoFrame(station.answering(pair), true, batch.u16(i, at + 4), batch.u16(i, at + 6), data))
    return Heard.answered
  }

  /** A TCP segment to an address of its own: nobody listens, and who asks need not wait to find out (RFC 9293). */
  refuseTcp(batch: Batch, i: number, at: number): number {
    const station = this.#station
    const flags = batch.u8(i, at + 13)
    if ((flags & TCP_RESET) !== 0 || !station.take(batch, i)) return Heard.unanswered
    const pair = station.ownPair(batch, i)
    if (!pair || station.length < at + TCP_HEADER) return Heard.unanswered
    const isAck = (flags & TCP_ACK) !== 0
    const segment = isAck
      ? { flags: TCP_RESET, sequence: batch.u32(i, at + 8) }
      : { flags: TCP_RESET | TCP_ACK, acknowledgement: (batch.u32(i, at + 4) + 1) >>> 0 }
    const frame = tcpFrame(station.answering(pair), batch.destinationPort(i), batch.sourcePort(i), { ...segment, window: 0 })
    station.answer(frame)
    return Heard.answered
  }

  icmp6(batch: Batch, i: number, port: number, at: number, isOwn: boolean): number {
    const station = this.#station
    const type = batch.u8(i, at)
    const l3 = batch.networkOffset(i)
    const end = l3 + IPV6_HEADER + batch.u16(i, l3 + 4)
    if (station.own6.length === 0) return Heard.nothing
    if (type === Icmp6.echo) return isOwn ? this.echo(batch, i, at, end) : Heard.nothing
    // What has not 255 hops comes from beyond the link (RFC 4861).
    if (batch.u8(i, l3 + 7) !== 255 || batch.u8(i, at + 1) !== 0) return Heard.nothing
    if (type === Icmp6.routerSolicitation) return station.take(batch, i) ? this.#advertise() : Heard.unanswered
    if (type === Icmp6.neighbourSolicitation && end >= at + 24) return this.#solicited(batch, i, port, at)
    return Heard.nothing
  }

  #advertise(): number {
    const frame = this.advertisementTo(this.#station.sender)
    if (!frame) return Heard.nothing
    this.#count(LabCounter.advertisements)
    this.#station.answer(frame)
    return Heard.answered
  }

  /** A router advertisement to all nodes, in a frame to one of them; undefined without IPv6. */
  advertisementTo(mac: string): Uint8Array | undefined {
    const { ipv6 } = this.#network
    if (!ipv6) return undefined
    const { mac: sourceMac, linkLocal: source } = this.#station
    const addresses = { sourceMac, destinationMac: mac, source, destination: ALL_NODES, hops: 255 }
    return ipFrame(addresses, ICMP6, advertisement(this.#options, ipv6), 2)
  }

  #solicited(batch: Batch, i: number, port: number, at: number): number {
    const station = this.#station
    if (!station.take(batch, i)) return Heard.unanswered
    const target = station.frame.slice(at + 8, at + 24)
    const source = station.sourceIpv6(batch, i)
    if (station.own6.includes(formatIpv6(target))) {
      const isProbe = source === '::'
      const message = new Uint8Array(32)
      message.set([Icmp6.neighbourAdvertisement, 0, 0, 0, isProbe ? 0x20 : 0x60])
      message.set(target, 8)
      message.set([2, 1, ...station.macBytes], 24)
      const pair = { source: formatIpv6(target), destination: isProbe ? ALL_NODES : source }
      station.answer(ipFrame({ ...station.answering(pair), hops: 255 }, ICMP6, message, 2))
      return Heard.answered
    }
    if (source === '::') this.#learn6(port, target)
    return Heard.nothing
  }

  // A guest that asks whether anybody has an address is about to have it: from then on its name leads there.
  #learn6(port: number, target: Uint8Array): void {
    if (!isInPrefix(this.#network.ipv6!.prefix, target)) return
    const view = new DataView(target.buffer)
    const words = [0, 4, 8, 12].map((at) => view.getUint32(at))
    this.#learn(port, 6, words, [words[2]!, words[3]!, 1], PROBED_MS)
  }

  // A guest that asks for another one by ARP has the address that it asks from: one that was set in it by hand, if it is not known.
  #learn4(port: number, address: number, high: number, low: number): void {
    this.#learn(port, 4, [0, 0, 0, address], [high, low, address], HEARD_MS)
  }

  #learn(
    port: number,
    family: number,
    words: readonly number[],
    client: readonly [number, number, number],
    livesMs: number,
  ): void {
    const leases = this.#leases
    const nowMs = this.#sw.now()
    leases.locked(() => {
      if (leases.isHeld(words, family, nowMs)) {
        leases.prolong(words, family, port, nowMs, livesMs)
        return
      }
      const record = leases.place(port, nowMs)
      if (record < 0) return
      leases.write(record, LeaseState.learned, { port, client }, family, words, nowMs, livesMs, '')
      this.#count(LabCounter.learned)
    })
  }

  #count(counter: number): void {
    const { counters } = this.#sw
    counters[counter] = counters[counter]! + 1
  }
}
