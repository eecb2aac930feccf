// Keeps frames of ports in no virtual subnet away from ports that are in one, whatever chose the destinations.
//
// The rule it must not break: a packet that network virtualization directs, or of source port 0, is left alone (ES-341).
import * as layout from '../../kernels/layout.ts'
import type { Batch } from '../../ndis/batch.ts'
import { destinationAt, setDestinationAt } from '../../ndis/destinations.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { DE_EXCLUDED, DE_PORT, PF_DROPPED, PF_NATIVE_FORWARDING } = layout

/** `ofPort`: number of each port's subnet, 0 = none. A packet that is left with no destination is dropped. */
export function separateSubnets(
  batch: Batch,
  ofPort: Uint16Array,
  owner: { refuse(batch: Batch, i: number, reason: number, port: number): void },
): void {
  const { pool } = batch
  for (let i = 0; i < batch.length; i++) {
    const slot = batch.slots[i]!
    if ((pool.flags[slot]! & (PF_NATIVE_FORWARDING | PF_DROPPED)) !== 0 || pool.sourcePort[slot] === 0) continue
    const count = pool.destinationCount[slot]!
    let left = 0
    let taken = 0
    for (let k = 0; k < count; k++) {
      const entry = destinationAt(pool, slot, k)
      if ((entry & DE_EXCLUDED) !== 0) continue
      if (ofPort[entry & DE_PORT] === 0) left++
      else {
        setDestinationAt(pool, slot, k, entry | DE_EXCLUDED)
        taken++
      }
    }
    if (taken !== 0 && left === 0) owner.refuse(batch, i, DropReason.virtualSubnet, pool.sourcePort[slot]!)
  }
}
