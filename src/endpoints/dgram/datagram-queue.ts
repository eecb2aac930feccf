// The data half of peers on unix datagram sockets, one frame per datagram: QEMU "-netdev dgram", whose address is configured, and
// vfkit and libkrun guests, whose address is learned from what they send.
//
// The rule it must not break: frames go to one peer only. Whoever else writes to our socket is not heard while that peer lives, and
// takes its place when it is gone.
import { FRAME_MAX, HEADER_COPY, POOL_SLOTS } from '../../kernels/layout.ts'
import type { EpollSet } from '../../linux/epoll.ts'
import { EAGAIN, EINTR } from '../../linux/files.ts'
import { lastErrno, sys } from '../../linux/libc.ts'
import {
  IOVECS_MAX,
  MMSGHDR_BYTES,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  messageBytes,
  messageNameLength,
  messageTruncated,
  putMessage,
  UNIX_ADDRESS_BYTES,
} from '../../linux/messages.ts'
import type { SharedMemory } from '../../linux/shared-memory.ts'
import { datagramPeerLives } from '../../linux/sockets.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import type { EndpointQueue, QueueContext, QueuePlan } from '../endpoint.ts'
import { SlotFiller } from '../fill-slot.ts'
import { FRAME_BUFFER, Gatherer, IOVEC_BYTES, PACKET_IOVECS } from '../gather.ts'
import {
  BOUNCE_BYTES,
  NAME_STRIDE,
  S_BOUNCE,
  S_BUFFERS,
  S_NAMES,
  S_RECEIVE_MESSAGES,
  S_RECEIVE_VECTORS,
  S_SEND_MESSAGES,
  S_SEND_VECTORS,
  SCRATCH_FRAMES,
  SCRATCH_MESSAGES,
} from '../scratch.ts'
import { Trouble, type TroublePlan, tellTrouble } from '../trouble.ts'

const READ_IOVECS = 2
/** The 4 bytes with which a vfkit guest introduces itself: "VFKT". */
const GREETING = [0x56, 0x46, 0x4b, 0x54]
const UNNAMED_BYTES = 2 // an address family and no path: a sender that is not bound and can't be answered

// The peer's address, as both halves see it and all processors that send to it.
export const PEER_LENGTH = 0 // u32: bytes of the address, 0 = not known yet
export const PEER_ADDRESS = 8 // u8[UNIX_ADDRESS_BYTES]
/** Bytes of the area that the control half allocates. */
export const PEER_BYTES = 128

const ENOBUFS = 105
const EMSGSIZE = 90
const EINVAL = 22

export interface DatagramPlan extends QueuePlan, TroublePlan {
  readonly kind: 'dgram' | 'unix-dgram'
  readonly fd: number
  /** Linear address of PEER_BYTES: the peer's address. */
  readonly area: number
  /** Whether the peer's address is learned from what it sends. */
  readonly learn: boolean
}

export class DatagramQueue implements EndpointQueue {
  readonly offloads = 0
  refusal: number = DropReason.none
  readonly plan: DatagramPlan
  readonly memory: SharedMemory
  readonly filler: SlotFiller
  readonly gatherer: Gatherer
  readonly fd: number
  readonly area: number
  readonly scratch: number
  readonly learn: boolean
  /** The last send failed because the peer is not there. */
  lost = false

  constructor(plan: DatagramPlan, context: QueueContext) {
    const { memory, kernels, pool, scratch } = context
    this.plan = plan
    this.memory = memory
    this.fd = plan.fd
    this.area = plan.area
    this.scratch = scratch
    this.learn = plan.learn
    this.filler = new SlotFiller(memory, kernels.linear, pool, plan.port)
    this.gatherer = new Gatherer(memory, pool, kernels.any, scratch + S_BOUNCE, BOUNCE_BYTES)
  }

  receive(first: number, max: number): number {
    const { filler, gatherer, scratch } = this
    const { u32, base } = gatherer
    const limit = Math.min(max, SCRATCH_FRAMES)
    for (let i = 0; i < limit; i++) {
      const vectors = scratch + S_RECEIVE_VECTORS + i * READ_IOVECS * IOVEC_BYTES
      gatherer.put(vectors, filler.headerAddress(first + i), HEADER_COPY)
      gatherer.put(vectors + IOVEC_BYTES, scratch + S_BUFFERS + i * FRAME_BUFFER, FRAME_BUFFER)
      const name = scratch + S_NAMES + i * NAME_STRIDE
      const at = scratch + S_RECEIVE_MESSAGES + i * MMSGHDR_BYTES
      putMessage(u32, at, base + vectors, READ_IOVECS, base + name, this.learn ? UNIX_ADDRESS_BYTES : 0)
    }
    const got = sys.recvmmsg(this.fd, base + scratch + S_RECEIVE_MESSAGES, limit, MSG_DONTWAIT, null)
    if (got <= 0) return 0 // nothing waits, or a fault of one datagram, which the kernel has discarded
    let count = 0
    for (let i = 0; i < got; i++) {
      const at = scratch + S_RECEIVE_MESSAGES + i * MMSGHDR_BYTES
      const bytes = messageBytes(u32, at)
      let stranger = false
      if (this.learn) {
        const greeting = this.isGreeting(first + i, bytes)
        stranger = !this.hear(scratch + S_NAMES + i * NAME_STRIDE, messageNameLength(u32, at), greeting)
        if (greeting) continue
      } else if (this.lost) this.found()
      const slot = first + count
      if (count !== i) this.moveHeader(first + i, slot)
      filler.clearVnet(slot)
      const length = messageTruncated(u32, at) ? FRAME_MAX + 1 : bytes
      filler.describe(slot, length, scratch + S_BUFFERS + i * FRAME_BUFFER)
      if (stranger) filler.drop(slot, DropReason.sourceNotConnected)
      count++
    }
    filler.finish(first, count)
    return count
  }

