// The DHCP server of one network (RFC 2131): what it says to each message of a client.
//
// It is the only server there, and speaks for the network: a client that it does not know, after it was loaded anew or the VM came from
// elsewhere, keeps the address that it has, if nobody else has it.
//
// The rule it must not break: a client gets one address, that nobody else has, within its port's share; what it says of itself changes nothing of
// others.
import { dnsNameBytes } from '../../extension.ts'
import { bootFileFor, bootsByHttp } from './boot-options.ts'
import { DhcpOption, type DhcpRequest, DhcpType, writeDhcp } from './dhcp4-message.ts'
import type { LabNames } from './lab-names.ts'
import { type Holder, LeaseState, type LeaseTable } from './leases.ts'
import type { Ipv4Options, LabNetwork } from './network-options.ts'
import type { DhcpDnsOptions, StaticLease } from './options.ts'
import type { Shortage } from './shortage.ts'

const OFFER_MS = 30_000
const DECLINED_MS = 300_000
const IPV4 = 4

const octets = (address: number): number[] => [address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255]
const ascii = (text: string): number[] => Array.from(text, (letter) => letter.charCodeAt(0))

export interface DhcpServerComponents {
  readonly leases: LeaseTable
  readonly names: LabNames
  readonly shortage: Shortage
}

export class DhcpServer {
  readonly #options: DhcpDnsOptions
  readonly #vlan: number
  readonly #ipv4: Ipv4Options
  readonly #leases: LeaseTable
  readonly #names: LabNames
  readonly #shortage: Shortage
  /** Addresses that only their own VM gets. */
  readonly #reserved: ReadonlySet<number>
  readonly #mask: number

  constructor(options: DhcpDnsOptions, network: LabNetwork, ipv4: Ipv4Options, components: DhcpServerComponents) {
    this.#options = options
    this.#vlan = network.vlan ?? 0
    this.#ipv4 = ipv4
    this.#leases = components.leases
    this.#names = components.names
    this.#shortage = components.shortage
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
    const holder: Holder = { port, client: [view.getUint16(0), view.getUint32(2), this.#vlan] }
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
    if (request.isRapid) return this.#bind(known, address, request, holder, fixed, nowMs)
    if (leases.read(known, nowMs)?.address[3] === address)
      return this.#write(request, DhcpType.offer, address, leases.last(known).name)
    const record = this.#place(known, holder, nowMs)
    if (record < 0) return undefined
    leases.write(record, LeaseState.offered, holder, IPV4, [0, 0, 0, address], nowMs, OFFER_MS, '')
    return this.#write(request, DhcpType.offer, address, '')
  }

  #place(known: number, holder: Holder, nowMs: number): number {
    const record = this.#leases.placeFor(known, holder.port, nowMs)
    if (record < 0) this.#shortage.ofLeases(holder.port, nowMs)
    return record
  }

  // The address for a client: its own from before, the one it asks for, or one that its hardware address picks, so that it gets the same again.
  #choose(
    known: number,
    request: DhcpRequest,
    { client, port }: Holder,
    fixed: StaticLease | undefined,
    nowMs: number,
  ): number | undefined {
    const leases = this.#leases
    if (fixed?.address !== undefined) {
      if (!leases.isTaken([0, 0, 0, fixed.address], IPV4, nowMs, port, known)) return fixed.address
      this.#shortage.ofStatic(port, fixed.address, nowMs)
      return undefined
    }
    const { pool } = this.#ipv4
    if (!pool) return undefined
    const taken = leases.taken(IPV4, nowMs, port)
    const own = known < 0 ? undefined : leases.last(known).address[3]!
    if (leases.read(known, nowMs)) taken.delete(own!)
    const isFree = (address: number): boolean => !taken.has(address) && this.#isOfPool(address)
    if (own !== undefined && isFree(own)) return own
    if (request.requested !== undefined && isFree(request.requested)) return request.requested
    const size = pool[1] - pool[0] + 1
    const start = (Math.imul(client[0] ^ client[1], 0x9e3779b1) >>> 0) % size
    for (let k = 0; k < size; k++) {
      const address = pool[0] + ((start + k) % size)
      if (isFree(address)) return address
    }
    this.#shortage.ofPool(port, pool, nowMs)
    return undefined
  }

  // Whether anybody may be given an address.
  #isOfPool(address: number): boolean {
    const { pool } = this.#ipv4
    const host = (address & ~this.#mask) >>> 0
    const isHost = host !== 0 && host !== ~this.#mask >>> 0
    return pool !== undefined && address >= pool[0] && address <= pool[1] && !this.#reserved.has(address) && isHost
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
    const has = known < 0 ? undefined : leases.last(known).address[3]
    const mayHave = fixed?.address === undefined ? has === wanted || this.#isOfPool(wanted) : fixed.address === wanted
    if (!mayHave || leases.isTaken([0, 0, 0, wanted], IPV4, nowMs, holder.port, known))
      return this.#write(request, DhcpType.nak, 0, '')
    return this.#bind(known, wanted, request, holder, fixed, nowMs) ?? this.#write(request, DhcpType.nak, 0, '')
  }

