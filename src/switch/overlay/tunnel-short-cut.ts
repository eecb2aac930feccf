// The overlay's short cuts in wasm, for a burst that came in at one port: which packets it takes, tunnels put before them and taken off,
// look-ups. What the kernels leave undecided, and every other case, the TypeScript of this folder does.
//
// The rule it must not break: with and without it, every packet has the same fate (tunnel-short-cut.test.ts); what the kernels read follows
// each change before the next burst.
import type { TunnelKernels } from '../../kernels/kernels.ts'
import { BURST_SLOTS } from '../../kernels/layout.ts'
import * as tunnel from '../../kernels/tunnel-layout.ts'
import type { Batch } from '../../ndis/batch.ts'
import { sumBytes } from '../../packet/checksum.ts'
import { PortFlag } from '../port-table.ts'
import type { OverlayTables } from './overlay-tables.ts'
import type { OverlayChange } from './plan.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per burst.
const { TU_ANSWERS, TU_CHECKS, TU_EXTERNAL, TU_LEFT, TU_LONGEST, TU_NEEDS, TU_NOW, TU_SOURCE, TU_STOPPED_AT, TU_SUBNET } = tunnel
const { TU_SOURCE_HIGH, TU_SOURCE_LOW, TP_BYTES, TS_BYTES, TS_ENTRIES } = tunnel
const { TU_BLOCK_BYTES, TU_PEERS_MAX } = tunnel
const CHAIN_BYTES = TU_PEERS_MAX * 2
const PEER_BYTES = TU_PEERS_MAX * TP_BYTES
const SUBNET_BYTES = TS_ENTRIES * TS_BYTES
const ETHERNET = 14
const IPV4 = 20
/** Calls of a kernel per burst: one, and one more behind each address that had to be learned. */
const CALLS_MAX = 4
const LEFT_SHIFT = 16

/** Bytes of what the kernels of one processor read and write, of a switch with port ids below `ports`. */
export const tunnelTableBytes = (ports: number): number => TU_BLOCK_BYTES + CHAIN_BYTES + PEER_BYTES + SUBNET_BYTES + ports * 2

export interface TunnelShortCutOptions {
  readonly kernels: TunnelKernels
  /** Takes the OR of the offload needs, and the length of the longest, of packets that went into tunnels. */
  readonly owner: { wrapped(needs: number, longest: number): void }
}

/** One processor's. Fields are ordinary ones: they are read per burst. */
export class TunnelShortCut {
  private readonly tables: OverlayTables
  private readonly kernels: TunnelKernels
  private readonly owner: TunnelShortCutOptions['owner']
  private readonly at: number
  private readonly u32: Uint32Array
  private readonly left: Uint16Array
  private readonly chains: Uint16Array
  private readonly peers: Uint8Array
  private readonly peers32: Uint32Array
  private readonly subnets: Uint32Array
  private readonly subnetOf: Uint16Array
  private followed = -1
  private knowsSubnets = false

