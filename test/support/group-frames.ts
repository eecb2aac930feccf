// Frames that say something about multicast groups, and frames of groups, for tests: with right checksums, unless a test breaks them.
import { internetChecksum, transportChecksum } from '../../src/packet/checksum.ts'
import { ether, ipv4Bytes, ipv6Bytes, type Outside } from './guard-frames.ts'

export interface GroupParts extends Outside {
  readonly source?: string
  readonly ttl?: number
  /** Maximum response code of a query. */
  readonly code?: number
  /** What is wrong with it. */
  readonly breaks?: 'checksum' | 'length' | 'header'
  /** Options headers before MLD. */
  readonly extensions?: number
  /** Records that a report says it has. */
  readonly records?: number
}

/** Type, group, sources. */
export type GroupRecord = readonly [number, string, readonly string[]]

const word = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff]
const hex = (octets: readonly number[]): string => octets.map((octet) => octet.toString(16).padStart(2, '0')).join(':')

/** The MAC address of a group. */
export function groupMac(group: string): string {
  if (group.includes(':')) return hex([0x33, 0x33, ...ipv6Bytes(group).slice(12)])
  const [, b = 0, c = 0, d = 0] = ipv4Bytes(group)
  return hex([1, 0, 0x5e, b & 0x7f, c, d])
}

function ipv4Packet(parts: GroupParts, destination: string, protocol: number, message: readonly number[]): number[] {
  const { source = '10.0.0.1', ttl = 1, breaks } = parts
  const length = 24 + message.length + (breaks === 'length' ? 40 : 0)
  const packet = Uint8Array.from([
    ...[0x46, 0xc0, ...word(length), 0, 0, 0x40, 0, ttl, protocol, 0, 0],
    ...ipv4Bytes(source),
    ...ipv4Bytes(destination),
    ...[0x94, 4, 0, 0],
    ...message,
  ])
  packet.set(word(internetChecksum(packet, 0, 24) ^ (breaks === 'header' ? 1 : 0)), 10)
  return [...packet]
}

function summed(message: readonly number[], at: number, breaks?: string): number[] {
  const bytes = Uint8Array.from(message)
  bytes.set(word(internetChecksum(bytes, 0, bytes.length) ^ (breaks === 'checksum' ? 0x100 : 0)), at)
  return [...bytes]
}

/** A message of IGMPv1 or 2. */
export function igmpFrame(type: number, group: string, parts: GroupParts = {}): Buffer {
  const isQuery = type === 0x11
  const to = isQuery && group === '0.0.0.0' ? '224.0.0.1' : type === 0x17 ? '224.0.0.2' : group
  const message = summed([type, parts.code ?? 0, 0, 0, ...ipv4Bytes(group)], 2, parts.breaks)
  return ether({ ...parts, to: groupMac(to) }, 0x0800, ipv4Packet(parts, to, 2, message))
}

export function igmpV3Report(records: readonly GroupRecord[], parts: GroupParts = {}): Buffer {
  const body = records.flatMap(([type, group, sources]) => [
    ...[type, 0, ...word(sources.length), ...ipv4Bytes(group)],
    ...sources.flatMap(ipv4Bytes),
  ])
  const message = summed([0x22, 0, 0, 0, 0, 0, ...word(parts.records ?? records.length), ...body], 2, parts.breaks)
  return ether({ ...parts, to: groupMac('224.0.0.22') }, 0x0800, ipv4Packet(parts, '224.0.0.22', 2, message))
}

function ipv6Packet(parts: GroupParts, destination: string, next: number, message: readonly number[]): number[] {
  const { source = 'fe80::1', ttl = 1, breaks, extensions = 0 } = parts
  const headers = [
    ...[extensions > 0 ? 60 : next, 0, 5, 2, 0, 0, 1, 0],
    ...Array.from({ length: extensions }, (_, k) => [k + 1 < extensions ? 60 : next, 0, 1, 4, 0, 0, 0, 0]).flat(),
  ]
  const packet = Uint8Array.from([
    ...[0x60, 0, 0, 0, ...word(headers.length + message.length), 0, ttl],
    ...ipv6Bytes(source),
    ...ipv6Bytes(destination),
    ...headers,
    ...message,
  ])
  const from = 40 + headers.length
  packet.set(word(transportChecksum(packet, 0, next, from, packet.length) ^ (breaks === 'checksum' ? 0x100 : 0)), from + 2)
  return [...packet]
}

/** A message of MLDv1. */
export function mldFrame(type: number, group: string, parts: GroupParts = {}): Buffer {
  const to = type === 130 && group === '::' ? 'ff02::1' : type === 132 ? 'ff02::2' : group
  const message = [type, 0, 0, 0, ...word(parts.code ?? 0), 0, 0, ...ipv6Bytes(group)]
  return ether({ ...parts, to: groupMac(to) }, 0x86dd, ipv6Packet(parts, to, 58, message))
}

export function mldV2Report(records: readonly GroupRecord[], parts: GroupParts = {}): Buffer {
  const body = records.flatMap(([type, group, sources]) => [
    ...[type, 0, ...word(sources.length), ...ipv6Bytes(group)],
    ...sources.flatMap(ipv6Bytes),
  ])
  const message = [143, 0, 0, 0, 0, 0, ...word(parts.records ?? records.length), ...body]
  return ether({ ...parts, to: groupMac('ff02::16') }, 0x86dd, ipv6Packet(parts, 'ff02::16', 58, message))
}

/** A PIM hello of IPv4 with its hold time. */
export function pimHello(holdSeconds: number, parts: GroupParts = {}): Buffer {
  const message = summed([0x20, 0, 0, 0, 0, 1, 0, 2, ...word(holdSeconds)], 2, parts.breaks)
  return ether({ ...parts, to: groupMac('224.0.0.13') }, 0x0800, ipv4Packet(parts, '224.0.0.13', 103, message))
}

/** A frame of a group, with UDP. */
export function stream(group: string, parts: GroupParts = {}): Buffer {
  const message = [...word(5000), ...word(5001), ...word(12), 0, 0, 1, 2, 3, 4]
  const outside = { ...parts, to: groupMac(group) }
  if (!group.includes(':')) return ether(outside, 0x0800, ipv4Packet({ ttl: 16, ...parts }, group, 17, message))
  return ether(outside, 0x86dd, ipv6Packet({ ttl: 16, ...parts }, group, 17, message))
}
