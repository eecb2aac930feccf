// The destination array of a packet: NDIS_SWITCH_FORWARDING_DESTINATION_ARRAY over the pool's arrays. One destination stands in the slot
// itself; more stand in the pool's arena.
//
// The rule it must not break: NumElements = NumDestinations + NumAvailableDestinations (ES-422, ES-423); a committed entry never changes
// but for IsExcluded, from 0 to 1 (ES-421).
import * as layout from '../kernels/layout.ts'
import type { PacketPool } from './pool.ts'

const { DE_EXCLUDED, DE_NIC_SHIFT, DE_PENDING, DE_PORT, DE_PRESERVE_PRIORITY, DE_PRESERVE_VLAN, DE_REPORTED, PF_GROWN } = layout

/** Elements that one packet's array may have. */
export const DESTINATIONS_MAX = 65535

/** NDIS_SWITCH_PORT_DESTINATION in 32 bits. */
export const destinationOf = (port: number, nic: number, preserveVlan: boolean, preservePriority: boolean): number =>
  port | (nic << DE_NIC_SHIFT) | (preserveVlan ? DE_PRESERVE_VLAN : 0) | (preservePriority ? DE_PRESERVE_PRIORITY : 0)

/** Entry `k` of the array of `slot`. */
export const destinationAt = (pool: PacketPool, slot: number, k: number): number =>
  pool.destinationRoom[slot] === 0 ? pool.destination[slot]! : pool.arena[pool.destinationOffset[slot]! + k]!

export const setDestinationAt = (pool: PacketPool, slot: number, k: number, entry: number): void => {
  if (pool.destinationRoom[slot] === 0) pool.destination[slot] = entry
  else pool.arena[pool.destinationOffset[slot]! + k] = entry
}

// What the slot's last packet left in its room means nothing before this packet has an array of its own.
const hasArray = (pool: PacketPool, slot: number): boolean =>
  pool.destinationRoom[slot] !== 0 && (pool.destinationCount[slot] !== 0 || (pool.flags[slot]! & PF_GROWN) !== 0)

/** NumAvailableDestinations: unused elements. A packet begins with one. */
export const availableDestinations = (pool: PacketPool, slot: number): number =>
  (hasArray(pool, slot) ? pool.destinationRoom[slot]! : 1) - pool.destinationCount[slot]!

/** Appends `count` unused elements. False, and nothing changed, when there is no room (NDIS_STATUS_RESOURCES). ES-416, ES-417 */
export const growDestinations = (pool: PacketPool, slot: number, count: number): boolean => {
  const elements = pool.destinationCount[slot]! + availableDestinations(pool, slot)
  if (elements + count > DESTINATIONS_MAX) return false
  if (!hasArray(pool, slot)) pool.destinationRoom[slot] = 0
  return pool.growDestinations(slot, elements + count)
}

/** Adds one committed entry; the array grows as needed. False without room. ES-411 */
export const appendDestination = (pool: PacketPool, slot: number, entry: number): boolean => {
  const count = pool.destinationCount[slot]!
  if (count === 0 && (pool.flags[slot]! & PF_GROWN) === 0) {
    pool.destination[slot] = entry
    pool.destinationRoom[slot] = 0
  } else {
    const room = pool.destinationRoom[slot]!
    if (count >= room && !pool.growDestinations(slot, room === 0 ? 8 : room * 2)) return false
    pool.arena[pool.destinationOffset[slot]! + count] = entry
  }
  pool.destinationCount[slot] = count + 1
  return true
}

/** What may be written into an unused element; the bits that the switch keeps for itself are never taken over. */
const WRITABLE = DE_PORT | (0xff << DE_NIC_SHIFT) | DE_PRESERVE_VLAN | DE_PRESERVE_PRIORITY | DE_EXCLUDED

/** Writes unused element `k` (NumDestinations…NumElements - 1). False if `k` is not one. ES-418 */
export const writeDestination = (pool: PacketPool, slot: number, k: number, entry: number): boolean => {
  const count = pool.destinationCount[slot]!
  if (!(Number.isInteger(k) && k >= count && k < count + availableDestinations(pool, slot))) return false
  // The one element in the slot itself cannot tell whether it was written: an array in the arena can.
  if (!hasArray(pool, slot)) {
    pool.destinationRoom[slot] = 0
    if (!pool.growDestinations(slot, 1)) return false
  }
  setDestinationAt(pool, slot, k, entry & WRITABLE)
  return true
}

/**
 * Commits `count` new entries after the last one. False, and nothing changed, if there are not so many, or the connection of one is
 * not connected, or one is marked excluded. ES-325, ES-419, ES-441
 */
export const commitDestinations = (
  pool: PacketPool,
  slot: number,
  count: number,
  owner: { connected(portId: number, nicIndex: number): boolean },
): boolean => {
  if (!(Number.isInteger(count) && count >= 0 && count <= availableDestinations(pool, slot))) return false
  if (!hasArray(pool, slot)) return count === 0 // nothing was written
  const first = pool.destinationCount[slot]!
  for (let k = first; k < first + count; k++) {
    const entry = destinationAt(pool, slot, k)
    if ((entry & DE_EXCLUDED) !== 0 || !owner.connected(entry & DE_PORT, (entry >>> DE_NIC_SHIFT) & 0xff)) return false
  }
  pool.destinationCount[slot] = first + count
  return true
}

/** Copies the committed entries of `from` to `to`, which has none. False without room. ES-427 */
export const copyDestinations = (pool: PacketPool, to: number, from: number): boolean => {
  const count = pool.destinationCount[from]!
  if (count === 1 && pool.destinationRoom[from] === 0 && pool.destinationRoom[to] === 0) {
    pool.destination[to] = pool.destination[from]! & ~(DE_PENDING | DE_REPORTED)
    pool.destinationCount[to] = 1
    return true
  }
  const missing = count - availableDestinations(pool, to)
  if (missing > 0 && !growDestinations(pool, to, missing)) return false
  if (!hasArray(pool, to)) pool.destinationRoom[to] = 0
  for (let k = 0; k < count; k++) setDestinationAt(pool, to, k, destinationAt(pool, from, k) & ~(DE_PENDING | DE_REPORTED))
  pool.destinationCount[to] = count
  return true
}

/** True if both packets have the same committed entries. ES-455 */
export const sameDestinations = (pool: PacketPool, a: number, b: number): boolean => {
  const count = pool.destinationCount[a]!
  if (count !== pool.destinationCount[b]) return false
  for (let k = 0; k < count; k++) if (destinationAt(pool, a, k) !== destinationAt(pool, b, k)) return false
  return true
}
