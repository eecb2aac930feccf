// Makes flows of packets: the key of each from its header copy, its entry in the table, its counters.
//
// The rule it must not break: nothing is allocated per packet, and every packet that is metered is counted in one flow, once.
import { type Batch, PACKET_HEADER_STRIDE, PacketFlag, PROTOCOL_ICMP, PROTOCOL_ICMP6, PROTOCOL_TCP } from '../../extension.ts'
import { type FlowTable, KEY_WORDS, Key, KindBit } from './flow-table.ts'
import { ForwardingStatus } from './forwarding-status.ts'
import { Picker } from './picker.ts'
import { headerBytes, isSuperFrame, packetsOf } from './super-frame.ts'

const HEADER_STRIDE = PACKET_HEADER_STRIDE
const { ipv4: IPV4, ipv6: IPV6, dropped: DROPPED } = PacketFlag
const IS_TAGGED = PacketFlag.tagged | PacketFlag.vlanOutOfBand
const { tagged: KEY_TAGGED, ipv6: KEY_IPV6, egress: KEY_EGRESS } = KindBit
const { forwarded: FORWARDED } = ForwardingStatus
const { ports: PORTS, kind: KIND, transport: TRANSPORT, macs: MACS, source: SOURCE, destination: DESTINATION } = Key
const ICMP = PROTOCOL_ICMP
const ICMP6 = PROTOCOL_ICMP6
const TCP = PROTOCOL_TCP
const IPV4_HEADER = 20
const IPV6_HEADER = 40
const TCP_FLAGS = 13
const HALVES = HEADER_STRIDE / 2

export interface FlowMeterComponents {
  readonly table: FlowTable
  /** Forwarding status for the number of a drop reason. */
  readonly statusOf: (reason: number) => number
  /** Sends what is known of a flow and takes it out: the table is full. */
  readonly evict: (entry: number) => void
}

/** Fields are ordinary ones: they are read per packet. */
export class FlowMeter {
  private readonly table: FlowTable
  private readonly statusOf: (reason: number) => number
  private readonly evict: (entry: number) => void
  private readonly picker: Picker
  private readonly key = new Int32Array(KEY_WORDS)
  private readonly aligned = new Uint16Array(HALVES)
  private readonly aligned8 = new Uint8Array(this.aligned.buffer)
  /** The entry of the packet before: bursts are mostly of one conversation. */
  private last = 0
  /** Packets that are no IP: they have no flow. */
  others = 0

  /** One of `sampling` packets is metered. */
  constructor(sampling: number, seed: number, { table, statusOf, evict }: FlowMeterComponents) {
    this.table = table
    this.statusOf = statusOf
    this.evict = evict
    this.picker = new Picker(sampling, seed)
  }

  /** Meters packets that are done, at the ports that they came from. */
  ingress(batch: Batch, nowMs: number): void {
    const { picker } = this
    const isAll = picker.isAll
    for (let i = 0; i < batch.length; i++) if (isAll || picker.picks()) this.packet(batch, i, false, egressPort(batch, i), nowMs)
  }

  /** Meters packets that are delivered, at each port that gets them. */
  egress(batch: Batch, nowMs: number): void {
    const { picker } = this
    const isAll = picker.isAll
    for (let i = 0; i < batch.length; i++) {
      const count = batch.destinationCount(i)
      for (let k = 0; k < count; k++)
        if (!batch.isExcluded(i, k) && (isAll || picker.picks()))
          this.packet(batch, i, true, batch.destinationPortId(i, k), nowMs)
    }
  }

