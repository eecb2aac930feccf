// The overlay of a running switch, on the control thread: holds subnets and records, finds the way to peers, tells the processors.
//
// The rule it must not break: what a call changed is in force on all processors when its promise is fulfilled; a call that throws changed
// nothing.
import { randomBytes } from 'node:crypto'
import type { SharedMemory } from '../../linux/shared-memory.ts'
import { formatMac, parseMac } from '../../packet/addresses.ts'
import { ipBytes } from '../../packet/build.ts'
import { TunnelFormat, tunnelBytes } from '../../packet/tunnel.ts'
import { MacTable, macTableBytes } from '../../switch/mac-table.ts'
import { CustomerRoutes, type RouteFilter } from '../../switch/overlay/customer-routes.ts'
import { ProviderNeighbours } from '../../switch/overlay/neighbours.ts'
import {
  checkOverlayOptions,
  linkOf,
  OVERLAY_PEERS_MAX,
  OverlayError,
  type OverlayOptions,
  type OverlayRecord,
  type OverlayRoute,
  type OverlaySubnet,
  TUNNEL_TTL,
  TUNNEL_UDP_PORT,
} from '../../switch/overlay/options.ts'
import type { ListedRecord, OverlayControl, OverlayStatus, TunnelCounters } from '../../switch/overlay/overlay-control.ts'
import {
  Flooding,
  OVERLAY_COUNTER_BYTES,
  type OverlayChange,
  type OverlayPlan,
  PEER_COUNTERS,
} from '../../switch/overlay/plan.ts'
import { addressText, type LookupChange, LookupRecords, type RecordFilter } from '../../switch/overlay/records.ts'
import { ROUTER_MAC_TEXT } from '../../switch/overlay/routing.ts'
import { tunnelTableBytes } from '../../switch/overlay/tunnel-short-cut.ts'
import { PortFlag, type PortTable } from '../../switch/port-table.ts'
import type { Request } from '../messages.ts'
import { CustomerPlaces } from './customer-places.ts'
import { LocalGuests, recordAddresses } from './local-guests.ts'

/** Entries of the table of customers: four times the records that there may be. */
const CUSTOMER_ENTRIES = 262_144
const PAGE = 4096
const TICK_MS = 1000
const LEARNED_SECONDS = 300
const PROVIDER_MTU = 1500
/** No port and no peer: frames for the router are directed by nobody else. */
const ROUTER_PLACE = 0
const NO_ADDRESSES = { vsid: 0, mac: ROUTER_MAC_TEXT, addresses: [] } as const

export interface SwitchOverlayComponents {
  readonly memory: SharedMemory
  readonly table: PortTable
  readonly processors: {
    readonly clients: readonly { request(request: Request): Promise<unknown> }[]
    all(request: (processor: number) => Request): Promise<void>
  }
  /** Milliseconds of the clock that processors have. */
  readonly nowMs: () => number
  /** Drops of all ports so far, by reason. */
  readonly drops: () => readonly { readonly reasons: Record<string, number> }[]
  /** IP addresses of the guest behind a port. */
  readonly addressesOf: (port: number) => readonly string[]
  /** Something that a person should know. */
  readonly event: (code: string, message: string) => void
}

export class SwitchOverlay implements OverlayControl {
  readonly #options: OverlayOptions
  readonly #components: SwitchOverlayComponents
  readonly #mac: Uint8Array
  readonly #records: LookupRecords
  readonly #routes: CustomerRoutes
  readonly #customers: MacTable
  readonly #customersAt: number
  readonly #counters: readonly Float64Array[]
  readonly #counterAt: readonly number[]
  readonly #tablesAt: readonly number[]
  readonly #neighbours: ProviderNeighbours
  readonly #addressOf = new Map<number, Uint8Array>()
  readonly #places: number
  readonly #guests: LocalGuests
  readonly #placed: CustomerPlaces
  #portGeneration = -1
  #externalUp = false
  #told: Promise<unknown> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined

