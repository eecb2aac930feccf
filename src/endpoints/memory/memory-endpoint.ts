// The control half of a memory endpoint, for software guests and tests: two frame rings per queue pair in shared memory, and a
// doorbell each way.
//
// The rule it must not break: a peer made before close must be closed before it: its memory goes.
import { closeFd, createEventFd } from '../../linux/files.ts'
import type { EndpointComponents, EndpointControl, EndpointOptions } from '../endpoint.ts'
import { RING_BYTES_MIN, type RingPlan, ringMemory } from './frame-ring.ts'
import { MemoryPeer, type MemoryPeerHandle } from './memory-peer.ts'
import type { MemoryPlan } from './memory-queue.ts'

export interface MemoryOptions extends EndpointOptions {
  /** Queue pairs (default 1). */
  readonly queues?: number
  /** Capacity of each ring in bytes: a power of two, at least and by default 256 KiB. */
  readonly ringBytes?: number
  /** OFFLOAD_* that the peer takes (default 0: frames arrive complete and within the MTU). */
  readonly offloads?: number
}

export class MemoryEndpoint implements EndpointControl {
  readonly kind = 'memory'
  readonly #options: MemoryOptions
  readonly #components: EndpointComponents
  #handles: MemoryPeerHandle[] = []
  #rings: RingPlan[] = []

  constructor(options: MemoryOptions, components: EndpointComponents) {
    this.#options = options
    this.#components = components
  }

  async open(): Promise<void> {
    if (this.#handles.length > 0) return
    const { port, queues = 1, ringBytes = RING_BYTES_MIN, offloads = 0 } = this.#options
    if (!Number.isInteger(Math.log2(ringBytes)) || ringBytes < RING_BYTES_MIN)
      throw new RangeError(`a ring has a power of two of bytes, at least ${RING_BYTES_MIN}, not ${ringBytes}`)
    try {
      for (let i = 0; i < queues; i++)
        this.#handles.push({ toSwitch: this.#makeRing(ringBytes), toPeer: this.#makeRing(ringBytes) })
      const plans = this.#handles.map((handle, index): MemoryPlan => ({ kind: 'memory', index, port, offloads, ...handle }))
      await this.#components.events.plans(plans, [])
    } catch (error) {
      this.#release()
      throw error
    }
    this.#components.events.link(true)
  }

  async close(): Promise<void> {
    if (this.#handles.length === 0) return
    const { events } = this.#components
    events.link(false)
    await events.plans([], [])
    this.#release()
  }

  /** What a peer of queue pair `index` needs in another thread. Throws before open. */
  handle(index = 0): MemoryPeerHandle {
    const handle = this.#handles[index]
    if (!handle) throw new RangeError(`the memory endpoint has no open queue pair ${index}`)
    return handle
  }

  /** A peer of queue pair `index` in this thread; one at a time. */
  peer(index = 0): MemoryPeer {
    return new MemoryPeer(this.#components.memory, this.handle(index))
  }

  describe(): Record<string, unknown> {
    const { offloads = 0, ringBytes = RING_BYTES_MIN } = this.#options
    return { queues: this.#handles.length, ringBytes, offloads }
  }

  #makeRing(capacity: number): RingPlan {
    const ring = { at: this.#components.memory.allocateForPort(ringMemory(capacity)), capacity, doorbell: createEventFd() }
    this.#rings.push(ring)
    return ring
  }

  #release(): void {
    for (const ring of this.#rings) {
      closeFd(ring.doorbell)
      this.#components.memory.free(ring.at, ringMemory(ring.capacity))
    }
    this.#rings = []
    this.#handles = []
  }
}
