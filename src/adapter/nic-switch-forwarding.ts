// The NIC switch's forwarding decision (spec 5.1, steps 3 to 7): which VPorts and whether the wire get a frame. Filters decide for
// unicast; broadcast and multicast are replicated; what no filter knows goes to the wire, or from the wire to the default VPort.
//
// The rule it must not break: a frame never returns to where it came from, and a VF gets only frames of VLANs that its filters admit.
import * as layout from '../kernels/layout.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import type { PacketPool } from '../ndis/pool.ts'
import { isLinkLocal } from './admission.ts'
import type { FilterTable } from './filter-table.ts'
import type { GroupTable } from './group-table.ts'
import { innerFrame } from './inner-frame.ts'
import { PacketFilter, VPortFlag, type VPortTable } from './vport-table.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { ARENA_ENTRIES, HEADER_STRIDE, PF_BROADCAST, PF_MULTICAST } = layout
const { active, vf, linkDown, asleep, allMulticast, promiscuous } = VPortFlag
const { noDestination, noResources, hairpin, reservedMulticast } = DropReason

const CLOSED = linkDown | asleep
const DEFAULT_VPORT = 0

/** The decision. Fields are ordinary ones: `decide` runs per packet. */
export class NicSwitchForwarding {
  private readonly pool: PacketPool
  private readonly vports: VPortTable
  private readonly filters: FilterTable
  private readonly groups: GroupTable
  private generation = -1
  /** VPorts of VFs that frames can go to, and of them those that get unknown unicast. */
  private readonly members: Uint8Array
  private memberCount = 0
  private readonly curious: Uint8Array
  private curiousCount = 0
  private wireOpen = false
  private wireExists = false
  /** What the default VPort gets (PacketFilter), 0 while it is closed. */
  private pfFilter = 0
  private readonly chosen: Uint16Array
  private chosenCount = 0

  constructor(pool: PacketPool, vports: VPortTable, filters: FilterTable, groups: GroupTable) {
    this.pool = pool
    this.vports = vports
    this.filters = filters
    this.groups = groups
    this.members = new Uint8Array(vports.vports)
    this.curious = new Uint8Array(vports.vports)
    this.chosen = new Uint16Array(vports.vports + 1)
  }

  /** Rebuilds what is derived from the VPort table if that changed. */
  refresh(): void {
    const { vports } = this
    const { generation } = vports
    if (generation === this.generation) return
    this.generation = generation
    this.memberCount = 0
    this.curiousCount = 0
    for (let vport = 1; vport < vports.vports; vport++) {
      const flags = vports.flags(vport)
      if ((flags & (active | vf)) !== (active | vf) || (flags & CLOSED) !== 0) continue // PD-05: PF VPorts get no copy
      this.members[this.memberCount++] = vport
      if ((flags & promiscuous) !== 0) this.curious[this.curiousCount++] = vport
    }
    const wire = vports.flags(vports.wire)
    this.wireExists = (wire & active) !== 0
    this.wireOpen = this.wireExists && (wire & linkDown) === 0
    const defaultPort = vports.flags(DEFAULT_VPORT)
    this.pfFilter = (defaultPort & active) !== 0 && (defaultPort & CLOSED) === 0 ? vports.packetFilter : 0
  }

  /**
   * Gives the packet in `slot`, from `source` in VLAN `vlan` (0 = untagged or zero), its destinations in the pool. Returns 0, or the
   * reason why it has none. Allocates nothing.
   */
  decide(slot: number, source: number, vlan: number): number {
    const { pool, filters, vports } = this
    const kind = pool.flags[slot]!
    const at = (slot * HEADER_STRIDE + pool.headerOffset[slot]!) >> 2
    const first = pool.header32[at]!
    const second = pool.header32[at + 1]!
    if ((kind & PF_MULTICAST) !== 0) return this.replicate(slot, source, vlan, kind, first, second)
    const low = (first >>> 16) | (second << 16)
    const high = first & 0xffff
    let target = filters.match(low, high, vlan) // SR-204, SR-213
    if (target < 0 && filters.hasInner) target = this.matchInner(slot, vlan)
    if (target < 0) return this.unknown(slot, source, vlan, low, high)
    if (target === source) return hairpin
    pool.destination[slot] = target
    pool.destinationCount[slot] = 1
    pool.destinationRoom[slot] = 0
    return target === vports.wire ? noDestination : 0
  }

