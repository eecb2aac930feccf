// The team of physical adapters below the external port, on one processor (switch embedded teaming, switch-independent).
//
// The rule it must not break: without a team it costs one look at a flag per burst. With a forwarding extension, which chooses members by
// itself (a teaming provider), it is not asked.
import type { Batch } from '../../ndis/batch.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import type { MacTable } from '../mac-table.ts'
import type { PortTable } from '../port-table.ts'
import { TeamMembers } from './team-members.ts'
import { TeamReceiver, type TeamReceiverOwner } from './team-receiver.ts'
import { TeamSender } from './team-sender.ts'

export interface TeamComponents {
  readonly owner: TeamReceiverOwner
  readonly nowMs: () => number
}

/** Fields are ordinary ones: they are read per burst. */
export class Team {
  /** True if the switch has a team. */
  active = false
  readonly sender: TeamSender
  private readonly ports: PortTable
  private readonly members = new TeamMembers()
  private readonly receiver: TeamReceiver
  private readonly components: TeamComponents
  private generation = -1

  constructor(pool: PacketPool, ports: PortTable, macs: MacTable, components: TeamComponents) {
    this.ports = ports
    this.components = components
    this.sender = new TeamSender(pool, ports.uplinks, this.members, components.nowMs)
    this.receiver = new TeamReceiver(pool, ports, macs, { members: this.members, owner: components.owner })
  }

  /** The processor that it counts for; none, in a dry run. */
  set processor(index: number) {
    this.sender.processor = index
    this.receiver.processor = index
  }

  /** Looks at the members again if a port changed. */
  refresh(): void {
    const { ports } = this
    if (ports.generation === this.generation) return
    this.generation = ports.generation
    const { port } = ports.uplinks
    this.active = port !== 0
    if (this.members.update(ports.uplinks, this.active ? ports.adapters(port) : 0)) this.receiver.changedAt = this.nowSeconds()
  }

  private nowSeconds(): number {
    return Math.floor(this.components.nowMs() / 1000)
  }

  /** Drops what came in through the members and is not to be taken. */
  judge(batch: Batch): void {
    this.receiver.judge(batch, this.nowSeconds())
    if (batch.dirty) batch.settle()
  }
}
