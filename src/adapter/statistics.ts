// Statistics of VPorts and VFs, read from the counters of all processors. "Received" is what the guest got, "sent" what it sent.
import { PortCounter } from '../switch/counters.ts'

/** The counters of one processor, as far as they are needed here. */
export interface CounterBlock {
  readPort(port: number, counter: number): number
  readDrop(port: number, reason: number): number
}

export interface VPortStatistics {
  readonly receivedFrames: number
  readonly receivedBytes: number
  /** Frames for the guest that were dropped, its ring being full for one. */
  readonly receiveDropped: number
  readonly sentFrames: number
  readonly sentBytes: number
  readonly sentMulticast: number
  /** Frames of the guest that were dropped: forged, of another VLAN, without a destination. */
  readonly sendDropped: number
}

export const noStatistics: VPortStatistics = {
  receivedFrames: 0,
  receivedBytes: 0,
  receiveDropped: 0,
  sentFrames: 0,
  sentBytes: 0,
  sentMulticast: 0,
  sendDropped: 0,
}

/** The sum over processors. */
export function vportStatistics(blocks: readonly CounterBlock[], vport: number): VPortStatistics {
  const sum = (counter: number): number => blocks.reduce((total, block) => total + block.readPort(vport, counter), 0)
  return {
    receivedFrames: sum(PortCounter.sentFrames),
    receivedBytes: sum(PortCounter.sentBytes),
    receiveDropped: sum(PortCounter.sendDropped),
    sentFrames: sum(PortCounter.receivedFrames),
    sentBytes: sum(PortCounter.receivedBytes),
    sentMulticast: sum(PortCounter.receivedMulticast),
    sendDropped: sum(PortCounter.receivedDropped),
  }
}

/** Drops by reason number, those that happened. */
export function vportDrops(blocks: readonly CounterBlock[], vport: number, reasons: number): Map<number, number> {
  const found = new Map<number, number>()
  for (let reason = 1; reason < reasons; reason++) {
    const count = blocks.reduce((total, block) => total + block.readDrop(vport, reason), 0)
    if (count !== 0) found.set(reason, count)
  }
  return found
}
