// The DHCP server (RFC 2131, RFC 2132, RFC 3442): what it says to each message of a client.
//
// The rule it must not break: a client gets one address, that nobody else has, within its port's share; what it says of itself changes nothing of
// others; a message that is not whole is not answered.
import type { LabNames } from './lab-names.ts'
import { type Holder, LeaseState, type LeaseTable } from './leases.ts'
import type { DhcpDnsOptions, Ipv4Options, StaticLease } from './options.ts'

const OPTIONS_AT = 240
const COOKIE = 0x63825363
const MESSAGE_BYTES_MIN = 300
const OFFER_MS = 30_000
const DECLINED_MS = 300_000
const IPV4 = 4

export const DhcpType = { discover: 1, offer: 2, request: 3, decline: 4, ack: 5, nak: 6, release: 7, inform: 8 } as const

const Option = {
  subnetMask: 1,
  router: 3,
  dns: 6,
  hostName: 12,
  domain: 15,
  mtu: 26,
  broadcast: 28,
  ntp: 42,
  requested: 50,
  leaseTime: 51,
  type: 53,
  server: 54,
  renewal: 58,
  rebinding: 59,
  classlessRoutes: 121,
  end: 255,
} as const

/** A message of a client, read. */
export interface DhcpRequest {
  readonly type: number
  readonly transaction: number
  /** Flags as they came: the highest bit asks for broadcasts. */
  readonly flags: number
  readonly client: Uint8Array
  readonly clientAddress: number
  readonly requested: number | undefined
  readonly server: number | undefined
  readonly hostName: string
}

/** Reads the message `bytes[from…to-1]`; undefined if it is none of a client on this link. */
export function readDhcp(bytes: Uint8Array, from: number, to: number): DhcpRequest | undefined {
  if (to - from < OPTIONS_AT + 3 || to > bytes.length) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset + from, to - from)
  // Requests, over Ethernet, with the cookie; none that a relay has passed on.
  if (view.getUint8(0) !== 1 || view.getUint8(1) !== 1 || view.getUint8(2) !== 6) return undefined
  if (view.getUint32(OPTIONS_AT - 4) !== COOKIE || view.getUint32(24) !== 0) return undefined
  const options = new Map<number, Uint8Array>()
  for (let at = from + OPTIONS_AT; at < to && bytes[at] !== Option.end; ) {
    const code = bytes[at]!
    if (code === 0) {
      at++
      continue
    }
    const length = bytes[at + 1] ?? 0
    if (at + 2 + length > to) return undefined
    if (!options.has(code)) options.set(code, bytes.slice(at + 2, at + 2 + length))
    at += 2 + length
  }
  const address = (code: number): number | undefined => {
    const value = options.get(code)
    return value?.length === 4 ? new DataView(value.buffer).getUint32(0) : undefined
  }
  const type = options.get(Option.type)
  if (type?.length !== 1) return undefined
  return {
    type: type[0]!,
    transaction: view.getUint32(4),
    flags: view.getUint16(10),
    client: bytes.slice(from + 28, from + 34),
    clientAddress: view.getUint32(12),
    requested: address(Option.requested),
    server: address(Option.server),
    hostName: String.fromCharCode(...(options.get(Option.hostName) ?? [])),
  }
}

/** The type of an answer of one's own: it stands first among the options. */
export const dhcpTypeOf = (answer: Uint8Array): number => answer[OPTIONS_AT + 2]!

const octets = (address: number): number[] => [address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255]
const seconds = (value: number): number[] => octets(value)

export class DhcpServer {
  readonly #options: DhcpDnsOptions
  readonly #ipv4: Ipv4Options
  readonly #leases: LeaseTable
  readonly #names: LabNames
  /** Addresses that only their own VM gets. */
  readonly #reserved: ReadonlySet<number>
  readonly #mask: number