  complete(): void {} // a frame's buffer is free once the next receive comes

  deliver(list: number, count: number): number {
    const { gatherer, area, scratch } = this
    const { u16, u32, base } = gatherer
    const nameLength = u32[(area + PEER_LENGTH) >> 2]!
    if (nameLength === 0) {
      this.refusal = DropReason.linkDown
      return 0
    }
    let taken = 0
    let next = 0
    while (next < count) {
      let messages = 0
      let pieces = 0
      gatherer.reset()
      while (next < count && messages < SCRATCH_MESSAGES && pieces + PACKET_IOVECS <= IOVECS_MAX) {
        const slot = u16[(list >> 1) + next]!
        if (slot < POOL_SLOTS && gatherer.needsRoom(slot) && messages > 0) break
        const vectors = scratch + S_SEND_VECTORS + pieces * IOVEC_BYTES
        const added = slot < POOL_SLOTS ? gatherer.gather(slot, vectors) : 0
        next++
        if (added === 0) {
          this.refusal = DropReason.noResources
          continue
        }
        const at = scratch + S_SEND_MESSAGES + messages * MMSGHDR_BYTES
        putMessage(u32, at, base + vectors, added, base + area + PEER_ADDRESS, nameLength)
        pieces += added
        messages++
      }
      const sent = this.send(messages)
      if (sent < 0) return taken - 1 - sent
      taken += sent
    }
    return taken
  }

  arm(epoll: EpollSet): boolean {
    epoll.add(this.fd)
    return false
  }

  disarm(): void {}

  close(epoll: EpollSet): void {
    epoll.remove(this.fd)
  }

  /** Sends the first `messages` messages prepared. Returns how many went, or -1 - that number if the rest can't go now. */
  send(messages: number): number {
    const start = this.gatherer.base + this.scratch + S_SEND_MESSAGES
    let done = 0 // messages sent or given up
    let sent = 0
    while (done < messages) {
      const now = sys.sendmmsg(this.fd, start + done * MMSGHDR_BYTES, messages - done, MSG_DONTWAIT | MSG_NOSIGNAL)
      if (now > 0) {
        done += now
        sent += now
        if (this.lost) this.found()
        continue
      }
      const errno = lastErrno()
      if (errno === EINTR) continue
      if (errno === EMSGSIZE || errno === EINVAL) {
        this.refusal = DropReason.receiveBufferTooSmall // this frame is too much for the socket's buffer; the next may not be
        done++
        continue
      }
      if (errno === EAGAIN || errno === ENOBUFS) this.refusal = DropReason.peerNotReading
      else {
        this.refusal = DropReason.linkDown
        if (!this.lost) tellTrouble(this.memory, this.plan, Trouble.peerLost, errno)
        this.lost = true
      }
      return -1 - sent
    }
    return sent
  }

  /** Notes that the peer is (back) there. */
  found(): void {
    this.lost = false
    tellTrouble(this.memory, this.plan, Trouble.peerFound, 0)
  }

  /** Whether the datagram scattered to `slot` is a guest's greeting and no frame. */
  isGreeting(slot: number, bytes: number): boolean {
    if (bytes !== GREETING.length) return false
    const { u8 } = this.filler
    const at = this.filler.headerAddress(slot)
    return u8[at] === GREETING[0] && u8[at + 1] === GREETING[1] && u8[at + 2] === GREETING[2] && u8[at + 3] === GREETING[3]
  }

  /** Compares the sender at `name` with the peer and lets it take the peer's place where it may. Returns whether it is the peer. */
  hear(name: number, length: number, greeting: boolean): boolean {
    const { area } = this
    const { u8 } = this.filler
    const peer = area + PEER_ADDRESS
    const known = this.gatherer.u32[(area + PEER_LENGTH) >> 2]!
    let same = known === length
    for (let i = 0; same && i < length; i++) same = u8[name + i] === u8[peer + i]
    if (same && known > 0) {
      if (this.lost || greeting) this.found()
      return true
    }
    if (length <= UNNAMED_BYTES || length > UNIX_ADDRESS_BYTES) {
      tellTrouble(this.memory, this.plan, Trouble.secondPeer, 0)
      return false
    }
    if (known > 0 && !greeting && !this.lost && datagramPeerLives(u8, peer, known)) {
      tellTrouble(this.memory, this.plan, Trouble.secondPeer, 0)
      return false
    }
    u8.copyWithin(peer, name, name + length)
    u8.fill(0, peer + length, peer + UNIX_ADDRESS_BYTES)
    Atomics.store(this.memory.i32, (area + PEER_LENGTH) >> 2, length)
    this.found()
    return true
  }

  /** Moves a header copy to an earlier slot, where a datagram before it was no frame. */
  moveHeader(from: number, to: number): void {
    const start = this.filler.headerAddress(from)
    this.filler.u8.copyWithin(this.filler.headerAddress(to), start, start + HEADER_COPY)
  }
}

/** Opens the data half of a datagram peer. */
export const openDatagramQueue = (plan: QueuePlan, context: QueueContext): EndpointQueue =>
  new DatagramQueue(plan as DatagramPlan, context)
