// Answers to a guest's ARP requests and neighbour solicitations from the look-up records, so that a question whose answer is known is not
// sent to every peer (RFC 826, RFC 5227, RFC 4861, RFC 4862).
//
// The rule it must not break: only a well-formed question of one station about another one, which a record knows, is answered. Detection of
// duplicates, announcements, questions to one station and what is malformed go on as they came, but for those to the router, which has no
// other voice; what asks too often is refused, for an answer is cheaper than the flood that it saves.
import { MAC_BYTES } from '../../packet/addresses.ts'
import { get16, put16 } from '../../packet/bytes.ts'
import { transportChecksum } from '../../packet/checksum.ts'
import { PortRates } from './port-rates.ts'

/** What is known of an address: whose it is. `local`: of a guest of this switch, which answers for itself. */
export const KnownAs = { nobody: 0, station: 1, router: 2, local: 3 } as const
export type KnownAs = (typeof KnownAs)[keyof typeof KnownAs]

/** Where the answers come from. */
export interface CustomerAddresses {
  /**
   * Looks up the customer address in `bytes[at…at+length-1]` (4 or 16 octets) in virtual subnet `vsid`, and writes the MAC address of
   * its station to `mac` at `macAt` unless nobody has it. Allocates nothing.
   */
  stationOf(vsid: number, bytes: Uint8Array, at: number, length: 4 | 16, mac: Uint8Array, macAt: number): KnownAs
}

export interface AnswerLimits {
  /** Highest port number, 1…65535. */
  readonly ports: number
  /** Answers per second to one port, on average. Default: 1000. */
  readonly perSecond?: number
  /** Answers at once to one port. Default: 256. */
  readonly burst?: number
}

/** What `answer` returns in place of a length. */
export const NO_QUESTION = 0
export const TOO_MANY_QUESTIONS = -1

/** An answer is never longer. */
export const ANSWER_BYTES_MAX = 86

const PER_SECOND = 1000
const BURST = 256

const ETHERNET = 14
const ARP = 0x0806
const IPV6 = 0x86dd
const ARP_END = ETHERNET + 28
const IP = ETHERNET
const ICMP = IP + 40
const TARGET = ICMP + 8
const OPTIONS = TARGET + 16
const ICMPV6 = 58
const SOLICITATION = 135
const ADVERTISEMENT = 136
const SOURCE_LINK_ADDRESS = 1
const TARGET_LINK_ADDRESS = 2
const HOPS = 255 // what a router forwarded has fewer (RFC 4861 7.1.1)
const ROUTER_BIT = 0x80
const SOLICITED_AND_OVERRIDE = 0x60
// ff02::1:ff00:0/104 but for the octets that come from the target.
const SOLICITED_NODE = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff)
const REQUEST_HEADER = Uint8Array.of(0, 1, 8, 0, 6, 4, 0, 1)

/** One per data path. Runs per ARP or neighbour-discovery frame of a port in a virtual subnet. */
export class AddressAnswers {
  /** Questions answered, and those refused because they came too often. */
  answered = 0
  refused = 0
  private readonly addresses: CustomerAddresses
  private readonly rates: PortRates
  private readonly mac = new Uint8Array(MAC_BYTES)

  constructor(
    { ports, perSecond = PER_SECOND, burst = BURST }: AnswerLimits,
    { addresses, nowMs }: { readonly addresses: CustomerAddresses; readonly nowMs: () => number },
  ) {
    this.addresses = addresses
    this.rates = new PortRates({ ports, perSecond, burst }, { nowMs })
  }

  /**
   * Answers the untagged frame in `frame[start…end-1]`, which `port` sent in virtual subnet `vsid`: writes the answer to `out` at
   * `outAt`, where there is room for ANSWER_BYTES_MAX, and returns its length; NO_QUESTION: the frame is to go on; TOO_MANY_QUESTIONS:
   * it is to be dropped.
   */
  answer(frame: Uint8Array, start: number, end: number, vsid: number, port: number, out: Uint8Array, outAt: number): number {
    if (end - start < ARP_END) return NO_QUESTION
    const type = get16(frame, start + 12)
    if (type !== ARP && type !== IPV6) return NO_QUESTION
    if ((frame[start + MAC_BYTES]! & 1) !== 0) return NO_QUESTION // no station sends from a group
    const length = type === ARP ? this.arp(frame, start, vsid, out, outAt) : this.neighbour(frame, start, end, vsid, out, outAt)
    if (length === NO_QUESTION) return NO_QUESTION
    if (!this.rates.take(port)) {
      this.refused++
      return TOO_MANY_QUESTIONS
    }
    this.answered++
    return length
  }

