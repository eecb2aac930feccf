// Passes questions about names of others on to a resolver, over the switch, as a host would: next hop by ARP, a number and a port of its own for
// each question, and the answer back to who asked.
//
// The rule it must not break: it believes an answer only of the resolver that was asked, to a question that waits, and hands on neither less nor more
// than one for each.
import {
  arpFrame,
  type Batch,
  type DnsMessage,
  EtherType,
  formatIpv4,
  formatIpv6,
  formatMac,
  parseIpv6,
  type SwitchHandle,
  udpFrame,
} from '../../extension.ts'
import { type Asked, ForwardedQuestions } from './forwarded-questions.ts'
import { LabCounter } from './lab-counters.ts'
import { isOfNetwork, type LabNetwork } from './network-options.ts'
import type { DhcpDnsOptions } from './options.ts'
import type { Station } from './station.ts'

const DNS_PORT = 53
const UDP_HEADER = 8
const DNS_HEADER = 12
const PORT_FIRST = 49_152
const PORTS = 16_384
const EDNS_BYTES = 1232
const OPT_SIZE_AT = 3
const ASK_APART_MS = 1000
const TRIES = 4
const BROADCAST = 'ff:ff:ff:ff:ff:ff'

/** A resolver, and how it is reached. */
interface Route {
  readonly address: number
  readonly hop: number
  readonly vlan: number
  readonly station: Station
}

export interface ForwarderComponents {
  readonly sw: SwitchHandle
  readonly words: Int32Array
  /** The station in each network. */
  readonly stations: ReadonlyMap<LabNetwork, Station>
  /** Fills an array with numbers that nobody can guess. */
  readonly randomize: (numbers: Uint16Array) => void
}

// FNV-1a over the question, its letters as lower case: an answer repeats it, maybe in other letters.
function questionSum(bytes: Uint8Array, from: number, to: number): number {
  let sum = 0x811c9dc5
  for (let at = from; at < to; at++) {
    const octet = bytes[at]!
    sum = Math.imul(sum ^ (octet >= 0x41 && octet <= 0x5a ? octet + 32 : octet), 0x01000193)
  }
  return sum | 0
}

const macOf = (high: number, low: number): string =>
  formatMac(Uint8Array.of(high >> 8, high & 255, low >>> 24, (low >>> 16) & 255, (low >>> 8) & 255, low & 255))

function wordsOf(address: string): number[] {
  const view = new DataView(parseIpv6(address).slice().buffer)
  return [0, 4, 8, 12].map((at) => view.getUint32(at))
}

function addressText(family: number, words: readonly number[]): string {
  if (family === 4) return formatIpv4(words[3]!)
  const view = new DataView(new ArrayBuffer(16))
  for (const [k, word] of words.entries()) view.setUint32(k * 4, word)
  return formatIpv6(new Uint8Array(view.buffer))
}

export class Forwarder {
  readonly #sw: SwitchHandle
  readonly #questions: ForwardedQuestions
  readonly #routes: readonly Route[]
  readonly #randomize: ForwarderComponents['randomize']
  readonly #numbers = new Uint16Array(2)
  readonly #askedAt: number[]

