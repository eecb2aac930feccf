// What a packet is to the firewall: the flow that it belongs to, as seen from the VM: its own address is local, the other side is remote.
//
// The rule it must not break: reading allocates nothing, and a flow has one key in both directions, told apart from those of other
// protocols, families and kinds.
import { type Batch, PACKET_HEADER_STRIDE, PacketFlag } from '../../extension.ts'
import { fragmentId, Headers, hasPorts, judgeHeaders } from './headers.ts'

/** Words of a key: kind, family and protocol; ports, local above; local address; remote address. IPv4 is in an address's last word. */
export const FLOW_WORDS = 10
const WHAT = 0
const PORTS = 1
const LOCAL = 2
const REMOTE = 6
const KIND_FRAGMENT = 1 << 16
/** Of ICMP a key has the type too, and whether the VM asks. */
const ICMP_TYPE_SHIFT = 18
const ICMP_FROM_VM = 1 << 26

const TCP = 6
export const ICMP = 1
const ICMP6 = 58
const ICMP_HEADER = 8
const IPV4_HEADER = 20
const IPV6_HEADER = 40
const PORTS_BYTES = 4
const TCP_FLAGS = 13
const HEADER_STRIDE = PACKET_HEADER_STRIDE
const { ipv4: IPV4, ipv6: IPV6 } = PacketFlag
const KIND_FLAGS = IPV4 | IPV6 | PacketFlag.fragment
const FIN_OR_RST = 5
const SYN = 2
const SYN_OR_ACK = 18
const FRAGMENT_HEADER = 44

export const FlowKind = { whole: 0, laterFragment: 1, unreadable: 2, icmpError: 3 } as const

const word = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!

const isError = (family: number, type: number): boolean =>
  family === 4 ? type === 3 || type === 11 || type === 12 : type >= 1 && type <= 4

/** Types of answers, and those of the questions to them. */
const answersIpv4: Readonly<Record<number, number>> = { 0: 8, 14: 13, 16: 15, 18: 17 }
const answersIpv6: Readonly<Record<number, number>> = { 129: 128, 140: 139 }

/**
 * What a key says of ICMP: questions have one with the answers to them, and another one than questions the other way round; all else is known in
 * its own direction only.
 */
function icmpKey(family: number, type: number, outbound: boolean): number {
  const question = (family === 4 ? answersIpv4 : answersIpv6)[type]
  const fromVm = question === undefined ? outbound : !outbound
  return ((question ?? type) << ICMP_TYPE_SHIFT) | (fromVm ? ICMP_FROM_VM : 0)
}

const isEcho = (family: number, type: number): boolean => (family === 4 ? type === 8 || type === 0 : type === 128 || type === 129)

/** The flow of the packet that was read last. Fields are ordinary ones: they are read per packet. */
export class Flow {
  kind: number = FlowKind.whole
  family = 4
  /** IP protocol; ICMPv6 counts as ICMP. */
  protocol = 0
  /** Port that the packet goes to, 0 for none. */
  destinationPort = 0
  sourcePort = 0
  icmpType = 0
  /** It ends a TCP connection. */
  isEnd = false
  /** It begins one: its answer would be another packet. */
  isBegin = false
  isFragment = false
  readonly local = new Int32Array(4)
  readonly remote = new Int32Array(4)
  private localPort = 0
  private remotePort = 0
  private icmp = 0
  private l3 = 0
  private l4 = 0
  private outbound = false

