// The DHCPv6 server (RFC 8415), as far as guests need it: one address for an association (IA_NA), resolvers and domain.
//
// The rule it must not break: as for DHCP: one address has one holder, a port its share, and what is not whole is not answered.
import { dnsNameBytes, parseMac } from '../../extension.ts'
import { Dhcp6Option, type Dhcp6Request, Dhcp6Type } from './dhcp6-message.ts'
import type { LabNames } from './lab-names.ts'
import { type Holder, type Lease, LeaseState, type LeaseTable } from './leases.ts'
import type { Ipv6Options, LabNetwork } from './network-options.ts'
import type { DhcpDnsOptions, StaticLease } from './options.ts'
import type { Shortage } from './shortage.ts'

const IPV6 = 6
const OFFER_MS = 30_000
const DECLINED_MS = 300_000
const Status = { success: 0, noAddresses: 2, noBinding: 3, notOnLink: 4, noPrefixes: 6 } as const
/** A client that hears it waits for no other server. */
const PREFERENCE_MAX = 255

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

const isSame = (one: readonly number[], other: readonly number[]): boolean => one.every((value, k) => value === other[k])

export interface Dhcp6ServerComponents {
  readonly leases: LeaseTable
  readonly names: LabNames
  readonly shortage: Shortage
}

export class Dhcp6Server {
  readonly #options: DhcpDnsOptions
  readonly #vlan: number
  readonly #ipv6: Ipv6Options
  readonly #leases: LeaseTable
  readonly #labNames: LabNames
  readonly #shortage: Shortage
  readonly #duid: Uint8Array
  readonly #network: readonly number[]
  readonly #reserved: readonly (readonly number[])[]