  constructor(options: DhcpDnsOptions, ipv4: Ipv4Options, leases: LeaseTable, names: LabNames) {
    this.#options = options
    this.#ipv4 = ipv4
    this.#leases = leases
    this.#names = names
    this.#mask = (0xffffffff << (32 - ipv4.prefix.length)) >>> 0
    const others = [ipv4.address, ...(ipv4.router === undefined ? [] : [ipv4.router]), ...ipv4.dns]
    this.#reserved = new Set([...others, ...options.statics.flatMap(({ address }) => (address === undefined ? [] : [address]))])
  }

  /** The answer to a message from a port, or undefined. `fixed` is what is configured for that VM. */
  answer(request: DhcpRequest, port: number, fixed: StaticLease | undefined, nowMs: number): Uint8Array | undefined {
    return this.#leases.locked(() => this.#answer(request, port, fixed, nowMs))
  }

  #answer(request: DhcpRequest, port: number, fixed: StaticLease | undefined, nowMs: number): Uint8Array | undefined {
    const view = new DataView(request.client.buffer)
    const holder: Holder = { port, client: [view.getUint16(0), view.getUint32(2), 0] }
    const isForUs = request.server === undefined || request.server === this.#ipv4.address
    switch (request.type) {
      case DhcpType.discover:
        return this.#offer(request, holder, fixed, nowMs)
      case DhcpType.request:
        return this.#request(request, holder, fixed, isForUs, nowMs)
      case DhcpType.decline:
        if (isForUs) this.#end(holder, request.requested, LeaseState.declined, nowMs)
        return undefined
      case DhcpType.release:
        if (isForUs) this.#end(holder, request.clientAddress, LeaseState.free, nowMs)
        return undefined
      case DhcpType.inform:
        return this.#write(request, DhcpType.ack, 0, '', false)
      default:
        return undefined
    }
  }

  #offer(request: DhcpRequest, holder: Holder, fixed: StaticLease | undefined, nowMs: number): Uint8Array | undefined {
    const leases = this.#leases
    const known = leases.find(holder, IPV4)
    const address = this.#choose(known, request, holder, fixed, nowMs)
    if (address === undefined) return undefined
    if (leases.read(known, nowMs)?.address[3] === address)
      return this.#write(request, DhcpType.offer, address, leases.last(known).name)
    const record = leases.placeFor(known, holder.port, nowMs)
    if (record < 0) return undefined
    leases.write(record, LeaseState.offered, holder, IPV4, [0, 0, 0, address], nowMs, OFFER_MS, '')
    return this.#write(request, DhcpType.offer, address, '')
  }

  // The address for a client: its own from before, the one it asks for, or one that its hardware address picks, so that it gets the same again.
  #choose(
    known: number,
    request: DhcpRequest,
    { client }: Holder,
    fixed: StaticLease | undefined,
    nowMs: number,
  ): number | undefined {
    const leases = this.#leases
    if (fixed?.address !== undefined)
      return leases.isTaken([0, 0, 0, fixed.address], IPV4, nowMs, known) ? undefined : fixed.address
    const { pool } = this.#ipv4
    if (!pool) return undefined
    const taken = leases.taken(IPV4, nowMs)
    const own = known < 0 ? undefined : leases.last(known).address[3]!
    if (leases.read(known, nowMs)) taken.delete(own!)
    const isFree = (address: number): boolean =>
      address >= pool[0] && address <= pool[1] && !taken.has(address) && !this.#reserved.has(address) && this.#isHost(address)
    if (own !== undefined && isFree(own)) return own
    if (request.requested !== undefined && isFree(request.requested)) return request.requested
    const size = pool[1] - pool[0] + 1
    const start = (Math.imul(client[0] ^ client[1], 0x9e3779b1) >>> 0) % size
    for (let k = 0; k < size; k++) {
      const address = pool[0] + ((start + k) % size)
      if (isFree(address)) return address
    }
    return undefined
  }

  #isHost(address: number): boolean {
    const host = (address & ~this.#mask) >>> 0
    return host !== 0 && host !== ~this.#mask >>> 0
  }

  #request(
    request: DhcpRequest,
    holder: Holder,
    fixed: StaticLease | undefined,
    isForUs: boolean,
    nowMs: number,
  ): Uint8Array | undefined {
    const leases = this.#leases
    const known = leases.find(holder, IPV4)
    if (!isForUs) {
      // It took another server's offer.
      if (known >= 0 && leases.last(known).state === LeaseState.offered) leases.free(known)
      return undefined
    }
    const wanted = request.requested ?? request.clientAddress
    if (wanted === 0) return undefined
    const lease = known < 0 ? undefined : leases.last(known)
    const isOurs =
      lease?.address[3] === wanted &&
      (fixed?.address === undefined || fixed.address === wanted) &&
      !leases.isTaken(lease.address, IPV4, nowMs, known) &&
      leases.placeFor(known, holder.port, nowMs) >= 0
    if (!isOurs) return this.#write(request, DhcpType.nak, 0, '')
    const name = fixed?.name ?? this.#names.claim(holder.port, request.hostName, nowMs)
    const livesMs = this.#options.leaseSeconds * 1000
    leases.write(known, LeaseState.bound, holder, IPV4, lease.address, nowMs, livesMs, name)
    return this.#write(request, DhcpType.ack, wanted, name)
  }

  #end(holder: Holder, address: number | undefined, state: number, nowMs: number): void {
    const known = this.#leases.find(holder, IPV4)
    if (known < 0 || this.#leases.last(known).address[3] !== address) return
    if (state === LeaseState.free) this.#leases.free(known)
    // Nobody gets it for a while; it counts as one of the port's, so that a guest can decline no more than it may have.
    else this.#leases.write(known, state, holder, IPV4, [0, 0, 0, address], nowMs, DECLINED_MS, '')
  }

  #write(request: DhcpRequest, type: number, address: number, name: string, hasLease = true): Uint8Array {
    const { domain, leaseSeconds, mtu } = this.#options
    const { address: own, router, dns, ntp, routes } = this.#ipv4
    const options: number[] = [Option.type, 1, type, Option.server, 4, ...octets(own)]
    const put = (code: number, value: readonly number[]): void => {
      if (value.length > 0 && value.length < 256) options.push(code, value.length, ...value)
    }
    if (type !== DhcpType.nak) {
      if (hasLease) {
        put(Option.leaseTime, seconds(leaseSeconds))
        put(Option.renewal, seconds(Math.floor(leaseSeconds / 2)))
        put(Option.rebinding, seconds(Math.floor((leaseSeconds * 7) / 8)))
      }
      put(Option.subnetMask, octets(this.#mask))
      put(Option.broadcast, octets((own | ~this.#mask) >>> 0))
      if (router !== undefined) put(Option.router, octets(router))
      put(Option.dns, dns.flatMap(octets))
      put(Option.domain, ascii(domain))
      put(Option.hostName, ascii(name))
      if (mtu !== undefined) put(Option.mtu, [mtu >> 8, mtu & 255])
      put(Option.ntp, ntp.flatMap(octets))
      put(Option.classlessRoutes, this.#routes(routes, router))
    }
    options.push(Option.end)
    const message = new Uint8Array(Math.max(MESSAGE_BYTES_MIN, OPTIONS_AT + options.length))
    const view = new DataView(message.buffer)
    message.set([2, 1, 6])
    view.setUint32(4, request.transaction)
    view.setUint16(10, request.flags)
    if (type === DhcpType.ack) view.setUint32(12, request.clientAddress)
    view.setUint32(16, address)
    view.setUint32(20, own)
    message.set(request.client, 28)
    view.setUint32(OPTIONS_AT - 4, COOKIE)
    message.set(options, OPTIONS_AT)
    return message
  }

  // RFC 3442: who takes these leaves the router option, so the way out is among them.
  #routes(routes: Ipv4Options['routes'], router: number | undefined): number[] {
    if (routes.length === 0) return []
    const written = routes.flatMap(({ to, via }) => [to.length, ...to.bytes.slice(0, Math.ceil(to.length / 8)), ...octets(via)])
    return router === undefined ? written : [...written, 0, ...octets(router)]
  }
}

const ascii = (text: string): number[] => Array.from(text, (letter) => letter.charCodeAt(0))
