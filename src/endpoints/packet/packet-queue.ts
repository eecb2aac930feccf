// The data half of a host interface over AF_PACKET. Received frames stay in the kernel's ring, which lies in linear memory, until they
// have been delivered; sent frames are gathered straight from the guests' memory.
//
// The rules it must not break: a slot of the ring goes back to the kernel only after `complete`; a checksum, a segmentation or a VLAN
// tag that the kernel keeps beside a frame is never lost.
import type { FrameRingKernels } from '../../kernels/kernels.ts'
import {
  BURST_MAX,
  FRAME_MAX,
  HEADER_COPY,
  P_VNET,
  PACKET_VNET_BYTES,
  POOL_SLOTS,
  RING_LOSING,
  RING_USER,
  RING_VLAN_TCI,
  RING_VLAN_TPID,
  RING_VLAN_TPID_VALID,
  RING_VLAN_VALID,
  TAKEN_BESIDE,
  TAKEN_COUNT,
  TAKEN_LOSING,
  VNET_STRIDE,
} from '../../kernels/layout.ts'
import type { EpollSet } from '../../linux/epoll.ts'
import { EAGAIN, EINTR } from '../../linux/files.ts'
import { lastErrno, sys } from '../../linux/libc.ts'
import { MMSGHDR_BYTES, MSG_DONTWAIT, MSG_NOSIGNAL, putMessage } from '../../linux/messages.ts'
import { PacketSocketState } from '../../linux/packet-socket.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import type { EndpointQueue, QueueContext, QueuePlan } from '../endpoint.ts'
import { SlotFiller } from '../fill-slot.ts'
import { FRAME_BUFFER, Gatherer, IOVEC_BYTES, PACKET_IOVECS } from '../gather.ts'

/** Frames too long for a slot of the ring that one receive takes at the most: each has its buffer. */
const LARGE_MAX = 16
const SEND_MESSAGES = BURST_MAX
const LARGE_IOVECS = 3
const ETHERTYPE_VLAN = 0x8100
// The area: where the ring is read next, then what system calls are given.
const AREA_NEXT = 0
const AREA_MESSAGES = 64
const AREA_IOVECS = AREA_MESSAGES + SEND_MESSAGES * MMSGHDR_BYTES
const AREA_BOUNCE = AREA_IOVECS + SEND_MESSAGES * PACKET_IOVECS * IOVEC_BYTES
const AREA_LARGE = AREA_BOUNCE + FRAME_BUFFER
/** Bytes of the area that the control half allocates per queue. */
export const PACKET_AREA_BYTES = AREA_LARGE + LARGE_MAX * FRAME_BUFFER

const EINVAL = 22
const EMSGSIZE = 90
const ENETDOWN = 100
const ENOBUFS = 105

export interface PacketPlan extends QueuePlan {
  readonly kind: 'packet'
  readonly fd: number
  /** Linear address of PACKET_AREA_BYTES. */
  readonly area: number
  /** Linear address, bytes and bytes per slot of the receive ring. */
  readonly ring: number
  readonly ringBytes: number
  readonly slotBytes: number
  /** OFFLOAD_* that the kernel takes from us. */
  readonly offloads: number
}

export class PacketQueue implements EndpointQueue {
  // Ordinary fields: private names cost twice as much on the per-packet path.
  readonly offloads: number
  refusal: number = DropReason.none
  readonly fd: number
  readonly area: number
  readonly ring: number
  readonly ring16: Uint16Array
  readonly ring32: Int32Array
  readonly slotBytes: number
  readonly slots: number
  readonly filler: SlotFiller
  readonly gatherer: Gatherer
  readonly state: PacketSocketState
  readonly pool: number
  readonly port: number
  readonly kernels: FrameRingKernels
  /** First slot of the ring that is not given back, and the one to read next. */
  held: number
  next: number
  losing = false

  constructor(plan: PacketPlan, context: QueueContext) {
    const { memory, kernels, pool } = context
    this.fd = plan.fd
    this.offloads = plan.offloads
    this.area = plan.area
    this.ring = plan.ring
    this.ring16 = new Uint16Array(memory.buffer, plan.ring, plan.ringBytes >> 1)
    this.ring32 = new Int32Array(memory.buffer, plan.ring, plan.ringBytes >> 2)
    this.slotBytes = plan.slotBytes
    this.slots = plan.ringBytes / plan.slotBytes
    this.pool = pool
    this.port = plan.port
    this.kernels = kernels.linear
    this.filler = new SlotFiller(memory, kernels.linear, pool, plan.port)
    this.gatherer = new Gatherer(memory, pool, kernels.any, plan.area + AREA_BOUNCE, FRAME_BUFFER)
    this.state = new PacketSocketState(plan.fd)
    // The queue may have been served elsewhere before: go on where that ended.
    this.next = memory.u32[(plan.area + AREA_NEXT) >> 2]!
    this.held = this.next
  }

  receive(first: number, max: number): number {
    const { kernels, ring, slotBytes, slots, pool, port } = this
    const limit = Math.min(max, BURST_MAX)
    let count = 0
    for (let large = 0; count < limit; large++) {
      const found = kernels.takeFrames(ring, slotBytes, slots, this.next, pool, first + count, limit - count, port)
      const taken = found & TAKEN_COUNT
      count += taken
      this.next = (this.next + taken) % slots
      if ((found & TAKEN_LOSING) !== 0) this.losing = true
      if ((found & TAKEN_BESIDE) === 0 || large === LARGE_MAX) break
      this.takeLarge(first + count++, large)
    }
    return count
  }

