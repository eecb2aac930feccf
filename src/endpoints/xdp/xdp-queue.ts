// The data half of one receive queue of a host interface over AF_XDP. Received frames stay in the UMEM, which lies in linear memory,
// until they have been delivered; sent frames are copied to chunks of it once.
//
// The rules it must not break: a chunk is the kernel's from the moment its descriptor is published until it comes back; what must hold
// between two calls stands in shared memory, because several processors send through one queue in turn; what several queues share (the
// chunks to send with, the rings by which chunks go to the kernel and come back) is touched under its lock only.
import type { Kernels } from '../../kernels/kernels.ts'
import { BURST_MAX, HEADER_COPY, P_LENGTH, POOL_SLOTS } from '../../kernels/layout.ts'
import type { EpollSet } from '../../linux/epoll.ts'
import { EAGAIN, EINTR } from '../../linux/files.ts'
import { lastErrno, sys } from '../../linux/libc.ts'
import { MSG_DONTWAIT } from '../../linux/messages.ts'
import { PacketSocketState } from '../../linux/packet-socket.ts'
import {
  XDP_ADDRESS_BYTES,
  XDP_DESCRIPTOR_BYTES,
  XDP_NEED_WAKEUP,
  type XdpRing,
  type XdpRings,
  XdpStatistics,
} from '../../linux/xdp.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import { lockQueue, unlockQueue } from '../../virtio/queue-lock.ts'
import type { EndpointQueue, QueueContext, QueuePlan } from '../endpoint.ts'
import { SlotFiller } from '../fill-slot.ts'

// The area of a UMEM: a lock, how many chunks are free to send with, then their offsets in the UMEM.
const AREA_LOCK = 0
const AREA_FREE_COUNT = 64
const AREA_FREE = 128
/** Bytes of the area for `chunks` chunks to send with. */
export const xdpAreaBytes = (chunks: number): number => AREA_FREE + chunks * 4
/** Calls that one deliver makes at the most to have its frames sent: the kernel takes 32 per call. */
const KICKS_MAX = 8
/** The kernel's counters are asked after once in so many looks. */
const LOOKS_PER_COUNT = 64
const DESCRIPTOR_WORDS = XDP_DESCRIPTOR_BYTES >> 2
const ADDRESS_WORDS = XDP_ADDRESS_BYTES >> 2
const EBUSY = 16

export interface XdpPlan extends QueuePlan {
  readonly kind: 'xdp'
  readonly fd: number
  /** Linear address of the area of the UMEM. */
  readonly area: number
  /** Other queues have the same UMEM. */
  readonly shared: boolean
  readonly umem: number
  readonly umemBytes: number
  readonly chunkBytes: number
  /** Linear address and bytes of the rings' memory, and where they are in it. */
  readonly ringMemory: number
  readonly ringBytes: number
  readonly rings: XdpRings
}

/** Puts `chunks` chunks from UMEM offset `from` on into the list of those free to send with. */
export function fillFreeList(u32: Uint32Array, area: number, from: number, chunks: number, chunkBytes: number): void {
  for (let i = 0; i < chunks; i++) u32[((area + AREA_FREE) >> 2) + i] = from + i * chunkBytes
  u32[(area + AREA_FREE_COUNT) >> 2] = chunks
}

export class XdpQueue implements EndpointQueue {
  // Ordinary fields: private names cost twice as much on the per-packet path. Positions in rings are indices of 32-bit words.
  readonly offloads = 0
  refusal: number = DropReason.none
  readonly fd: number
  readonly filler: SlotFiller
  readonly kernels: Kernels
  readonly pool: number
  readonly umem: number
  readonly chunkBytes: number
  readonly frames: Uint32Array
  readonly ring: Int32Array
  readonly rings: XdpRings
  readonly i32: Int32Array
  /** Linear address of the lock of what queues share; 0: nothing is shared. */
  readonly lock: number
  readonly freeCount: number
  readonly free: number
  /** Chunks that this queue has taken to send with and not used yet. */
  readonly taken = new Uint32Array(BURST_MAX)
  takenCount = 0
  readonly state: PacketSocketState
  readonly statistics: XdpStatistics
  held = 0
  looks = 0

