// One window of measurement: a switch and its generator run for a while, alone, and the generator says what came back.
import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Child } from '../support/child.ts'
import { busiestThread, readThreadTimes, waitingShare } from '../support/thread-time.ts'
import type { Pair } from './rivals.ts'

/** Until caches, rings and branch predictors have got used to the new load. */
const SETTLE_MS = 300
/** A polling thread that had to wait longer than this for its processor was disturbed. */
const DISTURBED_SHARE = 0.05

export interface Window {
  readonly packetsPerSecond: number
  /** True if other work of the machine took a good part of one of the two processors. */
  readonly disturbed: boolean
}

export interface WindowOptions {
  /** Length in bytes of the frames sent, without FCS. */
  readonly bytes: number
  readonly seconds: number
  /** Let nothing else run on the two processors: real-time priority for the two polling threads. */
  readonly exclusive: boolean
}

/** Runs the pair for one window; it is paused before and after. */
export async function measureWindow(pair: Pair, { bytes, seconds, exclusive }: WindowOptions): Promise<Window> {
  const { switch: child, generator } = pair
  child.resume()
  generator.child.resume()
  generator.send(bytes)
  const starting = [readThreadTimes(child.pid), readThreadTimes(generator.child.pid)] as const
  await sleep(SETTLE_MS)
  if (exclusive) {
    makeExclusive(child, starting[0])
    makeExclusive(generator.child, starting[1])
  }
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

// The thread that ran most since `before` goes first, until its process ends.
function makeExclusive(child: Child, before: ReturnType<typeof readThreadTimes>): void {
  const { thread } = busiestThread(before, readThreadTimes(child.pid))
  if (thread > 0) spawnSync('chrt', ['--fifo', '--pid', '1', String(thread)])
}