  /** Reads IP packet `i`; `outbound`: it comes from the VM. */
  read(batch: Batch, i: number, outbound: boolean): void {
    const l3 = batch.networkOffset(i)
    const l4 = batch.transportOffset(i)
    const found = batch.protocol(i)
    const headers = judgeHeaders(batch, i)
    this.l3 = l3
    this.l4 = l4
    this.outbound = outbound
    this.family = batch.isIpv4(i) ? 4 : 6
    this.protocol = this.family === 6 && found === ICMP6 ? ICMP : found
    this.isFragment = batch.isFragment(i)
    this.addresses(batch, i, l3, outbound)
    this.sourcePort = 0
    this.destinationPort = 0
    this.localPort = 0
    this.remotePort = 0
    this.icmpType = 0
    this.icmp = 0
    this.isEnd = false
    this.isBegin = false
    if (headers !== Headers.readable) {
      this.kind = headers === Headers.laterFragment ? FlowKind.laterFragment : FlowKind.unreadable
      return
    }
    this.kind = FlowKind.whole
    if (hasPorts(found)) {
      this.sourcePort = batch.sourcePort(i)
      this.destinationPort = batch.destinationPort(i)
      this.setPorts(outbound)
      if (found === TCP) {
        const flags = batch.u8(i, l4 + 13)
        this.isEnd = (flags & FIN_OR_RST) !== 0
        this.isBegin = (flags & SYN_OR_ACK) === SYN
      }
    } else if (this.protocol === ICMP) this.readIcmp(batch, i, l4)
  }

  /** Nothing stands between its IP header and its transport header, which alone says what it is. */
  get isPlain(): boolean {
    return this.l4 - this.l3 === (this.family === 4 ? IPV4_HEADER : IPV6_HEADER)
  }

  /**
   * True if packet `i`, going the same way, is of the plain TCP or UDP flow that was read last, and ends it no more than that did: what was
   * decided for one is right for the other. It reads the pool's arrays: of a burst most packets end here.
   */
  isSame(batch: Batch, i: number): boolean {
    const { l3, l4, family, outbound } = this
    const { pool } = batch
    const slot = batch.slots[i]!
    if (pool.protocol[slot] !== this.protocol || pool.l4[slot] !== l4 || pool.l3[slot] !== l3) return false
    if (pool.sourceL4[slot] !== this.sourcePort || pool.destinationL4[slot] !== this.destinationPort) return false
    if ((pool.flags[slot]! & KIND_FLAGS) !== (family === 4 ? IPV4 : IPV6)) return false
    const { header8 } = pool
    const frame = slot * HEADER_STRIDE + pool.headerOffset[slot]!
    if (
      this.protocol === TCP &&
      (l4 + TCP_FLAGS >= pool.headerLength[slot]! || (header8[frame + l4 + TCP_FLAGS]! & FIN_OR_RST) !== 0)
    )
      return false
    const ip = frame + l3
    const source = outbound ? this.local : this.remote
    const destination = outbound ? this.remote : this.local
    if (family === 4) {
      if (l4 + PORTS_BYTES > l3 + ((header8[ip + 2]! << 8) | header8[ip + 3]!)) return false
      return word(header8, ip + 12) === source[3] && word(header8, ip + 16) === destination[3]
    }
    if (l4 + PORTS_BYTES > l3 + IPV6_HEADER + ((header8[ip + 4]! << 8) | header8[ip + 5]!)) return false
    for (let k = 0; k < 4; k++)
      if (word(header8, ip + 8 + k * 4) !== source[k] || word(header8, ip + 24 + k * 4) !== destination[k]) return false
    return true
  }

  private setPorts(outbound: boolean): void {
    this.localPort = outbound ? this.sourcePort : this.destinationPort
    this.remotePort = outbound ? this.destinationPort : this.sourcePort
  }

  private addresses(batch: Batch, i: number, l3: number, outbound: boolean): void {
    this.address(outbound ? this.local : this.remote, batch, i, l3, false)
    this.address(outbound ? this.remote : this.local, batch, i, l3, true)
  }

  private address(into: Int32Array, batch: Batch, i: number, l3: number, isDestination: boolean): void {
    if (this.family === 4) {
      into[0] = 0
      into[1] = 0
      into[2] = 0
      into[3] = batch.u32(i, l3 + (isDestination ? 16 : 12))
      return
    }
    const at = l3 + (isDestination ? 24 : 8)
    for (let k = 0; k < 4; k++) into[k] = batch.u32(i, at + k * 4)
  }

