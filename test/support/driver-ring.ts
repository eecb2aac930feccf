// The driver's side of one virtqueue, split or packed, for tests: lends buffers, takes them back, checks what the device says.
import { DESC_AVAILABLE, DESC_USED, DESC_WRITE, VNET_HEADER } from '../../src/kernels/layout.ts'
import { signalEventFd } from '../../src/linux/files.ts'
import { hasFeature } from '../../src/virtio/features.ts'
import { PACKED_START } from '../../src/virtio/ring-layout.ts'

const DRIVER_OFFSET = 0x8_0000n // descriptors: 32768 × 16 bytes at the most
const DEVICE_OFFSET = 0xa_0000n
const BUFFERS_OFFSET = 0x80_0000n // from the first ring's area on: room for the rings of four queue pairs
const BUFFER_AREA = 0x100_0000n
const BUFFER_STRIDE = 0x1_0000

export interface DriverRingOptions {
  readonly index: number
  readonly size: number
  readonly packed: boolean
  readonly features: bigint
  /** Guest address of the ring; its buffers lie at fixed distances. */
  readonly at: bigint
  readonly bufferBytes: number
  /** Bytes from one buffer to the next; without it there is room for the longest frame. */
  readonly bufferStride?: number | undefined
}

interface Lent {
  readonly id: number
  /** Ring elements of the chain. */
  readonly elements: number
}

export class DriverRing {
  readonly index: number
  readonly size: number
  readonly packed: boolean
  readonly descriptors: bigint
  readonly driver: bigint
  readonly device: bigint
  kick = -1
  call = -1
  /** Kicks sent. */
  kicks = 0
  readonly #bufferBytes: number
  readonly #bufferStride: bigint
  readonly #mergeable: boolean
  readonly #buffers: bigint
  readonly #view: (address: bigint, bytes: number) => DataView
  readonly #free: number[]
  readonly #lent = new Map<number, Lent>()
  // Split: free running indices. Packed: positions and wrap counters.
  #next = 0
  #nextWrap = 1
  #seen = 0
  #seenWrap = 1

  constructor(
    { index, size, packed, features, at, bufferBytes, bufferStride = BUFFER_STRIDE }: DriverRingOptions,
    view: (address: bigint, bytes: number) => DataView,
  ) {
    this.index = index
    this.size = size
    this.packed = packed
    this.descriptors = at
    this.driver = at + DRIVER_OFFSET
    this.device = at + DEVICE_OFFSET
    this.#bufferBytes = bufferBytes
    this.#bufferStride = BigInt(bufferStride)
    this.#mergeable = hasFeature(features, 'mergeableBuffers')
    this.#buffers = at - BigInt(index) * 0x10_0000n + BUFFERS_OFFSET + BigInt(index) * BUFFER_AREA
    this.#view = view
    this.#free = Array.from({ length: size }, (_, i) => i)
  }

  /** The vring base of a ring that was never used. */
  get startBase(): number {
    return this.packed ? PACKED_START : 0
  }

  /** Buffers lent to the device. */
  get lent(): number {
    return this.#lent.size
  }

