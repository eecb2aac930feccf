// The DHCPv6 server (RFC 8415), as far as guests need it: one address for an association (IA_NA), resolvers and domain.
//
// The rule it must not break: as for DHCP: one address has one holder, a port its share, and what is not whole is not answered.
import { dnsNameBytes, parseMac } from '../../extension.ts'
import { type Holder, type Lease, LeaseState, type LeaseTable } from './leases.ts'
import type { DhcpDnsOptions, Ipv6Options, StaticLease } from './options.ts'

const IPV6 = 6
const OFFER_MS = 30_000
const DECLINED_MS = 300_000
const DUID_BYTES_MAX = 130

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

const Option = { client: 1, server: 2, association: 3, address: 5, status: 13, rapidCommit: 14, dns: 23, domains: 24 } as const
const Status = { success: 0, noAddresses: 2, noBinding: 3, notOnLink: 4 } as const

export interface Dhcp6Request {
  readonly type: number
  readonly transaction: number
  readonly client: Uint8Array | undefined
  readonly server: Uint8Array | undefined
  /** Numbers of the associations that it asks addresses for, and addresses that it names in the first of them. */
  readonly associations: readonly number[]
  readonly addresses: readonly Uint8Array[]
  readonly isRapid: boolean
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

/** Reads the message `bytes[from…to-1]`; undefined if it is not whole. */
export function readDhcp6(bytes: Uint8Array, from: number, to: number): Dhcp6Request | undefined {
  if (to - from < 4 || to > bytes.length) return undefined
  let client: Uint8Array | undefined
  let server: Uint8Array | undefined
  const associations: number[] = []
  const addresses: Uint8Array[] = []
  let isRapid = false
  let isWhole = true
  isWhole &&= walk(bytes, from + 4, to, (code, at, length) => {
    if (code === Option.client && length > 2 && length <= DUID_BYTES_MAX) client ??= bytes.slice(at, at + length)
    else if (code === Option.server) server ??= bytes.slice(at, at + length)
    else if (code === Option.rapidCommit) isRapid = true
    else if (code === Option.association) {
      if (length < 12 || associations.length === 16) {
        isWhole = false
        return
      }
      const isFirst = associations.length === 0
      associations.push(new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0))
      const inner = walk(bytes, at + 12, at + length, (code, place, size) => {
        if (isFirst && code === Option.address && size >= 24 && addresses.length < 8)
          addresses.push(bytes.slice(place, place + 16))
      })
      if (!inner) isWhole = false
    }
  })
  if (!isWhole) return undefined
  const transaction = (bytes[from + 1]! << 16) | (bytes[from + 2]! << 8) | bytes[from + 3]!
  return { type: bytes[from]!, transaction, client, server, associations, addresses, isRapid }
}

function hash(bytes: Uint8Array, seed: number): number {
  let value = seed
  for (const octet of bytes) value = Math.imul(value ^ octet, 0x01000193)
  return value | 0
}

const option = (code: number, value: ArrayLike<number>): number[] => [
  code >> 8,
  code & 255,
  value.length >> 8,
  value.length & 255,
  ...Array.from(value),
]
const word = (value: number): number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]
const wordsOf = (address: Uint8Array): number[] => {
  const view = new DataView(address.buffer, address.byteOffset)
  return [0, 4, 8, 12].map((at) => view.getUint32(at))
}

export class Dhcp6Server {
  readonly #options: DhcpDnsOptions
  readonly #ipv6: Ipv6Options
  readonly #leases: LeaseTable
  readonly #duid: Uint8Array
  readonly #network: readonly number[]
  readonly #reserved: readonly (readonly number[])[]

  constructor(options: DhcpDnsOptions, ipv6: Ipv6Options, leases: LeaseTable) {
    this.#options = options
    this.#ipv6 = ipv6
    this.#leases = leases
    this.#duid = Uint8Array.from([0, 3, 0, 1, ...parseMac(options.mac)])
    this.#network = wordsOf(ipv6.prefix.bytes)
    this.#reserved = [ipv6.address, ...options.statics.flatMap(({ address6 }) => address6 ?? [])].map(wordsOf)
  }

