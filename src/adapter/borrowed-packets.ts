// Packets of the extensible switch while they go through the NIC switch: what the switch needs of them afterwards is put aside, and they
// are given the form that they have on the way out of its external port.
//
// The rule it must not break: after `giveBack` a packet is what it was before `take`: destinations, arena, tag and flags.
import * as layout from '../kernels/layout.ts'
import type { PacketPool } from '../ndis/pool.ts'
import { tagType } from './tags.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { BURST_SLOTS, HEADER_STRIDE, PF_TAGGED, PF_VLAN_OOB } = layout
const TAGGED_OR_NOT = PF_TAGGED | PF_VLAN_OOB
const TCI_AT = 14
const TAG_TYPES = { customer: 0x8100, service: 0x88a8, old: 0x9100 } as const
const { customer, service, old } = TAG_TYPES

/** One processor's. Fields are ordinary ones: they are read per packet. */
export class BorrowedPackets {
  private readonly pool: PacketPool
  readonly slots = new Uint16Array(BURST_SLOTS)
  private count = 0
  private arenaUsed = 0
  private readonly destination = new Uint32Array(BURST_SLOTS)
  private readonly destinationOffset = new Uint32Array(BURST_SLOTS)
  private readonly destinationCount = new Uint16Array(BURST_SLOTS)
  private readonly destinationRoom = new Uint16Array(BURST_SLOTS)
  private readonly flags = new Uint32Array(BURST_SLOTS)
  private readonly vlan = new Uint16Array(BURST_SLOTS)

  constructor(pool: PacketPool) {
    this.pool = pool
  }

  /** Takes the packets whose slots stand in `list` from `first` on, at most BURST_SLOTS. */
  take(list: Uint16Array, first: number, count: number): void {
    const { pool } = this
    this.arenaUsed = pool.arenaUsed
    this.count = count
    for (let i = 0; i < count; i++) {
      const slot = list[first + i]!
      this.slots[i] = slot
      this.destination[i] = pool.destination[slot]!
      this.destinationOffset[i] = pool.destinationOffset[slot]!
      this.destinationCount[i] = pool.destinationCount[slot]!
      this.destinationRoom[i] = pool.destinationRoom[slot]!
      this.flags[i] = pool.flags[slot]!
      this.vlan[i] = pool.vlan[slot]!
      if ((pool.flags[slot]! & TAGGED_OR_NOT) !== 0) this.readTag(slot)
    }
  }

  // The switch edits a tag for one delivery without noting that anywhere: what the bytes say counts.
  private readTag(slot: number): void {
    const { pool } = this
    const type = tagType(pool, slot)
    if (type !== customer && type !== service && type !== old) {
      pool.flags[slot] = pool.flags[slot]! & ~PF_TAGGED
      return
    }
    const at = slot * HEADER_STRIDE + pool.headerOffset[slot]! + TCI_AT
    pool.flags[slot] = (pool.flags[slot]! | PF_TAGGED) & ~PF_VLAN_OOB
    pool.vlan[slot] = (pool.header8[at]! << 8) | pool.header8[at + 1]!
  }

  giveBack(): void {
    const { pool } = this
    pool.arenaUsed = this.arenaUsed
    for (let i = 0; i < this.count; i++) {
      const slot = this.slots[i]!
      pool.destination[slot] = this.destination[i]!
      pool.destinationOffset[slot] = this.destinationOffset[i]!
      pool.destinationCount[slot] = this.destinationCount[i]!
      pool.destinationRoom[slot] = this.destinationRoom[i]!
      pool.flags[slot] = this.flags[i]!
      pool.vlan[slot] = this.vlan[i]!
    }
    this.count = 0
  }
}
