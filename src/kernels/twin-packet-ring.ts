// The receive ring of an AF_PACKET socket: the twin of packet-ring.as.ts.
//
// The rule it must not break: a checksum, a segmentation or a VLAN tag that the kernel keeps beside a frame is never lost; nothing is read
// beyond a slot of the ring.
import * as layout from './layout.ts'
import type { TwinState } from './twin-memory.ts'
import { parseHeader } from './twin-parse.ts'
import { drop, takeOffloads } from './twin-transmit.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const {
  BURST_MAX,
  FRAME_MAX,
  FRAME_MIN,
  HEADER_COPY,
  HEADER_START,
  HEADER_STRIDE,
  P_ADDRESS,
  P_CHAIN,
  P_DESTINATION_COUNT,
  P_HEAD,
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
  PACKET_VNET_BYTES,
  REASON_BAD_OFFLOAD,
  REASON_BUFFER_FULL,
  REASON_NONE,
  REASON_OVERSIZE,
  REASON_RUNT,
  RING_CAPTURED,
  RING_COPY,
  RING_FRAME,
  RING_LENGTH,
  RING_LOSING,
  RING_STATUS,
  RING_USER,
  RING_VLAN_TCI,
  RING_VLAN_TPID,
  RING_VLAN_TPID_VALID,
  RING_VLAN_VALID,
  TAKEN_BESIDE,
  TAKEN_LOSING,
  VNET_NEEDS_CSUM,
  VNET_STRIDE,
} = layout

const TAG = 4
const ADDRESSES = 12
const ETHERTYPE_VLAN = 0x8100
const OFFLOADS = layout.OFFLOAD_CHECKSUM | layout.OFFLOAD_TSO4 | layout.OFFLOAD_TSO6 | layout.OFFLOAD_USO | layout.OFFLOAD_ECN

/** A ring in linear memory: its address, bytes of a slot, slots. */
export interface FrameRing {
  readonly ring: number
  readonly slotBytes: number
  readonly slots: number
}

const read16 = (s: TwinState, at: number): number => s.all[at]! | (s.all[at + 1]! << 8)
const read32 = (s: TwinState, at: number): number => (read16(s, at) | (read16(s, at + 2) << 16)) >>> 0

function insertTag(s: TwinState, h: number, slot: number, status: number): void {
  const tpid = (status & RING_VLAN_TPID_VALID) !== 0 ? read16(s, slot + RING_VLAN_TPID) : ETHERTYPE_VLAN
  const tci = read16(s, slot + RING_VLAN_TCI)
  s.u8.copyWithin(h - TAG, h, h + ADDRESSES)
  s.u8.set([tpid >>> 8, tpid, tci >>> 8, tci], h - TAG + ADDRESSES)
}

function takeFrame(s: TwinState, pool: number, k: number, slot: number, slotBytes: number, status: number): void {
  const length = read32(s, slot + RING_LENGTH)
  const at = read16(s, slot + RING_FRAME)
  const tag = (status & RING_VLAN_VALID) !== 0 ? TAG : 0
  if (read32(s, slot + RING_CAPTURED) !== length || at < PACKET_VNET_BYTES || at + length > slotBytes) {
    // Cut off: too long for the slot, and no room for it in the socket's buffer either.
    drop(s, pool, k, REASON_BUFFER_FULL)
    return
  }
  if (length < FRAME_MIN || length + tag > FRAME_MAX) {
    drop(s, pool, k, length < FRAME_MIN ? REASON_RUNT : REASON_OVERSIZE)
    return
  }
  const k4 = (pool >> 2) + k
  const k2 = (pool >> 1) + k
  const frame = slot + at
  const h = pool + k * HEADER_STRIDE + HEADER_START
  const given = frame - PACKET_VNET_BYTES
  let kind = read32(s, given)
  let sizes = read32(s, given + 4)
  const copied = Math.min(length, HEADER_COPY)
  s.u8.set(s.all.subarray(frame, frame + copied), h)
  if (tag !== 0) {
    insertTag(s, h, slot, status)
    s.u16[k2 + (P_HEADER_OFFSET >> 1)] = HEADER_START - TAG
    // What the request says in bytes from the frame's start moves with it.
    if ((kind & VNET_NEEDS_CSUM) !== 0) sizes = (sizes & 0xffff) | (((sizes >>> 16) + TAG) << 16)
    if ((kind & 0xff00) !== 0) kind = (kind & 0xffff) | (((kind >>> 16) + TAG) << 16)
  }
  s.u32[k4 + (P_ADDRESS >> 2)] = frame + copied
  s.u32[k4 + (P_LENGTH >> 2)] = length + tag
  s.u16[k2 + (P_HEADER_LENGTH >> 1)] = copied + tag
  s.u8[pool + P_SEGMENTS + k] = length > HEADER_COPY ? 1 : 0
  s.u8[pool + P_REASON + k] = REASON_NONE
  parseHeader(s, pool, k, h - tag, copied + tag, 0)
  if ((kind & 0xffff) === 0) {
    s.u32.fill(0, (pool + P_VNET + k * VNET_STRIDE) >> 2, ((pool + P_VNET + k * VNET_STRIDE) >> 2) + 3)
    s.u8[pool + P_NEEDS + k] = 0
  } else if (!takeOffloads(s, pool, k, kind, sizes, read16(s, given + 8), length + tag, OFFLOADS))
    drop(s, pool, k, REASON_BAD_OFFLOAD)
}

/** See FrameRingKernels. */
export function takeFrames(
  s: TwinState,
  { ring, slotBytes, slots }: FrameRing,
  next: number,
  pool: number,
  first: number,
  max: number,
  port: number,
): number {
  const limit = Math.min(max, BURST_MAX)
  let told = 0
  let taken = 0
  s.foreign = false
  for (let at = next; taken < limit; taken++) {
    const slot = ring + at * slotBytes
    const status = read32(s, slot + RING_STATUS)
    if ((status & RING_USER) === 0) break
    if ((status & RING_COPY) !== 0) {
      told |= TAKEN_BESIDE
      break
    }
    if ((status & RING_LOSING) !== 0) told |= TAKEN_LOSING
    const k4 = (pool >> 2) + first + taken
    const k2 = (pool >> 1) + first + taken
    s.u32[k4 + (P_HEAD >> 2)] = 0
    s.u32[k4 + (P_VSID >> 2)] = 0
    s.u16[k2 + (P_DESTINATION_COUNT >> 1)] = 0
    s.u16[k2 + (P_SOURCE_PORT >> 1)] = port
    s.u16[k2 + (P_HEADER_OFFSET >> 1)] = HEADER_START
    s.u16[k2 + (P_WINDOW >> 1)] = 0
    s.u16[k2 + (P_CHAIN >> 1)] = 0
    s.u8[pool + P_SOURCE_NIC + first + taken] = 0
    takeFrame(s, pool, first + taken, slot, slotBytes, status)
    at = at + 1 === slots ? 0 : at + 1
  }
  return taken | told
}

/** See FrameRingKernels. */
export function giveFrames(s: TwinState, { ring, slotBytes, slots }: FrameRing, from: number, to: number): void {
  for (let at = from; at !== to; at = at + 1 === slots ? 0 : at + 1)
    s.all.fill(0, ring + at * slotBytes, ring + at * slotBytes + 4)
}
