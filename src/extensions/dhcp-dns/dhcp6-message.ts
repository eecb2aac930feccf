// DHCPv6 messages of clients on the wire (RFC 8415), as far as the server needs them.
//
// The rule it must not break: a message comes from a stranger: what is not whole is not read.
import { readDnsName } from '../../extension.ts'

const DUID_BYTES_MAX = 130
/** Names begin behind the header of a message, for those who read them. */
const DNS_HEADER_BYTES = 12

export const Dhcp6Type = {
  solicit: 1,
  advertise: 2,
  request: 3,
  confirm: 4,
  renew: 5,
  rebind: 6,
  reply: 7,
  release: 8,
  decline: 9,
  information: 11,
} as const

/** Numbers of options. */
export const Dhcp6Option = {
  client: 1,
  server: 2,
  association: 3,
  address: 5,
  preference: 7,
  status: 13,
  rapidCommit: 14,
  dns: 23,
  domains: 24,
  prefixes: 25,
  fullName: 39,
} as const
const ASSOCIATIONS_MAX = 16

export interface Dhcp6Request {
  readonly type: number
  readonly transaction: number
  readonly client: Uint8Array | undefined
  readonly server: Uint8Array | undefined
  /** Numbers of the associations that it asks addresses for, and addresses that it names in the first of them. */
  readonly associations: readonly number[]
  readonly addresses: readonly Uint8Array[]
  /** Numbers of the associations that it asks prefixes for. */
  readonly prefixes: readonly number[]
  readonly isRapid: boolean
  /** What it calls itself (RFC 4704); '' if nothing. */
  readonly hostName: string
}

// Calls `each` with the options between two offsets; false if they do not end where they should.
function walk(bytes: Uint8Array, from: number, to: number, each: (code: number, at: number, length: number) => void): boolean {
  let at = from
  while (at < to) {
    if (at + 4 > to) return false
    const length = (bytes[at + 2]! << 8) | bytes[at + 3]!
    if (at + 4 + length > to) return false
    each((bytes[at]! << 8) | bytes[at + 1]!, at + 4, length)
    at += 4 + length
  }
  return true
}

// A name may end without the root: then it is the first part of one.
function nameIn(bytes: Uint8Array, from: number, to: number): string {
  const ended = Uint8Array.from([...new Array<number>(DNS_HEADER_BYTES).fill(0), ...bytes.subarray(from, to), 0])
  return readDnsName(ended, DNS_HEADER_BYTES, 0, ended.length)?.name ?? ''
}

/** Reads the message `bytes[from…to-1]`; undefined if it is not whole. */
export function readDhcp6(bytes: Uint8Array, from: number, to: number): Dhcp6Request | undefined {
  if (to - from < 4 || to > bytes.length) return undefined
  let client: Uint8Array | undefined
  let server: Uint8Array | undefined
  const associations: number[] = []
  const addresses: Uint8Array[] = []
  const prefixes: number[] = []
  let isRapid = false
  let hostName = ''
  let isWhole = true
  isWhole &&= walk(bytes, from + 4, to, (code, at, length) => {
    if (code === Dhcp6Option.client && length > 2 && length <= DUID_BYTES_MAX) client ??= bytes.slice(at, at + length)
    else if (code === Dhcp6Option.server) server ??= bytes.slice(at, at + length)
    else if (code === Dhcp6Option.rapidCommit) isRapid = true
    else if (code === Dhcp6Option.fullName && length > 1) hostName = nameIn(bytes, at + 1, at + length)
    else if (code === Dhcp6Option.prefixes) {
      if (length < 12 || prefixes.length === ASSOCIATIONS_MAX) isWhole = false
      else prefixes.push(new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0))
    } else if (code === Dhcp6Option.association) {
      if (length < 12 || associations.length === ASSOCIATIONS_MAX) {
        isWhole = false
        return
      }
      const isFirst = associations.length === 0
      associations.push(new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0))
      const inner = walk(bytes, at + 12, at + length, (code, place, size) => {
        if (isFirst && code === Dhcp6Option.address && size >= 24 && addresses.length < 8)
          addresses.push(bytes.slice(place, place + 16))
      })
      if (!inner) isWhole = false
    }
  })
  if (!isWhole) return undefined
  const transaction = (bytes[from + 1]! << 16) | (bytes[from + 2]! << 8) | bytes[from + 3]!
  return { type: bytes[from]!, transaction, client, server, associations, addresses, prefixes, isRapid, hostName }
}
