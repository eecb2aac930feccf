// Private copies of packets in held slots: bytes, parsed fields, source, offload needs and out-of-band data; destinations are copied by
// `copyDestinations`.
//
// The rule it must not break: what is copied is the same packet for whoever looks at it; nothing is allocated. One array is done after the
// other, over all packets: that takes half the time of doing one packet after the other.
import * as layout from '../kernels/layout.ts'
import { blocksOf, stretchesOf } from './block-store.ts'
import { copyDestinations } from './destinations.ts'
import type { PacketPool } from './pool.ts'

// V8 folds constants of a module, not imported ones.
const {
  HEADER_STRIDE,
  OWN_PLACE,
  PF_DROPPED,
  PF_FOREIGN,
  PF_GROWN,
  PF_ORIGINATED,
  PF_OWNED,
  PF_REPORTED,
  PF_SAFE,
  SEGMENTS_MAX,
  VNET_STRIDE,
} = layout
const HEADER_WORDS = HEADER_STRIDE / 4
const VNET_WORDS = VNET_STRIDE / 4
const NOT_CARRIED = PF_FOREIGN | PF_DROPPED | PF_GROWN | PF_REPORTED
const OF_A_COPY = PF_OWNED | PF_SAFE | PF_ORIGINATED

/**
 * Takes held slots and blocks for copies of the packets in the first `count` slots of the pool's `originals`: their numbers go to `copies`, 0
 * for a packet that finds no room. Until they are filled (`copyPackets`) or given back they are nobody's packets. Returns how many found room.
 */
export function reserveCopies(pool: PacketPool, count: number): number {
  const { length, headerLength, originals, copies, store, free } = pool
  let blocks = 0
  for (let i = 0; i < count; i++) {
    const original = originals[i]!
    if (length[original]! > headerLength[original]!) blocks += blocksOf(length[original]! - headerLength[original]!)
  }
  if (blocks > store.count || count > free.count) return reserveSome(pool, count)
  free.takeAll(copies, count)
  if (blocks === 0) return count
  for (let i = 0; i < count; i++) {
    const payload = length[originals[i]!]! - headerLength[originals[i]!]!
    if (payload > OWN_PLACE) pool.reserve(copies[i]!, payload)
  }
  return count
}

// Not all find room.
function reserveSome(pool: PacketPool, count: number): number {
  const { length, headerLength, originals, copies, store, free } = pool
  let found = 0
  for (let i = 0; i < count; i++) {
    const payload = length[originals[i]!]! - headerLength[originals[i]!]!
    if (free.count === 0 || !store.hasRoom(payload) || stretchesOf(payload) > SEGMENTS_MAX) {
      copies[i] = 0
      continue
    }
    copies[i] = free.take()
    found++
    if (payload > OWN_PLACE) pool.reserve(copies[i]!, payload)
  }
  return found
}

/**
 * Copies the packets in the first `count` slots of the pool's `originals` to the slots `copies`, which were reserved for them. They are the
 * same packets: their ids and parents are copied, too.
 */
export function copyPackets(pool: PacketPool, count: number): void {
  const { originals: from, copies: to, kernels, flags } = pool
  if (kernels.copyPackets !== undefined) {
    if (kernels.copyPackets(pool.base, from.byteOffset, to.byteOffset, count) === 0) return
    for (let i = 0; i < count; i++) if ((flags[from[i]!]! & PF_FOREIGN) !== 0) copyPayload(pool, from[i]!, to[i]!)
    return
  }
  copyBytes(pool, from, to, count)
  copyParsed(pool, from, to, count)
  copyInfo(pool, from, to, count)
  const { destinationCount, destinationRoom, leftAt, reason, sharedMemory, hashInfo, parent, packetId } = pool
  for (let i = 0; i < count; i++) {
    const slot = to[i]!
    destinationCount[slot] = 0
    destinationRoom[slot] = 0
    leftAt[slot] = 0
    reason[slot] = 0
  }
  for (let i = 0; i < count; i++) {
    const slot = to[i]!
    sharedMemory[slot] = 0
    hashInfo[slot] = 0
    parent[slot] = parent[from[i]!]!
    packetId[slot] = packetId[from[i]!]!
  }
}

