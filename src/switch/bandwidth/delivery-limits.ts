// Bandwidth where frames are delivered (spec 7.6): what goes out through the uplink is charged to the share of the port that it came from;
// frames to a port beyond what it may get are dropped, since the ring that they would wait in is somebody else's.
//
// The rule it must not break: order is kept among the frames that stay; nothing is allocated.
import type { PacketPool } from '../../ndis/pool.ts'
import { BandwidthBit, BandwidthCounter, type BandwidthTable, W_RECEIVE } from './bandwidth-table.ts'
import { fillBucket, takeFromBucket } from './token-bucket.ts'
import { UplinkShares } from './uplink-shares.ts'
import { wireBytes } from './wire-bytes.ts'

/** Fields are ordinary ones: they are read per burst. */
export class DeliveryLimits {
  private readonly table: BandwidthTable
  private readonly pool: PacketPool
  private readonly nowMs: () => number
  private readonly shares: UplinkShares
  /** Of the last list: bytes of what stays, frames that don't, and the slot of the first of these. */
  bytes = 0
  dropped = 0
  droppedSlot = -1

  /** `nowMs`: milliseconds, monotonic, fractional, the same on all processors. */
  constructor(table: BandwidthTable, pool: PacketPool, nowMs: () => number) {
    this.table = table
    this.pool = pool
    this.nowMs = nowMs
    this.shares = new UplinkShares(table)
  }

  /** True if lists for `port` have to come by here. */
  concerns(port: number): boolean {
    const { table } = this
    return table.isOn && (table.bits(port) & (BandwidthBit.receive | BandwidthBit.uplink)) !== 0
  }

  /** Goes over the list of `count` slots for `port` at `lists[first]`, and takes out of it what the port may not get. Returns how many stay. */
  apply(lists: Uint16Array, first: number, count: number, port: number): number {
    this.bytes = 0
    this.dropped = 0
    if ((this.table.bits(port) & BandwidthBit.uplink) === 0) return this.police(lists, first, count, port)
    this.charge(lists, first, count)
    return count
  }

  private charge(lists: Uint16Array, first: number, count: number): void {
    const { pool, table, shares } = this
    const end = first + count
    for (let i = first; i < end; ) {
      const source = pool.sourcePort[lists[i]!]!
      let bytes = 0
      for (; i < end && pool.sourcePort[lists[i]!] === source; i++) {
        const slot = lists[i]!
        this.bytes += pool.length[slot]!
        bytes += wireBytes(pool, slot)
      }
      shares.charge(source, bytes)
      table.count(source, BandwidthCounter.uplink, bytes)
    }
  }

  private police(lists: Uint16Array, first: number, count: number, port: number): number {
    const { pool, table } = this
    const at = table.entry(port) + W_RECEIVE
    const tokens = fillBucket(table.words, at, table.receiveRate(port), table.receiveDepth(port), this.nowMs() * 1000)
    let used = 0
    let kept = 0
    for (let i = first; i < first + count; i++) {
      const slot = lists[i]!
      if (used >= tokens) {
        if (this.dropped++ === 0) this.droppedSlot = slot
        continue
      }
      used += wireBytes(pool, slot)
      this.bytes += pool.length[slot]!
      lists[first + kept++] = slot
    }
    if (used !== 0) takeFromBucket(table.words, at, used)
    return kept
  }
}
