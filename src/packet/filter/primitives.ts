// What the words of a capture filter test: hosts, nets, ports, protocols, tags, as libpcap tests them on Ethernet.
//
// The rule it must not break: a frame matches here exactly when it matches in libpcap, quirks included: `vlan`, `pppoes` and `mpls` move everything
// that stands to the right of them by what they are, `port` looks at no fragment but the first, IPv6 extension headers are not walked.
import { parseIpv6 } from '../addresses.ts'
import { get32 } from '../bytes.ts'
import { all, any, arithmetic, compare, load, number, type Test, type Value } from './nodes.ts'

export type Direction = 'src' | 'dst' | 'src or dst' | 'src and dst'

const ETHER_TYPE_AT = 12
const NETWORK_AT = 14
const TAG_BYTES = 4
const IPV6_HEADER = 40
const ETHERTYPE_IPV4 = 0x0800
const ETHERTYPE_IPV6 = 0x86dd
const ETHERTYPE_ARP = 0x0806
const ETHERTYPE_RARP = 0x8035
const ETHERTYPE_PPPOE_DISCOVERY = 0x8863
const ETHERTYPE_PPPOE_SESSION = 0x8864
const ETHERTYPE_MPLS = 0x8847
/** A PPPoE header and the PPP protocol behind it. */
const PPPOE_BYTES = 8
const PPP_IPV4 = 0x0021
const PPP_IPV6 = 0x0057
const LABEL_BYTES = 4
/** The longest length that stands where other frames have their type. */
const LENGTH_MAX = 1500
const SPANNING_TREE_SAP = 0x42
const TAG_TYPES = [0x8100, 0x88a8, 0x9100]
const PROTOCOL_FRAGMENT = 44
const PORT_PROTOCOLS = [6, 17, 132]

/** An address under a mask; IPv4 has one word, IPv6 four. */
export interface MaskedAddress {
  readonly words: readonly number[]
  readonly masks: readonly number[]
}

const masked = (at: number, word: number, mask: number): Test => {
  if (mask === 0) return { kind: 'constant', value: true }
  const loaded = load(at, 4)
  return compare(mask === 0xffffffff ? loaded : arithmetic(loaded, '&', number(mask)), '=', (word & mask) >>> 0)
}

/** Both ends of something, as the direction says. */
function directed(direction: Direction, source: Test, destination: Test): Test {
  if (direction === 'src') return source
  if (direction === 'dst') return destination
  return direction === 'src or dst' ? any(source, destination) : all(source, destination)
}

/** The words of an IPv6 address with a prefix length of 0…128. Throws PacketFormatError. */
export function ipv6Address(text: string, bits: number): MaskedAddress {
  const bytes = parseIpv6(text)
  const words = [0, 4, 8, 12].map((at) => get32(bytes, at))
  return { words, masks: [0, 32, 64, 96].map((first) => maskOf(Math.min(32, Math.max(0, bits - first)))) }
}

/** The mask of 0…32 leading bits. */
export const maskOf = (bits: number): number => (bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0)

/** Makes tests; knows what `vlan`, `pppoes` and `mpls` have stepped over. */
export class Primitives {
  #shift = 0
  #inPpp = false
  #labels = 0

