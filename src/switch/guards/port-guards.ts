// The guards of the ports on one processor: policies built into the switch that judge what a port sends, after the filtering extensions and
// before the forwarding one (spec 7.6, ES-335).
//
// The rule it must not break: a burst from a port without guards costs one look at one byte, and nothing while no port has any; nothing
// is allocated per packet; packets of source port 0 pass (ES-341).
import * as layout from '../../kernels/layout.ts'
import type { Batch } from '../../ndis/batch.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import type { PortTable } from '../port-table.ts'
import { isServerMessage } from './dhcp-guard.ts'
import { GuardBit } from './guard-table.ts'
import { isRouterMessage } from './router-guard.ts'
import { isForeign, type SourceGuardView } from './source-guard.ts'
import { BROADCAST, MULTICAST, UNKNOWN_UNICAST } from './storm-limit.ts'

const { OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO, PF_BROADCAST, PF_DROPPED, PF_MULTICAST, VNET_STRIDE } = layout
const { dhcp: DHCP, router: ROUTER, source: SOURCE, storm: STORM } = GuardBit
/** Guards that look at the clock. */
const TIMED = STORM | SOURCE
const { none, dhcpGuard, routerGuard, sourceGuard, stormLimit } = DropReason
const SEGMENTED = OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO
const VNET_SEGMENT_SIZE = 4

export interface GuardsOwner {
  /** Drops position `i`, which came in at `port`. */
  refuse(batch: Batch, i: number, reason: number, port: number): void
}

/** Fields are ordinary ones: they are read per packet. */
export class PortGuards implements SourceGuardView {
  /** True if a port of the switch has guards. */
  active = false
  /** True if a port's unknown unicast frames are limited. */
  limitsUnknown = false
  private readonly pool: PacketPool
  readonly ports: PortTable
  private readonly owner: GuardsOwner
  private readonly nowMs: () => number
  private readonly bits: Uint8Array
  private generation = -1
  /** False in a dry run: nothing is learned, and limits are looked at and not used up. */
  learns = true
  /** Milliseconds of the clock at the burst in work, where a guard asks for it. */
  tick = 0

  constructor(pool: PacketPool, ports: PortTable, owner: GuardsOwner, nowMs: () => number) {
    this.pool = pool
    this.ports = ports
    this.owner = owner
    this.nowMs = nowMs
    this.bits = new Uint8Array(ports.ports)
  }

  /** Notes anew what ports have, if one changed. True if `active` or `limitsUnknown` did. */
  refresh(): boolean {
    const { ports } = this
    const { generation } = ports
    if (generation === this.generation) return false
    this.generation = generation
    const { active, limitsUnknown } = this
    this.active = false
    this.limitsUnknown = false
    for (let port = 1; port <= ports.highest; port++) {
      const bits = ports.guards.bits(port)
      this.bits[port] = bits
      if (bits !== 0) this.active = true
      if (ports.guards.limits(port, UNKNOWN_UNICAST)) this.limitsUnknown = true
    }
    return this.active !== active || this.limitsUnknown !== limitsUnknown
  }

  /** Drops what the guards of the packets' source ports refuse. */
  judge(batch: Batch): void {
    const { pool, bits } = this
    const { sourcePort, flags } = pool
    const { slots } = batch
    if (batch.oneSource) {
      const guards = bits[sourcePort[slots[0]!]!]!
      if (guards === 0) return
      if ((guards & TIMED) !== 0) this.tick = this.nowMs() | 0
    } else this.tick = this.nowMs() | 0
    for (let i = 0; i < batch.length; i++) {
      const slot = slots[i]!
      const port = sourcePort[slot]!
      const guards = bits[port]!
      if (guards === 0 || (flags[slot]! & PF_DROPPED) !== 0) continue // port 0 has none: ES-341
      const reason = this.reasonFor(slot, port, guards)
      if (reason !== none) this.owner.refuse(batch, i, reason, port)
    }
  }

  private reasonFor(slot: number, port: number, guards: number): number {
    if ((guards & DHCP) !== 0 && isServerMessage(this.pool, slot)) return dhcpGuard
    if ((guards & ROUTER) !== 0 && isRouterMessage(this.pool, slot)) return routerGuard
    if ((guards & SOURCE) !== 0 && isForeign(this.pool, this, slot, port)) return sourceGuard
    const kind = this.pool.flags[slot]!
    if ((guards & STORM) === 0 || (kind & PF_MULTICAST) === 0) return none
    return this.within(slot, port, (kind & PF_BROADCAST) !== 0 ? BROADCAST : MULTICAST) ? none : stormLimit
  }

  /** UnknownUnicastLimit */
  limits(port: number): boolean {
    return (this.bits[port]! & STORM) !== 0
  }

  /** False if the unicast frame in `slot` from `port`, whose address no port is known to have, is one too many. */
  admitsUnknown(slot: number, port: number): boolean {
    return (this.bits[port]! & STORM) === 0 || this.within(slot, port, UNKNOWN_UNICAST)
  }

  /**
   * Drops the unicast frames above the limit among those that already have several destinations: a forwarding extension floods them, so
   * it does not know their address.
   */
  limitFloods(batch: Batch): void {
    const { destinationCount, flags, sourcePort } = this.pool
    if (batch.oneSource && !this.limits(sourcePort[batch.slots[0]!]!)) return
    for (let i = 0; i < batch.length; i++) {
      const slot = batch.slots[i]!
      if (destinationCount[slot]! < 2 || (flags[slot]! & (PF_MULTICAST | PF_DROPPED)) !== 0) continue
      const port = sourcePort[slot]!
      if (!this.admitsUnknown(slot, port)) this.owner.refuse(batch, i, stormLimit, port)
    }
  }

  // A frame that is to be cut counts as what it is cut into.
  private within(slot: number, port: number, kind: number): boolean {
    const { needs, vnet, length } = this.pool
    const bytes = length[slot]!
    let frames = 1
    if ((needs[slot]! & SEGMENTED) !== 0) {
      const at = slot * VNET_STRIDE + VNET_SEGMENT_SIZE
      const size = vnet[at]! | (vnet[at + 1]! << 8)
      if (size !== 0) frames = Math.ceil(bytes / size)
    }
    const { guards } = this.ports
    if (this.learns) return guards.take(port, kind, frames, bytes, this.tick)
    return guards.bucket(port, kind, frames, bytes, this.tick)?.isEnough ?? true
  }
}
