// What the switch does about destinations besides forwarding: which frames of a team's members are taken, that tenants stay apart, and
// mirroring; whatever chose the destinations.
//
// The rule it must not break: what is off costs one look at a flag per burst.
import type { Batch } from '../ndis/batch.ts'
import type { PacketPool } from '../ndis/pool.ts'
import type { Delivery } from './delivery.ts'
import type { ForwardingChoice } from './forwarding-choice.ts'
import type { MacTable } from './mac-table.ts'
import { Mirroring, type MirroringOwner } from './mirroring.ts'
import type { PortTable } from './port-table.ts'
import { Team } from './team/team.ts'
import type { TeamReceiverOwner } from './team/team-receiver.ts'
import { Tenants, type TenantsOwner } from './tenants.ts'

export interface PlacementComponents {
  readonly pool: PacketPool
  readonly ports: PortTable
  readonly macs: MacTable
  readonly delivery: Delivery
  readonly choice: ForwardingChoice
  readonly nowMs: () => number
}

/** Fields are ordinary ones: they are read per burst. */
export class Placement {
  readonly team: Team
  private readonly mirroring: Mirroring
  private readonly tenants: Tenants

  constructor(components: PlacementComponents, owner: MirroringOwner & TenantsOwner & TeamReceiverOwner) {
    const { pool, ports, macs, nowMs } = components
    this.team = new Team(pool, ports, macs, { owner, nowMs })
    this.mirroring = new Mirroring(pool, ports, owner)
    this.tenants = new Tenants(pool, ports, owner)
    components.choice.team = this.team
    components.choice.mirroring = this.mirroring
    components.delivery.balance = this.team.sender
  }

  /** Follows what changed of ports. */
  refresh(): void {
    this.team.refresh()
    this.mirroring.refresh()
    this.tenants.refresh()
  }

  /** The packets have their destinations: takes away those of other tenants, adds mirror ports. ES-338 */
  finish(batch: Batch): void {
    if (this.tenants.active) {
      this.tenants.separate(batch)
      if (batch.dirty) batch.settle()
    }
    if (!this.mirroring.active) return
    this.mirroring.add(batch)
    if (batch.dirty) batch.settle()
  }
}
