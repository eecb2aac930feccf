// Where frames for a VF wait between the moment at which its driver stops and the one at which the guest has let go of it: a ring in
// shared memory that processors write and the control thread reads.
//
// The rule it must not break: it is closed only when no processor has its plan any more.
import type { QueuePlan } from '../../endpoints/endpoint.ts'
import { MemoryEndpoint } from '../../endpoints/memory/memory-endpoint.ts'
import type { MemoryPeer } from '../../endpoints/memory/memory-peer.ts'
import type { SharedMemory } from '../../linux/shared-memory.ts'

/** Frames that wait have so many bytes at the most, their entries' headers included; more are dropped as for a full ring. */
const PARKING_BYTES = 2 * 1024 * 1024

export class FrameParking {
  readonly plan: QueuePlan
  readonly #endpoint: MemoryEndpoint
  readonly #peer: MemoryPeer

  private constructor(plan: QueuePlan, endpoint: MemoryEndpoint) {
    this.plan = plan
    this.#endpoint = endpoint
    this.#peer = endpoint.peer()
  }

  /** Throws if there is no control memory for it. */
  static async open(memory: SharedMemory): Promise<FrameParking> {
    let made: QueuePlan | undefined
    const endpoint = new MemoryEndpoint(
      { port: 0, ringBytes: PARKING_BYTES },
      {
        memory,
        events: {
          plans: (plans) => {
            made = plans[0] ?? made
          },
          link: () => {},
          event: () => {},
        },
      },
    )
    await endpoint.open()
    return new FrameParking({ ...made!, parking: true }, endpoint)
  }

  /** Takes what waits, oldest first. */
  take(): Uint8Array[] {
    const frames: Uint8Array[] = []
    for (let frame = this.#peer.receive(); frame; frame = this.#peer.receive()) frames.push(frame)
    return frames
  }

  async close(): Promise<void> {
    this.#peer.close()
    await this.#endpoint.close()
  }
}
