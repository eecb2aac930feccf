// The driver's side of one split virtqueue, for software guests that drive a virtio-net device themselves: lends buffers and takes them
// back. Each buffer has a place of its own in the guest's memory and starts with a virtio-net header.
//
// The rule it must not break: only what was lent is taken back; a device that says otherwise gets an error, not the memory.
import { VNET_HEADER } from '../../kernels/layout.ts'
import { signalEventFd } from '../../linux/files.ts'
import { LabError } from '../errors.ts'

/** Buffers of a ring. */
export const RING_SIZE = 1024
const BUFFER_BYTES = 2048
/** Longest frame that a buffer holds. */
const FRAME_BYTES_MAX = BUFFER_BYTES - VNET_HEADER
/** What a ring takes of the guest's memory: descriptors, the driver's ring, the device's ring, buffers. */
const DRIVER_OFFSET = 0x4000
const DEVICE_OFFSET = 0x8000
const BUFFERS_OFFSET = 0x1_0000
export const RING_BYTES = BUFFERS_OFFSET + RING_SIZE * BUFFER_BYTES

const DESC_WRITE = 2
const NO_INTERRUPT = 1
const NO_NOTIFY = 1
const NOT_LENT = 0
const LENT = 1

export class DriverRing {
  readonly descriptors: number
  readonly driver: number
  readonly device: number
  /** The eventfd that wakes the device. */
  readonly kick: number
  readonly #u8: Uint8Array
  readonly #u16: Uint16Array
  readonly #u32: Uint32Array
  readonly #state = new Uint8Array(RING_SIZE)
  readonly #free: number[] = []
  #next = 0
  #seen = 0

  /** `at`: where the ring stands in `memory`, a multiple of 4096. */
  constructor(memory: ArrayBuffer, at: number, kick: number) {
    this.#u8 = new Uint8Array(memory)
    this.#u16 = new Uint16Array(memory)
    this.#u32 = new Uint32Array(memory)
    this.descriptors = at
    this.driver = at + DRIVER_OFFSET
    this.device = at + DEVICE_OFFSET
    this.kick = kick
    for (let id = RING_SIZE - 1; id >= 0; id--) this.#free.push(id)
    this.#u16[this.driver >> 1] = NO_INTERRUPT
  }

  /** Buffers that the device has. */
  get lent(): number {
    return RING_SIZE - this.#free.length
  }

  /** Lends all free buffers for frames to come. */
  offer(): void {
    while (this.#free.length > 0) this.#lend(BUFFER_BYTES, DESC_WRITE)
    this.#notify()
  }

  /** Lends a frame to be sent. Returns false, and takes nothing, if the ring is full. Throws RangeError if no buffer holds it. */
  send(frame: Uint8Array): boolean {
    if (frame.length > FRAME_BYTES_MAX)
      throw new RangeError(`a frame of this guest has at most ${FRAME_BYTES_MAX} bytes, not ${frame.length}`)
    this.reclaim()
    const id = this.#free.at(-1)
    if (id === undefined) return false
    const at = this.#bufferAt(id)
    this.#u8.fill(0, at, at + VNET_HEADER)
    this.#u8.set(frame, at + VNET_HEADER)
    this.#lend(VNET_HEADER + frame.length, 0)
    this.#notify()
    return true
  }

  /** Takes back what was sent. */
  reclaim(): void {
    while (this.#take() !== null);
  }

  /** Hands over copies of the frames that came, and lends their buffers again if `more` are wanted. Returns how many came. */
  receive(take: (frame: Buffer) => void, more = true): number {
    let count = 0
    for (let used = this.#take(); used !== null; used = this.#take()) {
      const at = this.#bufferAt(used.id)
      take(Buffer.from(this.#u8.subarray(at + VNET_HEADER, at + Math.max(VNET_HEADER, used.bytes))))
      count++
    }
    if (count > 0 && more) this.offer()
    return count
  }

  #bufferAt(id: number): number {
    return this.descriptors + BUFFERS_OFFSET + id * BUFFER_BYTES
  }

  #lend(bytes: number, flags: number): void {
    const id = this.#free.pop()!
    this.#state[id] = LENT
    const descriptor = this.descriptors + id * 16
    this.#u32[descriptor >> 2] = this.#bufferAt(id)
    this.#u32[(descriptor >> 2) + 1] = 0
    this.#u32[(descriptor >> 2) + 2] = bytes
    this.#u16[(descriptor >> 1) + 6] = flags
    this.#u16[(descriptor >> 1) + 7] = 0
    this.#u16[(this.driver >> 1) + 2 + (this.#next % RING_SIZE)] = id
    this.#next = (this.#next + 1) & 0xffff
    Atomics.store(this.#u16, (this.driver >> 1) + 1, this.#next)
  }

  #notify(): void {
    if ((Atomics.load(this.#u16, this.device >> 1) & NO_NOTIFY) === 0) signalEventFd(this.kick)
  }

  #take(): { id: number; bytes: number } | null {
    if (Atomics.load(this.#u16, (this.device >> 1) + 1) === this.#seen) return null
    const at = (this.device >> 2) + 1 + 2 * (this.#seen % RING_SIZE)
    const id = this.#u32[at]!
    const bytes = this.#u32[at + 1]!
    if (this.#state[id] !== LENT || bytes > BUFFER_BYTES)
      throw new LabError('link-failed', `the device gave back buffer ${id} with ${bytes} bytes, which it did not have`)
    this.#state[id] = NOT_LENT
    this.#free.push(id)
    this.#seen = (this.#seen + 1) & 0xffff
    return { id, bytes }
  }
}