  /** Takes the frame of the ring's next slot, which was too long for it. */
  takeLarge(slot: number, index: number): void {
    const { ring16, filler } = this
    const at = this.next * this.slotBytes
    const status = Atomics.load(this.ring32, at >> 2)
    if ((status & RING_LOSING) !== 0) this.losing = true
    this.readLarge(slot, index)
    if ((status & RING_VLAN_VALID) !== 0) {
      const tpid = (status & RING_VLAN_TPID_VALID) !== 0 ? ring16[(at + RING_VLAN_TPID) >> 1]! : ETHERTYPE_VLAN
      filler.insertTag(slot, tpid, ring16[(at + RING_VLAN_TCI) >> 1]!)
    }
    filler.finish(slot, 1)
    this.next = this.next + 1 === this.slots ? 0 : this.next + 1
  }

  /** Reads a frame that was too long for its slot of the ring: the kernel kept it whole, in the same order. */
  readLarge(slot: number, index: number): void {
    const { filler, gatherer, area } = this
    const iovecs = area + AREA_IOVECS
    const buffer = area + AREA_LARGE + index * FRAME_BUFFER
    filler.clearVnet(slot)
    gatherer.put(iovecs, filler.vnetAddress(slot), PACKET_VNET_BYTES)
    gatherer.put(iovecs + IOVEC_BYTES, filler.headerAddress(slot), HEADER_COPY)
    gatherer.put(iovecs + 2 * IOVEC_BYTES, buffer, FRAME_BUFFER)
    const bytes = sys.readv(this.fd, gatherer.base + iovecs, LARGE_IOVECS)
    filler.describe(slot, Math.min(bytes > 0 ? bytes - PACKET_VNET_BYTES : 0, FRAME_MAX + 1), buffer)
  }

  complete(): void {
    const { kernels, ring, slotBytes, slots, held, next } = this
    kernels.giveFrames(ring, slotBytes, slots, held, next)
    this.held = next
    this.filler.u32[(this.area + AREA_NEXT) >> 2] = next
  }

  deliver(list: number, count: number): number {
    const { gatherer, area, pool } = this
    const { u16, u32, base } = gatherer
    let taken = 0
    let next = 0
    while (next < count) {
      let messages = 0
      gatherer.reset()
      while (next < count && messages < SEND_MESSAGES) {
        const slot = u16[(list >> 1) + next]!
        if (slot < POOL_SLOTS && gatherer.needsRoom(slot) && messages > 0) break
        const vectors = area + AREA_IOVECS + messages * PACKET_IOVECS * IOVEC_BYTES
        const pieces = slot < POOL_SLOTS ? gatherer.gather(slot, vectors + IOVEC_BYTES) : 0
        next++
        if (pieces === 0) {
          this.refusal = DropReason.noResources
          continue
        }
        gatherer.put(vectors, pool + P_VNET + slot * VNET_STRIDE, PACKET_VNET_BYTES)
        putMessage(u32, area + AREA_MESSAGES + messages * MMSGHDR_BYTES, base + vectors, pieces + 1, 0, 0)
        messages++
      }
      const sent = this.send(messages)
      if (sent < 0) return taken - 1 - sent
      taken += sent
    }
    return taken
  }

  /** Sends the first `messages` messages prepared. Returns how many went, or -1 - that number if the rest can't go now. */
  send(messages: number): number {
    const start = this.gatherer.base + this.area + AREA_MESSAGES
    let done = 0 // messages sent or given up
    let sent = 0
    let stale = true
    while (done < messages) {
      const now = sys.sendmmsg(this.fd, start + done * MMSGHDR_BYTES, messages - done, MSG_DONTWAIT | MSG_NOSIGNAL)
      if (now > 0) {
        done += now
        sent += now
        continue
      }
      const errno = lastErrno()
      if (errno === EINTR) continue
      if (errno === ENETDOWN && stale) {
        stale = false // the first one may tell of a past that is over: reading it clears it
        continue
      }
      if (errno === EMSGSIZE || errno === EINVAL) {
        // This frame is longer than the MTU, or its offload request makes no sense to the kernel; the next one may pass.
        this.refusal = errno === EMSGSIZE ? DropReason.receiveBufferTooSmall : DropReason.badOffload
        done++
        continue
      }
      this.refusal = errno === EAGAIN || errno === ENOBUFS ? DropReason.peerNotReading : DropReason.linkDown
      return -1 - sent
    }
    return sent
  }

  takeLost(): number {
    if (!this.losing) return 0
    this.losing = false
    return this.state.takeLost()
  }

  arm(epoll: EpollSet): boolean {
    epoll.add(this.fd)
    this.state.takeError() // an interface set down leaves an error behind that would wake us for ever; the control half knows of it
    return (Atomics.load(this.ring32, (this.next * this.slotBytes) >> 2) & RING_USER) !== 0
  }

  // While somebody waits for the socket, the kernel looks for whom to wake with every frame.
  disarm(epoll: EpollSet): void {
    epoll.remove(this.fd)
  }

  close(epoll: EpollSet): void {
    epoll.remove(this.fd)
  }
}

/** Opens the data half of one packet socket. */
export const openPacketQueue = (plan: QueuePlan, context: QueueContext): EndpointQueue =>
  new PacketQueue(plan as PacketPlan, context)