  private readIcmp(batch: Batch, i: number, l4: number): void {
    const type = batch.u8(i, l4)
    this.icmpType = type
    this.icmp = icmpKey(this.family, type, this.outbound)
    if (isEcho(this.family, type)) {
      this.localPort = batch.u16(i, l4 + 4)
      this.remotePort = this.localPort
    } else if (isError(this.family, type)) this.kind = FlowKind.icmpError
  }

  /** The packet comes from no address. */
  get hasNoSource(): boolean {
    const source = this.outbound ? this.local : this.remote
    return (source[0]! | source[1]! | source[2]! | source[3]!) === 0
  }

  /** Writes the key of the flow. */
  write(key: Int32Array): void {
    key[WHAT] = (this.family << 8) | this.protocol | this.icmp
    key[PORTS] = (this.localPort << 16) | this.remotePort
    this.writeAddresses(key)
  }

  /** Writes the key that the fragments of the packet's datagram have in common. */
  writeFragment(key: Int32Array, batch: Batch, i: number, outbound: boolean): void {
    // Each direction counts for itself: who sees a fragment knows its identification.
    key[WHAT] = (this.family << 8) | this.protocol | KIND_FRAGMENT | (outbound ? 1 << 17 : 0)
    key[PORTS] = fragmentId(batch, i)
    this.writeAddresses(key)
  }

  private writeAddresses(key: Int32Array): void {
    for (let k = 0; k < 4; k++) {
      key[LOCAL + k] = this.local[k]!
      key[REMOTE + k] = this.remote[k]!
    }
  }

  /**
   * Writes the key of the flow that an ICMP error tells of; false if it can't be read. What a VM sends has to go to the one whose packet
   * it tells of.
   */
  writeInner(key: Int32Array, batch: Batch, i: number, outbound: boolean): boolean {
    const at = batch.transportOffset(i) + ICMP_HEADER
    const { family } = this
    const header = family === 4 ? (batch.u8(i, at) & 15) * 4 : IPV6_HEADER
    if (batch.u8(i, at) >> 4 !== family || header < 20 || at + header + 8 > batch.headerLength(i)) return false
    const inner = batch.u8(i, at + (family === 4 ? 9 : 6))
    if (family === 6 && inner === FRAGMENT_HEADER) return false
    if (family === 4 && (batch.u16(i, at + 6) & 0x1fff) !== 0) return false
    const words = family === 4 ? 1 : 4
    const sourceAt = at + (family === 4 ? 12 : 8)
    const destinationAt = sourceAt + words * 4
    const localAt = outbound ? destinationAt : sourceAt
    const remoteAt = outbound ? sourceAt : destinationAt
    for (let k = 0; k < 4; k++) {
      const isUsed = k >= 4 - words
      key[LOCAL + k] = isUsed ? batch.u32(i, localAt + (k - 4 + words) * 4) : 0
      key[REMOTE + k] = isUsed ? batch.u32(i, remoteAt + (k - 4 + words) * 4) : 0
      if (outbound && key[REMOTE + k] !== this.remote[k]) return false
      if (key[LOCAL + k] !== this.local[k]) return false
    }
    const transport = at + header
    const isIcmp = inner === (family === 4 ? ICMP : ICMP6)
    const type = isIcmp ? batch.u8(i, transport) : 0
    key[WHAT] = (family << 8) | (isIcmp ? ICMP | icmpKey(family, type, !outbound) : inner)
    if (hasPorts(inner)) {
      const source = batch.u16(i, transport)
      const destination = batch.u16(i, transport + 2)
      key[PORTS] = outbound ? (destination << 16) | source : (source << 16) | destination
    } else if (isIcmp && isEcho(family, type)) key[PORTS] = (batch.u16(i, transport + 4) << 16) | batch.u16(i, transport + 4)
    else key[PORTS] = 0
    return true
  }

  /** The octets of an address of the packet. Allocates: for what is new or told. */
  octets(words: Int32Array): Uint8Array {
    const bytes = new Uint8Array(this.family === 4 ? 4 : 16)
    for (let k = 0; k < bytes.length; k++) {
      const word = words[this.family === 4 ? 3 : k >> 2]!
      bytes[k] = word >>> (24 - (k & 3) * 8)
    }
    return bytes
  }
}