  // Undefined if the port has its share.
  #bind(
    known: number,
    address: number,
    request: DhcpRequest,
    holder: Holder,
    fixed: StaticLease | undefined,
    nowMs: number,
  ): Uint8Array | undefined {
    const record = this.#place(known, holder, nowMs)
    if (record < 0) return undefined
    const name = fixed?.name ?? this.#names.claim(holder.port, request.hostName, nowMs)
    const livesMs = this.#options.leaseSeconds * 1000
    this.#leases.forgetLearned([0, 0, 0, address], IPV4, holder.port, nowMs)
    this.#leases.write(record, LeaseState.bound, holder, IPV4, [0, 0, 0, address], nowMs, livesMs, name)
    return this.#write(request, DhcpType.ack, address, name)
  }

  #end(holder: Holder, address: number | undefined, state: number, nowMs: number): void {
    const known = this.#leases.find(holder, IPV4)
    if (known < 0 || this.#leases.last(known).address[3] !== address) return
    if (state === LeaseState.free) this.#leases.free(known)
    // Nobody gets it for a while; it counts as one of the port's, so that a guest can decline no more than it may have.
    else this.#leases.write(known, state, holder, IPV4, [0, 0, 0, address], nowMs, DECLINED_MS, '')
  }

  #write(request: DhcpRequest, type: number, address: number, name: string, hasLease = true): Uint8Array {
    const { domain, leaseSeconds, mtu, search } = this.#options
    const { address: own, router, dns, ntp, routes, boot, extra } = this.#ipv4
    const options: (readonly [number, ArrayLike<number>])[] = [[DhcpOption.server, octets(own)]]
    const put = (code: number, value: ArrayLike<number>): void => {
      if (value.length > 0) options.push([code, value])
    }
    if (request.clientId) put(DhcpOption.clientId, request.clientId) // RFC 6842
    if (type === DhcpType.nak) {
      const text = ascii('not an address of yours in this network')
      return writeDhcp(request, {
        type,
        own,
        address: 0,
        nextServer: 0,
        file: '',
        options: [...options, [DhcpOption.message, text]],
      })
    }
    if (request.type === DhcpType.discover && type === DhcpType.ack) options.push([DhcpOption.rapidCommit, []])
    if (hasLease) {
      put(DhcpOption.leaseTime, octets(leaseSeconds))
      put(DhcpOption.renewal, octets(Math.floor(leaseSeconds / 2)))
      put(DhcpOption.rebinding, octets(Math.floor((leaseSeconds * 7) / 8)))
    }
    put(DhcpOption.subnetMask, octets(this.#mask))
    put(DhcpOption.broadcast, octets((own | ~this.#mask) >>> 0))
    if (router !== undefined) put(DhcpOption.router, octets(router))
    put(DhcpOption.dns, dns.flatMap(octets))
    put(DhcpOption.domain, ascii(domain))
    put(DhcpOption.hostName, ascii(name))
    if (mtu !== undefined) put(DhcpOption.mtu, [mtu >> 8, mtu & 255])
    put(DhcpOption.classlessRoutes, this.#routes(routes, router))
    const file = bootFileFor(boot, request)
    if (file) {
      put(DhcpOption.file, ascii(file.file))
      if (file.server !== undefined) put(DhcpOption.serverName, ascii(octets(file.server).join('.')))
      if (bootsByHttp(request.architecture)) put(DhcpOption.vendorClass, ascii('HTTPClient'))
    }
    put(DhcpOption.ntp, ntp.flatMap(octets))
    if (search.length > 0)
      put(
        DhcpOption.search,
        [domain, ...search].flatMap((one) => Array.from(dnsNameBytes(one))),
      )
    for (const { code, value } of extra) put(code, value)
    return writeDhcp(request, { type, own, address, nextServer: file?.server ?? 0, file: file?.file ?? '', options })
  }

  // RFC 3442: who takes these leaves the router option, so the way out is among them.
  #routes(routes: Ipv4Options['routes'], router: number | undefined): number[] {
    if (routes.length === 0) return []
    const written = routes.flatMap(({ to, via }) => [to.length, ...to.bytes.slice(0, Math.ceil(to.length / 8)), ...octets(via)])
    return router === undefined ? written : [...written, 0, ...octets(router)]
  }
}
