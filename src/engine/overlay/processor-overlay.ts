// The overlay as a processor is told of it.

import type { TunnelKernels } from '../../kernels/kernels.ts'
import { HEADER_COPY, PF_OWNED, PF_SAFE } from '../../kernels/layout.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import type { DataPath } from '../../switch/data-path.ts'
import type { Injections } from '../../switch/injections.ts'
import { OverlayPath } from '../../switch/overlay/overlay-path.ts'
import type { OverlayChange, OverlayPlan } from '../../switch/overlay/plan.ts'
import { fill } from '../../switch/packet-handle.ts'

/** What of a processor it works with. */
export interface OverlayProcessor {
  readonly dataPath: DataPath
  readonly pool: PacketPool
  readonly injections: Injections
  readonly memory: { readonly buffer: ArrayBufferLike }
  readonly nowMs: () => number
  readonly linear: TunnelKernels
}

export class ProcessorOverlay {
  readonly #processor: OverlayProcessor
  readonly #heard: (frame: Uint8Array) => void
  #path: OverlayPath | undefined

  /** `heard`: takes frames for the provider addresses themselves. */
  constructor(processor: OverlayProcessor, heard: (frame: Uint8Array) => void) {
    this.#processor = processor
    this.#heard = heard
  }

  /** Serves tunnels from the next burst on. */
  open(plan: OverlayPlan): void {
    const { dataPath, pool, injections, memory, nowMs, linear } = this.#processor
    const { ports } = dataPath
    this.#path = new OverlayPath(plan, {
      buffer: memory.buffer,
      pool,
      ports,
      injections,
      nowMs,
      owner: dataPath,
      heard: this.#heard,
      tunnels: { kernels: linear, owner: dataPath },
    })
    dataPath.setHooks(undefined, this.#path)
  }

  change(change: OverlayChange): void {
    this.#path?.change(change)
  }

  /** Sends a frame of the switch's own out of `port`; false without room. */
  transmit(port: number, frame: Uint8Array): boolean {
    const { dataPath, pool, injections } = this.#processor
    const slot = pool.take(frame.length, Math.min(frame.length, HEADER_COPY))
    if (slot < 0) return false
    fill(pool, slot, 0, frame)
    dataPath.parse(slot)
    pool.flags[slot] = pool.flags[slot]! | PF_OWNED | PF_SAFE
    injections.own(slot, -1, false, dataPath.modules)
    pool.destination[slot] = port
    pool.destinationCount[slot] = 1
    injections.pins.pin(slot)
    injections.enqueue(slot, true)
    return true
  }
}
