// Which members of a team carry traffic, and which of them is whose: every port of the switch has one member, on which its address is seen
// by the physical network (load balancing HyperVPort).
//
// The rule it must not break: it is a function of the port and of the members' state alone, so that all processors and the control thread
// come to the same answer; a member that goes moves its own ports and no others.
import { memberBit, TEAM_MEMBERS_MAX, type TeamTable } from './team-table.ts'

/** The active members, as of the last `update`. Fields are ordinary ones: it is asked per packet. */
export class TeamMembers {
  /** Members that carry traffic: bit n = NIC index n + 1. Standby ones only while no other one can. */
  active = 0
  // Members that carry traffic while all links are up, and now.
  private readonly homes = new Uint8Array(TEAM_MEMBERS_MAX)
  private homeCount = 0
  readonly list = new Uint8Array(TEAM_MEMBERS_MAX)
  count = 0

  /** `connected`: bits of the adapters whose connection is connected. True if the active members are others than before. */
  update(team: TeamTable, connected: number): boolean {
    const usable = team.members & team.up & connected
    const first = usable & ~team.standby
    const active = first !== 0 ? first : usable
    const preferred = team.members & ~team.standby
    this.homeCount = listInto(this.homes, preferred !== 0 ? preferred : team.members)
    if (active === this.active) return false
    this.active = active
    this.count = listInto(this.list, active)
    return true
  }

  /** The member that takes what comes for all: broadcast, multicast, unknown addresses. 0: no member is up. */
  get designated(): number {
    return this.count === 0 ? 0 : this.list[0]!
  }

  /** The member of a port, 0: none is up. Its home while that is up, so that it comes back there. */
  memberOf(port: number): number {
    if (this.count === 0) return 0
    const home = this.homes[port % this.homeCount]!
    return (this.active & memberBit(home)) !== 0 ? home : this.list[port % this.count]!
  }
}

function listInto(list: Uint8Array, bits: number): number {
  let count = 0
  for (let nicIndex = 1; nicIndex <= TEAM_MEMBERS_MAX; nicIndex++)
    if ((bits & memberBit(nicIndex)) !== 0) list[count++] = nicIndex
  return count
}
