// The link of the provider addresses, on the control thread: which MAC address packets to each peer are sent to (ARP, RFC 826; neighbour
// discovery, RFC 4861), and answers to those who ask for a provider address. It runs in whatever time its caller tells.
//
// The rule it must not break: only who was asked is believed; what is remembered is bounded by the peers that there are.
import { MAC_BYTES } from '../../packet/addresses.ts'
import { get16, put16 } from '../../packet/bytes.ts'
import { internetChecksum, transportChecksum } from '../../packet/checksum.ts'
import { addressText } from './records.ts'

/** Milliseconds after which a next hop that answered is asked again, and between two questions to one that does not answer. */
export const NEIGHBOUR_FRESH_MS = 30_000
export const NEIGHBOUR_RETRY_MS = 1000
/** Questions to a next hop that answered before, after which it counts as gone. */
const TRIES = 3
const RETRY_MAX_MS = 16_000
const ETHERNET = 14
const ARP = 0x0806
const IPV6 = 0x86dd
const ICMPV6 = 58
const SOLICITATION = 135
const ADVERTISEMENT = 136
const ECHO_REQUEST = 8
const ECHO6_REQUEST = 128
const REQUEST = 1
const REPLY = 2
const BROADCAST = new Uint8Array(MAC_BYTES).fill(0xff)

export interface ProviderLink {
  /** 4 or 16 octets. */
  readonly address: Uint8Array
  readonly prefixLength: number
  readonly gateway?: Uint8Array | undefined
}

export interface NeighbourComponents {
  readonly send: (frame: Uint8Array) => void
  /** Peer `peer` is reached at a MAC address; undefined: not any more. */
  readonly resolved: (peer: number, nextHop: Uint8Array | undefined) => void
}

interface NextHop {
  readonly address: Uint8Array
  readonly link: ProviderLink
  readonly peers: Set<number>
  mac: Uint8Array | undefined
  askAtMs: number
  tries: number
}

export class ProviderNeighbours {
  readonly #mac: Uint8Array
  readonly #links: readonly ProviderLink[]
  readonly #components: NeighbourComponents
  readonly #hops = new Map<string, NextHop>()
  readonly #hopOf = new Map<number, NextHop>()

  constructor(
    { mac, links }: { readonly mac: Uint8Array; readonly links: readonly ProviderLink[] },
    components: NeighbourComponents,
  ) {
    this.#mac = mac
    this.#links = links
    this.#components = components
  }

