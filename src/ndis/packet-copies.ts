// Private copies of packets in held slots: bytes, parsed fields, source, offload needs and out-of-band data; destinations are copied by
// `copyDestinations`.
//
// The rule it must not break: what is copied is the same packet for whoever looks at it; nothing is allocated. One array is done after the
// other, over all packets: that takes half the time of doing one packet after the other.
import * as layout from '../kernels/layout.ts'
import type { PacketPool } from './pool.ts'

// V8 folds constants of a module, not imported ones.
const {
  HEADER_STRIDE,
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

/** Copies the packets in the first `count` slots of `from` to the slots `to`, which were reserved for them. Packet ids are new ones. */
export function copyPackets(pool: PacketPool, from: Uint16Array, to: Uint16Array, count: number): void {
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
  let id = pool.nextPacketId
  for (let i = 0; i < count; i++) {
    const slot = to[i]!
    sharedMemory[slot] = 0
    hashInfo[slot] = 0
    parent[slot] = 0
    packetId[slot] = id
    id = (id + 1) >>> 0
  }
  pool.nextPacketId = id
}

// Header areas in words, which for so few bytes is faster than `copyWithin`; the bytes before the frame are room, and hold nothing.
function copyBytes(pool: PacketPool, from: Uint16Array, to: Uint16Array, count: number): void {
  const { base, header32, headerOffset, headerLength, length, segment, segments, kernels } = pool
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
    const end = (offset + bytes + 3) >> 2
    for (let word = offset >> 2; word < end; word++) header32[target + word] = header32[start + word]!
    const blocks = segments[slot]!
    for (let k = 0, at = bytes; k < blocks; k++) {
      const place = (slot * SEGMENTS_MAX + k) << 1
      kernels.copyFrame(base, source, at, segment[place + 1]!, segment[place]!)
      at += segment[place + 1]!
    }
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

const one = new Uint16Array(1)
const copied = new Uint16Array(1)

/** A copy of the packet in `slot`, in a held slot. Returns that, or -1 without room. */
export function copyPacket(pool: PacketPool, slot: number): number {
  one[0] = slot
  pool.reserve(one, copied, 1)
  if (copied[0] === 0) return -1
  copyPackets(pool, one, copied, 1)
  return copied[0]!
}
