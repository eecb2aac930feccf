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

const { PF_DROPPED } = layout
const { dhcp: DHCP, router: ROUTER } = GuardBit
const { none, dhcpGuard, routerGuard } = DropReason

export interface GuardsOwner {
  /** Drops position `i`, which came in at `port`. */
  refuse(batch: Batch, i: number, reason: number, port: number): void
}

/** Fields are ordinary ones: they are read per packet. */
export class PortGuards {
  /** True if a port of the switch has guards. */
  active = false
  private readonly pool: PacketPool
  private readonly ports: PortTable
  private readonly owner: GuardsOwner
  private readonly bits: Uint8Array
  private generation = -1

  constructor(pool: PacketPool, ports: PortTable, owner: GuardsOwner) {
    this.pool = pool
    this.ports = ports
    this.owner = owner
    this.bits = new Uint8Array(ports.ports)
  }

  /** Notes anew what ports have, if one changed. True if `active` did. */
  refresh(): boolean {
    const { ports } = this
    const { generation } = ports
    if (generation === this.generation) return false
    this.generation = generation
    const before = this.active
    this.active = false
    for (let port = 1; port <= ports.highest; port++) {
      const bits = ports.guards.bits(port)
      this.bits[port] = bits
      if (bits !== 0) this.active = true
    }
    return this.active !== before
  }

  /** Drops what the guards of the packets' source ports refuse. */
  judge(batch: Batch): void {
    const { pool, bits } = this
    const { sourcePort, flags } = pool
    const { slots } = batch
    if (batch.oneSource && bits[sourcePort[slots[0]!]!] === 0) return
    for (let i = 0; i < batch.length; i++) {
      const slot = slots[i]!
      const port = sourcePort[slot]!
      const guards = bits[port]!
      if (guards === 0 || (flags[slot]! & PF_DROPPED) !== 0) continue // port 0 has none: ES-341
      const reason = this.reasonFor(slot, guards)
      if (reason !== none) this.owner.refuse(batch, i, reason, port)
    }
  }

  private reasonFor(slot: number, guards: number): number {
    if ((guards & DHCP) !== 0 && isServerMessage(this.pool, slot)) return dhcpGuard
    if ((guards & ROUTER) !== 0 && isRouterMessage(this.pool, slot)) return routerGuard
    return none
  }
}