  private packet(batch: Batch, i: number, isEgress: boolean, port: number, nowMs: number): void {
    const { pool } = batch
    const slot = batch.slots[i]!
    const flags = pool.flags[slot]!
    const l3 = pool.l3[slot]!
    const available = pool.headerLength[slot]! - l3
    const isIpv6 = (flags & IPV6) !== 0
    if ((flags & (IPV4 | IPV6)) === 0 || available < (isIpv6 ? IPV6_HEADER : IPV4_HEADER)) {
      this.others++
      return
    }
    const { table, key } = this
    const { header8 } = pool
    const frame = slot * HEADER_STRIDE + pool.headerOffset[slot]!
    const protocol = pool.protocol[slot]!
    const l4 = pool.l4[slot]!
    let bits: number = protocol
    if ((flags & IS_TAGGED) !== 0) bits |= KEY_TAGGED | ((pool.vlan[slot]! & 0xfff) << 8)
    if (isIpv6) bits |= KEY_IPV6
    const from = pool.sourcePort[slot]!
    key[PORTS] = isEgress ? (port << 16) | from : from << 16
    key[KIND] = isEgress ? bits | KEY_EGRESS : bits
    key[TRANSPORT] = (pool.sourceL4[slot]! << 16) | pool.destinationL4[slot]!
    if ((protocol === ICMP || protocol === ICMP6) && l4 !== 0 && l4 + 2 <= pool.headerLength[slot]!)
      key[TRANSPORT] = (header8[frame + l4]! << 8) | header8[frame + l4 + 1]!
    this.addresses(pool.header16, header8, frame, l3, isIpv6)

    const entry = table.isFlow(this.last, key) ? this.last : this.look(nowMs)

    const length = pool.length[slot]!
    const total = isIpv6 ? IPV6_HEADER + at16(header8, frame + l3 + 4) : at16(header8, frame + l3 + 2)
    // What is said of the length counts only where it is less than what is there: padding is no part of the packet.
    const inFrame = length - l3
    const isSuper = isSuperFrame(pool, slot)
    let octets = !isSuper && total > IPV4_HEADER && total < inFrame && (!isIpv6 || total > IPV6_HEADER) ? total : inFrame
    let layer2 = length
    let packets = 1
    const isTcp = protocol === TCP && l4 !== 0
    if (isSuper) {
      const headers = headerBytes(pool, slot)
      packets = packetsOf(pool, slot, headers)
      octets += (packets - 1) * (headers - l3)
      layer2 += (packets - 1) * headers
    }
    const isDropped = (flags & DROPPED) !== 0
    table.countPacket(entry, nowMs, packets, octets, layer2, isDropped)
    const was = table.state(entry)
    let state = was
    if (isTcp && l4 + TCP_FLAGS < pool.headerLength[slot]!) state |= header8[frame + l4 + TCP_FLAGS]!
    if (!isDropped) state = (state & 0xff) | (FORWARDED << 8) | (port << 16)
    else if (((was >> 8) & 0xff) !== FORWARDED) state = (state & ~0xff00) | (this.statusOf(pool.reason[slot]!) << 8)
    if (state !== was) table.setState(entry, state)
  }

  // The entry for the key, which a flow that is new gets.
  private look(nowMs: number): number {
    const { table, key } = this
    const hash = table.hash(key)
    let entry = table.find(key, hash)
    if (entry < 0) {
      if (table.count === table.capacity) this.evict(table.victim())
      entry = table.add(key, hash, nowMs)
    }
    this.last = entry
    return entry
  }

  // Addresses into the key, as halves of words in the machine's order.
  private addresses(halves: Uint16Array, bytes: Uint8Array, frame: number, l3: number, isIpv6: boolean): void {
    const { key } = this
    let half = frame >> 1
    let source = halves
    if (((frame | l3) & 1) !== 0) {
      // Where a frame stands at an odd place, or its IP header does, the bytes are moved to even ones.
      const { aligned8 } = this
      for (let at = 0; at < 12; at++) aligned8[at] = bytes[frame + at]!
      const count = isIpv6 ? IPV6_HEADER : IPV4_HEADER
      for (let at = 0; at < count; at++) aligned8[14 + at] = bytes[frame + l3 + at]!
      source = this.aligned
      half = 0
      l3 = 14
    }
    for (let word = 0; word < 3; word++) key[MACS + word] = source[half + word * 2]! | (source[half + word * 2 + 1]! << 16)
    const ip = half + (l3 >> 1)
    if (!isIpv6) {
      key[SOURCE] = source[ip + 6]! | (source[ip + 7]! << 16)
      key[DESTINATION] = source[ip + 8]! | (source[ip + 9]! << 16)
      return
    }
    for (let word = 0; word < 4; word++) {
      key[SOURCE + word] = source[ip + 4 + word * 2]! | (source[ip + 5 + word * 2]! << 16)
      key[DESTINATION + word] = source[ip + 12 + word * 2]! | (source[ip + 13 + word * 2]! << 16)
    }
  }
}

const at16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!

/** The only port that packet `i` goes to; 0 if it goes to none or to several. */
export function egressPort(batch: Batch, i: number): number {
  const count = batch.destinationCount(i)
  let found = 0
  for (let k = 0; k < count; k++) {
    if (batch.isExcluded(i, k)) continue
    if (found !== 0) return 0
    found = batch.destinationPortId(i, k)
  }
  return found
}
