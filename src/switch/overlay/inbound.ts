// Tunnel packets that came to a provider address of this host: they are read, taken apart, and given to ports of their virtual subnet.
//
// The rule it must not break: what came by a tunnel goes into none, but for a moment to where its guest has gone, and never back; every field is
// checked before the packet is changed.
import * as layout from '../../kernels/layout.ts'
import type { Batch } from '../../ndis/batch.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { decapsulateEcn, TunnelReader, TunnelVerdict } from '../../packet/tunnel.ts'
import type { Outbound } from './outbound.ts'
import type { OverlayPathOwner, OverlayTables } from './overlay-tables.ts'
import { decapsulate, isSuperFrame, pullUp } from './tunnel-fields.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { OFFLOAD_CHECKSUM, PF_DROPPED, PF_MULTICAST, VNET_STRIDE } = layout
const IPV4 = 0x0800
const IPV6 = 0x86dd
const TCP = 6
const TCP_FLAGS = 13
const TCP_HEADER_MAX = 60
const SYN = 2
// In a packet's virtio-net header, where the offset of the sum follows.
const VNET_CHECKSUM_START = 6
const CHECKSUM_BYTES = 2
/** Frames for the provider addresses themselves that go to the control thread, per second of a processor. */
const HEARD_PER_SECOND = 500

/** Fields are ordinary ones: it runs per packet. */
export class Inbound {
  private readonly tables: OverlayTables
  private readonly pool: PacketPool
  private readonly owner: OverlayPathOwner
  private readonly reader: TunnelReader
  private readonly outbound: Outbound
  private readonly heard: (frame: Uint8Array) => void
  private heardLeft = 0

  /** `heard`: takes a copy of a frame that is for a provider address itself. */
  constructor(tables: OverlayTables, outbound: Outbound, heard: (frame: Uint8Array) => void) {
    this.tables = tables
    this.pool = tables.pool
    this.owner = tables.owner
    this.outbound = outbound
    this.heard = heard
    this.reader = new TunnelReader(tables.plan.format, tables.plan.udpPort)
  }

  /** To be called once a second. */
  nextSecond(): void {
    this.heardLeft = HEARD_PER_SECOND
  }

  /** ES-570: the packet at position `i` came by the external port `source`. */
  forward(batch: Batch, i: number, slot: number, source: number): void {
    const { pool, reader, tables, owner } = this
    const at = tables.frameAt(slot)
    const verdict = reader.read(pool.header8, at, at + pool.headerLength[slot]!, pool.length[slot]!)
    if (verdict === TunnelVerdict.other) {
      this.hear(slot, batch)
      return
    }
    if (verdict !== TunnelVerdict.sound) {
      const { overlayCriticalOption, overlayMalformed } = DropReason
      owner.refuse(batch, i, verdict === TunnelVerdict.critical ? overlayCriticalOption : overlayMalformed, source)
      return
    }
    if (!tables.isOwn(reader.destination, reader.addressBytes) && (pool.flags[slot]! & PF_MULTICAST) === 0) {
      owner.refuse(batch, i, DropReason.overlayUnknownProvider, source)
      return
    }
    const peer = tables.peers.find(pool.header8, reader.source, reader.addressBytes)
    if (peer < 0) {
      owner.refuse(batch, i, DropReason.overlayUnknownProvider, source)
      return
    }
    const subnet = tables.subnets.index(reader.vsid)
    if (subnet === 0) {
      owner.refuse(batch, i, DropReason.overlayUnknownSubnet, source)
      return
    }
    if (!decapsulate(pool, slot, reader.headers, reader.inner)) {
      owner.refuse(batch, i, DropReason.badOffload, source)
      return
    }
    tables.peers.countReceived(peer, reader.inner)
    pool.vsid[slot] = reader.vsid
    owner.parse(slot)
    if (this.lacksHeaders(slot)) {
      pullUp(pool, slot)
      owner.parse(slot)
    }
    this.deliver(batch, i, slot, subnet, peer)
  }

  // True if headers of the inner frame may lie behind the copy.
  private lacksHeaders(slot: number): boolean {
    const { l4, etherType, headerLength, length, protocol } = this.pool
    if (headerLength[slot] === length[slot]) return false
    if ((this.pool.needs[slot]! & OFFLOAD_CHECKSUM) !== 0 && this.checksumEnd(slot) > headerLength[slot]!) return true
    if (etherType[slot] !== IPV4 && etherType[slot] !== IPV6) return false
    if (l4[slot] === 0) return true
    if (protocol[slot] !== TCP || l4[slot]! + TCP_HEADER_MAX <= headerLength[slot]!) return false
    return isSuperFrame(this.pool, slot) || (this.tables.plan.clampMss && this.mayOpen(slot))
  }

  // Where the place of the checksum that is open ends.
  private checksumEnd(slot: number): number {
    const { vnet } = this.pool
    const start = slot * VNET_STRIDE + VNET_CHECKSUM_START
    return vnet[start]! + (vnet[start + 1]! << 8) + vnet[start + 2]! + (vnet[start + 3]! << 8) + CHECKSUM_BYTES
  }

  // True if the TCP segment may open a connection.
  private mayOpen(slot: number): boolean {
    const { l4, header8, headerLength } = this.pool
    const flags = l4[slot]! + TCP_FLAGS
    return flags >= headerLength[slot]! || (header8[this.tables.frameAt(slot) + flags]! & SYN) !== 0
  }

  // A decapsulated frame goes to ports of its subnet; into a tunnel again only if its guest left for another host than it came from.
  private deliver(batch: Batch, i: number, slot: number, subnet: number, peer: number): void {
    const { pool, reader, tables, owner } = this
    const { macs, ports, plan } = tables
    const external = pool.sourcePort[slot]!
    const at = tables.frameAt(slot)
    const isIp = pool.etherType[slot] === IPV4 || pool.etherType[slot] === IPV6
    if (reader.ecn !== 0 && isIp && !decapsulateEcn(pool.header8, at + pool.l3[slot]!, reader.ecn)) {
      owner.refuse(batch, i, DropReason.overlayMalformed, external)
      return
    }
    tables.addressAt(at)
    if (tables.isProviderMac) {
      owner.refuse(batch, i, DropReason.overlayNested, external)
      return
    }
    const { low, high } = tables
    tables.addressAt(at + 6)
    if (plan.learning && (tables.high & 1) === 0) macs.learn(tables.low, tables.high, subnet, ports.ports + peer, tables.second)
    if (plan.clampMss) tables.clamp(slot, at, tables.mtuTo(peer))
    if ((pool.flags[slot]! & PF_MULTICAST) !== 0) {
      tables.spread(slot, subnet, external)
      return
    }
    const target = macs.lookup(low, high, subnet)
    if (target < 0) tables.spread(slot, subnet, external)
    else if (target < ports.ports) {
      if (tables.subnets.ofPort[target] === subnet) tables.give(slot, target)
    } else if (target - ports.ports !== peer && tables.departures.take(subnet, low, high, tables.second))
      this.outbound.sendOn(batch, i, slot, target - ports.ports)
  }

  // A frame for the provider address itself: the control thread answers it, nobody else sees it.
  private hear(slot: number, batch: Batch): void {
    const { pool } = this
    pool.flags[slot] = pool.flags[slot]! | PF_DROPPED
    batch.dirty = true
    if (this.heardLeft <= 0) return
    this.heardLeft--
    const at = this.tables.frameAt(slot)
    this.heard(pool.header8.slice(at, at + pool.headerLength[slot]!))
  }
}