  constructor(options: DhcpDnsOptions, network: LabNetwork, ipv6: Ipv6Options, components: Dhcp6ServerComponents) {
    this.#options = options
    this.#vlan = network.vlan ?? 0
    this.#ipv6 = ipv6
    this.#leases = components.leases
    this.#labNames = components.names
    this.#shortage = components.shortage
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
    const holder: Holder = { port, client: [hash(client, 0x811c9dc5 ^ this.#vlan), hash(client, 0x2545f491), association ?? 0] }
    const leases = this.#leases
    const known = leases.find(holder, IPV6)
    switch (request.type) {
      case Dhcp6Type.solicit: {
        const isRapid = request.isRapid
        const lease = association === undefined ? undefined : this.#give(known, request, holder, fixed, isRapid, nowMs)
        const given = [
          ...this.#associations(request, lease),
          ...(isRapid ? [] : option(Dhcp6Option.preference, [PREFERENCE_MAX])),
        ]
        return this.#write(request, isRapid ? Dhcp6Type.reply : Dhcp6Type.advertise, given, isRapid)
      }
      case Dhcp6Type.request: {
        const lease = association === undefined ? undefined : this.#give(known, request, holder, fixed, true, nowMs)
        return this.#write(request, Dhcp6Type.reply, this.#associations(request, lease))
      }
      case Dhcp6Type.renew:
      case Dhcp6Type.rebind: {
        if (known < 0 && !this.#mayHave(request, port, fixed, nowMs))
          return request.type === Dhcp6Type.rebind
            ? undefined
            : this.#write(request, Dhcp6Type.reply, this.#associations(request, undefined, Status.noBinding))
        return this.#write(
          request,
          Dhcp6Type.reply,
          this.#associations(request, this.#give(known, request, holder, fixed, true, nowMs)),
        )
      }
      case Dhcp6Type.confirm: {
        if (request.addresses.length === 0) return undefined
        const isOnLink = request.addresses.every((address) => this.#isOfNetwork(wordsOf(address)))
        return this.#write(
          request,
          Dhcp6Type.reply,
          option(Dhcp6Option.status, [0, isOnLink ? Status.success : Status.notOnLink]),
        )
      }
      case Dhcp6Type.release:
        if (this.#names(request, known)) leases.free(known)
        return this.#write(request, Dhcp6Type.reply, option(Dhcp6Option.status, [0, Status.success]))
      case Dhcp6Type.decline:
        if (this.#names(request, known))
          leases.write(known, LeaseState.declined, holder, IPV6, leases.last(known).address, nowMs, DECLINED_MS, '')
        return this.#write(request, Dhcp6Type.reply, option(Dhcp6Option.status, [0, Status.success]))
      default:
        return undefined
    }
  }

  // Whether the request names the address of a known lease.
  #names({ addresses }: Dhcp6Request, known: number): boolean {
    if (known < 0) return false
    const { address } = this.#leases.last(known)
    return addresses.some((one) => isSame(wordsOf(one), address))
  }

  #isOfNetwork(address: readonly number[]): boolean {
    const { length } = this.#ipv6.prefix
    return address.every((value, k) => {
      const bits = Math.min(32, Math.max(0, length - k * 32))
      return bits === 0 || (value ^ this.#network[k]!) >>> (32 - bits) === 0
    })
  }

  // Whether a client that is not known may go on with the first address that it names: nobody else has it, and it is one to give.
  #mayHave({ addresses }: Dhcp6Request, port: number, fixed: StaticLease | undefined, nowMs: number): boolean {
    const [first] = addresses
    const wanted = first && wordsOf(first)
    if (!wanted || this.#leases.isTaken(wanted, IPV6, nowMs, port)) return false
    return fixed?.address6 ? isSame(wordsOf(fixed.address6), wanted) : this.#isOfPool(wanted)
  }

  #isOfPool(address: readonly number[]): boolean {
    const { pool } = this.#ipv6
    const [high, second, third] = this.#network
    const low = address[3]!
    return (
      pool !== undefined &&
      low >= pool[0] &&
      low <= pool[1] &&
      isSame(address, [high!, second!, third!, low]) &&
      !this.#reserved.some((one) => isSame(one, address))
    )
  }

  #give(
    known: number,
    request: Dhcp6Request,
    holder: Holder,
    fixed: StaticLease | undefined,
    isBound: boolean,
    nowMs: number,
  ): Lease | undefined {
    const leases = this.#leases
    const address = this.#choose(known, request, holder, fixed, nowMs)
    if (!address) return undefined
    const record = leases.placeFor(known, holder.port, nowMs)
    if (record < 0) {
      this.#shortage.ofLeases(holder.port, nowMs)
      return undefined
    }
    const present = leases.read(record, nowMs)
    if (!isBound && present?.state === LeaseState.bound) return present // a solicitation takes nothing away
    if (isBound) leases.forgetLearned(address, IPV6, holder.port, nowMs)
    const livesMs = isBound ? this.#options.leaseSeconds * 1000 : OFFER_MS
    leases.write(
      record,
      isBound ? LeaseState.bound : LeaseState.offered,
      holder,
      IPV6,
      address,
      nowMs,
      livesMs,
      isBound ? (fixed?.name ?? this.#labNames.claim(holder.port, request.hostName, nowMs)) : '',
    )
    return leases.last(record)
  }

  #choose(
    known: number,
    { addresses }: Dhcp6Request,
    { client, port }: Holder,
    fixed: StaticLease | undefined,
    nowMs: number,
  ): readonly number[] | undefined {
    const leases = this.#leases
    const isFree = (address: readonly number[]): boolean => !leases.isTaken(address, IPV6, nowMs, port, known)
    if (fixed?.address6) {
      const address = wordsOf(fixed.address6)
      return isFree(address) ? address : undefined
    }
    if (known >= 0 && isFree(leases.last(known).address)) return leases.last(known).address
    const { pool } = this.#ipv6
    if (!pool) return undefined
    const wanted = addresses[0] && wordsOf(addresses[0])
    if (wanted && isFree(wanted) && this.#isOfPool(wanted)) return wanted
    const taken = leases.taken(IPV6, nowMs, port) // by the last word: an address of another network only costs one of the pool
    const size = pool[1] - pool[0] + 1
    const start = (client[0] >>> 0) % size
    const [high, second, third] = this.#network
    for (let k = 0; k < size; k++) {
      const low = pool[0] + ((start + k) % size)
      const address = [high!, second!, third!, low]
      if (!taken.has(low) && this.#isOfPool(address)) return address
    }
    this.#shortage.ofPool6(port, nowMs)
    return undefined
  }

  // One IA_NA for each that was asked for: the first has the address, the others have none; and no prefix for anybody.
  #associations(request: Dhcp6Request, lease: Lease | undefined, without: number = Status.noAddresses): number[] {
    const { leaseSeconds } = this.#options
    const prefixes = request.prefixes.flatMap((association) =>
      option(Dhcp6Option.prefixes, [
        ...word(association),
        ...word(0),
        ...word(0),
        ...option(Dhcp6Option.status, [0, Status.noPrefixes]),
      ]),
    )
    const associations = request.associations.flatMap((association, i) => {
      const times = [...word(Math.floor(leaseSeconds / 2)), ...word(Math.floor((leaseSeconds * 4) / 5))]
      const given = i === 0 && lease ? lease : undefined
      const content = given
        ? option(Dhcp6Option.address, [...given.address.flatMap(word), ...word(leaseSeconds), ...word(leaseSeconds)])
        : option(Dhcp6Option.status, [0, without])
      return option(Dhcp6Option.association, [...word(association), ...times, ...content])
    })
    return [...associations, ...prefixes]
  }

  #write(request: Dhcp6Request, type: number, content: readonly number[], isRapid = false): Uint8Array {
    const { dns } = this.#ipv6
    return Uint8Array.from([
      type,
      request.transaction >> 16,
      (request.transaction >> 8) & 255,
      request.transaction & 255,
      ...(request.client ? option(Dhcp6Option.client, request.client) : []),
      ...option(Dhcp6Option.server, this.#duid),
      ...content,
      ...(isRapid ? option(Dhcp6Option.rapidCommit, []) : []),
      ...(dns.length === 0
        ? []
        : option(
            Dhcp6Option.dns,
            dns.flatMap((address) => Array.from(address)),
          )),
      ...option(
        Dhcp6Option.domains,
        [this.#options.domain, ...this.#options.search].flatMap((one) => Array.from(dnsNameBytes(one))),
      ),
    ])
  }
}