  /** `buffer`: linear memory, in which the plan names tunnelTableBytes(ports), zeroed. */
  constructor(tables: OverlayTables, buffer: ArrayBufferLike, { kernels, owner }: TunnelShortCutOptions) {
    const { plan, ports } = tables
    const at = plan.tables
    const chainsAt = at + TU_BLOCK_BYTES
    const peersAt = chainsAt + CHAIN_BYTES
    const subnetsAt = peersAt + PEER_BYTES
    const subnetOfAt = subnetsAt + SUBNET_BYTES
    this.tables = tables
    this.kernels = kernels
    this.owner = owner
    this.at = at
    this.u32 = new Uint32Array(buffer, at, TU_BLOCK_BYTES >> 2)
    this.left = new Uint16Array(buffer, at + TU_LEFT, BURST_SLOTS)
    this.chains = new Uint16Array(buffer, chainsAt, TU_PEERS_MAX)
    this.peers = new Uint8Array(buffer, peersAt, PEER_BYTES)
    this.peers32 = new Uint32Array(buffer, peersAt, PEER_BYTES >> 2)
    this.subnets = new Uint32Array(buffer, subnetsAt, SUBNET_BYTES >> 2)
    this.subnetOf = new Uint16Array(buffer, subnetOfAt, ports.ports)
    const [ipv4Mtu, ipv6Mtu] = tables.mtus
    const { mac } = plan
    const own4 = plan.addresses.find(({ length }) => length === 4)
    const own6 = plan.addresses.find(({ length }) => length === 16)
    const bytes = new Uint8Array(buffer, at, TU_BLOCK_BYTES)
    if (own4 !== undefined) bytes.set(own4, tunnel.TU_OWN_IPV4)
    if (own6 !== undefined) bytes.set(own6, tunnel.TU_OWN_IPV6)
    const values: readonly (readonly [at: number, value: number])[] = [
      [tunnel.TU_SUBNET_OF, subnetOfAt],
      [tunnel.TU_PORTS, ports.ports],
      [tunnel.TU_MACS, plan.customers],
      [tunnel.TU_MAC_MASK, plan.customerEntries - 1],
      [tunnel.TU_PEERS, peersAt],
      [tunnel.TU_CHAINS, chainsAt],
      [tunnel.TU_SUBNETS, subnetsAt],
      [tunnel.TU_COUNTERS, plan.counters],
      [tunnel.TU_FORMAT, plan.format],
      [tunnel.TU_UDP_PORT, plan.udpPort],
      [tunnel.TU_MAC_LOW, mac[2]! | (mac[3]! << 8) | (mac[4]! << 16) | (mac[5]! << 24)],
      [tunnel.TU_MAC_HIGH, mac[0]! | (mac[1]! << 8)],
      [tunnel.TU_MTU_IPV4, ipv4Mtu],
      [tunnel.TU_MTU_IPV6, ipv6Mtu],
      [tunnel.TU_OWN_FAMILIES, (own4 === undefined ? 0 : 1) | (own6 === undefined ? 0 : 2)],
      [tunnel.TU_CLAMPS, plan.clampMss ? 1 : 0],
      [tunnel.TU_LEARNS, plan.learning ? 1 : 0],
    ]
    for (const [place, value] of values) this.u32[place >> 2] = value
  }

  // ---- what the kernels read ---------------------------------------------------------------------------------------------------

  /** Follows a change that the tables have taken over. */
  change({ peers, subnets }: Pick<OverlayChange, 'peers' | 'subnets'>): void {
    if (subnets.length > 0) this.knowsSubnets = false
    for (const { peer, address } of peers) {
      const at = peer * TP_BYTES
      const words = at >> 2
      this.peers.fill(0, at, at + TP_BYTES)
      if (address === undefined) continue
      this.peers32[words + (tunnel.TP_ADDRESS_BYTES >> 2)] = address.length
      this.peers.set(address, at + tunnel.TP_ADDRESS)
      const template = this.tables.peers.templates[peer]
      if (template === undefined) continue
      const { bytes, length, isIpv4 } = template
      this.peers.set(bytes, at + tunnel.TP_TEMPLATE)
      this.peers32[words + (tunnel.TP_LENGTH >> 2)] = length
      this.peers32[words + (tunnel.TP_IPV4 >> 2)] = isIpv4 ? 1 : 0
      this.peers32[words + (tunnel.TP_SUM >> 2)] = isIpv4 ? sumBytes(bytes, ETHERNET, ETHERNET + IPV4) : 0
    }
    if (peers.length > 0) this.chain()
  }

  private chain(): void {
    const { chains, peers32 } = this
    chains.fill(0)
    for (let peer = 0; peer < TU_PEERS_MAX; peer++) {
      const words = (peer * TP_BYTES) >> 2
      const length = peers32[words + (tunnel.TP_ADDRESS_BYTES >> 2)]!
      if (length === 0) continue
      const address = words + (tunnel.TP_ADDRESS >> 2)
      let hash = length
      for (let i = 0; i < length >> 2; i++) hash = Math.imul(hash ^ peers32[address + i]!, tunnel.TP_HASH_MIX)
      const place = (hash ^ (hash >>> 15)) & (TU_PEERS_MAX - 1)
      peers32[words + (tunnel.TP_NEXT >> 2)] = chains[place]!
      chains[place] = peer + 1
    }
  }