  /** Lends all buffers for receiving. */
  offerAll(): void {
    while (this.#free.length > 0) this.#lend(this.#bufferBytes, DESC_WRITE)
    this.signal()
  }

  /** Lends a frame, led by a virtio-net header, for sending. Takes back what was sent before. */
  send(frame: Uint8Array, header: Uint8Array = new Uint8Array(VNET_HEADER)): boolean {
    this.reclaim()
    if (this.#free.length === 0) return false
    const buffer = this.#bufferView(this.#free[0]!, VNET_HEADER + frame.length)
    const bytes = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    bytes.set(header)
    bytes.set(frame, VNET_HEADER)
    this.#lend(VNET_HEADER + frame.length, 0)
    this.signal()
    return true
  }

  /** Takes sent buffers back. Returns how many. */
  reclaim(): number {
    let count = 0
    while (this.#take()) count++
    return count
  }

  /** Frames that were received; their buffers are lent again. */
  receive(): Buffer[] {
    const frames: Buffer[] = []
    for (let used = this.#take(); used; used = this.#take()) {
      const first = this.#bytes(used.id, used.length)
      const buffers = this.#mergeable ? first.readUInt16LE(10) : 1
      const parts = [first.subarray(VNET_HEADER)]
      for (let i = 1; i < buffers; i++) {
        const more = this.#take()
        if (!more) throw new Error(`a frame announces ${buffers} buffers, ${i} came`)
        parts.push(this.#bytes(more.id, more.length))
      }
      frames.push(Buffer.concat(parts))
    }
    if (frames.length > 0) this.offerAll()
    return frames
  }

  /** Kicks the device. */
  signal(): void {
    this.kicks++
    if (this.kick >= 0) signalEventFd(this.kick)
  }

  /** Puts the driver back to where a device that was stopped at `base` resumes; nothing may be lent. */
  writeDescriptor(slot: number, address: bigint, length: number, flags: number, nextOrId: number): void {
    const view = this.#view(this.descriptors + BigInt(slot * 16), 16)
    view.setBigUint64(0, address, true)
    view.setUint32(8, length, true)
    view.setUint16(this.packed ? 12 : 14, nextOrId, true)
    view.setUint16(this.packed ? 14 : 12, flags, true)
  }

  /** Makes descriptor `head` available without any check. */
  publish(head: number, index = (this.#next + 1) & 0xffff): void {
    const view = this.#view(this.driver, 4 + 2 * this.size)
    view.setUint16(4 + 2 * (this.#next % this.size), head, true)
    this.#next = index
    view.setUint16(2, index, true)
  }

  /** Guest address of buffer `id`. */
  bufferAddress(id: number): bigint {
    return this.#buffers + BigInt(id) * this.#bufferStride
  }

  #bufferView(id: number, bytes: number): DataView {
    return this.#view(this.bufferAddress(id), bytes)
  }

  #bytes(id: number, length: number): Buffer {
    if (length > this.#bufferBytes) throw new Error(`the device wrote ${length} bytes into a buffer of ${this.#bufferBytes}`)
    const view = this.#bufferView(id, length)
    return Buffer.from(new Uint8Array(view.buffer, view.byteOffset, length))
  }

  #lend(length: number, flags: number): void {
    const id = this.#free.shift()!
    this.#lent.set(id, { id, elements: 1 })
    if (!this.packed) {
      this.writeDescriptor(id, this.bufferAddress(id), length, flags, 0)
      this.publish(id)
      return
    }
    const lap = this.#nextWrap ? DESC_AVAILABLE : DESC_USED
    this.writeDescriptor(this.#next, this.bufferAddress(id), length, flags | lap, id)
    if (++this.#next === this.size) {
      this.#next = 0
      this.#nextWrap ^= 1
    }
  }

  #take(): { id: number; length: number } | null {
    const used = this.packed ? this.#takePacked() : this.#takeSplit()
    if (!used) return null
    if (!this.#lent.delete(used.id)) throw new Error(`the device gave back buffer ${used.id}, which it did not have`)
    this.#free.push(used.id)
    return used
  }

  #takeSplit(): { id: number; length: number } | null {
    const view = this.#view(this.device, 4 + 8 * this.size)
    if (view.getUint16(2, true) === (this.#seen & 0xffff)) return null
    const at = 4 + 8 * (this.#seen % this.size)
    this.#seen = (this.#seen + 1) & 0xffff
    return { id: view.getUint32(at, true), length: view.getUint32(at + 4, true) }
  }

  #takePacked(): { id: number; length: number } | null {
    const view = this.#view(this.descriptors + BigInt(this.#seen * 16), 16)
    const flags = view.getUint16(14, true)
    const available = (flags & DESC_AVAILABLE) !== 0 ? 1 : 0
    const used = (flags & DESC_USED) !== 0 ? 1 : 0
    if (available !== used || used !== this.#seenWrap) return null
    const id = view.getUint16(12, true)
    this.#seen += this.#lent.get(id)?.elements ?? 1
    if (this.#seen >= this.size) {
      this.#seen -= this.size
      this.#seenWrap ^= 1
    }
    return { id, length: view.getUint32(8, true) }
  }
}
