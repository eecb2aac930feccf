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
import { FRAME_BUFFER, Gatherer, IOVEC_BYTES } from '../gather.ts'
import { BOUNCE_BYTES, S_BOUNCE, S_BUFFERS, S_SEND_VECTORS, SCRATCH_FRAMES } from '../scratch.ts'
import { Trouble, type TroublePlan, tellTrouble } from '../trouble.ts'

const READ_IOVECS = 3

const EIO = 5
const EBADF = 9
const ENODEV = 19
const ENETDOWN = 100
const EBADFD = 77

export interface TapPlan extends QueuePlan, TroublePlan {
  readonly kind: 'tap'
  readonly fd: number
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
  readonly buffers: number
  readonly fd: number
  failed = false

  constructor(plan: TapPlan, context: QueueContext) {
    const { memory, kernels, pool, scratch } = context
    this.plan = plan
    this.memory = memory
    this.pool = pool
    this.fd = plan.fd
    this.offloads = plan.offloads
    this.iovecs = scratch + S_SEND_VECTORS
    this.buffers = scratch + S_BUFFERS
    this.filler = new SlotFiller(memory, kernels.linear, pool, plan.port)
    this.gatherer = new Gatherer(memory, pool, kernels.any, scratch + S_BOUNCE, BOUNCE_BYTES)
  }

  receive(first: number, max: number): number {
    if (this.failed) return 0
    const { gatherer, filler, iovecs } = this
    const vectors = gatherer.base + iovecs
    const limit = Math.min(max, SCRATCH_FRAMES)
    let count = 0
    while (count < limit) {
      const slot = first + count
      const buffer = this.buffers + count * FRAME_BUFFER
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
