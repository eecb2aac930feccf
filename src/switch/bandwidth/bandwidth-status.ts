// What people are told of a port's bandwidth.
import { BandwidthBit, BandwidthCounter, type BandwidthTable } from './bandwidth-table.ts'

const US_PER_SECOND = 1e6
const BITS_PER_BYTE = 8

export interface BandwidthStatus {
  /** Bits per second; null: no limit, or no part of its own. */
  readonly maximum: number | null
  readonly maximumReceive: number | null
  readonly minimum: number | null
  /** null: the port has part in the default flow. */
  readonly weight: number | null
  /** Bytes taken from it against its maximum, seconds that its rings waited for it, and bytes that it sent to a shared uplink. */
  readonly pacedBytes: number
  readonly waitedSeconds: number
  readonly uplinkBytes: number
}

const bits = (rate: number): number | null => (rate === 0 ? null : Math.round(rate * BITS_PER_BYTE * US_PER_SECOND))

/** What holds for a port now: a minimum is none as long as nothing is shared. */
export function bandwidthStatusOf(table: BandwidthTable, port: number): BandwidthStatus {
  const isUplink = (table.bits(port) & BandwidthBit.uplink) !== 0
  const isOwn = table.hasOwnShare(port)
  return {
    maximum: bits(isUplink ? table.uplinkRate : table.sendRate(port)),
    maximumReceive: bits(table.receiveRate(port)),
    minimum: isOwn ? bits(table.minimum(port)) : null,
    weight: isOwn ? table.weight(port) : null,
    pacedBytes: table.counted(port, BandwidthCounter.paced),
    waitedSeconds: table.counted(port, BandwidthCounter.waitedUs) / US_PER_SECOND,
    uplinkBytes: table.counted(port, BandwidthCounter.uplink),
  }
}
