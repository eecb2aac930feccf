// Puts a frame that came from a socket, a tap or a ring of our own into a packet slot, as Kernels.dequeue does for a virtqueue: the
// one place where endpoints other than vhost-user write the pool.
//
// The rule it must not break: every field that the data path reads is written anew, whatever the slot held before.
import type { Kernels } from '../kernels/kernels.ts'
import {
  FRAME_MAX,
  FRAME_MIN,
  HEADER_COPY,
  HEADER_START,
  HEADER_STRIDE,
  OFFLOAD_CHECKSUM,
  OFFLOAD_ECN,
  OFFLOAD_TSO4,
  OFFLOAD_TSO6,
  OFFLOAD_USO,
  P_ADDRESS,
  P_CHAIN,
  P_DESTINATION_COUNT,
  P_FLAGS,
  P_HEAD,
  P_HEADER,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_L3,
  P_L4,
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
  REASON_NONE,
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

const VNET_WORDS = VNET_STRIDE >> 2
const CHECKSUM_BYTES = 2
const PORTS_BYTES = 4
const IPV4_HEADER = 20
const TAG_BYTES = 4
const ADDRESSES_BYTES = 12

/** Fills slots of one pool with frames from one port. One instance per queue; nothing here allocates after construction. */
export class SlotFiller {
  // Ordinary fields: private names cost twice as much on the per-packet path.
  readonly u8: Uint8Array
  readonly u16: Uint16Array
  readonly u32: Uint32Array
  readonly pool: number
  readonly port: number
  readonly kernels: Kernels

  constructor(memory: SharedMemory, kernels: Kernels, pool: number, port: number) {
    this.kernels = kernels
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
    const { u32 } = this
    const at = this.vnetAddress(slot) >> 2
    for (let i = 0; i < VNET_WORDS; i++) u32[at + i] = 0
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
   * `payload`, and whose virtio-net header stands in its place (or is cleared). A frame that is too short or too long becomes a
   * dropped one. `finish` must follow.
   */
  describe(slot: number, length: number, payload: number): void {
    const { u8, u16, u32, pool } = this
    const at4 = (pool >> 2) + slot
    const at2 = (pool >> 1) + slot
    const at1 = pool + slot
    u32[at4 + (P_ADDRESS >> 2)] = payload
    u32[at4 + (P_LENGTH >> 2)] = length
    u32[at4 + (P_FLAGS >> 2)] = 0
    u32[at4 + (P_HEAD >> 2)] = 0
    u32[at4 + (P_VSID >> 2)] = 0
    u16[at2 + (P_DESTINATION_COUNT >> 1)] = 0
    u16[at2 + (P_SOURCE_PORT >> 1)] = this.port
    u16[at2 + (P_HEADER_OFFSET >> 1)] = HEADER_START
    u16[at2 + (P_HEADER_LENGTH >> 1)] = Math.min(length, HEADER_COPY)
    u16[at2 + (P_WINDOW >> 1)] = 0
    u16[at2 + (P_CHAIN >> 1)] = 0
    u8[at1 + P_SEGMENTS] = length > HEADER_COPY ? 1 : 0
    u8[at1 + P_SOURCE_NIC] = 0
    u8[at1 + P_REASON] = REASON_NONE
    u8[at1 + P_NEEDS] = 0
    if (length < FRAME_MIN) this.drop(slot, REASON_RUNT)
    else if (length > FRAME_MAX) this.drop(slot, REASON_OVERSIZE)
  }

  /** Makes a described frame an empty, dropped one for `reason` (a DropReason), unless it was dropped before. */
  drop(slot: number, reason: number): void {
    const { u8, u16, u32, pool } = this
    const flags = ((pool + P_FLAGS) >> 2) + slot
    if ((u32[flags]! & PF_DROPPED) !== 0) return
    u32[flags] = PF_DROPPED
    u32[((pool + P_LENGTH) >> 2) + slot] = 0
    u16[((pool + P_HEADER_LENGTH) >> 1) + slot] = 0
    u8[pool + P_SEGMENTS + slot] = 0
    u8[pool + P_REASON + slot] = reason
    u8[pool + P_NEEDS + slot] = 0
    this.clearVnet(slot)
  }

  /**
   * Puts a VLAN tag that the sender of a described frame kept beside it back into its header copy. `tpid` and `tci` in host order.
   * Before `finish`; not for a dropped frame.
   */
  insertTag(slot: number, tpid: number, tci: number): void {
    const { u8, u16, u32, pool } = this
    if ((u32[((pool + P_FLAGS) >> 2) + slot]! & PF_DROPPED) !== 0) return
    const start = this.headerAddress(slot)
    for (let word = (start - TAG_BYTES) >> 2; word < (start + ADDRESSES_BYTES - TAG_BYTES) >> 2; word++)
      u32[word] = u32[word + 1]!
    const tag = start + ADDRESSES_BYTES - TAG_BYTES
    u8[tag] = tpid >> 8
    u8[tag + 1] = tpid
    u8[tag + 2] = tci >> 8
    u8[tag + 3] = tci
    const at2 = (pool >> 1) + slot
    u16[at2 + (P_HEADER_OFFSET >> 1)] = HEADER_START - TAG_BYTES
    u16[at2 + (P_HEADER_LENGTH >> 1)] = u16[at2 + (P_HEADER_LENGTH >> 1)]! + TAG_BYTES
    const length = this.lengthOf(slot) + TAG_BYTES
    u32[((pool + P_LENGTH) >> 2) + slot] = length
    if (length > FRAME_MAX) this.drop(slot, REASON_OVERSIZE)
    const vnet = this.vnetAddress(slot)
    if ((u8[vnet]! & VNET_NEEDS_CSUM) !== 0) u16[(vnet + 6) >> 1] = u16[(vnet + 6) >> 1]! + TAG_BYTES
    if (u8[vnet + 1] !== VNET_GSO_NONE) u16[(vnet + 2) >> 1] = u16[(vnet + 2) >> 1]! + TAG_BYTES
  }

  /** Parses described frames and takes their offload requests: P_NEEDS, and P_VNET cleaned of what means nothing. */
  finish(first: number, count: number): void {
    if (count === 0) return
    this.kernels.parse(this.pool, first, count)
    for (let slot = first; slot < first + count; slot++) {
      if ((this.u32[this.vnetAddress(slot) >> 2]! & 0xffff) === 0) this.clearVnet(slot)
      else if (!this.takeOffloads(slot)) {
        this.drop(slot, REASON_BAD_OFFLOAD)
        this.kernels.parse(this.pool, slot, 1)
      }
    }
  }

  /** Checks the request in a parsed slot's virtio-net header as the kernels do for a virtqueue. Returns false if it is refused. */
  takeOffloads(slot: number): boolean {
    const { u8, u16, u32, pool } = this
    const vnet = this.vnetAddress(slot)
    const length = this.lengthOf(slot)
    const flags = u8[vnet]!
    const gso = u8[vnet + 1]!
    const headerLength = u16[(vnet + 2) >> 1]!
    const size = u16[(vnet + 4) >> 1]!
    const start = u16[(vnet + 6) >> 1]!
    const offset = u16[(vnet + 8) >> 1]!
    if ((flags & VNET_DATA_VALID) !== 0) {
      const at = ((pool + P_FLAGS) >> 2) + slot
      u32[at] = u32[at]! | PF_DATA_VALID
    }
    this.clearVnet(slot)
    let needs = 0
    if ((flags & VNET_NEEDS_CSUM) !== 0) {
      // The sum may be written only behind what policy has read: the network header and the transport header's ports.
      const l3 = u8[pool + P_L3 + slot]!
      const l4 = u8[pool + P_L4 + slot]!
      if (start + offset + CHECKSUM_BYTES > length) return false
      if (l4 !== 0 ? start < l4 || start + offset < l4 + PORTS_BYTES : start < l3 + IPV4_HEADER) return false
      needs = OFFLOAD_CHECKSUM
      u8[vnet] = VNET_NEEDS_CSUM
      u16[(vnet + 6) >> 1] = start
      u16[(vnet + 8) >> 1] = offset
    }
    if (gso !== VNET_GSO_NONE) {
      const type = gso & ~VNET_GSO_ECN
      if (needs === 0 || size === 0 || headerLength > length) return false
      if (type === VNET_GSO_TCPV4) needs |= OFFLOAD_TSO4
      else if (type === VNET_GSO_TCPV6) needs |= OFFLOAD_TSO6
      else if (gso === VNET_GSO_UDP_L4) needs |= OFFLOAD_USO
      else return false
      if ((gso & VNET_GSO_ECN) !== 0) needs |= OFFLOAD_ECN
      u8[vnet + 1] = gso
      u16[(vnet + 2) >> 1] = headerLength
      u16[(vnet + 4) >> 1] = size
    }
    u8[pool + P_NEEDS + slot] = needs
    return true
  }
}