  constructor(plan: XdpPlan, context: QueueContext) {
    const { memory, kernels, pool } = context
    this.fd = plan.fd
    this.pool = pool
    this.umem = plan.umem
    this.chunkBytes = plan.chunkBytes
    this.kernels = kernels.any
    this.filler = new SlotFiller(memory, kernels.linear, pool, plan.port)
    this.frames = new Uint32Array(memory.buffer, plan.umem, plan.umemBytes >> 2)
    this.ring = new Int32Array(memory.buffer, plan.ringMemory, plan.ringBytes >> 2)
    const words = ({ producer, consumer, flags, descriptors, size }: XdpRing): XdpRing => ({
      producer: (producer - plan.ringMemory) >> 2,
      consumer: (consumer - plan.ringMemory) >> 2,
      flags: (flags - plan.ringMemory) >> 2,
      descriptors: (descriptors - plan.ringMemory) >> 2,
      size,
    })
    const { receive, transmit, fill, completion } = plan.rings
    this.rings = { receive: words(receive), transmit: words(transmit), fill: words(fill), completion: words(completion) }
    this.i32 = memory.i32
    this.lock = plan.shared ? plan.area + AREA_LOCK : 0
    this.freeCount = (plan.area + AREA_FREE_COUNT) >> 2
    this.free = (plan.area + AREA_FREE) >> 2
    this.state = new PacketSocketState(plan.fd)
    this.statistics = new XdpStatistics(plan.fd)
  }

  receive(first: number, max: number): number {
    const { ring, frames, filler } = this
    const { producer, consumer, descriptors, size } = this.rings.receive
    const start = ring[consumer]!
    const count = Math.min((Atomics.load(ring, producer) - start) >>> 0, max, BURST_MAX)
    for (let i = 0; i < count; i++) {
      const at = descriptors + ((start + i) & (size - 1)) * DESCRIPTOR_WORDS
      const offset = ring[at]! >>> 0
      const length = ring[at + 2]! >>> 0
      const slot = first + i
      const header = Math.min(length, HEADER_COPY)
      const to = filler.headerAddress(slot) >> 2
      const from = offset >> 2
      const end = (header + 3) >> 2
      for (let word = 0; word < end; word++) filler.u32[to + word] = frames[from + word]!
      filler.clearVnet(slot)
      filler.describe(slot, length, this.umem + offset + header)
    }
    this.held = count
    filler.finish(first, count)
    return count
  }

  complete(): void {
    const { ring, held, chunkBytes, lock, i32 } = this
    const { consumer, descriptors, size } = this.rings.receive
    const { fill } = this.rings
    const start = ring[consumer]!
    if (lock === 0 || lockQueue(i32, lock)) {
      const given = ring[fill.producer]!
      for (let i = 0; i < held; i++) {
        const offset = ring[descriptors + ((start + i) & (size - 1)) * DESCRIPTOR_WORDS]! >>> 0
        const at = fill.descriptors + ((given + i) & (fill.size - 1)) * ADDRESS_WORDS
        ring[at] = offset - (offset % chunkBytes)
        ring[at + 1] = 0
      }
      Atomics.store(ring, fill.producer, given + held)
      if (lock !== 0) unlockQueue(i32, lock)
    }
    Atomics.store(ring, consumer, start + held)
    this.held = 0
    if ((Atomics.load(ring, fill.flags) & XDP_NEED_WAKEUP) !== 0) sys.recvfromAt(this.fd, 0, 0, MSG_DONTWAIT, null, null)
  }

