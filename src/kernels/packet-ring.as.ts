// Takes frames from the receive ring of an AF_PACKET socket into pool slots, and gives the ring's slots back.
//
// The rule it must not break: a checksum, a segmentation or a VLAN tag that the kernel keeps beside a frame is never lost; nothing is read
// beyond a slot of the ring. The twin of this file is twin-packet-ring.ts.
import {
  BURST_MAX,
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
  RING_USER,
  RING_VLAN_TCI,
  RING_VLAN_TPID,
  RING_VLAN_TPID_VALID,
  RING_VLAN_VALID,
  TAKEN_BESIDE,
  TAKEN_LOSING,
  VNET_NEEDS_CSUM,
  VNET_STRIDE,
} from './layout'
import { copySmall } from './memory.as'
import { parseHeader } from './parse.as'
import { drop, takeOffloads } from './transmit.as'

const COPY: u32 = HEADER_COPY
const SHORTEST: u32 = FRAME_MIN
const LONGEST: u32 = FRAME_MAX
const TAG: u32 = 4
const ETHERTYPE_VLAN: u32 = 0x8100
const OFFLOADS: u32 = OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO | OFFLOAD_ECN

/** Puts a tag between the addresses and the ether type of the header copy at `h`, which grows downwards. */
function insertTag(h: usize, slot: usize, status: u32): void {
  const tpid = (status & RING_VLAN_TPID_VALID) != 0 ? <u32>load<u16>(slot, RING_VLAN_TPID) : ETHERTYPE_VLAN
  const tci = <u32>load<u16>(slot, RING_VLAN_TCI)
  store<u32>(h - 4, load<u32>(h))
  store<u32>(h, load<u32>(h, 4))
  store<u32>(h, load<u32>(h, 8), 4)
  store<u32>(h, (tpid >>> 8) | ((tpid & 0xff) << 8) | ((tci >>> 8) << 16) | ((tci & 0xff) << 24), 8)
}

/** Fills slot `k` with the frame in the ring's slot at `slot`. */
@inline
function takeFrame(pool: usize, k: u32, slot: usize, slotBytes: u32, status: u32): void {
  const length = load<u32>(slot, RING_LENGTH)
  const at = <u32>load<u16>(slot, RING_FRAME)
  const tag: u32 = (status & RING_VLAN_VALID) != 0 ? TAG : 0
  if (load<u32>(slot, RING_CAPTURED) != length || at < <u32>PACKET_VNET_BYTES || <u64>at + <u64>length > <u64>slotBytes) {
    // Cut off: too long for the slot, and no room for it in the socket's buffer either.
    drop(pool, k, REASON_BUFFER_FULL)
    return
  }
  if (length < SHORTEST || length + tag > LONGEST) {
    drop(pool, k, length < SHORTEST ? REASON_RUNT : REASON_OVERSIZE)
    return
  }
  const k4 = pool + (<usize>k << 2)
  const k2 = pool + (<usize>k << 1)
  const frame = slot + <usize>at
  const h = pool + <usize>k * HEADER_STRIDE + HEADER_START
  let v = load<u64>(frame - PACKET_VNET_BYTES)
  const offset = <u32>load<u16>(frame - 2)
  const copied = min(length, COPY)
  if (length >= COPY) {
    v128.store(h, v128.load(frame))
    v128.store(h, v128.load(frame, 16), 16)
    v128.store(h, v128.load(frame, 32), 32)
    v128.store(h, v128.load(frame, 48), 48)
    v128.store(h, v128.load(frame, 64), 64)
    v128.store(h, v128.load(frame, 80), 80)
    v128.store(h, v128.load(frame, 96), 96)
    v128.store(h, v128.load(frame, 112), 112)
  } else copySmall(h, frame, length)
  if (tag != 0) {
    insertTag(h, slot, status)
    store<u16>(k2, <u16>(HEADER_START - TAG), P_HEADER_OFFSET)
    // What the request says in bytes from the frame's start moves with it.
    if (v & VNET_NEEDS_CSUM) v = (v & 0x0000ffffffffffff) | (<u64>(<u16>((v >> 48) + TAG)) << 48)
    if ((v & 0xff00) != 0) v = (v & 0xffffffff0000ffff) | (<u64>(<u16>((v >> 16) + TAG)) << 16)
  }
  store<u32>(k4, <u32>frame + copied, P_ADDRESS)
  store<u32>(k4, length + tag, P_LENGTH)
  store<u16>(k2, <u16>(copied + tag), P_HEADER_LENGTH)
  store<u8>(pool + k, length > COPY ? 1 : 0, P_SEGMENTS)
  store<u8>(pool + k, REASON_NONE, P_REASON)
  parseHeader(pool, k, h - <usize>tag, copied + tag, 0)
  if ((v & 0xffff) == 0) {
    const vnet = pool + P_VNET + <usize>k * VNET_STRIDE
    store<u64>(vnet, 0)
    store<u32>(vnet, 0, 8)
    store<u8>(pool + k, 0, P_NEEDS)
  } else if (!takeOffloads(pool, k, v, offset, length + tag, OFFLOADS)) drop(pool, k, REASON_BAD_OFFLOAD)
}

/** See FrameRingKernels. */
export function takeFrames(
  ring: usize,
  slotBytes: u32,
  slots: u32,
  next: u32,
  pool: usize,
  first: u32,
  max: u32,
  port: u32,
): u32 {
  max = min(max, <u32>BURST_MAX)
  let told: u32 = 0
  let ready: u32 = 0
  // The lines of many slots are on their way at once if they are asked for before the first is worked on.
  for (let at = next; ready < max; ready++) {
    const slot = ring + <usize>at * <usize>slotBytes
    const status = atomic.load<u32>(slot)
    if ((status & RING_USER) == 0) break
    if ((status & RING_COPY) != 0) {
      told |= TAKEN_BESIDE
      break
    }
    if ((status & RING_LOSING) != 0) told |= TAKEN_LOSING
    at = at + 1 == slots ? 0 : at + 1
  }
  for (let i: u32 = 0; i < ready; i++) {
    const slot = ring + <usize>next * <usize>slotBytes
    const k = first + i
    const k4 = pool + (<usize>k << 2)
    const k2 = pool + (<usize>k << 1)
    store<u32>(k4, 0, P_HEAD)
    store<u32>(k4, 0, P_VSID)
    store<u16>(k2, 0, P_DESTINATION_COUNT)
    store<u16>(k2, <u16>port, P_SOURCE_PORT)
    store<u16>(k2, HEADER_START, P_HEADER_OFFSET)
    store<u16>(k2, 0, P_WINDOW)
    store<u16>(k2, 0, P_CHAIN)
    store<u8>(pool + k, 0, P_SOURCE_NIC)
    takeFrame(pool, k, slot, slotBytes, load<u32>(slot))
    next = next + 1 == slots ? 0 : next + 1
  }
  return ready | told
}

/** See FrameRingKernels. */
export function giveFrames(ring: usize, slotBytes: u32, slots: u32, from: u32, to: u32): void {
  while (from != to) {
    atomic.store<u32>(ring + <usize>from * <usize>slotBytes, 0)
    from = from + 1 == slots ? 0 : from + 1
  }
}
