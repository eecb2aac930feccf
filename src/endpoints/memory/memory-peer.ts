// The other side of a memory endpoint: what a software guest or a test sends and receives with, on any thread.
//
// The rule it must not break: it is the only writer of its sending ring and the only reader of its receiving ring.
import { FRAME_MAX, VNET_HEADER } from '../../kernels/layout.ts'
import { drainEventFd, type Watcher, watchFd } from '../../linux/files.ts'
import type { SharedMemory } from '../../linux/shared-memory.ts'
import { entryFrame, entryVnet, type RingPlan, RingReader, RingWriter } from './frame-ring.ts'

/** What a peer needs; structured-cloneable. */
export interface MemoryPeerHandle {
  readonly toSwitch: RingPlan
  readonly toPeer: RingPlan
}

export class MemoryPeer {
  /** The virtio-net header of the frame received last: meaningful where the endpoint takes offloads. */
  readonly vnet = new Uint8Array(VNET_HEADER)
  readonly #u8: Uint8Array
  readonly #writer: RingWriter
  readonly #reader: RingReader
  readonly #doorbell: number
  #watcher: Watcher | null = null

  /** `memory`: the shared memory as this thread sees it. */
  constructor(memory: SharedMemory, handle: MemoryPeerHandle) {
    this.#u8 = memory.u8
    this.#writer = new RingWriter(memory, handle.toSwitch)
    this.#reader = new RingReader(memory, handle.toPeer)
    this.#doorbell = handle.toPeer.doorbell
  }

  /**
   * Sends a frame (at most FRAME_MAX bytes), with a virtio-net header where it asks for offloads. Returns false if the ring is full.
   */
  send(frame: Uint8Array, vnet?: Uint8Array): boolean {
    if (frame.length > FRAME_MAX) throw new RangeError(`a frame has at most ${FRAME_MAX} bytes, not ${frame.length}`)
    const entry = this.#writer.reserve(frame.length)
    if (entry === 0) return false
    this.#u8.fill(0, entryVnet(entry), entryVnet(entry) + VNET_HEADER)
    if (vnet) this.#u8.set(vnet.subarray(0, VNET_HEADER), entryVnet(entry))
    this.#u8.set(frame, entryFrame(entry))
    this.#writer.publish()
    return true
  }

  /** The next frame, as a copy, or null if none waits. */
  receive(): Uint8Array | null {
    const entry = this.#reader.next()
    if (entry === 0) return null
    const start = entryFrame(entry)
    const frame = this.#u8.slice(start, start + this.#reader.length)
    this.vnet.set(this.#u8.subarray(entryVnet(entry), entryVnet(entry) + VNET_HEADER))
    this.#reader.release()
    return frame
  }

  /** Calls back with every frame that arrives, on this thread's event loop, until close. Don't call receive then. */
  onFrame(callback: (frame: Uint8Array) => void): void {
    if (this.#watcher) throw new Error('this memory peer has a receiver already')
    const drain = (): void => {
      do {
        for (let frame = this.receive(); frame && this.#watcher; frame = this.receive()) callback(frame)
      } while (this.#watcher && this.#reader.arm())
    }
    this.#watcher = watchFd(this.#doorbell, () => {
      drainEventFd(this.#doorbell)
      drain()
    })
    drain()
  }

  /** Stops listening. The rings belong to the endpoint. */
  close(): void {
    this.#watcher?.close()
    this.#watcher = null
    this.#reader.disarm()
  }
}
