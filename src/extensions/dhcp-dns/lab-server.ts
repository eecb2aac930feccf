// The station that dhcp-dns is on the link: hears what guests send to it or to all, and answers with frames of its own.
//
// The rule it must not break: one answer per request at the most, to the port that asked and its address alone, within the port's rate; nothing
// of what a guest sends is believed beyond its length.
import {
  arpFrame,
  type Batch,
  EtherType,
  echoFrame,
  type FrameAddresses,
  formatIpv4,
  formatIpv6,
  formatMac,
  ipFrame,
  isInPrefix,
  NdisStatus,
  parseMac,
  type SwitchHandle,
  udpFrame,
} from '../../extension.ts'
import { advertisement, linkLocal } from './advertisement.ts'
import { DhcpServer, DhcpType, dhcpTypeOf, readDhcp } from './dhcp4.ts'
import { Dhcp6Server, readDhcp6 } from './dhcp6.ts'
import { DnsServer } from './dns-server.ts'
import type { LabNames } from './lab-names.ts'
import { LeaseState, type LeaseTable } from './leases.ts'
import type { DhcpDnsOptions, StaticLease } from './options.ts'

export const LabCounter = { offers: 0, leases: 1, refused: 2, advertisements: 3, questions: 4, limited: 5, learned: 6 } as const
export const labCounterNames = [
  'dhcp-answers',
  'dhcpv6-answers',
  'unanswered',
  'advertisements',
  'dns-answers',
  'limited',
  'learned',
] as const

const ICMP = 1
const UDP = 17
const ICMP6 = 58
const UDP_HEADER = 8
const ICMP_HEADER = 8
const FRAME_BYTES_MIN = 60
const FRAME_BYTES_MAX = 1514
const ECHO_BYTES_MAX = 1400
const LEARNED_MS = 86_400_000
const IPV6_HEADER = 40
const ALL_NODES = 'ff02::1'
const ALL_HOSTS = 0xffffffff

const Port = { dns: 53, dhcpServer: 67, dhcpClient: 68, dhcp6Client: 546, dhcp6Server: 547 } as const
const Icmp6 = { echo: 128, routerSolicitation: 133, neighbourSolicitation: 135, neighbourAdvertisement: 136 } as const

/** What became of a packet. */
export const Heard = { nothing: 0, answered: 1, unanswered: 2 } as const

export interface LabServerComponents {
  readonly sw: SwitchHandle
  readonly leases: LeaseTable
  readonly names: LabNames
  /** What is configured for the VM at a port with a MAC address. */
  readonly fixed: (port: number, mac: string) => StaticLease | undefined
}

export class LabServer {
  readonly #sw: SwitchHandle
  readonly #options: DhcpDnsOptions
  readonly #leases: LeaseTable
  readonly #fixed: LabServerComponents['fixed']
  readonly #dhcp: DhcpServer | undefined
  readonly #dhcp6: Dhcp6Server | undefined
  readonly #dns: DnsServer
  readonly #mac: Uint8Array
  readonly #macHigh: number
  readonly #macLow: number
  readonly #own4: number
  readonly #own6: readonly string[]
  readonly #linkLocal: string
  readonly #frame = new Uint8Array(FRAME_BYTES_MAX + 86)
  #length = 0