  deliver(list: number, count: number): number {
    const { filler, ring, pool, chunkBytes, taken } = this
    const { producer, descriptors, size } = this.rings.transmit
    const { u16, u32 } = filler
    const start = ring[producer]!
    let put = 0
    for (let i = 0; i < count; i++) {
      const slot = u16[(list >> 1) + i]!
      const length = slot < POOL_SLOTS ? u32[((pool + P_LENGTH) >> 2) + slot]! : 0
      if (length === 0 || length > chunkBytes) {
        this.refusal = length === 0 ? DropReason.noResources : DropReason.receiveBufferTooSmall
        continue
      }
      if (this.takenCount === 0) this.takeChunks(count - i)
      if (this.takenCount === 0) {
        this.refusal = DropReason.peerNotReading
        break
      }
      const offset = taken[this.takenCount - 1]!
      if (this.kernels.copyFrame(pool, slot, 0, length, this.umem + offset) !== length) {
        this.refusal = DropReason.noResources
        continue
      }
      this.takenCount--
      const at = descriptors + ((start + put) & (size - 1)) * DESCRIPTOR_WORDS
      ring[at] = offset
      ring[at + 1] = 0
      ring[at + 2] = length
      ring[at + 3] = 0
      put++
    }
    if (this.takenCount > 0) this.giveChunksBack()
    Atomics.store(ring, producer, start + put)
    this.kick()
    return put
  }

  /** Takes up to `wanted` chunks to send with, after having back those whose frames have gone. */
  takeChunks(wanted: number): void {
    const { taken, lock, i32 } = this
    const { u32 } = this.filler
    if (lock !== 0 && !lockQueue(i32, lock)) return
    this.reap()
    let left = u32[this.freeCount]!
    const count = Math.min(wanted, left, taken.length)
    for (let i = 0; i < count; i++) taken[i] = u32[this.free + --left]!
    u32[this.freeCount] = left
    this.takenCount = count
    if (lock !== 0) unlockQueue(i32, lock)
  }

  giveChunksBack(): void {
    const { taken, lock, i32 } = this
    const { u32 } = this.filler
    if (lock !== 0 && !lockQueue(i32, lock)) return
    let left = u32[this.freeCount]!
    while (this.takenCount > 0) u32[this.free + left++] = taken[--this.takenCount]!
    u32[this.freeCount] = left
    if (lock !== 0) unlockQueue(i32, lock)
  }

  /** Takes back the chunks whose frames have gone. Under the lock. */
  reap(): void {
    const { ring } = this
    const { u32 } = this.filler
    const { producer, consumer, descriptors, size } = this.rings.completion
    const start = ring[consumer]!
    const count = (Atomics.load(ring, producer) - start) >>> 0
    if (count === 0) return
    let left = u32[this.freeCount]!
    for (let i = 0; i < count; i++)
      u32[this.free + left++] = ring[descriptors + ((start + i) & (size - 1)) * ADDRESS_WORDS]! >>> 0
    u32[this.freeCount] = left
    Atomics.store(ring, consumer, start + count)
  }

  /** Has the kernel send what is in the ring. What it can't take now goes with the next call. */
  kick(): void {
    const { ring } = this
    const { producer, consumer, flags } = this.rings.transmit
    for (let kicks = 0; kicks < KICKS_MAX; kicks++) {
      if (ring[producer] === Atomics.load(ring, consumer) || (Atomics.load(ring, flags) & XDP_NEED_WAKEUP) === 0) return
      if (sys.sendAt(this.fd, 0, 0, MSG_DONTWAIT) >= 0) continue
      const errno = lastErrno()
      if (errno !== EAGAIN && errno !== EBUSY && errno !== EINTR) return // full, down or gone: the control half watches the link
    }
  }

  takeLost(): number {
    return ++this.looks % LOOKS_PER_COUNT === 0 ? this.statistics.takeLost() : 0
  }

  arm(epoll: EpollSet): boolean {
    epoll.add(this.fd)
    this.state.takeError() // an interface that went leaves an error behind that would wake us for ever; the control half knows of it
    this.kick()
    const { producer, consumer } = this.rings.receive
    return Atomics.load(this.ring, producer) !== this.ring[consumer]
  }

  // While somebody waits for the socket, the kernel looks for whom to wake with every frame.
  disarm(epoll: EpollSet): void {
    epoll.remove(this.fd)
  }

  close(epoll: EpollSet): void {
    epoll.remove(this.fd)
  }
}

/** Opens the data half of one AF_XDP socket. */
export const openXdpQueue = (plan: QueuePlan, context: QueueContext): EndpointQueue => new XdpQueue(plan as XdpPlan, context)