  get #network(): number {
    return NETWORK_AT + this.#shift
  }

  /** True behind `mpls`, where no type stands: what a label carries is IPv4 or IPv6, by its first bits. */
  get isLabelled(): boolean {
    return this.#labels > 0
  }

  /** Behind `mpls`: of IPv4 and IPv6 only. */
  etherType(type: number): Test {
    if (this.isLabelled) {
      const isLast = compare(arithmetic(load(this.#network - 2, 1), '&', number(1)), '!=', 0)
      const version = compare(arithmetic(load(this.#network, 1), '&', number(0xf0)), '=', type === ETHERTYPE_IPV4 ? 0x40 : 0x60)
      return all(isLast, version)
    }
    if (this.#inPpp) return this.#type(type === ETHERTYPE_IPV4 ? PPP_IPV4 : type === ETHERTYPE_IPV6 ? PPP_IPV6 : type)
    return this.#type(type)
  }

  #type(type: number): Test {
    return compare(load(ETHER_TYPE_AT + this.#shift, 2), '=', type)
  }

  get ipv4(): Test {
    return this.etherType(ETHERTYPE_IPV4)
  }

  get ipv6(): Test {
    return this.etherType(ETHERTYPE_IPV6)
  }

  /** `ip proto`. */
  protocol4(protocol: number): Test {
    return all(this.ipv4, compare(load(this.#network + 9, 1), '=', protocol))
  }

  /** `ip6 proto`: the next header, or that of a fragment. */
  protocol6(protocol: number): Test {
    const next = load(this.#network + 6, 1)
    const inFragment = all(compare(next, '=', PROTOCOL_FRAGMENT), compare(load(this.#network + IPV6_HEADER, 1), '=', protocol))
    return all(this.ipv6, any(inFragment, compare(next, '=', protocol)))
  }

  /** A tag, of this VLAN if one is given; moves what follows. */
  vlan(id: number | undefined): Test {
    const tagged = any(...TAG_TYPES.map((type) => this.etherType(type)))
    const own = id === undefined ? tagged : all(tagged, compare(arithmetic(load(this.#network, 2), '&', number(0xfff)), '=', id))
    this.#shift += TAG_BYTES
    return own
  }

  get pppoeDiscovery(): Test {
    return this.etherType(ETHERTYPE_PPPOE_DISCOVERY)
  }

  /** A PPPoE session, of this id if one is given; moves what follows. */
  pppoeSession(id: number | undefined): Test {
    const session = this.etherType(ETHERTYPE_PPPOE_SESSION)
    const own = id === undefined ? session : all(session, compare(load(this.#network + 2, 2), '=', id))
    this.#shift += PPPOE_BYTES
    this.#inPpp = true
    return own
  }

  /** A label of MPLS, with this number if one is given; moves what follows. */
  mpls(label: number | undefined): Test {
    const labelled = this.isLabelled
      ? compare(arithmetic(load(this.#network - 2, 1), '&', number(1)), '=', 0)
      : this.etherType(ETHERTYPE_MPLS)
    const own =
      label === undefined ? labelled : all(labelled, compare(arithmetic(load(this.#network, 4), '>>', number(12)), '=', label))
    this.#shift += LABEL_BYTES
    this.#labels++
    return own
  }

  /** IEEE 802.2: a length stands where other frames have their type. */
  get llc(): Test {
    return all(this.#hasLength(), compare(load(this.#network, 2), '!=', 0xffff))
  }

  get spanningTree(): Test {
    return all(this.#hasLength(), compare(load(this.#network, 1), '=', SPANNING_TREE_SAP))
  }

  #hasLength(): Test {
    return compare(load(ETHER_TYPE_AT + this.#shift, 2), '<=', LENGTH_MAX)
  }

  mac(direction: Direction, octets: Uint8Array): Test {
    const at = (offset: number): Test =>
      all(compare(load(offset + 2, 4), '=', get32(octets, 2)), compare(load(offset, 2), '=', (octets[0]! << 8) | octets[1]!))
    return directed(direction, at(6), at(0))
  }

  #masked(address: MaskedAddress, at: number): Test {
    return all(...address.words.map((word, i) => masked(this.#network + at + i * 4, word, address.masks[i]!)))
  }

  /** An IPv4 address in `ip`, `arp` or `rarp` packets. */
  host4(direction: Direction, address: MaskedAddress, of: 'ip' | 'arp' | 'rarp'): Test {
    const [source, destination] = of === 'ip' ? [12, 16] : [14, 24]
    const type = of === 'ip' ? ETHERTYPE_IPV4 : of === 'arp' ? ETHERTYPE_ARP : ETHERTYPE_RARP
    return all(this.etherType(type), directed(direction, this.#masked(address, source), this.#masked(address, destination)))
  }

  host6(direction: Direction, address: MaskedAddress): Test {
    return all(this.ipv6, directed(direction, this.#masked(address, 8), this.#masked(address, 24)))
  }

  #firstFragment(): Test {
    return compare(arithmetic(load(this.#network + 6, 2), '&', number(0x1fff)), '=', 0)
  }

  /** Where the transport header begins. */
  #transport4(): Value {
    const header = arithmetic(arithmetic(load(this.#network, 1), '&', number(15)), '*', number(4))
    return arithmetic(number(this.#network), '+', header)
  }

  /** Ports from `low` to `high`; `protocol` undefined: of TCP, UDP and SCTP. */
  ports(direction: Direction, low: number, high: number, protocol: number | undefined): Test {
    const isProtocol = (at: number): Test =>
      any(...(protocol === undefined ? PORT_PROTOCOLS : [protocol]).map((one) => compare(load(at, 1), '=', one)))
    const inside = (port: Value): Test =>
      low === high ? compare(port, '=', low) : all(compare(port, '>=', low), compare(port, '<=', high))
    const start = this.#transport4()
    const ports4 = directed(direction, inside(load(start, 2)), inside(load(arithmetic(start, '+', number(2)), 2)))
    const start6 = this.#network + IPV6_HEADER
    const ports6 = directed(direction, inside(load(start6, 2)), inside(load(start6 + 2, 2)))
    const over4 = all(this.ipv4, isProtocol(this.#network + 9), this.#firstFragment(), ports4)
    return any(over4, all(this.ipv6, isProtocol(this.#network + 6), ports6))
  }

  get etherMulticast(): Test {
    return compare(arithmetic(load(0, 1), '&', number(1)), '!=', 0)
  }

  get ipv4Multicast(): Test {
    return all(this.ipv4, compare(load(this.#network + 16, 1), '>=', 224))
  }

  get ipv6Multicast(): Test {
    return all(this.ipv6, compare(load(this.#network + 24, 1), '=', 255))
  }

  /** `ether[index:bytes]`. */
  atFrame(index: Value, bytes: 1 | 2 | 4): Value {
    return load(index, bytes)
  }

  /** `ip[index:bytes]` and the like: what has to hold stands with the caller. */
  atNetwork(index: Value, bytes: 1 | 2 | 4): Value {
    return load(arithmetic(number(this.#network), '+', index), bytes)
  }

  /** `tcp[index:bytes]`, over IPv4. */
  atTransport(index: Value, bytes: 1 | 2 | 4): Value {
    return load(arithmetic(this.#transport4(), '+', index), bytes)
  }

  /** What has to hold for `tcp[…]`. */
  transport4(protocol: number): Test {
    return all(this.protocol4(protocol), this.#firstFragment())
  }

  /** `icmp6[index:bytes]`. */
  atIcmp6(index: Value, bytes: 1 | 2 | 4): Value {
    return load(arithmetic(number(this.#network + IPV6_HEADER), '+', index), bytes)
  }

  icmp6(protocol: number): Test {
    return all(this.ipv6, compare(load(this.#network + 6, 1), '=', protocol))
  }
}