  constructor(options: DhcpDnsOptions, { sw, leases, names, fixed }: LabServerComponents) {
    const { ipv4, ipv6 } = options
    this.#sw = sw
    this.#options = options
    this.#leases = leases
    this.#fixed = fixed
    this.#dhcp = ipv4 && new DhcpServer(options, ipv4, leases, names)
    this.#dhcp6 = ipv6 && new Dhcp6Server(options, ipv6, leases)
    this.#dns = new DnsServer(options, names)
    this.#mac = parseMac(options.mac)
    const view = new DataView(this.#mac.buffer)
    this.#macHigh = view.getUint16(0)
    this.#macLow = view.getUint32(2)
    this.#own4 = ipv4?.address ?? 0
    this.#linkLocal = formatIpv6(linkLocal(this.#mac))
    this.#own6 = ipv6 ? [formatIpv6(ipv6.address), this.#linkLocal] : []
  }

  /** Whether packet `i` may be for it: sent to all, to a group or to its own address. Allocates nothing. */
  concerns(batch: Batch, i: number): boolean {
    return batch.isMulticast(i) || (batch.destinationMacLow(i) === this.#macLow && batch.destinationMacHigh(i) === this.#macHigh)
  }

  /** Whether packet `i` was sent to its own address. */
  isOwn(batch: Batch, i: number): boolean {
    return batch.destinationMacLow(i) === this.#macLow && batch.destinationMacHigh(i) === this.#macHigh
  }

  /** Whether packet `i` to a group may want an answer: only that costs a port of its rate. Allocates nothing. */
  mayConcern(batch: Batch, i: number): boolean {
    if (batch.etherType(i) === EtherType.arp) return batch.u32(i, batch.networkOffset(i) + 24) === this.#own4
    const protocol = batch.protocol(i)
    if (protocol === ICMP6) {
      const type = batch.u8(i, batch.transportOffset(i))
      return type === Icmp6.routerSolicitation || type === Icmp6.neighbourSolicitation
    }
    const port = protocol === UDP ? batch.destinationPort(i) : 0
    return port === Port.dhcpServer || port === Port.dhcp6Server
  }

  /** Hears packet `i` from a port, and answers it if there is an answer. */
  hear(batch: Batch, i: number, port: number): number {
    if (batch.isFragment(i)) return Heard.nothing
    if (batch.etherType(i) === EtherType.arp) return this.#hearArp(batch, i)
    const protocol = batch.protocol(i)
    const at = batch.transportOffset(i)
    if (at === 0) return Heard.nothing
    if (protocol === UDP) return this.#hearUdp(batch, i, port, at)
    if (protocol === ICMP && batch.isIpv4(i)) return this.#hearEcho(batch, i, at)
    if (protocol === ICMP6 && batch.isIpv6(i)) return this.#hearIcmp6(batch, i, port, at)
    return Heard.nothing
  }

  // Copies the packet, so that its sender can't change it any more; false if it is too long or there is no room.
  #take(batch: Batch, i: number): boolean {
    const length = batch.frameLength(i)
    if (length > this.#frame.length || !batch.makeSafe(i)) return false
    this.#length = batch.copyBytes(i, 0, length, this.#frame, 0)
    return this.#length === length
  }

  #hearArp(batch: Batch, i: number): number {
    const at = batch.networkOffset(i)
    if (this.#own4 === 0 || batch.u32(i, at) !== 0x10800 || batch.u32(i, at + 4) !== 0x6040001) return Heard.nothing
    if (batch.u32(i, at + 24) !== this.#own4) return Heard.nothing
    const senderIpv4 = batch.u32(i, at + 14)
    if (!this.#take(batch, i)) return Heard.unanswered
    const targetMac = this.#frame.slice(6, 12)
    const reply = { operation: 2, senderMac: this.#mac, senderIpv4: this.#own4, targetMac, targetIpv4: senderIpv4 }
    this.#send(batch, i, arpFrame(formatMac(targetMac), reply))
    return Heard.answered
  }

  #hearUdp(batch: Batch, i: number, port: number, at: number): number {
    const to = batch.destinationPort(i)
    const from = batch.sourcePort(i)
    const isDhcp = this.#dhcp !== undefined && batch.isIpv4(i) && to === Port.dhcpServer && from === Port.dhcpClient
    const isDhcp6 = this.#dhcp6 !== undefined && batch.isIpv6(i) && to === Port.dhcp6Server && from === Port.dhcp6Client
    if (!isDhcp && !isDhcp6 && !(to === Port.dns && this.isOwn(batch, i))) return Heard.nothing
    if (!this.#take(batch, i)) return Heard.unanswered
    const length = batch.u16(i, at + 4)
    const end = at + length
    if (length < UDP_HEADER || end > this.#length) return Heard.unanswered
    if (isDhcp) return this.#hearDhcp(batch, i, port, at + UDP_HEADER, end)
    if (isDhcp6) return this.#hearDhcp6(batch, i, port, at + UDP_HEADER, end)
    return this.#hearQuestion(batch, i, at + UDP_HEADER, end, from)
  }

  #hearDhcp(batch: Batch, i: number, port: number, from: number, to: number): number {
    const destination = batch.destinationIpv4(i)
    if (destination !== ALL_HOSTS && destination !== this.#own4) return Heard.nothing
    const request = readDhcp(this.#frame, from, to)
    const sender = formatMac(this.#frame, 6)
    if (!request || formatMac(request.client) !== sender) return Heard.unanswered
    const answer = this.#dhcp!.answer(request, port, this.#fixed(port, sender), this.#sw.now())
    if (!answer) return Heard.unanswered
    const isBound = request.clientAddress !== 0 && dhcpTypeOf(answer) === DhcpType.ack
    const target = isBound ? formatIpv4(request.clientAddress) : '255.255.255.255'
    const pair = { source: formatIpv4(this.#own4), destination: target }
    this.#count(LabCounter.offers)
    return this.#reply(batch, i, pair, Port.dhcpServer, Port.dhcpClient, answer)
  }

  #hearDhcp6(batch: Batch, i: number, port: number, from: number, to: number): number {
    const request = readDhcp6(this.#frame, from, to)
    const answer = request && this.#dhcp6!.answer(request, port, this.#fixed(port, formatMac(this.#frame, 6)), this.#sw.now())
    if (!answer) return Heard.unanswered
    const source = this.#sourceIpv6(batch, i)
    this.#count(LabCounter.leases)
    return this.#reply(batch, i, { source: this.#linkLocal, destination: source }, Port.dhcp6Server, Port.dhcp6Client, answer)
  }

  #hearQuestion(batch: Batch, i: number, from: number, to: number, askedFrom: number): number {
    const pair = this.#ownPair(batch, i)
    const answer = pair && this.#dns.answer(this.#frame, from, to, this.#sw.now())
    if (!pair || !answer) return Heard.unanswered
    this.#count(LabCounter.questions)
    return this.#reply(batch, i, pair, Port.dns, askedFrom, answer)
  }

  #sourceIpv6(batch: Batch, i: number): string {
    return formatIpv6(this.#frame, batch.networkOffset(i) + 8)
  }

  // The addresses of an answer to a packet that was sent to an address of its own; undefined if it was not.
  #ownPair(batch: Batch, i: number): { source: string; destination: string } | undefined {
    if (batch.isIpv4(i)) {
      if (this.#own4 === 0 || batch.destinationIpv4(i) !== this.#own4) return undefined
      return { source: formatIpv4(this.#own4), destination: formatIpv4(batch.sourceIpv4(i)) }
    }
    const own = formatIpv6(this.#frame, batch.networkOffset(i) + 24)
    return this.#own6.includes(own) ? { source: own, destination: this.#sourceIpv6(batch, i) } : undefined
  }

  #hearEcho(batch: Batch, i: number, at: number): number {
    if (batch.u16(i, at) !== 0x0800 || batch.destinationIpv4(i) !== this.#own4 || !this.isOwn(batch, i)) return Heard.nothing
    return this.#echo(batch, i, at, batch.networkOffset(i) + batch.u16(i, batch.networkOffset(i) + 2))
  }

  #echo(batch: Batch, i: number, at: number, end: number): number {
    if (!this.#take(batch, i)) return Heard.unanswered
    const pair = this.#ownPair(batch, i)
    if (!pair || end > this.#length || end < at + ICMP_HEADER || end - at > ECHO_BYTES_MAX + ICMP_HEADER) return Heard.unanswered
    const data = this.#frame.slice(at + ICMP_HEADER, end)
    const addresses = this.#addresses(pair)
    this.#send(batch, i, echoFrame(addresses, true, batch.u16(i, at + 4), batch.u16(i, at + 6), data))
    return Heard.answered
  }

  #hearIcmp6(batch: Batch, i: number, port: number, at: number): number {
    const type = batch.u8(i, at)
    const l3 = batch.networkOffset(i)
    const end = l3 + IPV6_HEADER + batch.u16(i, l3 + 4)
    if (this.#own6.length === 0) return Heard.nothing
    if (type === Icmp6.echo) return this.isOwn(batch, i) ? this.#echo(batch, i, at, end) : Heard.nothing
    // What has not 255 hops comes from beyond the link (RFC 4861).
    if (batch.u8(i, l3 + 7) !== 255 || batch.u8(i, at + 1) !== 0) return Heard.nothing
    if (type === Icmp6.routerSolicitation) return this.#take(batch, i) ? this.#advertise(batch, i) : Heard.unanswered
    if (type === Icmp6.neighbourSolicitation && end >= at + 24) return this.#hearSolicitation(batch, i, port, at)
    return Heard.nothing
  }

  #advertise(batch: Batch, i: number): number {
    const frame = this.advertisementTo(formatMac(this.#frame, 6))
    if (!frame) return Heard.nothing
    this.#count(LabCounter.advertisements)
    this.#send(batch, i, frame)
    return Heard.answered
  }

  /** A router advertisement to all nodes, in a frame to one of them; undefined without IPv6. */
  advertisementTo(mac: string): Uint8Array | undefined {
    const { ipv6 } = this.#options
    if (!ipv6) return undefined
    const addresses = {
      sourceMac: this.#options.mac,
      destinationMac: mac,
      source: this.#linkLocal,
      destination: ALL_NODES,
      hops: 255,
    }
    return ipFrame(addresses, ICMP6, advertisement(this.#options, ipv6), 2)
  }

  #hearSolicitation(batch: Batch, i: number, port: number, at: number): number {
    if (!this.#take(batch, i)) return Heard.unanswered
    const target = this.#frame.slice(at + 8, at + 24)
    const source = this.#sourceIpv6(batch, i)
    if (this.#own6.includes(formatIpv6(target))) {
      const isProbe = source === '::'
      const message = new Uint8Array(32)
      message.set([Icmp6.neighbourAdvertisement, 0, 0, 0, isProbe ? 0x20 : 0x60])
      message.set(target, 8)
      message.set([2, 1, ...this.#mac], 24)
      const pair = { source: formatIpv6(target), destination: isProbe ? ALL_NODES : source }
      this.#send(batch, i, ipFrame({ ...this.#addresses(pair), hops: 255 }, ICMP6, message, 2))
      return Heard.answered
    }
    if (source === '::') this.#learn(port, target)
    return Heard.nothing
  }

  // A guest that asks whether anybody has an address is about to have it: from then on its name leads there.
  #learn(port: number, target: Uint8Array): void {
    if (!isInPrefix(this.#options.ipv6!.prefix, target)) return
    const view = new DataView(target.buffer)
    const words = [0, 4, 8, 12].map((at) => view.getUint32(at))
    const leases = this.#leases
    const nowMs = this.#sw.now()
    leases.locked(() => {
      if (leases.isTaken(words, 6, nowMs)) return
      const record = leases.place(port, nowMs)
      if (record < 0) return
      leases.write(record, LeaseState.learned, { port, client: [words[2]!, words[3]!, 1] }, 6, words, nowMs, LEARNED_MS, '')
      this.#count(LabCounter.learned)
    })
  }

  #addresses(pair: { source: string; destination: string }): FrameAddresses {
    return { sourceMac: this.#options.mac, destinationMac: formatMac(this.#frame, 6), ...pair }
  }

  #reply(
    batch: Batch,
    i: number,
    pair: { source: string; destination: string },
    from: number,
    to: number,
    data: Uint8Array,
  ): number {
    this.#send(batch, i, udpFrame(this.#addresses(pair), from, to, Uint8Array.from(data)))
    return Heard.answered
  }

  // Sends a frame to who sent packet `i`, in its VLAN.
  #send(batch: Batch, i: number, frame: Uint8Array): void {
    this.sendFrame(batch.isTagged(i) && batch.vlanId(i) !== 0 ? tagged(frame, batch.vlanId(i)) : frame)
  }

  /** Sends a frame of its own; it is lost if the pool has no room. */
  sendFrame(frame: Uint8Array): void {
    const { length } = frame
    let whole = frame
    if (length < FRAME_BYTES_MIN) {
      whole = new Uint8Array(FRAME_BYTES_MIN)
      whole.set(frame)
    }
    const handle = this.#sw.originate(whole)
    if (handle !== 0 && this.#sw.send(handle) !== NdisStatus.success) this.#sw.release(handle)
  }

  #count(counter: number): void {
    const { counters } = this.#sw
    counters[counter] = counters[counter]! + 1
  }
}

function tagged(frame: Uint8Array, vlan: number): Uint8Array {
  const whole = new Uint8Array(frame.length + 4)
  whole.set(frame.subarray(0, 12))
  whole.set([0x81, 0, vlan >> 8, vlan & 255], 12)
  whole.set(frame.subarray(12), 16)
  return whole
}
