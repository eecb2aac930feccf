// Puts a frame that came from a socket, a tap or a ring of our own into a packet slot, as Kernels.dequeue does for a virtqueue: the
// one place where endpoints other than vhost-user write the pool.
//
// The rule it must not break: every field that the data path reads is written anew, whatever the slot held before.
import {
  FRAME_MAX,
  FRAME_MIN,
  HEADER_COPY,
  HEADER_START,
  HEADER_STRIDE,
  OFFLOAD_CHECKSUM,
  OFFLOAD_ECN,
  OFFLOAD_MALFORMED,
  OFFLOAD_TSO4,
  OFFLOAD_TSO6,
  OFFLOAD_USO,
  P_ADDRESS,
  P_CHAIN,
  P_DESTINATION,
  P_DESTINATION_COUNT,
  P_DESTINATION_OFFSET,
  P_DESTINATION_ROOM,
  P_FLAGS,
  P_HEAD,
  P_HEADER,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_LENGTH,
  P_NEEDS,
  P_REASON,
  P_SEGMENTS,
  P_SOURCE_NIC,
  P_SOURCE_PORT,
  P_VNET,
  P_VSID,
  P_WINDOW,
  PF_DATA_VALID,
  PF_DROPPED,
  REASON_BAD_OFFLOAD,
  REASON_OVERSIZE,
  REASON_RUNT,
  VNET_DATA_VALID,
  VNET_GSO_ECN,
  VNET_GSO_NONE,
  VNET_GSO_TCPV4,
  VNET_GSO_TCPV6,
  VNET_GSO_UDP_L4,
  VNET_NEEDS_CSUM,
  VNET_STRIDE,
} from '../kernels/layout.ts'
import type { SharedMemory } from '../linux/shared-memory.ts'

const CHECKSUM_BYTES = 2

/** Fills slots of one pool with frames from one port. One instance per queue; nothing here allocates after construction. */
export class SlotFiller {
  // Ordinary fields: private names cost twice as much on the per-packet path.
  readonly u8: Uint8Array
  readonly u16: Uint16Array
  readonly u32: Uint32Array
  readonly pool: number
  readonly port: number

  constructor(memory: SharedMemory, pool: number, port: number) {
    this.u8 = memory.u8
    this.u16 = new Uint16Array(memory.buffer, 0, memory.u8.length >> 1)
    this.u32 = memory.u32
    this.pool = pool
    this.port = port
  }

  /** Linear address at which the header copy of a received frame starts. A reader may scatter straight to it. */
  headerAddress(slot: number): number {
    return this.pool + P_HEADER + slot * HEADER_STRIDE + HEADER_START
  }

  /** Linear address of the slot's virtio-net header. A reader may scatter straight to it. */
  vnetAddress(slot: number): number {
    return this.pool + P_VNET + slot * VNET_STRIDE
  }

  /** Bytes of the frame in a slot. */
  lengthOf(slot: number): number {
    return this.u32[((this.pool + P_LENGTH) >> 2) + slot]!
  }

  /** Clears the virtio-net header of a slot whose frame came without one. */
  clearVnet(slot: number): void {
    this.u32.fill(0, this.vnetAddress(slot) >> 2, (this.vnetAddress(slot) + VNET_STRIDE) >> 2)
  }

  /** Copies the first bytes of a frame that lies in one piece at linear address `from`, then describes it like `describe`. */
  copyAndDescribe(slot: number, from: number, length: number): void {
    const header = Math.min(length, HEADER_COPY)
    const to = this.headerAddress(slot)
    const { u8 } = this
    for (let i = 0; i < header; i++) u8[to + i] = u8[from + i]!
    this.describe(slot, length, from + header)
  }