/** Copies the destinations of those packets, too. A copy that finds no room for them is given back: 0 stands in its place. */
export function copyAllDestinations(pool: PacketPool, count: number): void {
  const { originals, copies, kernels } = pool
  if (kernels.copyDestination?.(pool.base, originals.byteOffset, copies.byteOffset, count) === 0) return
  for (let i = 0; i < count; i++) {
    if (pool.destinationCount[copies[i]!] !== 0 || copyDestinations(pool, copies[i]!, originals[i]!)) continue
    pool.give(copies[i]!)
    copies[i] = 0
  }
}

// Header areas, whole steps of 16 bytes of them, in words, which for so few bytes is faster than `copyWithin`.
function copyBytes(pool: PacketPool, from: Uint16Array, to: Uint16Array, count: number): void {
  const { header32, headerOffset, headerLength, length, segments } = pool
  for (let i = 0; i < count; i++) {
    const source = from[i]!
    const slot = to[i]!
    const offset = headerOffset[source]!
    const bytes = headerLength[source]!
    headerOffset[slot] = offset
    headerLength[slot] = bytes
    length[slot] = length[source]!
    const target = slot * HEADER_WORDS
    const start = source * HEADER_WORDS
    const end = ((offset + bytes + 15) >> 4) << 2
    for (let word = (offset >> 4) << 2; word < end; word++) header32[target + word] = header32[start + word]!
    const payload = length[slot]! - bytes
    if (payload > 0 && payload <= OWN_PLACE) pool.reserve(slot, payload)
    if (payload > 0) copyPayload(pool, source, slot)
    else segments[slot] = 0
  }
}

/** Copies the payload of the packet in slot `source`, wherever it lies, to the places of the copy in `slot`. */
export function copyPayload(pool: PacketPool, source: number, slot: number): void {
  const { base, segments, headerLength, kernels } = pool
  const stretches = segments[slot]!
  for (let k = 0, at = headerLength[source]!; k < stretches; k++) {
    const bytes = pool.stretchBytes(slot, k)
    kernels.copyFrame(base, source, at, bytes, pool.stretchAt(slot, k))
    at += bytes
  }
}

function copyParsed(pool: PacketPool, from: Uint16Array, to: Uint16Array, count: number): void {
  const { etherType, vlan, sourceL4, destinationL4, l3, l4, protocol } = pool
  for (let i = 0; i < count; i++) {
    const source = from[i]!
    const slot = to[i]!
    etherType[slot] = etherType[source]!
    vlan[slot] = vlan[source]!
    sourceL4[slot] = sourceL4[source]!
    destinationL4[slot] = destinationL4[source]!
    l3[slot] = l3[source]!
    l4[slot] = l4[source]!
    protocol[slot] = protocol[source]!
  }
}

function copyInfo(pool: PacketPool, from: Uint16Array, to: Uint16Array, count: number): void {
  const { flags, sourcePort, sourceNic, needs, vsid, receiveQueue, vnet32 } = pool
  for (let i = 0; i < count; i++) {
    const source = from[i]!
    const slot = to[i]!
    flags[slot] = (flags[source]! & ~NOT_CARRIED) | OF_A_COPY
    sourcePort[slot] = sourcePort[source]!
    sourceNic[slot] = sourceNic[source]!
    needs[slot] = needs[source]!
    vsid[slot] = vsid[source]!
    receiveQueue[slot] = receiveQueue[source]!
  }
  for (let i = 0; i < count; i++) {
    const source = from[i]! * VNET_WORDS
    const slot = to[i]! * VNET_WORDS
    for (let word = 0; word < VNET_WORDS; word++) vnet32[slot + word] = vnet32[source + word]!
  }
}

/** A copy of the packet in `slot`, another packet, in a held slot. Returns that, or -1 without room. */
export function copyPacket(pool: PacketPool, slot: number): number {
  const { originals, copies, nextPacketId } = pool
  originals[0] = slot
  if (reserveCopies(pool, 1) === 0) return -1
  copyPackets(pool, 1)
  const copy = copies[0]!
  pool.parent[copy] = 0
  pool.packetId[copy] = nextPacketId
  pool.nextPacketId = (nextPacketId + 1) >>> 0
  return copy
}
