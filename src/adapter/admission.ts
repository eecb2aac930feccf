// Step 1 of the NIC switch's forwarding decision (spec 5.1): may this frame enter from this VPort, and in which VLAN is it? The VF path
// bypasses the extensible switch and its MAC guard, so what a VF may send is checked here.
//
// The rule it must not break: a VF never sends with another's address or into a VLAN that is not its own; nothing is allocated.
import * as layout from '../kernels/layout.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import type { PacketPool } from '../ndis/pool.ts'
import type { FilterTable } from './filter-table.ts'
import { insertTag, rewriteTag } from './tags.ts'
import { VPortFlag, type VPortTable } from './vport-table.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { FRAME_MAX, HEADER_STRIDE, PF_MULTICAST, PF_TAGGED } = layout
const { active, linkDown, asleep, vf, checkSource, access, stackedTags } = VPortFlag
const {
  macSpoofing,
  vlanNotAdmitted,
  vportNotActive,
  functionAsleep,
  linkDown: linkIsDown,
  reservedMulticast,
  oversize,
} = DropReason

const VLAN_MASK = 0xfff
const CUSTOMER_TAG = 0x8100
const TAG_BYTES = 4
const TWO_TAGS = 22 // offset of the network header behind two tags
const GROUP_BIT = 0x10000 // of the first source octet, in the header's second word
const LINK_LOCAL = 0x00c28001 // first four octets of 01-80-c2-00-00-0x

/** Why nothing may enter or leave at a VPort with these flags, or 0. */
export function closedReason(flags: number): number {
  if ((flags & active) === 0) return vportNotActive // SR-170
  if ((flags & asleep) !== 0) return functionAsleep // PD-15
  return (flags & linkDown) !== 0 ? linkIsDown : 0
}

/** True for 01-80-C2-00-00-00…0F, which never leaves its link (802.1D 7.12.6). `first`, `second`: the header's first words. */
export const isLinkLocal = (first: number, second: number): boolean => first === LINK_LOCAL && (second & 0xf0ff) === 0

/** Fields are ordinary ones: `check` runs per packet. */
export class Admission {
  private readonly pool: PacketPool
  private readonly vports: VPortTable
  private readonly filters: FilterTable
  /** VLAN id of the packet checked last, 0 = untagged or zero. */
  vlan = 0

  constructor(pool: PacketPool, vports: VPortTable, filters: FilterTable) {
    this.pool = pool
    this.vports = vports
    this.filters = filters
  }

  /**
   * Checks the packet in `slot` that came from `source`, whose flags are `policy`; puts an access port's tag on. Returns 0 or a drop
   * reason, and sets `vlan`. Allocates nothing.
   */
  check(slot: number, source: number, policy: number): number {
    const { pool } = this
    const kind = pool.flags[slot]!
    this.vlan = (kind & PF_TAGGED) !== 0 ? pool.vlan[slot]! & VLAN_MASK : 0
    return (policy & vf) === 0 ? 0 : this.checkVf(slot, source, policy, kind)
  }

  private checkVf(slot: number, source: number, policy: number, kind: number): number {
    const { pool, vports } = this
    const at = (slot * HEADER_STRIDE + pool.headerOffset[slot]!) >> 2
    const second = pool.header32[at + 1]!
    if ((policy & checkSource) !== 0) {
      const low = pool.header32[at + 2]! | 0
      const high = second >>> 16
      const own = low === vports.macLow(source) && high === vports.macHigh(source)
      if (!own && !this.filters.mayBeSource(low, high, source)) return macSpoofing // PD-01
    }
    if ((second & GROUP_BIT) !== 0) return macSpoofing // no station has a group address
    if ((kind & PF_MULTICAST) !== 0 && isLinkLocal(pool.header32[at]!, second)) return reservedMulticast
    if ((kind & PF_TAGGED) !== 0) {
      // A tag inside the one that is checked would come to light when that is taken off: a way into other VLANs.
      if ((policy & stackedTags) === 0 && pool.l3[slot] === TWO_TAGS) return vlanNotAdmitted
      if (this.vlan === 0 && (policy & access) !== 0) {
        const tag = vports.accessTag(source)
        rewriteTag(pool, slot, (tag & VLAN_MASK) | (pool.vlan[slot]! & ~VLAN_MASK))
        this.vlan = tag & VLAN_MASK
      }
    } else if ((policy & access) !== 0) {
      if (pool.length[slot]! > FRAME_MAX - TAG_BYTES) return oversize
      const tag = vports.accessTag(source)
      this.vlan = tag & VLAN_MASK
      insertTag(pool, slot, CUSTOMER_TAG, tag)
    }
    return vports.admits(source, this.vlan) ? 0 : vlanNotAdmitted // PD-02
  }
}
