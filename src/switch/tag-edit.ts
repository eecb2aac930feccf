// The 802.1Q information of a packet as one destination gets it (spec 5.11): kept, stripped, or its priority alone, as PreserveVLAN and
// PreservePriority of the destination and the port's AllowIeeePriorityTag say (ES-326, ES-327, ES-528). The header copy in the slot is
// edited for the time of one delivery; destinations that want other forms get their own.
//
// The rule it must not break: after `undo` the packet is what it was; nothing is allocated.
import * as layout from '../kernels/layout.ts'
import type { PacketPool } from '../ndis/pool.ts'

const {
  BURST_SLOTS,
  DE_PRESERVE_PRIORITY,
  DE_PRESERVE_VLAN,
  HEADER_STRIDE,
  PF_TAGGED,
  PF_VLAN_OOB,
  POOL_SLOTS,
  VNET_NEEDS_CSUM,
  VNET_STRIDE,
} = layout

const ADDRESSES = 12
const TAG = 4
const PRIORITY = 0xe000
const VLAN = 0x1fff // with the drop-eligible bit
const PRIORITY_TAG = 0x81000000
const VNET_HEADER_LENGTH = 2
const VNET_CHECKSUM_START = 6

// Kinds of edits
const INSERTED = 1
const STRIPPED = 2
const REWRITTEN = 3

/** Fields are ordinary ones: it runs per delivery of a packet with 802.1Q information. */
export class TagEdit {
  private readonly pool: PacketPool
  private readonly slots = new Uint16Array(BURST_SLOTS)
  private readonly kinds = new Uint8Array(BURST_SLOTS)
  private readonly tags = new Uint32Array(BURST_SLOTS)
  private readonly edited = new Uint8Array(POOL_SLOTS)
  private count = 0

  constructor(pool: PacketPool) {
    this.pool = pool
  }

  /** Gives the packet in `slot` the form for the destination `entry`; `priorityAllowed` is the port's. */
  apply(slot: number, entry: number, priorityAllowed: boolean): void {
    const { pool } = this
    const flags = pool.flags[slot]!
    if ((flags & (PF_TAGGED | PF_VLAN_OOB)) === 0 || this.edited[slot] === 1) return
    const tci = pool.vlan[slot]!
    const priority = (entry & DE_PRESERVE_PRIORITY) !== 0 && priorityAllowed ? tci & PRIORITY : 0
    const vlan = (entry & DE_PRESERVE_VLAN) !== 0 ? tci & VLAN : 0
    const wanted = (entry & DE_PRESERVE_VLAN) !== 0 || priority !== 0
    if ((flags & PF_TAGGED) === 0) {
      if (wanted && pool.headerOffset[slot]! >= TAG) this.insert(slot, priority | vlan)
    } else if (!wanted) this.strip(slot)
    else if ((priority | vlan) !== tci) this.rewrite(slot, priority | vlan, (entry & DE_PRESERVE_VLAN) === 0)
  }

  /** Puts the packet in `slot` into `vlan`, tagged, in place of the VLAN that it has; its priority stays. */
  move(slot: number, vlan: number): void {
    const { pool } = this
    const flags = pool.flags[slot]!
    if (this.edited[slot] === 1) return
    const tci = ((flags & (PF_TAGGED | PF_VLAN_OOB)) === 0 ? 0 : pool.vlan[slot]! & PRIORITY) | vlan
    if ((flags & PF_TAGGED) !== 0) this.rewrite(slot, tci, false)
    else if (pool.headerOffset[slot]! >= TAG) this.insert(slot, tci)
  }

  private note(slot: number, kind: number, tag: number): void {
    const at = this.count++
    this.slots[at] = slot
    this.kinds[at] = kind
    this.tags[at] = tag
    this.edited[slot] = 1
  }