  /**
   * Describes a frame of `length` bytes whose first HEADER_COPY bytes stand in the header area, the rest at linear address
   * `payload`, and whose virtio-net header stands in its place (or is cleared). A frame that is too short, too long or asks for an
   * impossible offload becomes a dropped one.
   */
  describe(slot: number, length: number, payload: number): void {
    const { u8, u16, u32, pool } = this
    const at4 = (pool >> 2) + slot
    const at2 = (pool >> 1) + slot
    const at1 = pool + slot
    const headerLength = Math.min(length, HEADER_COPY)
    const vnet = this.vnetAddress(slot)
    let flags = (u8[vnet]! & VNET_DATA_VALID) !== 0 ? PF_DATA_VALID : 0
    let reason = 0
    let needs = 0
    if (length < FRAME_MIN) reason = REASON_RUNT
    else if (length > FRAME_MAX) reason = REASON_OVERSIZE
    else {
      needs = this.needs(vnet, length)
      if ((needs & OFFLOAD_MALFORMED) !== 0) reason = REASON_BAD_OFFLOAD
    }
    if (reason !== 0) flags |= PF_DROPPED
    u32[at4 + (P_ADDRESS >> 2)] = payload
    u32[at4 + (P_LENGTH >> 2)] = length
    u32[at4 + (P_FLAGS >> 2)] = flags
    u32[at4 + (P_HEAD >> 2)] = 0
    u32[at4 + (P_DESTINATION >> 2)] = 0
    u32[at4 + (P_DESTINATION_OFFSET >> 2)] = 0
    u32[at4 + (P_VSID >> 2)] = 0
    u16[at2 + (P_DESTINATION_COUNT >> 1)] = 0
    u16[at2 + (P_DESTINATION_ROOM >> 1)] = 0
    u16[at2 + (P_SOURCE_PORT >> 1)] = this.port
    u16[at2 + (P_HEADER_OFFSET >> 1)] = HEADER_START
    u16[at2 + (P_HEADER_LENGTH >> 1)] = headerLength
    u16[at2 + (P_WINDOW >> 1)] = 0
    u16[at2 + (P_CHAIN >> 1)] = 0
    u8[at1 + P_SEGMENTS] = length > HEADER_COPY ? 1 : 0
    u8[at1 + P_SOURCE_NIC] = 0
    u8[at1 + P_REASON] = reason
    u8[at1 + P_NEEDS] = needs
  }

  /** Marks a described frame as dropped for `reason` (a DropReason), unless it was dropped before. */
  drop(slot: number, reason: number): void {
    const flags = (this.pool + P_FLAGS + slot * 4) >> 2
    if ((this.u32[flags]! & PF_DROPPED) !== 0) return
    this.u32[flags] = this.u32[flags]! | PF_DROPPED
    this.u8[this.pool + P_REASON + slot] = reason
  }

  /** The offloads that the virtio-net header at `vnet` asks for; OFFLOAD_MALFORMED if they make no sense. */
  needs(vnet: number, length: number): number {
    const { u8, u16 } = this
    const gso = u8[vnet + 1]!
    if ((u8[vnet]! & VNET_NEEDS_CSUM) === 0) return gso === VNET_GSO_NONE ? 0 : OFFLOAD_MALFORMED
    if (u16[(vnet + 6) >> 1]! + u16[(vnet + 8) >> 1]! + CHECKSUM_BYTES > length) return OFFLOAD_MALFORMED
    if (gso === VNET_GSO_NONE) return OFFLOAD_CHECKSUM
    if (u16[(vnet + 4) >> 1] === 0) return OFFLOAD_MALFORMED
    const ecn = (gso & VNET_GSO_ECN) !== 0 ? OFFLOAD_ECN : 0
    switch (gso & ~VNET_GSO_ECN) {
      case VNET_GSO_TCPV4:
        return OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | ecn
      case VNET_GSO_TCPV6:
        return OFFLOAD_CHECKSUM | OFFLOAD_TSO6 | ecn
      case VNET_GSO_UDP_L4:
        return ecn !== 0 ? OFFLOAD_MALFORMED : OFFLOAD_CHECKSUM | OFFLOAD_USO
      default:
        return OFFLOAD_MALFORMED
    }
  }
}
