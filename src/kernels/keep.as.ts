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
  OWN_PLACE,
  P_ADDRESS,
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
  PLACE_SPREAD,
  POOL_BYTES,
  POOL_SLOTS,
  RUN_BLOCKS,
  RUN_ENTRY,
  RUN_FLAGS,
  RUN_LONGEST,
  RUN_NEEDS,
  SEGMENTS_MAX,
  STORE_ALIGN,
  VNET_STRIDE,
} from './layout'
import { copyLong, copySmall } from './memory.as'

const NOT_CARRIED: u32 = PF_FOREIGN | PF_DROPPED | PF_GROWN | PF_REPORTED
const OF_A_COPY: u32 = PF_OWNED | PF_SAFE | PF_ORIGINATED
const TEMPORARY: u32 = DE_PENDING | DE_REPORTED
const STORE_BLOCK: u32 = 4096 // see ndis/block-store.ts, blocksOf
const OWN_BYTES: u32 = POOL_SLOTS * OWN_PLACE
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
  const carried = i32x4.splat(~NOT_CARRIED)
  const own = i32x4.splat(OF_A_COPY)
  let i: u32 = 0
  for (; i + 4 <= n; i += 4) {
    const i4 = <usize>i << 2
    v128.store(target4 + i4, v128.or(v128.and(v128.load(source4 + i4, P_FLAGS), carried), own), P_FLAGS)
  }
  for (; i < n; i++) {
    const i4 = <usize>i << 2
    store<u32>(target4 + i4, (load<u32>(source4 + i4, P_FLAGS) & ~NOT_CARRIED) | OF_A_COPY, P_FLAGS)
  }
  const target2 = pool + (<usize>to << 1)
  put(target4 + P_SHARED_MEMORY, i32x4.splat(0), n << 2)
  put(target2 + P_DESTINATION_COUNT, i32x4.splat(0), n << 1)
  put(target2 + P_DESTINATION_ROOM, i32x4.splat(0), n << 1)
  put(target2 + P_LEFT_AT, i32x4.splat(0), n << 1)
  put(target2 + P_HASH_INFO, i32x4.splat(0), n << 1)
  put(pool + to + P_REASON, i32x4.splat(0), n)
}

