// Private copies of packets of a burst in other slots of the pool: bytes, parsed fields, source, offload needs and out-of-band data.
// src/ndis/packet-copies.ts does the same in TypeScript.
//
// The rule it must not break: exactly the slots of the copies are written, and of the blocks that belong to them as many bytes as the
// payload has. Slots that follow each other, on both sides, are copied array by array: each of these lies in a few cache lines then.
import { copyFrame } from './copy.as'
import {
  DE_PENDING,
  DE_REPORTED,
  HEADER_STRIDE,
  P_DESTINATION,
  P_DESTINATION_COUNT,
  P_DESTINATION_L4,
  P_DESTINATION_ROOM,
  P_ETHER_TYPE,
  P_FLAGS,
  P_HASH_INFO,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_L3,
  P_L4,
  P_LEFT_AT,
  P_LENGTH,
  P_NEEDS,
  P_PACKET_ID,
  P_PARENT,
  P_PROTOCOL,
  P_REASON,
  P_RECEIVE_QUEUE,
  P_SEGMENT,
  P_SEGMENTS,
  P_SHARED_MEMORY,
  P_SOURCE_L4,
  P_SOURCE_NIC,
  P_SOURCE_PORT,
  P_VLAN,
  P_VNET,
  P_VSID,
  PF_DROPPED,
  PF_FOREIGN,
  PF_GROWN,
  PF_ORIGINATED,
  PF_OWNED,
  PF_REPORTED,
  PF_SAFE,
  RUN_BLOCKS,
  RUN_ENTRY,
  RUN_FLAGS,
  RUN_LONGEST,
  RUN_NEEDS,
  SEGMENTS_MAX,
  VNET_STRIDE,
} from './layout'
import { copySmall } from './memory.as'

const NOT_CARRIED: u32 = PF_FOREIGN | PF_DROPPED | PF_GROWN | PF_REPORTED
const OF_A_COPY: u32 = PF_OWNED | PF_SAFE | PF_ORIGINATED
const TEMPORARY: u32 = DE_PENDING | DE_REPORTED
const STORE_BLOCK: u32 = 4096 // see ndis/block-store.ts
const RUN_MIN: u32 = 4 // below, packets are copied one by one

function words(pool: usize, array: usize, from: u32, to: u32, n: u32): void {
  copySmall(pool + array + (<usize>to << 2), pool + array + (<usize>from << 2), n << 2)
}

function halves(pool: usize, array: usize, from: u32, to: u32, n: u32): void {
  copySmall(pool + array + (<usize>to << 1), pool + array + (<usize>from << 1), n << 1)
}

function bytes(pool: usize, array: usize, from: u32, to: u32, n: u32): void {
  copySmall(pool + array + to, pool + array + from, n)
}

// Slots from…from+n-1 to to…to+n-1.
function copyRun(pool: usize, from: u32, to: u32, n: u32): void {
  words(pool, P_LENGTH, from, to, n)
  words(pool, P_PACKET_ID, from, to, n)
  words(pool, P_VSID, from, to, n)
  words(pool, P_PARENT, from, to, n)
  halves(pool, P_ETHER_TYPE, from, to, n)
  halves(pool, P_VLAN, from, to, n)
  halves(pool, P_SOURCE_L4, from, to, n)
  halves(pool, P_DESTINATION_L4, from, to, n)
  halves(pool, P_SOURCE_PORT, from, to, n)
  halves(pool, P_HEADER_OFFSET, from, to, n)
  halves(pool, P_HEADER_LENGTH, from, to, n)
  halves(pool, P_RECEIVE_QUEUE, from, to, n)
  bytes(pool, P_L3, from, to, n)
  bytes(pool, P_L4, from, to, n)
  bytes(pool, P_PROTOCOL, from, to, n)
  bytes(pool, P_SOURCE_NIC, from, to, n)
  bytes(pool, P_NEEDS, from, to, n)
  const target4 = pool + (<usize>to << 2)
  const source4 = pool + (<usize>from << 2)
  const target2 = pool + (<usize>to << 1)
  const target = pool + to
  for (let i: u32 = 0; i < n; i++) {
    const i4 = <usize>i << 2
    store<u32>(target4 + i4, (load<u32>(source4 + i4, P_FLAGS) & ~NOT_CARRIED) | OF_A_COPY, P_FLAGS)
    store<u32>(target4 + i4, 0, P_SHARED_MEMORY)
    store<u16>(target2 + (<usize>i << 1), 0, P_DESTINATION_COUNT)
    store<u16>(target2 + (<usize>i << 1), 0, P_DESTINATION_ROOM)
    store<u16>(target2 + (<usize>i << 1), 0, P_LEFT_AT)
    store<u16>(target2 + (<usize>i << 1), 0, P_HASH_INFO)
    store<u8>(target + i, 0, P_REASON)
  }
}

