// One window of measurement: a switch and its generator run for a while, alone, and the generator says what came back.
import { setTimeout as sleep } from 'node:timers/promises'
import { raisePriority } from '../support/priority.ts'
import { readThreadTimes, waitingShare } from '../support/thread-time.ts'
import type { Pair } from './rivals.ts'

/** Until caches, rings and branch predictors have got used to the new load. */
const SETTLE_MS = 300
/** A polling thread that had to wait longer than this for its processor was disturbed. */
const DISTURBED_SHARE = 0.05

export interface Window {
  readonly packetsPerSecond: number
  /** True if other work of the machine took a good part of one of the two processors. */
  readonly disturbed: boolean
  /** Processor time of the switch's own processes per frame, in nanoseconds; where it is measured. */
  readonly ownNsPerPacket?: number
}

export interface WindowOptions {
  /** Length in bytes of the frames sent, without FCS. */
  readonly bytes: number
  readonly seconds: number
  /** Let both go before other work of the machine. */
  readonly first: boolean
}

/** Runs the pair for one window; it is paused before and after. */
export async function measureWindow(pair: Pair, { bytes, seconds, first }: WindowOptions): Promise<Window> {
  const { switch: child, generator } = pair
  if (first) for (const { pid } of [child, generator.child]) raisePriority(pid)
  child.resume()
  generator.child.resume()
  generator.send(bytes)
  await sleep(SETTLE_MS)
  await generator.receivedPerSecond()
  const before = [readThreadTimes(child.pid), readThreadTimes(generator.child.pid)] as const
  await sleep(seconds * 1000)
  const packetsPerSecond = await generator.receivedPerSecond()
  const waited = Math.max(
    waitingShare(before[0], readThreadTimes(child.pid)),
    waitingShare(before[1], readThreadTimes(generator.child.pid)),
  )
  await generator.stop()
  generator.child.pause()
  child.pause()
  return { packetsPerSecond, disturbed: waited > DISTURBED_SHARE }
}