// Fills `n` bytes with `value`, whose lanes are all the same: what is left over at the end is written by lanes of 4, 2 and 1 bytes.
@inline
function put(at: usize, value: v128, n: u32): void {
  let o: u32 = 0
  for (; o + 16 <= n; o += 16) v128.store(at + o, value)
  for (; o + 4 <= n; o += 4) store<u32>(at + o, i32x4.extract_lane(value, 0))
  if (n & 2) {
    store<u16>(at + o, <u16>i32x4.extract_lane(value, 0))
    o += 2
  }
  if (n & 1) store<u8>(at + o, <u8>i32x4.extract_lane(value, 0))
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

// Where the slots' own places begin.
@inline
function ownPlaces(pool: usize): usize {
  return (pool + POOL_BYTES + STORE_ALIGN - 1) & ~(<usize>STORE_ALIGN - 1)
}

// Room for `bytes` in the place of slot `k`. See own() in ndis/block-store.ts.
@inline
function ownPlace(pool: usize, k: u32, bytes: u32): usize {
  const lines = ((OWN_PLACE - bytes) >> 6) + 1
  const at = ((((k * PLACE_SPREAD) & 0xff) * lines) >> 8) << 6
  return ownPlaces(pool) + <usize>k * OWN_PLACE + at
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
  let step = offset & ~15
  for (; step + 48 < end; step += 64) {
    const a = v128.load(source + step)
    const b = v128.load(source + step, 16)
    const c = v128.load(source + step, 32)
    const d = v128.load(source + step, 48)
    v128.store(target + step, a)
    v128.store(target + step, b, 16)
    v128.store(target + step, c, 32)
    v128.store(target + step, d, 48)
  }
  for (; step < end; step += 16) v128.store(target + step, v128.load(source + step))
  const vnet = pool + <usize>P_VNET
  v128.store(vnet + <usize>to * <usize>VNET_STRIDE, v128.load(vnet + <usize>from * <usize>VNET_STRIDE))
  const length = load<u32>(pool + (<usize>from << 2), P_LENGTH)
  if (length <= copied) {
    store<u8>(pool + to, 0, P_SEGMENTS)
    return 0
  }
  const payload = length - copied
  const isForeign = (load<u32>(pool + (<usize>from << 2), P_FLAGS) & PF_FOREIGN) != 0
  if (payload <= <u32>OWN_PLACE) {
    const place = ownPlace(pool, to, payload)
    store<u32>(pool + (<usize>to << 2), <u32>place, P_ADDRESS)
    store<u8>(pool + to, 1, P_SEGMENTS)
    if (isForeign) return 1
    if (load<u8>(pool + from, P_SEGMENTS) == 1) copyLong(place, <usize>load<u32>(pool + (<usize>from << 2), P_ADDRESS), payload)
    else copyFrame(pool, from, copied, payload, place)
    return 0
  }
  if (isForeign) return 1
  const stretches = <u32>load<u8>(pool + to, P_SEGMENTS)
  if (stretches == 1) {
    copyFrame(pool, from, copied, payload, <usize>load<u32>(pool + (<usize>to << 2), P_ADDRESS))
    return 0
  }
  let segment = pool + P_SEGMENT + <usize>to * (SEGMENTS_MAX * 8)
  for (let i: u32 = 0, at = copied; i < stretches; i++, segment += 8) {
    const bytes = load<u32>(segment, 4)
    copyFrame(pool, from, at, bytes, <usize>load<u32>(segment))
    at += bytes
  }
  return 0
}

// How many packets from place `i` of the lists on stand in a row on both sides.
@inline
function inRow(from: usize, to: usize, i: u32, count: u32): u32 {
  const source = <u32>load<u16>(from + (<usize>i << 1))
  const slot = <u32>load<u16>(to + (<usize>i << 1))
  let n: u32 = 1
  for (let at: usize = (<usize>i + 1) << 1; i + n < count; n++, at += 2)
    if (<u32>load<u16>(from + at) != source + n || <u32>load<u16>(to + at) != slot + n) break
  return n
}

function copySpan(pool: usize, source: u32, slot: u32, n: u32): u32 {
  let left: u32 = 0
  if (n >= RUN_MIN) copyRun(pool, source, slot, n)
  else for (let k: u32 = 0; k < n; k++) copyOne(pool, source + k, slot + k)
  for (let k: u32 = 0; k < n; k++) left += copyData(pool, source + k, slot + k)
  return left
}

/** Kernels.copyPackets. */
export function copyPackets(pool: usize, from: usize, to: usize, count: u32): u32 {
  let left: u32 = 0
  for (let i: u32 = 0; i < count; ) {
    const n = inRow(from, to, i, count)
    left += copySpan(pool, <u32>load<u16>(from + (<usize>i << 1)), <u32>load<u16>(to + (<usize>i << 1)), n)
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
    if (length > copied) blocks += (length - copied + STORE_BLOCK - OWN_PLACE - 1) / STORE_BLOCK
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
  const entry = load<u32>(pool + (<usize>load<u16>(from) << 2), P_DESTINATION) & ~TEMPORARY
  let left: u32 = 0
  for (let i: u32 = 0; i < count; ) {
    const n = inRow(from, to, i, count)
    const source = <u32>load<u16>(from + (<usize>i << 1))
    const slot = <u32>load<u16>(to + (<usize>i << 1))
    left += copySpan(pool, source, slot, n)
    if (aimed != 0) {
      put(pool + (<usize>slot << 2) + P_DESTINATION, i32x4.splat(entry), n << 2)
      put(pool + (<usize>slot << 1) + P_DESTINATION_COUNT, i16x8.splat(1), n << 1)
    }
    for (let k = <usize>source << 2, end = k + (<usize>n << 2); k < end; k += 4)
      store<u32>(pool + k, load<u32>(pool + k, P_FLAGS) | PF_DROPPED, P_FLAGS)
    put(pool + source + P_REASON, i32x4.splat(0), n)
    put(pool + (<usize>source << 1) + P_LEFT_AT, i16x8.splat(<i16>leftAt), n << 1)
    i += n
  }
  return left
}

/** Kernels.clearSpan. */
export function clearSpan(pool: usize, first: u32, count: u32): u32 {
  const places = <u32>ownPlaces(pool)
  const at2 = pool + (<usize>first << 1)
  const at4 = pool + (<usize>first << 2)
  for (let i: u32 = 0; i < count; i++) {
    const segments = <u32>load<u8>(pool + first + i, P_SEGMENTS)
    if (load<u16>(at2 + (<usize>i << 1), P_DESTINATION_ROOM) != 0 || segments > 1) return 0
    if (segments == 1 && load<u32>(at4 + (<usize>i << 2), P_ADDRESS) - places >= OWN_BYTES) return 0
  }
  put(pool + first + P_SEGMENTS, i32x4.splat(0), count)
  put(at4 + P_FLAGS, i32x4.splat(0), count << 2)
  return 1
}
