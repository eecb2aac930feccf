// What the control thread knows of an overlay: virtual subnets, look-up records (where guests of other hosts are), and from both the peers:
// provider addresses that tunnels lead to. The data path works with numbers of subnets and peers, which are given out here.
//
// The rule it must not break: a number is given to another subnet or peer only after whoever has it was told that it is gone.
import { formatIpv4, formatIpv6 } from '../../packet/addresses.ts'
import { get32 } from '../../packet/bytes.ts'
import {
  addressOf,
  checkVsid,
  macOf,
  OVERLAY_PEERS_MAX,
  OVERLAY_SUBNETS_MAX,
  OverlayError,
  type OverlayRecord,
  type OverlaySubnet,
  providerOf,
  type TunnelKind,
} from './options.ts'

/** Look-up records of one switch. */
export const OVERLAY_RECORDS_MAX = 65_536

export const addressText = (bytes: Uint8Array): string => (bytes.length === 4 ? formatIpv4(get32(bytes, 0)) : formatIpv6(bytes))

/** Which records are meant; all without a filter. */
export interface RecordFilter {
  readonly vsid?: number | undefined
  readonly mac?: string | undefined
  readonly address?: string | undefined
  readonly provider?: string | undefined
}

/** What changed, in the data path's numbers. The order in which it is put into force: gone records, peers, subnets, records. */
export interface LookupChange {
  /** `before`: the record that this one took the place of. */
  readonly records: readonly {
    readonly subnet: number
    readonly record: OverlayRecord
    readonly peer: number
    readonly before?: OverlayRecord | undefined
  }[]
  readonly removed: readonly { readonly subnet: number; readonly record: OverlayRecord }[]
  /** Peers that are new. */
  readonly peers: readonly { readonly peer: number; readonly address: string }[]
  readonly gonePeers: readonly number[]
  /** Subnets whose list of peers is another now; `peers` undefined: the subnet is gone. */
  readonly subnets: readonly { readonly subnet: number; readonly vsid: number; readonly peers: readonly number[] | undefined }[]
}

interface Subnet {
  readonly index: number
  given: OverlaySubnet
  /** Records by provider address. */
  readonly uses: Map<string, number>
  readonly records: Map<string, OverlayRecord>
}

interface Peer {
  readonly index: number
  uses: number
}

/** `changed` is called after each change, with all of it. */
export class LookupRecords {
  /** Counts changes. */
  generation = 0
  readonly #kind: TunnelKind
  readonly #own: ReadonlySet<string>
  readonly #changed: (change: LookupChange) => void
  readonly #subnets = new Map<number, Subnet>()
  readonly #peers = new Map<string, Peer>()
  readonly #freeSubnets: number[] = []
  readonly #freePeers: number[] = []
  #records = 0

  constructor(
    { kind, own = [] }: { readonly kind: TunnelKind; readonly own?: readonly string[] },
    { changed }: { readonly changed: (change: LookupChange) => void },
  ) {
    this.#kind = kind
    this.#own = new Set(own.map((address) => addressText(providerOf(address))))
    this.#changed = changed
    for (let index = OVERLAY_SUBNETS_MAX; index >= 1; index--) this.#freeSubnets.push(index)
    for (let index = OVERLAY_PEERS_MAX - 1; index >= 0; index--) this.#freePeers.push(index)
  }

  /** Records in all. */
  get size(): number {
    return this.#records
  }

