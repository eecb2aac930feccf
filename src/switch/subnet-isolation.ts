// Isolation by virtual subnet where no overlay does it: a port in a virtual subnet exchanges frames with ports of the same one only,
// whatever chose the destinations. Subnets that an overlay knows are the overlay's, which tells the same addresses in several of them apart as
// well.
//
// The rule it must not break: off, it costs one look at a flag per burst; a packet of source port 0 passes (ES-341), as does one that network
// virtualization directed, and subnets that an extension isolates are not its business (ES-572).
import * as layout from '../kernels/layout.ts'
import type { Batch } from '../ndis/batch.ts'
import { destinationAt, setDestinationAt } from '../ndis/destinations.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import { PortFlag, type PortTable } from './port-table.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { DE_EXCLUDED, DE_PORT, PF_DROPPED, PF_NATIVE_FORWARDING } = layout

export interface SubnetIsolationOwner {
  /** Drops position `i` for `reason`, reported at `port`. */
  refuse(batch: Batch, i: number, reason: number, port: number): void
}

/** Fields are ordinary ones: it runs per packet while a port is in a virtual subnet. */
export class SubnetIsolation {
  /** True if a port is in a virtual subnet. */
  active = false
  private readonly ports: PortTable
  private readonly owner: SubnetIsolationOwner
  // VirtualSubnetId of each port, 0 = none.
  private readonly subnets: Int32Array
  // A bit for each port in a subnet, its id modulo 32.
  private members = 0
  private generation = -1

  constructor(ports: PortTable, owner: SubnetIsolationOwner) {
    this.ports = ports
    this.owner = owner
    this.subnets = new Int32Array(ports.ports)
  }

  /** Notes anew which subnet ports are in, if one changed. */
  refresh(): void {
    const { ports, subnets } = this
    if (ports.generation === this.generation) return
    this.generation = ports.generation
    this.active = false
    this.members = 0
    for (let port = 1; port <= ports.highest; port++) {
      const isExternal = (ports.flags(port) & PortFlag.externalSubnet) !== 0
      subnets[port] = isExternal ? 0 : ports.subnet(port)
      if (subnets[port] === 0) continue
      this.active = true
      this.members |= 1 << port
    }
  }

  /** ES-529, ES-542 */
  separate(batch: Batch): void {
    const isOfNone = batch.oneSource && this.subnets[batch.pool.sourcePort[batch.slots[0]!]!] === 0
    if (!isOfNone || (batch.reached & this.members) !== 0) separateSubnets(batch, this.subnets, this.owner)
  }
}

/**
 * Takes ports of other virtual subnets out of the destinations of packets that network virtualization does not direct; one that is left with
 * none is dropped. `ofPort`: the subnet of each port, 0 = none.
 */
export function separateSubnets(batch: Batch, ofPort: Uint16Array | Int32Array, owner: SubnetIsolationOwner): void {
  const { pool } = batch
  for (let i = 0; i < batch.length; i++) {
    const slot = batch.slots[i]!
    const source = pool.sourcePort[slot]!
    if (source === 0 || (pool.flags[slot]! & (PF_DROPPED | PF_NATIVE_FORWARDING)) !== 0) continue
    const subnet = ofPort[source]!
    const count = pool.destinationCount[slot]!
    let left = 0
    let taken = 0
    for (let k = 0; k < count; k++) {
      const entry = destinationAt(pool, slot, k)
      if ((entry & DE_EXCLUDED) !== 0) continue
      if (ofPort[entry & DE_PORT] === subnet) left++
      else {
        setDestinationAt(pool, slot, k, entry | DE_EXCLUDED)
        taken++
      }
    }
    if (taken !== 0 && left === 0) owner.refuse(batch, i, DropReason.virtualSubnet, source)
  }
}
