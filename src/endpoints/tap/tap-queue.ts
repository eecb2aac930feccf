// The data half of a TAP interface: frames with a virtio-net header, one read or write each, scattered straight into the packet
// slots and gathered straight from the guests' memory.
//
// The rule it must not break: a checksum or segmentation that one side left undone is told to the other, never lost.
import { HEADER_COPY, P_VNET, POOL_SLOTS, VNET_HEADER, VNET_STRIDE } from '../../kernels/layout.ts'
import type { EpollSet } from '../../linux/epoll.ts'
import { EAGAIN, EINTR } from '../../linux/files.ts'
import { lastErrno, sys } from '../../linux/libc.ts'
import type { SharedMemory } from '../../linux/shared-memory.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import type { EndpointQueue, QueueContext, QueuePlan } from '../endpoint.ts'
import { SlotFiller } from '../fill-slot.ts'
import { FRAME_BUFFER, Gatherer, IOVEC_BYTES, PACKET_IOVECS } from '../gather.ts'
import { Trouble, type TroublePlan, tellTrouble } from '../trouble.ts'

/** Frames that one receive takes from a TAP at the most: each has its buffer. */
export const TAP_BURST = 32
const READ_IOVECS = 3
const AREA_IOVECS = 0
const AREA_BOUNCE = AREA_IOVECS + PACKET_IOVECS * IOVEC_BYTES
const AREA_BUFFERS = AREA_BOUNCE + FRAME_BUFFER
/** Bytes of the area that the control half allocates per queue. */
export const TAP_AREA_BYTES = AREA_BUFFERS + TAP_BURST * FRAME_BUFFER

const EIO = 5
const EBADF = 9
const ENODEV = 19
const ENETDOWN = 100
const EBADFD = 77

export interface TapPlan extends QueuePlan, TroublePlan {
  readonly kind: 'tap'
  readonly fd: number
  /** Linear address of TAP_AREA_BYTES. */
  readonly area: number
  /** OFFLOAD_* that the kernel takes from us. */
  readonly offloads: number
}

export class TapQueue implements EndpointQueue {
  readonly offloads: number
  refusal: number = DropReason.none
  readonly plan: TapPlan
  readonly memory: SharedMemory
  readonly filler: SlotFiller
  readonly gatherer: Gatherer
  readonly pool: number
  readonly iovecs: number
  readonly fd: number
  failed = false

  constructor(plan: TapPlan, context: QueueContext) {
    const { memory, kernels, pool } = context
    this.plan = plan
    this.memory = memory
    this.pool = pool
    this.fd = plan.fd
    this.offloads = plan.offloads
    this.iovecs = plan.area + AREA_IOVECS
    this.filler = new SlotFiller(memory, kernels.linear, pool, plan.port)
    this.gatherer = new Gatherer(memory, pool, kernels.any, plan.area + AREA_BOUNCE, FRAME_BUFFER)
  }

  receive(first: number, max: number): number {
    if (this.failed) return 0
    const { gatherer, filler, iovecs } = this
    const vectors = gatherer.base + iovecs
    const limit = Math.min(max, TAP_BURST)
    let count = 0
    while (count < limit) {
      const slot = first + count
      const buffer = this.plan.area + AREA_BUFFERS + count * FRAME_BUFFER
      gatherer.put(iovecs, filler.vnetAddress(slot), VNET_HEADER)
      gatherer.put(iovecs + IOVEC_BYTES, filler.headerAddress(slot), HEADER_COPY)
      gatherer.put(iovecs + 2 * IOVEC_BYTES, buffer, FRAME_BUFFER)
      const bytes = sys.readv(this.fd, vectors, READ_IOVECS)
      if (bytes < 0) {
        this.ioFailed(lastErrno())
        break
      }
      filler.describe(slot, bytes > VNET_HEADER ? bytes - VNET_HEADER : 0, buffer)
      count++
    }
    filler.finish(first, count)
    return count
  }

  complete(): void {} // a frame's buffer is free once the next receive comes

  deliver(list: number, count: number): number {
    if (this.failed) {
      this.refusal = DropReason.linkDown
      return 0
    }
    const { gatherer, iovecs, pool } = this
    const vectors = gatherer.base + iovecs
    const { u16 } = gatherer
    let taken = 0
    for (let i = 0; i < count; i++) {
      const slot = u16[(list >> 1) + i]!
      gatherer.put(iovecs, pool + P_VNET + slot * VNET_STRIDE, VNET_HEADER)
      gatherer.reset()
      const pieces = slot < POOL_SLOTS ? gatherer.gather(slot, iovecs + IOVEC_BYTES) : 0
      if (pieces === 0) {
        this.refusal = DropReason.noResources
        continue
      }
      if (sys.writev(this.fd, vectors, pieces + 1) >= 0) {
        taken++
        continue
      }
      const errno = lastErrno()
      if (errno === EINTR) {
        i--
        continue
      }
      if (errno === EAGAIN) {
        this.refusal = DropReason.peerNotReading
        break
      }
      this.ioFailed(errno)
      if (this.failed || this.refusal === DropReason.linkDown) break
    }
    return taken
  }

  arm(epoll: EpollSet): boolean {
    if (this.failed) epoll.remove(this.fd)
    else epoll.add(this.fd)
    return false
  }

  disarm(): void {}

  close(epoll: EpollSet): void {
    epoll.remove(this.fd)
  }

  /** Sorts errors into those that pass, those of one frame and the end of the interface. */
  ioFailed(errno: number): void {
    if (errno === EAGAIN || errno === EINTR) return
    if (errno === EIO || errno === ENETDOWN) {
      this.refusal = DropReason.linkDown // the interface is set down: it may come up again
      return
    }
    if (errno === EBADFD || errno === EBADF || errno === ENODEV) {
      this.failed = true
      this.refusal = DropReason.linkDown
      tellTrouble(this.memory, this.plan, Trouble.failed, errno)
      return
    }
    this.refusal = DropReason.badOffload // the kernel did not like this frame or its header
  }
}

/** Opens the data half of a TAP queue. */
export const openTapQueue = (plan: QueuePlan, context: QueueContext): EndpointQueue => new TapQueue(plan as TapPlan, context)