  constructor({ upstream, networks }: DhcpDnsOptions, { sw, words, stations, randomize }: ForwarderComponents) {
    this.#sw = sw
    this.#questions = new ForwardedQuestions(words)
    this.#randomize = randomize
    this.#routes = upstream.map((address) => {
      const within = networks.find(({ ipv4 }) => ipv4 && isOfNetwork(address, ipv4.prefix))
      const network = within ?? networks.find(({ ipv4 }) => ipv4?.router !== undefined && ipv4.router !== ipv4.address)!
      const hop = within ? address : network.ipv4!.router!
      return { address, hop, vlan: network.vlan ?? 0, station: stations.get(network)! }
    })
    this.#askedAt = this.#routes.map(() => Number.NEGATIVE_INFINITY)
  }

  /** Asks for the next hops that were not heard of lately. Call it every few seconds. */
  refresh(): void {
    for (const hop of this.#routes.keys()) if (!this.#questions.hop(hop, this.#sw.now())?.isFresh) this.#ask(hop)
  }

  #ask(hop: number): void {
    const { station, hop: target, vlan } = this.#routes[hop]!
    const now = this.#sw.now()
    if (now - this.#askedAt[hop]! < ASK_APART_MS) return
    this.#askedAt[hop] = now
    const request = {
      operation: 1,
      senderMac: station.macBytes,
      senderIpv4: station.own4,
      targetMac: new Uint8Array(6),
      targetIpv4: target,
    }
    station.send(arpFrame(BROADCAST, request), vlan)
  }

  /** Whether packet `i`, ARP, comes from a next hop; notes its Ethernet address then. */
  hearsHop(batch: Batch, i: number): boolean {
    const at = batch.networkOffset(i)
    const sender = batch.u32(i, at + 14)
    let isHop = false
    for (const [hop, route] of this.#routes.entries()) {
      if (route.hop !== sender || batch.u32(i, at + 24) !== route.station.own4) continue
      isHop = true
      if (!batch.isTraced) this.#questions.reached(hop, batch.sourceMacHigh(i), batch.sourceMacLow(i), this.#sw.now())
    }
    return isHop
  }

  /**
   * Passes the question `frame[from…to-1]` of the packet that `station` took on. False if there is no way now: then who asked is told so, and may ask
   * another one.
   */
  forward(
    batch: Batch,
    i: number,
    station: Station,
    { source, destination }: { readonly source: string; readonly destination: string },
    query: DnsMessage,
    from: number,
    to: number,
    port: number,
  ): boolean {
    const now = this.#sw.now()
    const hop = this.#questions.current(this.#routes.length)
    const route = this.#routes[hop]!
    const known = this.#questions.hop(hop, now)
    if (!known) {
      this.#ask(hop)
      return false
    }
    if (batch.isTraced) return true
    const family = batch.isIpv4(i) ? 4 : 6
    const asked: Asked = {
      port,
      vlan: station.vlan,
      id: query.id,
      from: batch.sourcePort(i),
      mac: [batch.sourceMacHigh(i), batch.sourceMacLow(i)],
      family,
      source: family === 4 ? [0, 0, 0, batch.sourceIpv4(i)] : wordsOf(destination),
      own: family === 4 ? [0, 0, 0, station.own4] : wordsOf(source),
      question: questionSum(station.frame, from + DNS_HEADER, query.question.next),
    }
    const numbers = this.#numbers
    let isKept = false
    for (let tries = 0; tries < TRIES && !isKept; tries++) {
      this.#randomize(numbers)
      numbers[1] = PORT_FIRST + (numbers[1]! % PORTS)
      isKept = this.#questions.add((numbers[1]! << 16) | numbers[0]!, asked, now)
    }
    if (!isKept) return false
    const message = station.frame.slice(from, to)
    const view = new DataView(message.buffer)
    view.setUint16(0, numbers[0]!)
    // A longer answer would come in fragments, which nobody here puts together.
    const sizeAt = query.question.next - from + OPT_SIZE_AT
    if (query.extended && query.extended.payloadBytes > EDNS_BYTES) view.setUint16(sizeAt, EDNS_BYTES)
    const addresses = {
      sourceMac: station.mac,
      destinationMac: macOf(known.high, known.low),
      source: formatIpv4(route.station.own4),
      destination: formatIpv4(route.address),
    }
    route.station.send(udpFrame(addresses, numbers[1]!, DNS_PORT, message), route.vlan)
    this.#count(LabCounter.forwarded)
    return true
  }

  /** Whether packet `i` is an answer of a resolver to a question that waits; it is handed on then. */
  hearsAnswer(batch: Batch, i: number, at: number): boolean {
    if (batch.sourcePort(i) !== DNS_PORT || batch.destinationPort(i) < PORT_FIRST || batch.isFragment(i)) return false
    const route = this.#routes.find(
      ({ address, station }) => batch.sourceIpv4(i) === address && batch.destinationIpv4(i) === station.own4,
    )
    if (!route || !batch.isIpv4(i)) return false
    const { station } = route
    if (!station.take(batch, i)) return false
    const { frame } = station
    const from = at + UDP_HEADER
    const to = at + batch.u16(i, at + 4)
    if (to > station.length || to - from < DNS_HEADER) return false
    const end = questionEnd(frame, from + DNS_HEADER, to)
    if (end < 0) return false
    const id = (frame[from]! << 8) | frame[from + 1]!
    if (batch.isTraced) return true
    const asked = this.#questions.take(
      (batch.destinationPort(i) << 16) | id,
      questionSum(frame, from + DNS_HEADER, end),
      this.#sw.now(),
    )
    if (!asked) return false
    const message = frame.slice(from, to)
    new DataView(message.buffer).setUint16(0, asked.id)
    const addresses = {
      sourceMac: station.mac,
      destinationMac: macOf(asked.mac[0], asked.mac[1]),
      source: addressText(asked.family, asked.own),
      destination: addressText(asked.family, asked.source),
    }
    station.send(udpFrame(addresses, DNS_PORT, asked.from, message), asked.vlan)
    this.#count(LabCounter.returned)
    return true
  }

  /** Whether packet `i`, from a port that is not served, is for it. */
  hears(batch: Batch, i: number): boolean {
    if (batch.etherType(i) === EtherType.arp) return this.hearsHop(batch, i)
    const at = batch.transportOffset(i)
    return at !== 0 && batch.isUdp(i) && this.hearsAnswer(batch, i, at)
  }

  #count(counter: number): void {
    const { counters } = this.#sw
    counters[counter] = counters[counter]! + 1
  }
}

// Where the question of a message ends; -1 if it does not end where it should. Names of questions are not compressed.
function questionEnd(bytes: Uint8Array, from: number, to: number): number {
  let at = from
  while (at < to && bytes[at] !== 0) {
    if (bytes[at]! > 63) return -1
    at += bytes[at]! + 1
  }
  return at + 5 <= to ? at + 5 : -1
}
