// MAC and IP addresses and prefixes as text and as bytes. IPv6 text follows RFC 5952; IPv4-mapped addresses keep their dotted part.
//
// The rule it must not break: what `format` writes, `parse` reads back to the same bytes, and nothing else is accepted silently.
import { PacketFormatError } from './errors.ts'

export const MAC_BYTES = 6
export const IPV4_BYTES = 4
export const IPV6_BYTES = 16

/** An address prefix: the first `length` bits of `bytes` (4 or 16 of them, host bits zero). */
export interface Prefix {
  readonly family: 4 | 6
  readonly bytes: Uint8Array
  /** 0…32 or 0…128. */
  readonly length: number
}

const bad = (text: string, what: string): PacketFormatError => new PacketFormatError('bad-address', `"${text}" is not ${what}`)

/** The six octets of "02:00:5e:10:00:01" (colons or hyphens). Throws PacketFormatError. */
export function parseMac(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text))
    throw bad(text, 'a MAC address: write six octets in hexadecimal, like 02:00:5e:10:00:01')
  return Uint8Array.from(text.split(/[:-]/), (octet) => Number.parseInt(octet, 16))
}

/** The text of the six octets at `at`. */
export function formatMac(bytes: Uint8Array, at = 0): string {
  let text = ''
  for (let i = 0; i < MAC_BYTES; i++) text += `${i === 0 ? '' : ':'}${(bytes[at + i] ?? 0).toString(16).padStart(2, '0')}`
  return text
}

/** The unsigned 32-bit number of "10.0.0.1": four decimal numbers without leading zeros. Throws PacketFormatError. */
export function parseIpv4(text: string): number {
  const value = ipv4Number(text)
  if (value < 0) throw bad(text, 'an IPv4 address: write four numbers from 0 to 255, like 10.0.0.1')
  return value
}

function ipv4Number(text: string): number {
  const parts = text.split('.')
  if (parts.length !== 4) return -1
  let value = 0
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return -1
    value = value * 256 + Number(part)
  }
  return value
}

/** The text of an unsigned 32-bit number. */
export const formatIpv4 = (value: number): string =>
  `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`

/** The sixteen octets of an IPv6 address, which may end in a dotted IPv4 address. Throws PacketFormatError. */
export function parseIpv6(text: string): Uint8Array {
  const bytes = ipv6Bytes(text)
  if (!bytes) throw bad(text, 'an IPv6 address: write up to eight groups in hexadecimal, like fd00::1')
  return bytes
}

// The groups of one side of "::", or undefined if one is not a group.
function groupsOf(side: string, mayEndDotted: boolean): number[] | undefined {
  if (side === '') return []
  const parts = side.split(':')
  const groups: number[] = []
  for (const [i, part] of parts.entries()) {
    if (part.includes('.')) {
      const value = mayEndDotted && i === parts.length - 1 ? ipv4Number(part) : -1
      if (value < 0) return undefined
      groups.push(Math.floor(value / 65536), value % 65536)
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16))
    else return undefined
  }
  return groups
}

function ipv6Bytes(text: string): Uint8Array | undefined {
  const sides = text.split('::')
  if (sides.length > 2) return undefined
  const head = groupsOf(sides[0]!, sides.length === 1)
  const tail = sides.length === 2 ? groupsOf(sides[1]!, true) : []
  if (!head || !tail) return undefined
  const given = head.length + tail.length
  if (sides.length === 1 ? given !== 8 : given > 7) return undefined
  const groups = [...head, ...new Array<number>(8 - given).fill(0), ...tail]
  const bytes = new Uint8Array(IPV6_BYTES)
  for (const [i, group] of groups.entries()) {
    bytes[i * 2] = group >> 8
    bytes[i * 2 + 1] = group & 255
  }
  return bytes
}

/** True if the sixteen octets at `at` are ::ffff:0:0/96. */
export function isIpv4Mapped(bytes: Uint8Array, at = 0): boolean {
  for (let i = 0; i < 10; i++) if (bytes[at + i] !== 0) return false
  return bytes[at + 10] === 0xff && bytes[at + 11] === 0xff
}

/** The text of the sixteen octets at `at`, as RFC 5952 wants it: lower case, the longest run of zero groups shortened. */
export function formatIpv6(bytes: Uint8Array, at = 0): string {
  const group = (i: number): number => ((bytes[at + i * 2] ?? 0) << 8) | (bytes[at + i * 2 + 1] ?? 0)
  if (isIpv4Mapped(bytes, at)) return `::ffff:${formatIpv4(group(6) * 65536 + group(7))}`
  let bestAt = -1
  let bestLength = 1 // a single zero group is not shortened
  for (let i = 0; i < 8; i++) {
    let length = 0
    while (i + length < 8 && group(i + length) === 0) length++
    if (length > bestLength) {
      bestAt = i
      bestLength = length
    }
    if (length > 0) i += length - 1
  }
  const write = (from: number, to: number): string => {
    const parts: string[] = []
    for (let i = from; i < to; i++) parts.push(group(i).toString(16))
    return parts.join(':')
  }
  return bestAt < 0 ? write(0, 8) : `${write(0, bestAt)}::${write(bestAt + bestLength, 8)}`
}

/** The four octets, most significant first, of an IPv4 address. */
export const ipv4Bytes = (value: number): Uint8Array =>
  Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255)

/** A prefix like "10.0.0.0/8" or "fd00::/8"; an address alone is a prefix of full length. Throws PacketFormatError. */
export function parsePrefix(text: string): Prefix {
  const [address = '', length, ...more] = text.split('/')
  const family = address.includes(':') ? 6 : 4
  const bytes = family === 6 ? ipv6Bytes(address) : ipv4Number(address) < 0 ? undefined : ipv4Bytes(ipv4Number(address))
  const most = family === 6 ? 128 : 32
  const bits = length === undefined ? most : /^(0|[1-9]\d{0,2})$/.test(length) ? Number(length) : -1
  if (!bytes || more.length > 0 || bits < 0 || bits > most) throw bad(text, 'a prefix: write one like 10.0.0.0/8 or fd00::/8')
  const host = bytes.findIndex((octet, i) => (octet & (0xff >> Math.min(8, Math.max(0, bits - i * 8)))) !== 0)
  if (host >= 0) throw bad(text, `a prefix: bits beyond the first ${bits} are set; for one address write /${most}`)
  return { family, bytes, length: bits }
}

/** The text of a prefix. */
export const formatPrefix = (prefix: Prefix): string => {
  const { bytes, family, length } = prefix
  const address = family === 6 ? formatIpv6(bytes) : [...bytes].join('.')
  return `${address}/${length}`
}

/** True if the 4 or 16 octets at `at` are an address of the prefix's family that begins with it. `length`: how many octets the address has. */
export function isInPrefix(prefix: Prefix, address: Uint8Array, at = 0, length = address.length): boolean {
  const { bytes, length: bits } = prefix
  if (length !== bytes.length) return false
  const whole = bits >> 3
  for (let i = 0; i < whole; i++) if (address[at + i] !== bytes[i]) return false
  return (bits & 7) === 0 || ((address[at + whole]! ^ bytes[whole]!) & (0xff00 >> (bits & 7)) & 0xff) === 0
}