  private insert(slot: number, tci: number): void {
    this.note(slot, INSERTED, 0)
    this.shift(slot, -TAG)
    const { header8 } = this.pool
    const at = slot * HEADER_STRIDE + this.pool.headerOffset[slot]! + ADDRESSES
    header8[at] = 0x81
    header8[at + 1] = 0x00
    header8[at + 2] = tci >> 8
    header8[at + 3] = tci & 0xff
  }

  private tagOf(slot: number): number {
    const { header8 } = this.pool
    const at = slot * HEADER_STRIDE + this.pool.headerOffset[slot]! + ADDRESSES
    return (header8[at]! << 24) | (header8[at + 1]! << 16) | (header8[at + 2]! << 8) | header8[at + 3]!
  }

  private putTag(slot: number, tag: number): void {
    const { header8 } = this.pool
    const at = slot * HEADER_STRIDE + this.pool.headerOffset[slot]! + ADDRESSES
    header8[at] = tag >>> 24
    header8[at + 1] = tag >>> 16
    header8[at + 2] = tag >>> 8
    header8[at + 3] = tag
  }

  private strip(slot: number): void {
    this.note(slot, STRIPPED, this.tagOf(slot))
    this.shift(slot, TAG)
  }

  // A tag that is left with nothing but its priority becomes one of 802.1Q, whatever it was: a service tag of no VLAN means nothing.
  private rewrite(slot: number, tci: number, isPriority: boolean): void {
    const tag = this.tagOf(slot)
    this.note(slot, REWRITTEN, tag)
    this.putTag(slot, (isPriority ? PRIORITY_TAG : tag & 0xffff0000) | tci)
  }

  // Moves the addresses by `by` bytes: the frame begins later (a tag is cut out) or earlier (room for one).
  private shift(slot: number, by: number): void {
    const { pool } = this
    const from = slot * HEADER_STRIDE + pool.headerOffset[slot]!
    if ((from & 3) === 0) this.moveWords(from >> 2, by)
    else pool.header8.copyWithin(from + by, from, from + ADDRESSES)
    pool.headerOffset[slot] = pool.headerOffset[slot]! + by
    pool.headerLength[slot] = pool.headerLength[slot]! - by
    pool.length[slot] = pool.length[slot]! - by
    pool.l3[slot] = pool.l3[slot]! - by
    if (pool.l4[slot] !== 0) pool.l4[slot] = pool.l4[slot]! - by
    const vnet = slot * VNET_STRIDE
    if (pool.vnet[vnet + 1] !== 0) this.shiftField(vnet + VNET_HEADER_LENGTH, -by)
    if ((pool.vnet[vnet]! & VNET_NEEDS_CSUM) !== 0) this.shiftField(vnet + VNET_CHECKSUM_START, -by)
  }

  // Moves the addresses, which begin with word `at`, by a tag.
  private moveWords(at: number, by: number): void {
    const { header32 } = this.pool
    const first = header32[at]!
    const second = header32[at + 1]!
    const third = header32[at + 2]!
    const to = by < 0 ? at - 1 : at + 1
    header32[to] = first
    header32[to + 1] = second
    header32[to + 2] = third
  }

  private shiftField(at: number, by: number): void {
    const { vnet } = this.pool
    const value = (vnet[at]! | (vnet[at + 1]! << 8)) + by
    vnet[at] = value
    vnet[at + 1] = value >> 8
  }

  /** Forgets the edits of a delivery that failed: their packets are gone, and others stand in the slots. */
  forget(): void {
    while (this.count > 0) this.edited[this.slots[--this.count]!] = 0
  }

  /** Takes all edits back. */
  undo(): void {
    while (this.count > 0) {
      const at = --this.count
      const slot = this.slots[at]!
      this.edited[slot] = 0
      if (this.kinds[at] === INSERTED) this.shift(slot, TAG)
      else {
        if (this.kinds[at] === STRIPPED) this.shift(slot, -TAG)
        this.putTag(slot, this.tags[at]!)
      }
    }
  }
}