  /** Before a burst. */
  refresh(): void {
    const { subnets } = this.tables
    if (subnets.version === this.followed) return
    this.followed = subnets.version
    this.subnetOf.set(subnets.ofPort)
    if (this.knowsSubnets) return
    this.knowsSubnets = true
    const table = this.subnets
    table.fill(0)
    for (const [vsid, subnet] of subnets.known()) {
      let i = Math.imul(vsid, tunnel.TS_HASH_MIX) >>> tunnel.TS_HASH_SHIFT
      while (table[(i & (TS_ENTRIES - 1)) << 1] !== 0) i++
      table[(i & (TS_ENTRIES - 1)) << 1] = vsid
      table[((i & (TS_ENTRIES - 1)) << 1) + 1] = subnet
    }
  }

  // ---- bursts ------------------------------------------------------------------------------------------------------------------

  /** Marks what the overlay takes of a burst from `source`; `claims` is asked about group addresses and marks one. Returns how many. */
  mark(batch: Batch, source: number, claims: (batch: Batch, i: number) => boolean): number {
    const { subnets, pool } = this.tables
    const isOfSubnet = source !== subnets.external
    if (isOfSubnet && subnets.ofPort[source] === 0) return 0
    const found = this.kernels.claim(pool.base, batch.list, batch.length, this.at, isOfSubnet ? 1 : 0)
    let marked = found & ((1 << LEFT_SHIFT) - 1)
    const left = found >>> LEFT_SHIFT
    for (let k = 0; k < left; k++) if (claims(batch, this.left[k]!)) marked++
    return marked
  }

  /** True if a packet that the overlay does not direct has a destination in a subnet. */
  strays(batch: Batch): boolean {
    return this.kernels.strays(this.tables.pool.base, batch.list, batch.length, this.at) !== 0
  }

  /** Directs the marked packets of a burst from `source`; `one` is called for each position that is left, in order. */
  forward(batch: Batch, source: number, one: (batch: Batch, i: number) => void): void {
    const { kernels, u32, left, at } = this
    const { base } = this.tables.pool
    const isInbound = source === this.tables.subnets.external
    this.describe(source)
    const count = batch.length
    let from = 0
    for (let calls = 0; from < count && calls < CALLS_MAX; calls++) {
      const list = batch.list + from * 2
      const undecided = isInbound
        ? kernels.decapsulate(base, list, count - from, at)
        : kernels.encapsulate(base, list, count - from, at)
      if (!isInbound && u32[TU_LONGEST >> 2] !== 0) this.owner.wrapped(u32[TU_NEEDS >> 2]!, u32[TU_LONGEST >> 2]!)
      const stopped = from + u32[TU_STOPPED_AT >> 2]!
      for (let k = 0; k < undecided; k++) one(batch, from + left[k]!)
      if (stopped < count) one(batch, stopped)
      from = stopped + 1
    }
    for (; from < count; from++) one(batch, from)
  }

  private describe(source: number): void {
    const { u32 } = this
    const { ports, subnets, customers, second } = this.tables
    const { external } = subnets
    u32[TU_NOW >> 2] = second
    u32[TU_ANSWERS >> 2] = customers.size === 0 ? 0 : 1
    u32[TU_EXTERNAL >> 2] = ports.connected(external) ? external : 0
    u32[TU_SOURCE >> 2] = source
    u32[TU_SUBNET >> 2] = subnets.ofPort[source]!
    u32[TU_CHECKS >> 2] = (ports.flags(source) & PortFlag.checkSource) === 0 ? 0 : 1
    u32[TU_SOURCE_LOW >> 2] = ports.macLow(source)
    u32[TU_SOURCE_HIGH >> 2] = ports.macHigh(source)
  }
}