function copyOne(pool: usize, from: u32, to: u32): void {
  const s4 = pool + (<usize>from << 2)
  const t4 = pool + (<usize>to << 2)
  store<u32>(t4, load<u32>(s4, P_LENGTH), P_LENGTH)
  store<u32>(t4, load<u32>(s4, P_PACKET_ID), P_PACKET_ID)
  store<u32>(t4, load<u32>(s4, P_VSID), P_VSID)
  store<u32>(t4, load<u32>(s4, P_PARENT), P_PARENT)
  store<u32>(t4, (load<u32>(s4, P_FLAGS) & ~NOT_CARRIED) | OF_A_COPY, P_FLAGS)
  store<u32>(t4, 0, P_SHARED_MEMORY)
  const s2 = pool + (<usize>from << 1)
  const t2 = pool + (<usize>to << 1)
  store<u16>(t2, load<u16>(s2, P_ETHER_TYPE), P_ETHER_TYPE)
  store<u16>(t2, load<u16>(s2, P_VLAN), P_VLAN)
  store<u16>(t2, load<u16>(s2, P_SOURCE_L4), P_SOURCE_L4)
  store<u16>(t2, load<u16>(s2, P_DESTINATION_L4), P_DESTINATION_L4)
  store<u16>(t2, load<u16>(s2, P_SOURCE_PORT), P_SOURCE_PORT)
  store<u16>(t2, load<u16>(s2, P_HEADER_OFFSET), P_HEADER_OFFSET)
  store<u16>(t2, load<u16>(s2, P_HEADER_LENGTH), P_HEADER_LENGTH)
  store<u16>(t2, load<u16>(s2, P_RECEIVE_QUEUE), P_RECEIVE_QUEUE)
  store<u16>(t2, 0, P_DESTINATION_COUNT)
  store<u16>(t2, 0, P_DESTINATION_ROOM)
  store<u16>(t2, 0, P_LEFT_AT)
  store<u16>(t2, 0, P_HASH_INFO)
  const s = pool + from
  const t = pool + to
  store<u8>(t, load<u8>(s, P_L3), P_L3)
  store<u8>(t, load<u8>(s, P_L4), P_L4)
  store<u8>(t, load<u8>(s, P_PROTOCOL), P_PROTOCOL)
  store<u8>(t, load<u8>(s, P_SOURCE_NIC), P_SOURCE_NIC)
  store<u8>(t, load<u8>(s, P_NEEDS), P_NEEDS)
  store<u8>(t, 0, P_REASON)
}

// Header copy, virtio-net header and payload. Returns 1 if the payload lies outside linear memory: it is left to be copied.
@inline
function copyData(pool: usize, from: u32, to: u32): u32 {
  const s2 = pool + (<usize>from << 1)
  const offset = <usize>load<u16>(s2, P_HEADER_OFFSET)
  const copied = <u32>load<u16>(s2, P_HEADER_LENGTH)
  // Whole steps of 16 bytes, within the header area.
  const source = pool + <usize>from * HEADER_STRIDE
  const target = pool + <usize>to * HEADER_STRIDE
  const end = offset + copied
  for (let at = offset & ~15; at < end; at += 16) v128.store(target + at, v128.load(source + at))
  const vnet = pool + <usize>P_VNET
  v128.store(vnet + <usize>to * <usize>VNET_STRIDE, v128.load(vnet + <usize>from * <usize>VNET_STRIDE))
  if (load<u32>(pool + (<usize>from << 2), P_LENGTH) <= copied) {
    store<u8>(pool + to, 0, P_SEGMENTS)
    return 0
  }
  const blocks = <u32>load<u8>(pool + to, P_SEGMENTS)
  if ((load<u32>(pool + (<usize>from << 2), P_FLAGS) & PF_FOREIGN) != 0) return 1
  let segment = pool + P_SEGMENT + <usize>to * (SEGMENTS_MAX * 8)
  for (let i: u32 = 0, at = copied; i < blocks; i++, segment += 8) {
    const length = load<u32>(segment, 4)
    copyFrame(pool, from, at, length, <usize>load<u32>(segment))
    at += length
  }
  return 0
}

