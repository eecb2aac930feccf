// Puts a VLAN tag into the header copy of a slot, or takes it out, with everything that counts from the frame's start: length, parsed
// offsets, and the virtio-net header's checksum start and header length.
//
// The rule it must not break: only the header copy moves; guest memory is never written, and nothing is allocated.
import * as layout from '../kernels/layout.ts'
import type { PacketPool } from '../ndis/pool.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { HEADER_STRIDE, PF_TAGGED, VNET_STRIDE } = layout

const TAG_BYTES = 4
const ADDRESSES_BYTES = 12
const VNET_NEEDS_CHECKSUM = 1

// Offsets in the virtio-net header that count from the frame's start.
function shiftOffsets(pool: PacketPool, slot: number, by: number): void {
  const { vnet } = pool
  const at = slot * VNET_STRIDE
  if ((vnet[at]! & VNET_NEEDS_CHECKSUM) !== 0) {
    const start = (vnet[at + 6]! | (vnet[at + 7]! << 8)) + by
    vnet[at + 6] = start & 255
    vnet[at + 7] = start >> 8
  }
  if (vnet[at + 1] !== 0) {
    const length = (vnet[at + 2]! | (vnet[at + 3]! << 8)) + by
    vnet[at + 2] = length & 255
    vnet[at + 3] = length >> 8
  }
  pool.length[slot] = pool.length[slot]! + by
  pool.headerLength[slot] = pool.headerLength[slot]! + by
  pool.headerOffset[slot] = pool.headerOffset[slot]! - by
  if (pool.l3[slot] !== 0) pool.l3[slot] = pool.l3[slot]! + by
  if (pool.l4[slot] !== 0) pool.l4[slot] = pool.l4[slot]! + by
}

/** Type of the outer tag of a tagged slot (0x8100, 0x88a8, …). */
export function tagType(pool: PacketPool, slot: number): number {
  const at = slot * HEADER_STRIDE + pool.headerOffset[slot]! + ADDRESSES_BYTES
  return (pool.header8[at]! << 8) | pool.header8[at + 1]!
}

/**
 * Takes the outer tag out of a tagged slot. Its value stays in `pool.vlan`, the out-of-band 802.1Q cell (SR-211); PF_TAGGED goes.
 */
export function stripTag(pool: PacketPool, slot: number): void {
  const { header8 } = pool
  const from = slot * HEADER_STRIDE + pool.headerOffset[slot]!
  for (let i = ADDRESSES_BYTES - 1; i >= 0; i--) header8[from + TAG_BYTES + i] = header8[from + i]!
  shiftOffsets(pool, slot, -TAG_BYTES)
  pool.flags[slot] = pool.flags[slot]! & ~PF_TAGGED
}

/** Puts a tag of type `type` and value `tci` into an untagged slot; the header area has room before the frame. */
export function insertTag(pool: PacketPool, slot: number, type: number, tci: number): void {
  const { header8 } = pool
  const from = slot * HEADER_STRIDE + pool.headerOffset[slot]!
  const to = from - TAG_BYTES
  for (let i = 0; i < ADDRESSES_BYTES; i++) header8[to + i] = header8[from + i]!
  header8[to + ADDRESSES_BYTES] = type >> 8
  header8[to + ADDRESSES_BYTES + 1] = type & 255
  header8[to + ADDRESSES_BYTES + 2] = tci >> 8
  header8[to + ADDRESSES_BYTES + 3] = tci & 255
  shiftOffsets(pool, slot, TAG_BYTES)
  pool.flags[slot] = pool.flags[slot]! | PF_TAGGED
  pool.vlan[slot] = tci
}

/** Rewrites the value of the outer tag of a tagged slot. */
export function rewriteTag(pool: PacketPool, slot: number, tci: number): void {
  const at = slot * HEADER_STRIDE + pool.headerOffset[slot]! + ADDRESSES_BYTES + 2
  pool.header8[at] = tci >> 8
  pool.header8[at + 1] = tci & 255
  pool.vlan[slot] = tci
}