  /** Looks for the way to `peer`. It stays without one where neither a link nor a gateway leads to it. */
  add(peer: number, address: Uint8Array, nowMs: number): void {
    const link = this.#links.find((one) => one.address.length === address.length && isOnLink(one, address))
    const routed = link ?? this.#links.find((one) => one.address.length === address.length && one.gateway !== undefined)
    if (routed === undefined) return
    const target = link === undefined ? routed.gateway! : address
    const key = addressText(target)
    const hop = this.#hops.get(key) ?? {
      address: target,
      link: routed,
      peers: new Set<number>(),
      mac: undefined,
      askAtMs: nowMs,
      tries: 0,
    }
    this.#hops.set(key, hop)
    hop.peers.add(peer)
    this.#hopOf.set(peer, hop)
    if (hop.mac !== undefined) this.#components.resolved(peer, hop.mac)
    this.run(nowMs)
  }

  remove(peer: number): void {
    const hop = this.#hopOf.get(peer)
    if (hop === undefined) return
    this.#hopOf.delete(peer)
    hop.peers.delete(peer)
    if (hop.peers.size === 0) this.#hops.delete(addressText(hop.address))
  }

  /** MAC address that packets to `peer` are sent to. */
  nextHop(peer: number): Uint8Array | undefined {
    return this.#hopOf.get(peer)?.mac
  }

  /** Asks those who are to be asked. To be called about once a second. */
  run(nowMs: number): void {
    for (const hop of this.#hops.values()) {
      if (nowMs < hop.askAtMs) continue
      if (hop.mac !== undefined && hop.tries >= TRIES) this.#tell(hop, undefined)
      hop.tries++
      hop.askAtMs =
        nowMs + Math.min(RETRY_MAX_MS, NEIGHBOUR_RETRY_MS * (hop.mac === undefined ? 2 ** Math.min(4, hop.tries - 1) : 1))
      this.#components.send(this.#question(hop))
    }
  }

  /** The link came up: tells everybody on it where the provider addresses are, and asks anew. */
  linkUp(nowMs: number): void {
    for (const { address } of this.#links)
      this.#components.send(address.length === 4 ? this.#announcement(address) : this.#advertisement(address))
    for (const hop of this.#hops.values()) {
      hop.askAtMs = nowMs
      hop.tries = 0
    }
    this.run(nowMs)
  }

  #tell(hop: NextHop, mac: Uint8Array | undefined): void {
    hop.mac = mac
    for (const peer of hop.peers) this.#components.resolved(peer, mac)
  }

  #believe(address: Uint8Array, mac: Uint8Array, nowMs: number): void {
    const hop = this.#hops.get(addressText(address))
    if (hop === undefined || (mac[0]! & 1) !== 0 || mac.every((octet) => octet === 0)) return
    hop.tries = 0
    hop.askAtMs = nowMs + NEIGHBOUR_FRESH_MS
    if (hop.mac?.every((octet, i) => octet === mac[i]) !== true) this.#tell(hop, mac)
  }

  /** A frame for a provider address that is no tunnel packet, or its first bytes. */
  heard(frame: Uint8Array, nowMs: number): void {
    if (frame.length < ETHERNET + 28) return
    const type = get16(frame, 12)
    if (type === ARP) this.#arp(frame, nowMs)
    else if (type === IPV6 && frame.length >= ETHERNET + 48 && frame[ETHERNET + 6] === ICMPV6) this.#icmp6(frame, nowMs)
    else if (type === 0x0800 && frame[ETHERNET] === 0x45 && frame[ETHERNET + 9] === 1) this.#echo(frame)
  }

  #isOwn(address: Uint8Array): boolean {
    return this.#links.some((link) => isSame(link.address, address))
  }

  #arp(frame: Uint8Array, nowMs: number): void {
    const arp = ETHERNET
    if (get16(frame, arp) !== 1 || get16(frame, arp + 2) !== 0x0800 || frame[arp + 4] !== 6 || frame[arp + 5] !== 4) return
    const operation = get16(frame, arp + 6)
    const mac = frame.slice(arp + 8, arp + 14)
    const sender = frame.slice(arp + 14, arp + 18)
    const target = frame.slice(arp + 24, arp + 28)
    this.#believe(sender, mac, nowMs)
    if (operation === REQUEST && this.#isOwn(target) && (mac[0]! & 1) === 0)
      this.#components.send(this.#arpFrame(REPLY, mac, target, mac, sender))
  }

  #icmp6(frame: Uint8Array, nowMs: number): void {
    const icmp = ETHERNET + 40
    const last = icmp + get16(frame, ETHERNET + 4)
    if (last > frame.length || last < icmp + 8 || transportChecksum(frame, ETHERNET, ICMPV6, icmp, last) !== 0) return
    const source = frame.slice(ETHERNET + 8, ETHERNET + 24)
    const type = frame[icmp]
    if (type === ECHO6_REQUEST) {
      const reply = frame.slice(0, last)
      this.#turnRound(reply, ETHERNET + 8, 16)
      reply[icmp] = ECHO6_REQUEST + 1
      put16(reply, icmp + 2, 0)
      put16(reply, icmp + 2, transportChecksum(reply, ETHERNET, ICMPV6, icmp, last))
      this.#components.send(reply)
      return
    }
    if ((type !== SOLICITATION && type !== ADVERTISEMENT) || frame[ETHERNET + 7] !== 255 || last < icmp + 24) return
    const target = frame.slice(icmp + 8, icmp + 24)
    if (type === ADVERTISEMENT) {
      // The address may stand in an option; who sent it has it too.
      const has = last >= icmp + 32 && frame[icmp + 24] === 2 && frame[icmp + 25] === 1
      this.#believe(target, has ? frame.slice(icmp + 26, icmp + 32) : frame.slice(6, 12), nowMs)
    } else if (this.#isOwn(target)) {
      const mac = frame.slice(6, 12)
      if ((mac[0]! & 1) !== 0 || source.every((octet) => octet === 0)) return
      this.#believe(source, mac, nowMs)
      this.#components.send(this.#advertisement(target, mac, source))
    }
  }

  // Answers an echo request whole frames of which are here.
  #echo(frame: Uint8Array): void {
    const icmp = ETHERNET + 20
    const last = ETHERNET + get16(frame, ETHERNET + 2)
    if (
      last > frame.length ||
      last < icmp + 8 ||
      frame[icmp] !== ECHO_REQUEST ||
      !this.#isOwn(frame.slice(ETHERNET + 16, ETHERNET + 20))
    )
      return
    const reply = frame.slice(0, last)
    this.#turnRound(reply, ETHERNET + 12, 4)
    reply[icmp] = 0
    put16(reply, icmp + 2, 0)
    put16(reply, icmp + 2, internetChecksum(reply, icmp, last))
    this.#components.send(reply)
  }

  #turnRound(frame: Uint8Array, addresses: number, length: number): void {
    frame.copyWithin(0, 6, 12)
    frame.set(this.#mac, 6)
    const source = frame.slice(addresses, addresses + length)
    frame.copyWithin(addresses, addresses + length, addresses + 2 * length)
    frame.set(source, addresses + length)
  }

  #question({ address, link, mac }: NextHop): Uint8Array {
    if (address.length === 4) return this.#arpFrame(REQUEST, mac ?? BROADCAST, link.address, new Uint8Array(MAC_BYTES), address)
    const group = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, address[13]!, address[14]!, address[15]!)
    const to = Uint8Array.of(0x33, 0x33, 0xff, address[13]!, address[14]!, address[15]!)
    return this.#neighbour(SOLICITATION, 0, to, link.address, group, address, 1)
  }

  #announcement(own: Uint8Array): Uint8Array {
    return this.#arpFrame(REQUEST, BROADCAST, own, new Uint8Array(MAC_BYTES), own)
  }

  // To all nodes, or to who asked.
  #advertisement(own: Uint8Array, mac?: Uint8Array, to?: Uint8Array): Uint8Array {
    const all = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
    const group = Uint8Array.of(0x33, 0x33, 0, 0, 0, 1)
    return this.#neighbour(ADVERTISEMENT, to === undefined ? 0x20 : 0x60, mac ?? group, own, to ?? all, own, 2)
  }

  #arpFrame(operation: number, to: Uint8Array, sender: Uint8Array, targetMac: Uint8Array, target: Uint8Array): Uint8Array {
    const frame = new Uint8Array(60)
    frame.set(to, 0)
    frame.set(this.#mac, 6)
    put16(frame, 12, ARP)
    frame.set([0, 1, 8, 0, 6, 4, 0, operation], ETHERNET)
    frame.set(this.#mac, ETHERNET + 8)
    frame.set(sender, ETHERNET + 14)
    frame.set(targetMac, ETHERNET + 18)
    frame.set(target, ETHERNET + 24)
    return frame
  }

  #neighbour(
    type: number,
    flags: number,
    toMac: Uint8Array,
    source: Uint8Array,
    destination: Uint8Array,
    target: Uint8Array,
    option: number,
  ): Uint8Array {
    const frame = new Uint8Array(ETHERNET + 40 + 32)
    frame.set(toMac, 0)
    frame.set(this.#mac, 6)
    put16(frame, 12, IPV6)
    frame[ETHERNET] = 0x60
    put16(frame, ETHERNET + 4, 32)
    frame[ETHERNET + 6] = ICMPV6
    frame[ETHERNET + 7] = 255
    frame.set(source, ETHERNET + 8)
    frame.set(destination, ETHERNET + 24)
    const icmp = ETHERNET + 40
    frame[icmp] = type
    frame[icmp + 4] = flags
    frame.set(target, icmp + 8)
    frame[icmp + 24] = option
    frame[icmp + 25] = 1
    frame.set(this.#mac, icmp + 26)
    put16(frame, icmp + 2, transportChecksum(frame, ETHERNET, ICMPV6, icmp, frame.length))
    return frame
  }
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((octet, i) => octet === b[i])

const isOnLink = ({ address, prefixLength }: ProviderLink, other: Uint8Array): boolean => {
  for (let bit = 0; bit < prefixLength; bit++) {
    const mask = 0x80 >> (bit & 7)
    if ((address[bit >> 3]! & mask) !== (other[bit >> 3]! & mask)) return false
  }
  return true
}