  private arp(frame: Uint8Array, start: number, vsid: number, out: Uint8Array, outAt: number): number {
    const arp = start + ETHERNET
    for (let i = 0; i < REQUEST_HEADER.length; i++) if (frame[arp + i] !== REQUEST_HEADER[i]) return NO_QUESTION
    if (!same(frame, arp + 8, frame, start + MAC_BYTES, MAC_BYTES)) return NO_QUESTION
    if (same(frame, arp + 14, frame, arp + 24, 4)) return NO_QUESTION // an announcement
    const known = this.addresses.stationOf(vsid, frame, arp + 24, 4, this.mac, 0)
    if (known === KnownAs.nobody || known === KnownAs.local) return NO_QUESTION
    if (known !== KnownAs.router) {
      if (!isBroadcast(frame, start)) return NO_QUESTION // asks one station, which answers for itself
      if (isZero(frame, arp + 14, 4)) return NO_QUESTION // a probe for duplicates (RFC 5227 2.1.1)
    }
    if (same(this.mac, 0, frame, start + MAC_BYTES, MAC_BYTES)) return NO_QUESTION
    this.ethernet(frame, start, ARP, out, outAt)
    const reply = outAt + ETHERNET
    out.set(REQUEST_HEADER, reply)
    out[reply + 7] = 2
    out.set(this.mac, reply + 8)
    copy(frame, arp + 24, out, reply + 14, 4)
    copy(frame, arp + 8, out, reply + 18, 10) // the asker's addresses
    return ARP_END
  }

  private neighbour(frame: Uint8Array, start: number, end: number, vsid: number, out: Uint8Array, outAt: number): number {
    if (!isSolicitation(frame, start, end)) return NO_QUESTION
    const known = this.addresses.stationOf(vsid, frame, start + TARGET, 16, this.mac, 0)
    if (known === KnownAs.nobody || known === KnownAs.local) return NO_QUESTION
    if (known !== KnownAs.router && (frame[start]! & 1) === 0) return NO_QUESTION
    if (same(this.mac, 0, frame, start + MAC_BYTES, MAC_BYTES)) return NO_QUESTION
    this.ethernet(frame, start, IPV6, out, outAt)
    const ip = outAt + IP
    out.fill(0, ip, outAt + ANSWER_BYTES_MAX)
    out[ip] = 0x60
    put16(out, ip + 4, ANSWER_BYTES_MAX - ICMP)
    out[ip + 6] = ICMPV6
    out[ip + 7] = HOPS
    copy(frame, start + TARGET, out, ip + 8, 16)
    copy(frame, start + IP + 8, out, ip + 24, 16)
    const icmp = outAt + ICMP
    out[icmp] = ADVERTISEMENT
    out[icmp + 4] = SOLICITED_AND_OVERRIDE | (known === KnownAs.router ? ROUTER_BIT : 0)
    copy(frame, start + TARGET, out, outAt + TARGET, 16)
    out[outAt + OPTIONS] = TARGET_LINK_ADDRESS
    out[outAt + OPTIONS + 1] = 1
    out.set(this.mac, outAt + OPTIONS + 2)
    put16(out, icmp + 2, transportChecksum(out, ip, ICMPV6, icmp, outAt + ANSWER_BYTES_MAX))
    return ANSWER_BYTES_MAX
  }

  private ethernet(frame: Uint8Array, start: number, type: number, out: Uint8Array, outAt: number): void {
    copy(frame, start + MAC_BYTES, out, outAt, MAC_BYTES)
    out.set(this.mac, outAt + MAC_BYTES)
    put16(out, outAt + 12, type)
  }
}

// RFC 4861 7.1.1: whether this is a valid neighbour solicitation of a station with an address, asked of the target or of its group.
function isSolicitation(frame: Uint8Array, start: number, end: number): boolean {
  const ip = start + IP
  const icmp = start + ICMP
  if (end < start + OPTIONS || frame[ip]! >> 4 !== 6 || frame[ip + 6] !== ICMPV6 || frame[ip + 7] !== HOPS) return false
  const last = icmp + get16(frame, ip + 4) // behind it a short frame is padded
  if (last < start + OPTIONS || last > end) return false
  if (frame[icmp] !== SOLICITATION || frame[icmp + 1] !== 0) return false
  if (frame[ip + 8] === 0xff || frame[start + TARGET] === 0xff) return false
  if (isZero(frame, ip + 8, 16)) return false // detection of duplicates (RFC 4862 5.4.2)
  if ((frame[start]! & 1) === 0) {
    if (!same(frame, ip + 24, frame, start + TARGET, 16)) return false
  } else {
    if (!same(frame, ip + 24, SOLICITED_NODE, 0, SOLICITED_NODE.length)) return false
    if (!same(frame, ip + 37, frame, start + TARGET + 13, 3)) return false
  }
  if (same(frame, ip + 8, frame, start + TARGET, 16)) return false // about itself
  for (let at = start + OPTIONS; at < last; ) {
    const length = at + 1 < last ? frame[at + 1]! * 8 : 0
    if (length === 0 || at + length > last) return false
    if (frame[at] === SOURCE_LINK_ADDRESS && !same(frame, at + 2, frame, start + MAC_BYTES, MAC_BYTES)) return false
    at += length
  }
  return transportChecksum(frame, ip, ICMPV6, icmp, last) === 0
}

function isBroadcast(frame: Uint8Array, at: number): boolean {
  for (let i = 0; i < MAC_BYTES; i++) if (frame[at + i] !== 0xff) return false
  return true
}

function isZero(bytes: Uint8Array, at: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[at + i] !== 0) return false
  return true
}

function same(a: Uint8Array, atA: number, b: Uint8Array, atB: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[atA + i] !== b[atB + i]) return false
  return true
}

function copy(from: Uint8Array, at: number, to: Uint8Array, toAt: number, length: number): void {
  for (let i = 0; i < length; i++) to[toAt + i] = from[at + i]!
}