  /** The answer to a message from a port, or undefined. */
  answer(request: Dhcp6Request, port: number, fixed: StaticLease | undefined, nowMs: number): Uint8Array | undefined {
    const { type, client, server } = request
    const isOurs =
      server !== undefined && server.length === this.#duid.length && server.every((octet, i) => octet === this.#duid[i])
    if (type === Dhcp6Type.information)
      return server === undefined || isOurs ? this.#write(request, Dhcp6Type.reply, []) : undefined
    if (this.#ipv6.mode !== 'stateful' || !client) return undefined
    const isToAll = type === Dhcp6Type.solicit || type === Dhcp6Type.confirm || type === Dhcp6Type.rebind
    if (isToAll ? server !== undefined : !isOurs) return undefined // RFC 8415, section 16
    return this.#leases.locked(() => this.#answer(request, client, port, fixed, nowMs))
  }

  #answer(
    request: Dhcp6Request,
    client: Uint8Array,
    port: number,
    fixed: StaticLease | undefined,
    nowMs: number,
  ): Uint8Array | undefined {
    const [association] = request.associations
    const holder: Holder = { port, client: [hash(client, 0x811c9dc5), hash(client, 0x2545f491), association ?? 0] }
    const leases = this.#leases
    const known = leases.find(holder, IPV6)
    switch (request.type) {
      case Dhcp6Type.solicit: {
        const isRapid = request.isRapid
        const lease = association === undefined ? undefined : this.#give(known, holder, fixed, isRapid, nowMs)
        return this.#write(request, isRapid ? Dhcp6Type.reply : Dhcp6Type.advertise, this.#associations(request, lease), isRapid)
      }
      case Dhcp6Type.request: {
        const lease = association === undefined ? undefined : this.#give(known, holder, fixed, true, nowMs)
        return this.#write(request, Dhcp6Type.reply, this.#associations(request, lease))
      }
      case Dhcp6Type.renew:
      case Dhcp6Type.rebind: {
        if (known < 0)
          return request.type === Dhcp6Type.rebind
            ? undefined
            : this.#write(request, Dhcp6Type.reply, this.#associations(request, undefined, Status.noBinding))
        return this.#write(request, Dhcp6Type.reply, this.#associations(request, this.#give(known, holder, fixed, true, nowMs)))
      }
      case Dhcp6Type.confirm: {
        if (request.addresses.length === 0) return undefined
        const isOnLink = request.addresses.every((address) => this.#isOfNetwork(wordsOf(address)))
        return this.#write(request, Dhcp6Type.reply, option(Option.status, [0, isOnLink ? Status.success : Status.notOnLink]))
      }
      case Dhcp6Type.release:
        if (this.#names(request, known)) leases.free(known)
        return this.#write(request, Dhcp6Type.reply, option(Option.status, [0, Status.success]))
      case Dhcp6Type.decline:
        if (this.#names(request, known))
          leases.write(known, LeaseState.declined, holder, IPV6, leases.last(known).address, nowMs, DECLINED_MS, '')
        return this.#write(request, Dhcp6Type.reply, option(Option.status, [0, Status.success]))
      default:
        return undefined
    }
  }

  // Whether the request names the address of a known lease.
  #names({ addresses }: Dhcp6Request, known: number): boolean {
    if (known < 0) return false
    const { address } = this.#leases.last(known)
    return addresses.some((one) => wordsOf(one).every((value, k) => value === address[k]))
  }

  #isOfNetwork(address: readonly number[]): boolean {
    const { length } = this.#ipv6.prefix
    return address.every((value, k) => {
      const bits = Math.min(32, Math.max(0, length - k * 32))
      return bits === 0 || (value ^ this.#network[k]!) >>> (32 - bits) === 0
    })
  }

  #give(known: number, holder: Holder, fixed: StaticLease | undefined, isBound: boolean, nowMs: number): Lease | undefined {
    const leases = this.#leases
    const address = this.#choose(known, holder, fixed, nowMs)
    if (!address) return undefined
    const record = leases.placeFor(known, holder.port, nowMs)
    if (record < 0) return undefined
    const present = leases.read(record, nowMs)
    if (!isBound && present?.state === LeaseState.bound) return present // a solicitation takes nothing away
    const livesMs = isBound ? this.#options.leaseSeconds * 1000 : OFFER_MS
    leases.write(
      record,
      isBound ? LeaseState.bound : LeaseState.offered,
      holder,
      IPV6,
      address,
      nowMs,
      livesMs,
      fixed?.name ?? '',
    )
    return leases.last(record)
  }

  #choose(known: number, { client }: Holder, fixed: StaticLease | undefined, nowMs: number): readonly number[] | undefined {
    const leases = this.#leases
    const isFree = (address: readonly number[]): boolean => !leases.isTaken(address, IPV6, nowMs, known)
    if (fixed?.address6) {
      const address = wordsOf(fixed.address6)
      return isFree(address) ? address : undefined
    }
    if (known >= 0 && isFree(leases.last(known).address)) return leases.last(known).address
    const { pool } = this.#ipv6
    if (!pool) return undefined
    const taken = leases.taken(IPV6, nowMs) // by the last word: an address of another network only costs one of the pool
    const size = pool[1] - pool[0] + 1
    const start = (client[0] >>> 0) % size
    const [high, second, third] = this.#network
    for (let k = 0; k < size; k++) {
      const low = pool[0] + ((start + k) % size)
      const address = [high!, second!, third!, low]
      if (!taken.has(low) && !this.#reserved.some((one) => one.every((value, n) => value === address[n]))) return address
    }
    return undefined
  }

  // One IA_NA for each that was asked for: the first has the address, the others have none.
  #associations(request: Dhcp6Request, lease: Lease | undefined, without: number = Status.noAddresses): number[] {
    const { leaseSeconds } = this.#options
    return request.associations.flatMap((association, i) => {
      const times = [...word(Math.floor(leaseSeconds / 2)), ...word(Math.floor((leaseSeconds * 4) / 5))]
      const given = i === 0 && lease ? lease : undefined
      const content = given
        ? option(Option.address, [...given.address.flatMap(word), ...word(leaseSeconds), ...word(leaseSeconds)])
        : option(Option.status, [0, without])
      return option(Option.association, [...word(association), ...times, ...content])
    })
  }

  #write(request: Dhcp6Request, type: number, content: readonly number[], isRapid = false): Uint8Array {
    const { dns } = this.#ipv6
    return Uint8Array.from([
      type,
      request.transaction >> 16,
      (request.transaction >> 8) & 255,
      request.transaction & 255,
      ...(request.client ? option(Option.client, request.client) : []),
      ...option(Option.server, this.#duid),
      ...content,
      ...(isRapid ? option(Option.rapidCommit, []) : []),
      ...(dns.length === 0
        ? []
        : option(
            Option.dns,
            dns.flatMap((address) => Array.from(address)),
          )),
      ...option(Option.domains, dnsNameBytes(this.#options.domain)),
    ])
  }
}
