// Taking stock of a pool after something was interrupted in the middle of what it did there.
//
// The rule it must not break: what a packet has that is somebody's stays with it; everything else is free.
import { POOL_SLOTS } from '../kernels/layout.ts'
import { HELD_FIRST, type PacketPool } from './pool.ts'

/**
 * Held slots whose `live` is 0 are nobody's, with all that they had, and so is what no live one has of the store. Burst slots must have nothing
 * there (`forgetSafe`).
 */
export function takeStock(pool: PacketPool, live: Uint8Array): void {
  const { segments, generation, flags } = pool
  const addresses: number[] = []
  for (let slot = HELD_FIRST; slot < POOL_SLOTS; slot++) {
    if (live[slot] === 0) {
      pool.forgetDestinations(slot)
      flags[slot] = 0
      segments[slot] = 0
      generation[slot] = generation[slot]! + 1
    }
    for (let i = 0; i < segments[slot]!; i++) addresses.push(pool.stretchAt(slot, i))
  }
  pool.free.reset(HELD_FIRST, live)
  pool.store.reset(addresses)
}