  subnets(): readonly OverlaySubnet[] {
    return [...this.#subnets.values()].map(({ given }) => given)
  }

  /** Number of a subnet in the data path; 0: there is no such subnet. */
  subnetIndex(vsid: number): number {
    return this.#subnets.get(vsid)?.index ?? 0
  }

  vsidOf(index: number): number {
    for (const [vsid, subnet] of this.#subnets) if (subnet.index === index) return vsid
    return 0
  }

  recordsIn(vsid: number): number {
    return this.#subnets.get(vsid)?.records.size ?? 0
  }

  /** Peers with their numbers. */
  peers(): ReadonlyMap<string, number> {
    return new Map([...this.#peers].map(([address, { index }]) => [address, index]))
  }

  list({ vsid, mac, address, provider }: RecordFilter = {}): OverlayRecord[] {
    const found: OverlayRecord[] = []
    for (const [id, { records }] of this.#subnets) {
      if (vsid !== undefined && id !== vsid) continue
      for (const record of records.values())
        if (
          (mac ?? record.mac).toLowerCase() === record.mac &&
          (provider ?? record.provider) === record.provider &&
          (address === undefined || record.addresses.includes(address))
        )
          found.push(record)
    }
    return found
  }

  /** Adds a virtual subnet, or gives it another domain and other peers. Throws OverlayError. */
  setSubnet(input: OverlaySubnet): OverlaySubnet {
    const { vsid } = input
    checkVsid(this.#kind, vsid)
    const given = { ...input, peers: [...new Set(input.peers.map((peer) => this.#provider(peer)))] }
    const known = this.#subnets.get(vsid)
    const added = given.peers.filter((peer) => !(known?.given.peers.includes(peer) ?? false))
    this.#checkRoom(added)
    if (known === undefined && this.#freeSubnets.length === 0)
      throw new OverlayError('full', `a switch has at most ${OVERLAY_SUBNETS_MAX} virtual subnets`)
    const subnet = known ?? { index: this.#freeSubnets.pop()!, given, uses: new Map(), records: new Map() }
    const gone = known?.given.peers.filter((peer) => !given.peers.includes(peer)) ?? []
    subnet.given = given
    this.#subnets.set(vsid, subnet)
    const newPeers = this.#take(added)
    const gonePeers = this.#release(gone)
    this.#tell({ peers: newPeers, gonePeers, subnets: [this.#described(subnet)] })
    return given
  }

  /** Throws OverlayError: no-such-subnet; in-use while it has records. */
  removeSubnet(vsid: number): void {
    const subnet = this.#subnet(vsid)
    if (subnet.records.size > 0)
      throw new OverlayError('in-use', `virtual subnet ${vsid} has ${subnet.records.size} records: remove them first`)
    this.#subnets.delete(vsid)
    const gonePeers = this.#release(subnet.given.peers)
    this.#tell({ gonePeers, subnets: [{ subnet: subnet.index, vsid, peers: undefined }] })
    this.#freeSubnets.push(subnet.index)
  }

  /** Sets the record of a guest, in the place of the one that it had. Throws OverlayError: bad-overlay, no-such-subnet, full. */
  set(input: OverlayRecord): OverlayRecord {
    return this.setAll([input])[0]!
  }

  /** `set` for many, all or none of them, told as one change. */
  setAll(inputs: readonly OverlayRecord[]): readonly OverlayRecord[] {
    const wanted = inputs.map((input) => this.#normal(input))
    for (const { vsid } of wanted) this.#subnet(vsid)
    this.#checkRoom(wanted.map(({ provider }) => provider))
    const added = wanted.filter(({ vsid, mac }) => !this.#subnets.get(vsid)!.records.has(mac)).length
    if (this.#records + added > OVERLAY_RECORDS_MAX)
      throw new OverlayError('full', `a switch has at most ${OVERLAY_RECORDS_MAX} look-up records`)
    const peers: { peer: number; address: string }[] = []
    const gonePeers: number[] = []
    const subnets = new Set<Subnet>()
    const records: LookupChange['records'][number][] = []
    for (const record of wanted) {
      const subnet = this.#subnets.get(record.vsid)!
      const before = subnet.records.get(record.mac)
      if (before === undefined) this.#records++
      subnet.records.set(record.mac, record)
      if (before?.provider !== record.provider) {
        peers.push(...this.#take([record.provider]))
        this.#count(subnet, record.provider, 1, subnets)
        if (before !== undefined) {
          this.#count(subnet, before.provider, -1, subnets)
          gonePeers.push(...this.#release([before.provider]))
        }
      }
      records.push({ subnet: subnet.index, record, peer: this.#peers.get(record.provider)!.index, before })
    }
    this.#tell({ records, peers, gonePeers, subnets: [...subnets].map((subnet) => this.#described(subnet)) })
    return wanted
  }

  /** Throws OverlayError: no-such-subnet, no-such-record. */
  remove({ vsid, mac }: { readonly vsid: number; readonly mac: string }): OverlayRecord {
    const subnet = this.#subnet(vsid)
    const record = subnet.records.get(macOf(mac, 'record'))
    if (record === undefined) throw new OverlayError('no-such-record', `virtual subnet ${vsid} has no record of ${mac}`)
    subnet.records.delete(record.mac)
    this.#records--
    const subnets = new Set<Subnet>()
    this.#count(subnet, record.provider, -1, subnets)
    const gonePeers = this.#release([record.provider])
    const changed = [...subnets].map((one) => this.#described(one))
    this.#tell({ removed: [{ subnet: subnet.index, record }], gonePeers, subnets: changed })
    return record
  }

  #normal({ vsid, mac, addresses, provider }: OverlayRecord): OverlayRecord {
    checkVsid(this.#kind, vsid)
    return {
      vsid,
      mac: macOf(mac, 'record'),
      addresses: [...new Set(addresses.map((address) => addressText(addressOf(address, `record of ${mac}`))))],
      provider: this.#provider(provider),
    }
  }

  #provider(text: string): string {
    const address = addressText(providerOf(text))
    if (this.#own.has(address))
      throw new OverlayError('bad-overlay', `${address} is a provider address of this host: no tunnel leads there`)
    return address
  }

  #subnet(vsid: number): Subnet {
    const subnet = this.#subnets.get(vsid)
    if (subnet === undefined) throw new OverlayError('no-such-subnet', `the overlay has no virtual subnet ${vsid}: add it first`)
    return subnet
  }

  #checkRoom(addresses: readonly string[]): void {
    const added = new Set(addresses.filter((address) => !this.#peers.has(address)))
    if (added.size > this.#freePeers.length)
      throw new OverlayError('full', `a switch has tunnels to at most ${OVERLAY_PEERS_MAX} provider addresses`)
  }

  // Returns the peers that are new.
  #take(addresses: readonly string[]): { peer: number; address: string }[] {
    const added: { peer: number; address: string }[] = []
    for (const address of addresses) {
      let peer = this.#peers.get(address)
      if (peer === undefined) {
        peer = { index: this.#freePeers.pop()!, uses: 0 }
        this.#peers.set(address, peer)
        added.push({ peer: peer.index, address })
      }
      peer.uses++
    }
    return added
  }

  // Returns the peers that nobody needs any more.
  #release(addresses: readonly string[]): number[] {
    const gone: number[] = []
    for (const address of addresses) {
      const peer = this.#peers.get(address)!
      if (--peer.uses > 0) continue
      this.#peers.delete(address)
      gone.push(peer.index)
      this.#freePeers.unshift(peer.index)
    }
    return gone
  }

  #count(subnet: Subnet, provider: string, by: 1 | -1, changed: Set<Subnet>): void {
    const before = subnet.uses.get(provider) ?? 0
    if (before + by === 0) subnet.uses.delete(provider)
    else subnet.uses.set(provider, before + by)
    if (before === 0 || before + by === 0) changed.add(subnet)
  }

  #described({ index, given, uses }: Subnet): LookupChange['subnets'][number] {
    const providers = new Set([...given.peers, ...uses.keys()])
    return { subnet: index, vsid: given.vsid, peers: [...providers].map((provider) => this.#peers.get(provider)!.index) }
  }

  #tell(change: Partial<LookupChange>): void {
    this.generation++
    this.#changed({ records: [], removed: [], peers: [], gonePeers: [], subnets: [], ...change })
  }
}
