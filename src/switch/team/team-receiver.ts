// What comes in through the members of a team: each frame of the physical network is taken once, and frames that the switch itself has sent
// are not taken back.
//
// Both can happen because the physical network does not know that the members belong together: it floods broadcast, multicast and
// unknown addresses to all of them, and what leaves by one comes back through the others.
//
// The rule it must not break: a guest that moved to another host is believed when it announces itself there; nothing is allocated.
import * as layout from '../../kernels/layout.ts'
import type { Batch } from '../../ndis/batch.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import type { MacTable } from '../mac-table.ts'
import type { PortTable } from '../port-table.ts'
import type { TeamMembers } from './team-members.ts'
import { TeamCounter, type TeamTable } from './team-table.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { HEADER_STRIDE, PF_DROPPED, PF_MULTICAST, PF_TAGGED } = layout
const { none, teamDuplicate, teamReflection } = DropReason
const { duplicates, receivedFrames, reflections } = TeamCounter
const ARP = 0x0806
const REVERSE_ARP = 0x8035
const ARP_BYTES = 28
const ARP_SENDER = 14
const ARP_TARGET = 24
/** So long after a member came or went, frames for a guest are taken from any: the network has to learn the new place. */
export const SETTLE_SECONDS = 3
/** An address that sent here so recently has not moved: its announcement is one of ours that comes back. */
export const MOVE_SECONDS = 5

export interface TeamReceiverOwner {
  refuse(batch: Batch, i: number, reason: number, port: number): void
}

/** One processor's. Fields are ordinary ones: they are read per packet. */
export class TeamReceiver {
  /** The processor that it counts for; -1: none. */
  processor = -1
  /** Seconds of the switch's clock when the active members changed. */
  changedAt = Number.NEGATIVE_INFINITY
  private readonly pool: PacketPool
  private readonly ports: PortTable
  private readonly macs: MacTable
  private readonly table: TeamTable
  private readonly members: TeamMembers
  private readonly owner: TeamReceiverOwner

  constructor(
    pool: PacketPool,
    ports: PortTable,
    macs: MacTable,
    components: { readonly members: TeamMembers; readonly owner: TeamReceiverOwner },
  ) {
    this.pool = pool
    this.ports = ports
    this.macs = macs
    this.table = ports.uplinks
    this.members = components.members
    this.owner = components.owner
  }

  /** Drops what came in by the wrong member, or is our own. */
  judge(batch: Batch, nowSeconds: number): void {
    const { sourcePort, sourceNic, flags } = this.pool
    const { port } = this.table
    if (batch.oneSource && sourcePort[batch.slots[0]!] !== port) return
    for (let i = 0; i < batch.length; i++) {
      const slot = batch.slots[i]!
      const nicIndex = sourceNic[slot]!
      if (sourcePort[slot] !== port || nicIndex === 0 || (flags[slot]! & PF_DROPPED) !== 0) continue
      this.table.count(this.processor, nicIndex, receivedFrames, 1)
      const reason = this.reasonFor(slot, nicIndex, nowSeconds)
      if (reason === none) continue
      this.table.count(this.processor, nicIndex, reason === teamDuplicate ? duplicates : reflections, 1)
      this.owner.refuse(batch, i, reason, port)
    }
  }

  private reasonFor(slot: number, nicIndex: number, nowSeconds: number): number {
    const { pool, macs, members, table } = this
    const { header8 } = pool
    const at = slot * HEADER_STRIDE + pool.headerOffset[slot]!
    const kind = pool.flags[slot]!
    const vlan = (kind & PF_TAGGED) !== 0 ? pool.vlan[slot]! & 0xfff : this.ports.vlan(table.port)
    const sourceHigh = header8[at + 6]! | (header8[at + 7]! << 8)
    const sourceLow = wordAt(header8, at + 8)
    const from = macs.lookup(sourceLow, sourceHigh, vlan)
    if (from > 0 && from !== table.port) {
      const quiet = nowSeconds - macs.lastSeen(sourceLow, sourceHigh, vlan) >= MOVE_SECONDS
      if (!quiet || !this.isAnnouncement(slot, at)) return teamReflection
    } else if (macs.lookupStatic(sourceLow, sourceHigh) > 0 || this.isMember(sourceLow, sourceHigh)) return teamReflection
    if ((kind & PF_MULTICAST) !== 0) return nicIndex === members.designated ? none : teamDuplicate
    const high = header8[at]! | (header8[at + 1]! << 8)
    const low = wordAt(header8, at + 2)
    let to = macs.lookup(low, high, vlan)
    if (to < 0) to = macs.lookupStatic(low, high)
    if (to <= 0 || to === table.port) return nicIndex === members.designated ? none : teamDuplicate
    if (nicIndex === members.memberOf(to) || nowSeconds - this.changedAt <= SETTLE_SECONDS) return none
    return teamDuplicate
  }

  private isMember(low: number, high: number): boolean {
    const { members, table } = this
    for (let k = 0; k < members.count; k++) {
      const nicIndex = members.list[k]!
      if (table.macLow(nicIndex) === low && table.macHigh(nicIndex) === high && (low | high) !== 0) return true
    }
    return false
  }

  // A reverse ARP, or an ARP packet by which a host tells of its own address.
  private isAnnouncement(slot: number, at: number): boolean {
    const { pool } = this
    if (pool.etherType[slot] === REVERSE_ARP) return true
    const arp = at + pool.l3[slot]!
    if (pool.etherType[slot] !== ARP || pool.headerLength[slot]! < pool.l3[slot]! + ARP_BYTES) return false
    return wordAt(pool.header8, arp + ARP_SENDER) === wordAt(pool.header8, arp + ARP_TARGET)
  }
}

const wordAt = (bytes: Uint8Array, at: number): number =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
