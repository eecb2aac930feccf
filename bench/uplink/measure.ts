// One window of the uplink benchmark: a rival and its load run for a while, alone; what the guest got is counted.
import { setTimeout as sleep } from 'node:timers/promises'
import { BenchError } from '../benchmark.ts'
import { raisePriority } from '../support/priority.ts'
import { readThreadTimes, type ThreadTimes, waitingShare } from '../support/thread-time.ts'
import type { Window, WindowOptions } from '../vhost/measure.ts'
import type { UplinkPair } from './rivals.ts'

/** Until rings are full and caches warm. */
const SETTLE_MS = 300
/** A thread that had to wait longer than this for its processor was disturbed. */
const DISTURBED_SHARE = 0.1

const ranNs = (before: ThreadTimes, after: ThreadTimes): number =>
  [...after].reduce((sum, [thread, { ranNs: ran }]) => sum + ran - (before.get(thread)?.ranNs ?? 0), 0)

/** Runs the pair for one window; it is paused before and after. */
export async function measureUplink(pair: UplinkPair, options: WindowOptions): Promise<Window> {
  const { load, children, received } = pair
  const { bytes, seconds, first } = options
  const all = [...children, load.child]
  const frames = async (): Promise<{ frames: number; atMs: number; lastBytes: number }> =>
    received ? { frames: received(), atMs: performance.now(), lastBytes: bytes } : load.count()
  if (first) for (const { pid } of all) raisePriority(pid)
  for (const child of all) child.resume()
  load.send(bytes)
  await sleep(SETTLE_MS)
  const start = await frames()
  const before = all.map(({ pid }) => readThreadTimes(pid))
  await sleep(seconds * 1000)
  const end = await frames()
  const after = all.map(({ pid }) => readThreadTimes(pid))
  load.stop()
  for (const child of all) child.pause()
  const count = end.frames - start.frames
  if (count > 0 && end.lastBytes !== bytes)
    throw new BenchError('NOT_FORWARDING', `a guest got a frame of ${end.lastBytes} bytes in place of ${bytes}`)
  const own = before.slice(0, -1).reduce((sum, times, i) => sum + ranNs(times, after[i]!), 0)
  return {
    packetsPerSecond: (count * 1000) / (end.atMs - start.atMs),
    ownNsPerPacket: count === 0 ? 0 : own / count,
    disturbed: Math.max(...before.map((times, i) => waitingShare(times, after[i]!))) > DISTURBED_SHARE,
  }
}
