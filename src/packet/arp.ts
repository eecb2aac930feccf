// ARP for IPv4 over Ethernet (RFC 826).
import { MAC_BYTES } from './addresses.ts'
import { get16, get32, put16, put32 } from './bytes.ts'
import { EtherType } from './ethernet.ts'

export const ARP_BYTES = 28
export const ArpOperation = { request: 1, reply: 2, reverseRequest: 3 } as const

export interface Arp {
  readonly operation: number
  readonly senderMac: Uint8Array
  /** Unsigned 32-bit number. */
  readonly senderIpv4: number
  readonly targetMac: Uint8Array
  readonly targetIpv4: number
}

/** Reads the packet at `at`; undefined if it is cut or not IPv4 over Ethernet. */
export function parseArp(bytes: Uint8Array, at: number, end = bytes.length): Arp | undefined {
  if (at + ARP_BYTES > end) return undefined
  if (get16(bytes, at) !== 1 || get16(bytes, at + 2) !== EtherType.ipv4 || bytes[at + 4] !== 6 || bytes[at + 5] !== 4)
    return undefined
  return {
    operation: get16(bytes, at + 6),
    senderMac: bytes.slice(at + 8, at + 8 + MAC_BYTES),
    senderIpv4: get32(bytes, at + 14),
    targetMac: bytes.slice(at + 18, at + 18 + MAC_BYTES),
    targetIpv4: get32(bytes, at + 24),
  }
}

/** Writes a packet at `at`; returns the offset behind it. */
export function writeArp(bytes: Uint8Array, at: number, arp: Arp): number {
  put16(bytes, at, 1)
  put16(bytes, at + 2, EtherType.ipv4)
  bytes[at + 4] = 6
  bytes[at + 5] = 4
  put16(bytes, at + 6, arp.operation)
  bytes.set(arp.senderMac, at + 8)
  put32(bytes, at + 14, arp.senderIpv4)
  bytes.set(arp.targetMac, at + 18)
  put32(bytes, at + 24, arp.targetIpv4)
  return at + ARP_BYTES
}
