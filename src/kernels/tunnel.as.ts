// Network virtualization for a burst of one port: which packets it takes, and what both ways of a tunnel share. What is not simple is left
// undecided, untouched, to src/switch/overlay, which does the same for all cases.
//
// The rule it must not break: nothing is read of a frame but its header copy.
import {
  DE_EXCLUDED,
  DE_PORT,
  DE_PRESERVE_PRIORITY,
  DE_PRESERVE_VLAN,
  HEADER_STRIDE,
  MAC_KEY_MASK,
  PF_DROPPED,
  PF_GROWN,
  PF_MULTICAST,
  PF_NATIVE_FORWARDING,
  PF_TAGGED,
  PF_VLAN_OOB,
  P_ARENA,
  P_DESTINATION,
  P_DESTINATION_COUNT,
  P_DESTINATION_OFFSET,
  P_DESTINATION_ROOM,
  P_FLAGS,
  P_HEADER_OFFSET,
  P_SOURCE_PORT,
} from './layout'
import { find } from './mac-table.as'
import {
  TC_BYTES,
  TC_SENT_BYTES,
  TC_SENT_FRAMES,
  TU_LEFT,
  TU_MAC_HIGH,
  TU_MAC_LOW,
  TU_SUBNET_OF,
} from './tunnel-layout'

export const KEEP_ALL: u32 = DE_PRESERVE_VLAN | DE_PRESERVE_PRIORITY
export const NOT_SIMPLE: u32 = PF_MULTICAST | PF_TAGGED | PF_VLAN_OOB | PF_GROWN
export const ETHERNET: u32 = 14
export const IPV4: u32 = 20
export const IPV6: u32 = 40
export const UDP: u32 = 8
export const OVERLAY: u32 = 8
export const TCP: u32 = 6
export const UDP_PROTOCOL: u32 = 17
export const GRE_PROTOCOL: u32 = 47
export const SYN: u32 = 2
export const TCP_FLAGS: u32 = 13
// Little-endian: ether type 0x0800, version 4, five words of header.
export const PLAIN_IPV4: u32 = 0x450008
/** In a packet's virtio-net header. */
export const VNET_CHECKSUM_START: usize = 6
/** Nobody. */
export const NONE: u32 = 0xffffffff

@inline
export function put16(p: usize, v: u32): void {
  store<u16>(p, <u16>(((v & 0xff) << 8) | ((v >> 8) & 0xff)))
}

@inline
export function count(counters: usize, peer: u32, frames: usize, frameCount: u32, bytes: u32): void {
  const at = counters + <usize>peer * TC_BYTES + frames
  store<f64>(at, load<f64>(at) + <f64>frameCount)
  store<f64>(at, load<f64>(at, TC_SENT_BYTES - TC_SENT_FRAMES) + <f64>bytes, TC_SENT_BYTES - TC_SENT_FRAMES)
}

@inline
export function direct(k2: usize, k4: usize, entry: u32): void {
  store<u32>(k4, entry, P_DESTINATION)
  store<u16>(k2, 1, P_DESTINATION_COUNT)
  store<u16>(k2, 0, P_DESTINATION_ROOM)
}

/** The place that the table knows for an address, or NONE: there is none, or a writer was here meanwhile. */
@inline
export function placeOf(table: usize, mask: u32, low: u32, key: u32): u32 {
  const at = find(table, mask, low, key)
  if (at == 0) return NONE
  const place = load<u32>(at, 8)
  return (atomic.load<u32>(at, 4) & MAC_KEY_MASK) == key && load<u32>(at) == low ? place : NONE
}

/** True if the table knows that the address is at `place`; then it was seen `now`. */
@inline
export function isLearned(table: usize, mask: u32, low: u32, key: u32, place: u32, now: u32): bool {
  const at = find(table, mask, low, key)
  if (at == 0 || load<u32>(at, 8) != place) return false
  if (load<u32>(at, 12) != now) store<u32>(at, now, 12)
  return true
}

/** True if a packet of `list` that network virtualization does not direct has a destination in a subnet. */
export function strays(pool: usize, list: usize, packets: u32, block: usize): bool {
  const subnetOf = <usize>load<u32>(block, TU_SUBNET_OF)
  for (let j: u32 = 0; j < packets; j++) {
    const k = <u32>load<u16>(list + (<usize>j << 1))
    const k2 = pool + (<usize>k << 1)
    const k4 = pool + (<usize>k << 2)
    if ((load<u32>(k4, P_FLAGS) & (PF_NATIVE_FORWARDING | PF_DROPPED)) != 0 || load<u16>(k2, P_SOURCE_PORT) == 0) continue
    const many = load<u16>(k2, P_DESTINATION_ROOM) != 0
    let at = many ? pool + P_ARENA + (<usize>load<u32>(k4, P_DESTINATION_OFFSET) << 2) : k4 + P_DESTINATION
    const end = at + (<usize>load<u16>(k2, P_DESTINATION_COUNT) << 2)
    for (; at < end; at += 4) {
      const entry = load<u32>(at)
      if ((entry & DE_EXCLUDED) == 0 && load<u16>(subnetOf + (<usize>(entry & DE_PORT) << 1)) != 0) return true
    }
  }
  return false
}

/**
 * Marks the packets of `list`, all from one port, that network virtualization takes (PF_NATIVE_FORWARDING). `all`: that port is in a
 * subnet; else it is the external one, and those to the providers' address are taken. Group addresses are left: their positions stand in
 * TU_LEFT. Returns how many were marked in the low 16 bits, and how many are left above.
 */
export function claim(pool: usize, list: usize, packets: u32, block: usize, all: u32): u32 {
  const low = load<u32>(block, TU_MAC_LOW)
  const high = load<u32>(block, TU_MAC_HIGH)
  let marked: u32 = 0
  let left: u32 = 0
  for (let j: u32 = 0; j < packets; j++) {
    const k = <u32>load<u16>(list + (<usize>j << 1))
    const k4 = pool + (<usize>k << 2)
    const flags = load<u32>(k4, P_FLAGS)
    if (!all) {
      if (flags & PF_TAGGED) continue
      if (flags & PF_MULTICAST) {
        store<u16>(block + (<usize>left << 1), <u16>j, TU_LEFT)
        left++
        continue
      }
      const h = pool + <usize>k * HEADER_STRIDE + <usize>load<u16>(pool + (<usize>k << 1), P_HEADER_OFFSET)
      if (<u32>load<u16>(h) != high || load<u32>(h, 2) != low) continue
    }
    store<u32>(k4, flags | PF_NATIVE_FORWARDING, P_FLAGS)
    marked++
  }
  return marked | (left << 16)
}