  /** Throws OverlayError. */
  constructor(options: OverlayOptions, components: SwitchOverlayComponents) {
    checkOverlayOptions(options)
    this.#options = options
    this.#components = components
    const { memory, table, processors } = components
    const links = options.providerAddresses.map(({ address, gateway }) => {
      const { bytes, length } = linkOf(address)
      return { address: bytes, prefixLength: length, gateway: gateway === undefined ? undefined : ipBytes(gateway) }
    })
    this.#mac = options.providerMac === undefined ? macFrom(links[0]!.address) : parseMac(options.providerMac)
    this.#places = table.ports + OVERLAY_PEERS_MAX
    this.#customersAt = memory.allocate(macTableBytes(CUSTOMER_ENTRIES, this.#places), PAGE)
    this.#customers = new MacTable(memory.buffer, this.#customersAt, CUSTOMER_ENTRIES, this.#places)
    this.#placed = new CustomerPlaces({
      table: this.#customers,
      full: (mac, subnet) =>
        components.event(
          'table-full',
          `${mac} of virtual subnet ${this.#records.vsidOf(subnet)} has no room in the table of addresses: frames to it are flooded`,
        ),
    })
    this.#counterAt = processors.clients.map(() => memory.allocate(OVERLAY_COUNTER_BYTES, PAGE))
    this.#tablesAt = processors.clients.map(() => memory.allocate(tunnelTableBytes(table.ports), PAGE))
    this.#counters = this.#counterAt.map((at) => new Float64Array(memory.buffer, at, OVERLAY_COUNTER_BYTES / 8))
    this.#neighbours = new ProviderNeighbours(
      { mac: this.#mac, links },
      {
        send: (frame) => this.#send(frame),
        resolved: (peer, nextHop) => this.#tell({ peers: [{ peer, address: this.#addressOf.get(peer), nextHop }] }),
      },
    )
    this.#records = new LookupRecords(
      { kind: options.kind, own: links.map(({ address }) => addressText(address)) },
      { changed: (change) => this.#follow(change) },
    )
    const { addressesOf } = components
    this.#guests = new LocalGuests({
      table,
      records: this.#records,
      places: this.#placed,
      addressesOf,
      departed: (subnet, mac) => this.#tell({ departed: [{ subnet, mac: parseMac(mac) }] }),
    })
    this.#routes = new CustomerRoutes({
      changed: ({ routing, addresses }) => {
        for (const { subnet, domain } of routing.domains)
          if (domain === 0) this.#placed.remove(ROUTER_MAC_TEXT, subnet)
          else this.#placed.set(ROUTER_MAC_TEXT, subnet, ROUTER_PLACE)
        this.#tell({ routing, addresses })
      },
    })
  }

  /** Tells the processors, and puts subnets and records of the options into force. Throws OverlayError. */
  async start(): Promise<void> {
    await this.#components.processors.all((processor) => ({ kind: 'overlay', plan: this.#plan(processor) }))
    for (const subnet of this.#options.subnets ?? []) this.#putSubnet(subnet)
    for (const route of this.#options.routes ?? []) this.#routes.set(route)
    this.#records.setAll(this.#options.records ?? [])
    await this.#told
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #plan(processor: number): OverlayPlan {
    const { kind, udpPort, ttl = TUNNEL_TTL, mtu = PROVIDER_MTU, clampMss = true, learning = false } = this.#options
    const { unknownUnicast = 'replicate', multicast = 'replicate', providerAddresses } = this.#options
    const isGroup = multicast !== 'replicate' && multicast !== 'drop'
    return {
      format: TunnelFormat[kind],
      udpPort: kind === 'nvgre' ? 0 : (udpPort ?? TUNNEL_UDP_PORT[kind]),
      ttl,
      mac: this.#mac,
      addresses: providerAddresses.map(({ address }) => linkOf(address).bytes),
      mtu,
      clampMss,
      learning,
      unknownUnicast: unknownUnicast === 'drop' ? Flooding.drop : Flooding.replicate,
      multicast: isGroup ? Flooding.group : multicast === 'drop' ? Flooding.drop : Flooding.replicate,
      group: isGroup ? ipBytes(multicast) : undefined,
      customers: this.#customersAt,
      customerEntries: CUSTOMER_ENTRIES,
      places: this.#places,
      seed: randomBytes(4).readUInt32LE(),
      counters: this.#counterAt[processor]!,
      tables: this.#tablesAt[processor]!,
    }
  }

  // ---- changes ------------------------------------------------------------------------------------------------------------------

  get generation(): number {
    return this.#records.generation
  }

  async set(records: readonly OverlayRecord[]): Promise<readonly OverlayRecord[]> {
    const kept = this.#records.setAll(records)
    await this.#told
    return kept
  }

  async remove(record: { readonly vsid: number; readonly mac: string }): Promise<void> {
    this.#records.remove(record)
    await this.#told
  }

  async setSubnet(subnet: OverlaySubnet): Promise<OverlaySubnet> {
    const kept = this.#putSubnet(subnet)
    this.portsChanged()
    await this.#told
    return kept
  }

  #putSubnet(subnet: OverlaySubnet): OverlaySubnet {
    const kept = this.#records.setSubnet({ ...subnet, ...this.#routes.checkSubnet(subnet) })
    this.#routes.setSubnet(this.#records.subnetIndex(kept.vsid), kept)
    return kept
  }

  async removeSubnet(vsid: number): Promise<void> {
    const { table } = this.#components
    for (let port = 1; port <= table.highest; port++)
      if (table.connected(port) && table.subnet(port) === vsid)
        throw new OverlayError('in-use', `virtual subnet ${vsid} has ports: take them out of it first`)
    this.#routes.checkRoutes(vsid)
    const index = this.#records.subnetIndex(vsid)
    this.#records.removeSubnet(vsid)
    this.#routes.removeSubnet(vsid)
    this.#placed.flush(index)
    await this.#told
  }

  routes(filter?: RouteFilter): readonly OverlayRoute[] {
    return this.#routes.list(filter)
  }

  async setRoute(route: OverlayRoute): Promise<OverlayRoute> {
    const kept = this.#routes.set(route)
    await this.#told
    return kept
  }

  async removeRoute(route: OverlayRoute): Promise<void> {
    this.#routes.remove(route)
    await this.#told
  }

  // Puts a change of subnets and records into force.
  #follow({ records, removed, peers, gonePeers, subnets }: LookupChange): void {
    const now = this.#components.nowMs()
    const addresses: OverlayChange['addresses'][number][] = []
    for (const { subnet, record } of removed) {
      if (!this.#guests.has(subnet, record.mac)) this.#placed.remove(record.mac, subnet)
      addresses.push(...recordAddresses(record, true))
    }
    for (const peer of gonePeers) {
      this.#neighbours.remove(peer)
      this.#addressOf.delete(peer)
      for (const counters of this.#counters) counters.fill(0, peer * PEER_COUNTERS, (peer + 1) * PEER_COUNTERS)
    }
    for (const { peer, address } of peers) this.#addressOf.set(peer, ipBytes(address))
    for (const { subnet, record, peer, before } of records) {
      // A guest that is here has come from there: its port is what counts.
      if (!this.#guests.has(subnet, record.mac)) this.#placed.set(record.mac, subnet, this.#components.table.ports + peer)
      addresses.push(...recordAddresses(before ?? NO_ADDRESSES, true), ...recordAddresses(record, false))
    }
    this.#tell({
      peers: [
        ...gonePeers.map((peer) => ({ peer, address: undefined, nextHop: undefined })),
        ...peers.map(({ peer }) => ({ peer, address: this.#addressOf.get(peer), nextHop: undefined })),
      ],
      subnets,
      addresses,
    })
    for (const { peer } of peers) this.#neighbours.add(peer, this.#addressOf.get(peer)!, now)
  }

  #tell(change: Partial<OverlayChange>): void {
    const whole = { peers: [], subnets: [], addresses: [], ...change }
    const sent = this.#components.processors.all(() => ({ kind: 'overlay-change', change: whole }))
    this.#told = Promise.all([this.#told, sent]).catch(() => undefined) // a processor that is gone ends the switch
  }

  // ---- ports ----------------------------------------------------------------------------------------------------------------------

  /** Which ports are in which subnet, or the addresses of their guests, may be otherwise now. */
  portsChanged(): void {
    const { table, nowMs } = this.#components
    this.#portGeneration = table.generation
    const addresses = this.#guests.follow()
    if (addresses.length > 0) this.#tell({ addresses })
    let external = false
    for (let port = 1; port <= table.highest; port++)
      if (table.connected(port) && (table.flags(port) & PortFlag.external) !== 0) external = true
    if (external && !this.#externalUp) this.#neighbours.linkUp(nowMs())
    this.#externalUp = external
  }

  /** A processor heard a frame for a provider address. */
  heard(frame: Uint8Array): void {
    this.#neighbours.heard(frame, this.#components.nowMs())
  }

  #tick(): void {
    const { table, nowMs } = this.#components
    if (table.generation !== this.#portGeneration) this.portsChanged()
    this.#neighbours.run(nowMs())
    this.#customers.age(Math.floor(nowMs() / 1000), LEARNED_SECONDS)
  }

  #send(frame: Uint8Array): void {
    const { table, processors } = this.#components
    for (let port = 1; port <= table.highest; port++) {
      if (!table.connected(port) || (table.flags(port) & PortFlag.external) === 0) continue
      processors.clients[0]!.request({ kind: 'transmit', port, frame }).catch(() => undefined)
      return
    }
  }

  // ---- what there is --------------------------------------------------------------------------------------------------------------

  subnets(): readonly OverlaySubnet[] {
    return this.#records.subnets()
  }

  records(filter: RecordFilter = {}): readonly ListedRecord[] {
    const listed = this.#records.list(filter).map((record) => ({ ...record, kind: 'static' as const }))
    if (this.#options.learning !== true || filter.address !== undefined) return listed
    const first = this.#components.table.ports
    const learned: ListedRecord[] = []
    for (const { mac, vlan, port, static: isStatic } of this.#customers.entries(Math.floor(this.#components.nowMs() / 1000))) {
      const provider = isStatic || port < first ? undefined : this.#addressOf.get(port - first)
      if (provider === undefined) continue
      const record = {
        vsid: this.#records.vsidOf(vlan),
        mac,
        addresses: [],
        provider: addressText(provider),
        kind: 'learned' as const,
      }
      if ((filter.vsid ?? record.vsid) !== record.vsid || (filter.mac ?? mac) !== mac) continue
      if ((filter.provider ?? record.provider) === record.provider) learned.push(record)
    }
    return [...listed, ...learned]
  }

  #counted(peer: number): TunnelCounters {
    const sum = (counter: number): number =>
      this.#counters.reduce((total, counters) => total + counters[peer * PEER_COUNTERS + counter]!, 0)
    return { sentFrames: sum(0), sentBytes: sum(1), receivedFrames: sum(2), receivedBytes: sum(3) }
  }

  status(): OverlayStatus {
    const { kind, providerAddresses, mtu = PROVIDER_MTU, learning = false, udpPort } = this.#options
    const tunnels = [...this.#records.peers()].map(([provider, peer]) => {
      const nextHop = this.#neighbours.nextHop(peer)
      return { provider, nextHop: nextHop === undefined ? null : formatMac(nextHop), counters: this.#counted(peer) }
    })
    const drops = new Map<string, number>()
    for (const { reasons } of this.#components.drops())
      for (const [reason, frames] of Object.entries(reasons))
        if (reason.startsWith('overlay-') || reason === 'virtual-subnet') drops.set(reason, (drops.get(reason) ?? 0) + frames)
    const families = providerAddresses.map(({ address }) => linkOf(address).bytes.length === 4)
    const sum = (name: keyof TunnelCounters): number => tunnels.reduce((total, { counters }) => total + counters[name], 0)
    return {
      kind,
      providerAddresses: providerAddresses.map(({ address }) => address),
      providerMac: formatMac(this.#mac),
      udpPort: kind === 'nvgre' ? null : (udpPort ?? TUNNEL_UDP_PORT[kind]),
      guestMtu: mtu - Math.max(...families.map((isIpv4) => tunnelBytes(TunnelFormat[kind], isIpv4))),
      learning,
      generation: this.#records.generation,
      records: this.#records.size,
      unplaced: this.#placed.unplaced,
      tunnels,
      counters: {
        sentFrames: sum('sentFrames'),
        sentBytes: sum('sentBytes'),
        receivedFrames: sum('receivedFrames'),
        receivedBytes: sum('receivedBytes'),
      },
      drops: [...drops].map(([reason, frames]) => ({ reason, frames })),
    }
  }
}

// A locally administered address, the same whenever the switch starts.
function macFrom(address: Uint8Array): Uint8Array {
  const mac = Uint8Array.of(0x02, 0x50, 0, 0, 0, 0)
  address.forEach((octet, i) => {
    mac[2 + (i & 3)] = mac[2 + (i & 3)]! ^ octet
  })
  return mac
}