/** Kernels.copyPackets. */
export function copyPackets(pool: usize, from: usize, to: usize, count: u32): u32 {
  let left: u32 = 0
  for (let i: u32 = 0; i < count; ) {
    const source = <u32>load<u16>(from + (<usize>i << 1))
    const slot = <u32>load<u16>(to + (<usize>i << 1))
    let n: u32 = 1
    for (let at: usize = (<usize>i + 1) << 1; i + n < count; n++, at += 2)
      if (<u32>load<u16>(from + at) != source + n || <u32>load<u16>(to + at) != slot + n) break
    if (n >= RUN_MIN) copyRun(pool, source, slot, n)
    else for (let k: u32 = 0; k < n; k++) copyOne(pool, source + k, slot + k)
    for (let k: u32 = 0; k < n; k++) left += copyData(pool, source + k, slot + k)
    i += n
  }
  return left
}

/** Kernels.copyDestination. */
export function copyDestination(pool: usize, from: usize, to: usize, count: u32): u32 {
  let left: u32 = 0
  for (let i: usize = 0; i < <usize>count << 1; i += 2) {
    const source = <usize>load<u16>(from + i)
    const slot = <usize>load<u16>(to + i)
    const entries = load<u16>(pool + (source << 1), P_DESTINATION_COUNT)
    if (entries != 1 || load<u16>(pool + (source << 1), P_DESTINATION_ROOM) != 0) {
      left++
      continue
    }
    store<u32>(pool + (slot << 2), load<u32>(pool + (source << 2), P_DESTINATION) & ~TEMPORARY, P_DESTINATION)
    store<u16>(pool + (slot << 1), 1, P_DESTINATION_COUNT)
  }
  return left
}

/** Kernels.describeRun. */
export function describeRun(pool: usize, slots: usize, count: u32, aimed: u32, facts: usize): u32 {
  const first = <usize>load<u16>(slots)
  const source = load<u16>(pool + (first << 1), P_SOURCE_PORT)
  const entry = aimed != 0 ? load<u32>(pool + (first << 2), P_DESTINATION) : 0
  let needs: u32 = 0
  let flags: u32 = 0
  let longest: u32 = 0
  let blocks: u32 = 0
  for (let i: u32 = 0; i < count; i++) {
    const slot = <usize>load<u16>(slots + (<usize>i << 1))
    const at4 = pool + (slot << 2)
    const at2 = pool + (slot << 1)
    if (load<u16>(at2, P_SOURCE_PORT) != source) return 0
    if (
      aimed != 0 &&
      (load<u32>(at4, P_DESTINATION) != entry ||
        load<u16>(at2, P_DESTINATION_COUNT) != 1 ||
        load<u16>(at2, P_DESTINATION_ROOM) != 0)
    )
      return 0
    needs |= <u32>load<u8>(pool + slot, P_NEEDS)
    flags |= load<u32>(at4, P_FLAGS)
    const length = load<u32>(at4, P_LENGTH)
    const copied = <u32>load<u16>(at2, P_HEADER_LENGTH)
    longest = max(longest, length)
    if (length > copied) blocks += (length - copied + STORE_BLOCK - 1) / STORE_BLOCK
  }
  store<u32>(facts, entry, RUN_ENTRY)
  store<u32>(facts, needs, RUN_NEEDS)
  store<u32>(facts, flags, RUN_FLAGS)
  store<u32>(facts, longest, RUN_LONGEST)
  store<u32>(facts, blocks, RUN_BLOCKS)
  return (flags & PF_DROPPED) == 0 ? 1 : 0
}

/** Kernels.takeRun. */
export function takeRun(pool: usize, from: usize, to: usize, count: u32, aimed: u32, leftAt: u32): u32 {
  const left = copyPackets(pool, from, to, count)
  if (aimed != 0) copyDestination(pool, from, to, count)
  for (let i: usize = 0; i < <usize>count << 1; i += 2) {
    const slot = <usize>load<u16>(from + i)
    store<u32>(pool + (slot << 2), load<u32>(pool + (slot << 2), P_FLAGS) | PF_DROPPED, P_FLAGS)
    store<u8>(pool + slot, 0, P_REASON)
    store<u16>(pool + (slot << 1), <u16>leftAt, P_LEFT_AT)
  }
  return left
}
