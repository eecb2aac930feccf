// Isolation of tenants: while it is on, ports of different tenants do not exchange frames, whatever chose the destinations: the switch, or a
// forwarding extension. It comes before mirroring, which it does not touch.
//
// Guests' ports without a tenant are a group of their own; ports of the host and the external one are everybody's, unless they have a tenant.
//
// The rule it must not break: off, it costs one look at a flag per burst; a packet of source port 0 passes (ES-341).
import { DE_EXCLUDED, DE_PORT } from '../kernels/layout.ts'
import type { Batch } from '../ndis/batch.ts'
import { destinationAt, setDestinationAt } from '../ndis/destinations.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import type { PacketPool } from '../ndis/pool.ts'
import type { PortTable } from './port-table.ts'

export interface TenantsOwner {
  /** Drops position `i` for `reason`, reported at `port`. */
  refuse(batch: Batch, i: number, reason: number, port: number): void
}

/** Fields are ordinary ones: it runs per packet while tenants are isolated. */
export class Tenants {
  /** True if a port has a group: tenants are isolated. */
  active = false
  private readonly pool: PacketPool
  private readonly ports: PortTable
  private readonly owner: TenantsOwner
  private readonly groups: Int32Array
  private generation = -1

  constructor(pool: PacketPool, ports: PortTable, owner: TenantsOwner) {
    this.pool = pool
    this.ports = ports
    this.owner = owner
    this.groups = new Int32Array(ports.ports)
  }

  /** Notes anew which group ports belong to, if one changed. */
  refresh(): void {
    const { ports } = this
    if (ports.generation === this.generation) return
    this.generation = ports.generation
    this.active = false
    for (let port = 1; port <= ports.highest; port++) {
      this.groups[port] = ports.tenants[port]!
      if (this.groups[port] !== 0) this.active = true
    }
  }

  /** Takes ports of other tenants out of the destinations; a packet that is left with none is dropped. */
  separate(batch: Batch): void {
    const { pool, groups } = this
    for (let i = 0; i < batch.length; i++) {
      const slot = batch.slots[i]!
      const source = pool.sourcePort[slot]!
      const group = groups[source]!
      if (group === 0) continue
      const count = pool.destinationCount[slot]!
      if (count === 0) continue // for mirroring alone
      let left = 0
      for (let k = 0; k < count; k++) {
        const entry = destinationAt(pool, slot, k)
        if ((entry & DE_EXCLUDED) !== 0) continue
        const other = groups[entry & DE_PORT]!
        if (other === 0 || other === group) left++
        else setDestinationAt(pool, slot, k, entry | DE_EXCLUDED)
      }
      if (left === 0) this.owner.refuse(batch, i, DropReason.tenantIsolation, source)
    }
  }
}
