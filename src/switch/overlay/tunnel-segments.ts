// Cuts a super-frame that is in a tunnel already: the inner frame is cut, and each piece gets the tunnel's headers.
//
// The rule it must not break: the packet is as it was afterwards, for other ports may get it too; a piece's outer headers say its own length.
import type { PacketKernels } from '../../kernels/by-packet.ts'
import * as layout from '../../kernels/layout.ts'
import { type PacketPool, SCRATCH_FIRST } from '../../ndis/pool.ts'
import { resizeTunnel } from '../../packet/tunnel.ts'

const { HEADER_STRIDE, OFFLOAD_TUNNEL, VNET_STRIDE } = layout
const FIRST: number = SCRATCH_FIRST
const VNET_HEADER_LENGTH = 2
const VNET_CHECKSUM_START = 6

// The frame begins `by` bytes later (with a negative number earlier).
function shift(pool: PacketPool, slot: number, by: number): void {
  pool.headerOffset[slot] = pool.headerOffset[slot]! + by
  pool.headerLength[slot] = pool.headerLength[slot]! - by
  pool.length[slot] = pool.length[slot]! - by
  const header = slot * VNET_STRIDE + VNET_CHECKSUM_START
  const start = pool.vnet[header]! + (pool.vnet[header + 1]! << 8) - by
  pool.vnet[header] = start
  pool.vnet[header + 1] = start >> 8
}

/**
 * Cuts the packet in `slot`, which has OFFLOAD_TUNNEL among its needs, into scratch slots, whose numbers stand in `room` entries at linear
 * address `list` from SCRATCH_FIRST on. Returns how many pieces there are; 0: it can't be cut.
 */
export function segmentTunnel(pool: PacketPool, kernels: PacketKernels, slot: number, list: number, room: number): number {
  const { base, header8, headerOffset, headerLength, length, needs } = pool
  const headers = pool.vnet[slot * VNET_STRIDE + VNET_HEADER_LENGTH]!
  const wants = needs[slot]!
  shift(pool, slot, headers)
  needs[slot] = wants & ~OFFLOAD_TUNNEL
  kernels.parse(base, slot, 1)
  const pieces = kernels.segment(base, slot, list, room)
  shift(pool, slot, -headers)
  needs[slot] = wants
  kernels.parse(base, slot, 1)
  const from = slot * HEADER_STRIDE + headerOffset[slot]!
  for (let piece = FIRST; piece < FIRST + pieces; piece++) {
    const offset = headerOffset[piece]! - headers
    const at = piece * HEADER_STRIDE + offset
    for (let k = 0; k < headers; k++) header8[at + k] = header8[from + k]!
    resizeTunnel(header8, at, headers, length[piece]!)
    headerOffset[piece] = offset
    headerLength[piece] = headerLength[piece]! + headers
    length[piece] = length[piece]! + headers
  }
  if (pieces > 0) kernels.parse(base, FIRST, pieces)
  return pieces
}
