// Mirroring at the miniport edge (spec 5.15): what ports of monitor mode `source` get and send is delivered to the port of mode
// `destination` of the same session as well, with or without a forwarding extension.
//
// The rule it must not break: a mirror port that is a destination already is not added again (ES-339).
import { DE_PORT, DE_PRESERVE_PRIORITY, DE_PRESERVE_VLAN } from '../kernels/layout.ts'
import type { Batch } from '../ndis/batch.ts'
import { appendDestination, destinationAt } from '../ndis/destinations.ts'
import type { PacketPool } from '../ndis/pool.ts'
import { MonitorMode, type PortTable } from './port-table.ts'

/** Fields are ordinary ones: it runs per packet while a port is mirrored. */
export class Mirroring {
  private readonly pool: PacketPool
  private readonly ports: PortTable
  /** Port that a port is mirrored to, 0 = none. */
  private readonly mirror: Uint16Array
  private generation = -1
  /** True if a port is mirrored. */
  active = false

  constructor(pool: PacketPool, ports: PortTable) {
    this.pool = pool
    this.ports = ports
    this.mirror = new Uint16Array(ports.ports)
  }

  /** Rebuilds the table if a port changed. */
  refresh(): void {
    const { ports, mirror } = this
    if (ports.generation === this.generation) return
    this.generation = ports.generation
    if (this.active) mirror.fill(0)
    this.active = false
    for (let to = 1; to <= ports.highest; to++) {
      if (ports.monitorMode(to) !== MonitorMode.destination || !ports.connected(to)) continue
      for (let port = 1; port <= ports.highest; port++) {
        if (ports.monitorMode(port) !== MonitorMode.source || ports.monitorSession(port) !== ports.monitorSession(to)) continue
        mirror[port] = to
        this.active = true
      }
    }
  }

  /** Adds the mirror port to every packet that a mirrored port sent or gets. ES-338 */
  add(batch: Batch): void {
    const { pool, mirror } = this
    for (let i = 0; i < batch.length; i++) {
      const slot = batch.slots[i]!
      const count = pool.destinationCount[slot]!
      this.addOne(slot, mirror[pool.sourcePort[slot]!]!)
      for (let k = 0; k < count; k++) this.addOne(slot, mirror[destinationAt(pool, slot, k) & DE_PORT]!)
    }
  }

  private addOne(slot: number, to: number): void {
    const { pool } = this
    if (to === 0) return
    for (let k = 0; k < pool.destinationCount[slot]!; k++) if ((destinationAt(pool, slot, k) & DE_PORT) === to) return // ES-339
    appendDestination(pool, slot, to | DE_PRESERVE_VLAN | DE_PRESERVE_PRIORITY)
  }
}
