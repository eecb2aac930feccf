// What processors and queues have done since the last look at the load, from counters that only ever grow.
//
// The rule it must not break: time and counters are given, none are read here; a look that was never made before counts from the
// counters' beginning, so the first one only takes them down.
import type { QueuedPort } from './queued-port.ts'
import type { ProcessorLoad, QueueLoad } from './rebalancing.ts'

const NS_PER_MS = 1e6

/** A port with a queue, as it is now. */
export interface LoadedQueue {
  readonly port: QueuedPort
  readonly queue: number
  readonly processor: number
  /** Frames that came for it, ever. */
  readonly frames: number
}

export class LoadLook {
  #busyBefore: readonly number[] = []
  #lookedAtMs = 0

  /**
   * `busyNs`: nanoseconds that each processor was at work, ever; `served`: those that serve queues. Notes at each port what it has had, and
   * that one look of its rest has passed.
   */
  take(
    nowMs: number,
    busyNs: readonly number[],
    served: readonly number[],
    queues: readonly LoadedQueue[],
  ): { readonly loads: readonly ProcessorLoad[]; readonly queues: readonly QueueLoad[] } {
    const passedMs = Math.max(1, nowMs - this.#lookedAtMs)
    const loads = served.map((processor) => {
      const ns = busyNs[processor]! - (this.#busyBefore[processor] ?? 0)
      return { processor, busy: Math.min(1, ns / NS_PER_MS / passedMs) }
    })
    this.#busyBefore = busyNs
    this.#lookedAtMs = nowMs
    const since = queues.map(({ port, queue, processor, frames }) => {
      const mayMove = !port.pinned && port.resting === 0
      const load = { queue, processor, frames: frames - port.framesBefore, mayMove }
      port.framesBefore = frames
      port.resting = Math.max(0, port.resting - 1)
      return load
    })
    return { loads, queues: since }
  }
}