  private matchInner(slot: number, vlan: number): number {
    const at = innerFrame(this.pool, slot)
    if (at < 0) return -1
    const { header8 } = this.pool
    const low = header8[at + 2]! | (header8[at + 3]! << 8) | (header8[at + 4]! << 16) | (header8[at + 5]! << 24)
    return this.filters.matchInner(low, header8[at]! | (header8[at + 1]! << 8), vlan)
  }

  // Unicast that no filter knows: steps 5 and 6, PD-06.
  private unknown(slot: number, source: number, vlan: number, low: number, high: number): number {
    const { vports } = this
    this.chosenCount = 0
    if (source === vports.wire) {
      const own = low === vports.macLow(DEFAULT_VPORT) && high === vports.macHigh(DEFAULT_VPORT)
      const accepts = own ? PacketFilter.directed | PacketFilter.promiscuous : PacketFilter.promiscuous
      if ((this.pfFilter & accepts) !== 0) this.chosen[this.chosenCount++] = DEFAULT_VPORT
    } else {
      if (this.wireExists) this.chosen[this.chosenCount++] = vports.wire
      const fromVf = (vports.flags(source) & vf) !== 0
      if (fromVf && (this.pfFilter & PacketFilter.promiscuous) !== 0) this.chosen[this.chosenCount++] = DEFAULT_VPORT
    }
    for (let i = 0; i < this.curiousCount; i++) {
      const vport = this.curious[i]!
      if (vport !== source && vports.admits(vport, vlan)) this.chosen[this.chosenCount++] = vport
    }
    return this.direct(slot)
  }

  // Broadcast and multicast: step 7, PD-03 to PD-05.
  private replicate(slot: number, source: number, vlan: number, kind: number, first: number, second: number): number {
    const { vports, groups } = this
    const isBroadcast = (kind & PF_BROADCAST) !== 0
    if (!isBroadcast && isLinkLocal(first, second)) return this.linkLocal(slot, source)
    this.chosenCount = 0
    if (source !== vports.wire && this.wireExists) this.chosen[this.chosenCount++] = vports.wire
    const accepts = isBroadcast ? PacketFilter.broadcast : PacketFilter.multicast | PacketFilter.allMulticast
    const fromHost = source !== vports.wire && (vports.flags(source) & vf) === 0
    // What the host sends it has replicated to its own already: no copy goes back to a PF VPort.
    if (!fromHost && (this.pfFilter & (accepts | PacketFilter.promiscuous)) !== 0) this.chosen[this.chosenCount++] = DEFAULT_VPORT
    const group = isBroadcast ? -1 : groups.find((first >>> 16) | (second << 16), first & 0xffff)
    for (let i = 0; i < this.memberCount; i++) {
      const vport = this.members[i]!
      if (vport === source || !vports.admits(vport, vlan)) continue
      if (!isBroadcast && !groups.isMember(group, vport) && (vports.flags(vport) & (allMulticast | promiscuous)) === 0) continue
      this.chosen[this.chosenCount++] = vport
    }
    return this.direct(slot)
  }

  // Addresses that never leave their link: between the wire and the host's stack only.
  private linkLocal(slot: number, source: number): number {
    const { vports } = this
    this.chosenCount = 0
    if (source === DEFAULT_VPORT && this.wireOpen) this.chosen[this.chosenCount++] = vports.wire
    if (source === vports.wire && this.pfFilter !== 0) this.chosen[this.chosenCount++] = DEFAULT_VPORT
    return this.chosenCount === 0 ? reservedMulticast : this.direct(slot)
  }

  private direct(slot: number): number {
    const { pool, chosen, chosenCount } = this
    if (chosenCount === 0) return noDestination
    pool.destinationRoom[slot] = 0
    if (chosenCount === 1) {
      pool.destination[slot] = chosen[0]!
      pool.destinationCount[slot] = 1
      return 0
    }
    // Always of the burst's arena: a held packet of the switch above keeps its own array meanwhile.
    const at = pool.arenaUsed
    if (at + chosenCount > ARENA_ENTRIES) return noResources
    for (let i = 0; i < chosenCount; i++) pool.arena[at + i] = chosen[i]!
    pool.arenaUsed = at + chosenCount
    pool.destinationOffset[slot] = at
    pool.destinationRoom[slot] = chosenCount
    pool.destinationCount[slot] = chosenCount
    return 0
  }
}
