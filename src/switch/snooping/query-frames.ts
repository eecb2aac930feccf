// The frames of the built-in querier: IGMPv3 and MLDv2 queries, which hosts of older versions understand as well (RFC 3376 7.2.1, RFC 3810
// 8.2.1), with Router Alert and a hop limit of 1.
import { foldSum, internetChecksum, sumBytes, transportChecksum } from '../../packet/checksum.ts'
import type { SnoopingTimers } from './querier-table.ts'

const IPV4_HEADER = 24 // with Router Alert
const IGMP_QUERY = 12
const IPV6_HEADER = 40
const HOP_BY_HOP = 8
const MLD_QUERY = 28
const FRAME_MIN = 60
const EXPONENT_BYTE = 128

/** Who asks, and how. */
export interface QuerySource {
  /** Six octets. */
  readonly mac: Uint8Array
  /** Four or sixteen octets. */
  readonly address: Uint8Array
  readonly timers: SnoopingTimers
}

/** What is asked: members of all groups, or of one. */
export interface Query {
  /** 0: without a tag. */
  readonly vlan: number
  readonly isIpv4: boolean
  /** Four or sixteen octets; undefined: all groups. */
  readonly group?: Uint8Array | undefined
}

const word = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff]

/** A value as an 8-bit code (RFC 3376 4.1.1), rounded down where it needs an exponent. */
export function encode8(value: number): number {
  if (value < EXPONENT_BYTE) return value
  const exponent = Math.min(7, Math.floor(Math.log2(value)) - 7)
  return 0x80 | (exponent << 4) | (Math.min(31, value >> (exponent + 3)) & 15)
}

/** The frame of a query. */
export function queryFrame(source: QuerySource, query: Query): Uint8Array {
  const packet = query.isIpv4 ? igmpPacket(source, query) : mldPacket(source, query)
  const to = query.isIpv4
    ? [0x01, 0, 0x5e, packet[17]! & 0x7f, packet[18]!, packet[19]!]
    : [0x33, 0x33, ...packet.subarray(36, 40)]
  const tag = query.vlan === 0 ? [] : [0x81, 0, ...word(query.vlan)]
  const type = query.isIpv4 ? 0x0800 : 0x86dd
  const frame = new Uint8Array(Math.max(FRAME_MIN, 14 + tag.length + packet.length))
  frame.set([...to, ...source.mac, ...tag, ...word(type)])
  frame.set(packet, 14 + tag.length)
  return frame
}

const responseOf = ({ timers }: QuerySource, { group }: Query): number =>
  group === undefined ? timers.responseTenths : timers.lastMemberTenths

const variables = ({ timers }: QuerySource): number[] => [Math.min(7, timers.robustness), encode8(timers.intervalSeconds), 0, 0]

function igmpPacket(source: QuerySource, query: Query): Uint8Array {
  const group = [...(query.group ?? [0, 0, 0, 0])]
  const destination = query.group === undefined ? [224, 0, 0, 1] : group
  const packet = Uint8Array.from([
    ...[0x46, 0xc0, ...word(IPV4_HEADER + IGMP_QUERY), 0, 0, 0x40, 0, 1, 2, 0, 0],
    ...source.address,
    ...destination,
    ...[0x94, 4, 0, 0],
    ...[0x11, encode8(responseOf(source, query)), 0, 0, ...group, ...variables(source)],
  ])
  packet.set(word(internetChecksum(packet, 0, IPV4_HEADER)), 10)
  packet.set(word(foldSum(sumBytes(packet, IPV4_HEADER, packet.length))), IPV4_HEADER + 2)
  return packet
}

function mldPacket(source: QuerySource, query: Query): Uint8Array {
  const group = [...(query.group ?? new Uint8Array(16))]
  const destination = query.group === undefined ? [0xff, 2, ...Array<number>(13).fill(0), 1] : group
  const packet = Uint8Array.from([
    ...[0x60, 0, 0, 0, ...word(HOP_BY_HOP + MLD_QUERY), 0, 1],
    ...source.address,
    ...destination,
    ...[58, 0, 5, 2, 0, 0, 1, 0],
    ...[130, 0, 0, 0, ...word(Math.min(0x7fff, responseOf(source, query) * 100)), 0, 0, ...group, ...variables(source)],
  ])
  const from = IPV6_HEADER + HOP_BY_HOP
  packet.set(word(transportChecksum(packet, 0, 58, from, packet.length)), from + 2)
  return packet
}
