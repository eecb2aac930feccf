// The data half of a memory endpoint: frames in rings shared with a software guest or a test, read where they lie.
//
// The rule it must not break: a frame that was handed out stays in the ring until it is completed.
import { P_FLAGS, P_VNET, PF_FOREIGN, POOL_SLOTS, VNET_HEADER, VNET_STRIDE } from '../../kernels/layout.ts'
import type { EpollSet } from '../../linux/epoll.ts'
import { drainEventFd } from '../../linux/files.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import type { EndpointQueue, QueueContext, QueuePlan } from '../endpoint.ts'
import { SlotFiller } from '../fill-slot.ts'
import { entryFrame, entryVnet, type RingPlan, RingReader, RingWriter } from './frame-ring.ts'

export interface MemoryPlan extends QueuePlan {
  readonly kind: 'memory'
  readonly toSwitch: RingPlan
  readonly toPeer: RingPlan
  /** OFFLOAD_* that the peer takes. */
  readonly offloads: number
}

export class MemoryQueue implements EndpointQueue {
  readonly offloads: number
  refusal: number = DropReason.none
  readonly context: QueueContext
  readonly filler: SlotFiller
  readonly reader: RingReader
  readonly writer: RingWriter
  readonly doorbell: number

  constructor(plan: MemoryPlan, context: QueueContext) {
    this.context = context
    this.offloads = plan.offloads
    this.doorbell = plan.toSwitch.doorbell
    this.filler = new SlotFiller(context.memory, context.kernels.linear, context.pool, plan.port)
    this.reader = new RingReader(context.memory, plan.toSwitch)
    this.writer = new RingWriter(context.memory, plan.toPeer)
  }

  receive(first: number, max: number): number {
    const { filler, reader } = this
    let count = 0
    while (count < max) {
      const entry = reader.next()
      if (entry === 0) break
      this.copyVnet(entryVnet(entry), filler.vnetAddress(first + count))
      filler.copyAndDescribe(first + count, entryFrame(entry), reader.length)
      count++
    }
    filler.finish(first, count)
    return count
  }

  complete(): void {
    this.reader.release()
  }

  deliver(list: number, count: number): number {
    const { filler, writer } = this
    const { pool, kernels } = this.context
    let taken = 0
    writer.resume()
    for (let i = 0; i < count; i++) {
      const slot = filler.u16[(list >> 1) + i]!
      if (slot >= POOL_SLOTS) {
        this.refusal = DropReason.noResources
        continue
      }
      const length = filler.lengthOf(slot)
      const entry = writer.reserve(length)
      if (entry === 0) {
        this.refusal = DropReason.peerNotReading
        break
      }
      this.copyVnet(pool + P_VNET + slot * VNET_STRIDE, entryVnet(entry))
      const foreign = (filler.u32[((pool + P_FLAGS) >> 2) + slot]! & PF_FOREIGN) !== 0
      ;(foreign ? kernels.any : kernels.linear).copyFrame(pool, slot, 0, length, entryFrame(entry))
      taken++
    }
    if (taken > 0) writer.publish()
    return taken
  }

  arm(epoll: EpollSet): boolean {
    epoll.add(this.doorbell)
    return this.reader.arm()
  }

  disarm(): void {
    this.reader.disarm()
    drainEventFd(this.doorbell)
  }

  close(epoll: EpollSet): void {
    epoll.remove(this.doorbell)
  }

  copyVnet(from: number, to: number): void {
    const { u32 } = this.filler
    for (let i = 0; i < VNET_HEADER; i += 4) u32[(to + i) >> 2] = u32[(from + i) >> 2]!
  }
}

/** Opens the data half of a memory endpoint. */
export const openMemoryQueue = (plan: QueuePlan, context: QueueContext): EndpointQueue =>
  new MemoryQueue(plan as MemoryPlan, context)
