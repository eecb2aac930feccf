// The data half of a QEMU "-netdev stream" peer: a unix stream socket on which each frame is led by its length, 4 bytes, big-endian.
//
// The rule it must not break: what is on the wire is always whole frames in order; a frame that the socket took in part is finished
// from a copy before anything else is sent, and nothing ever waits for the peer.
import { FRAME_MAX, POOL_SLOTS } from '../../kernels/layout.ts'
import type { EpollSet } from '../../linux/epoll.ts'
import { EAGAIN, EINTR } from '../../linux/files.ts'
import { lastErrno, sys } from '../../linux/libc.ts'
import { IOVECS_MAX, MSG_DONTWAIT, MSG_NOSIGNAL, putMessage } from '../../linux/messages.ts'
import type { SharedMemory } from '../../linux/shared-memory.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import type { EndpointQueue, QueueContext, QueuePlan } from '../endpoint.ts'
import { SlotFiller } from '../fill-slot.ts'
import { FRAME_BUFFER, Gatherer, IOVEC_BYTES, PACKET_IOVECS } from '../gather.ts'
import { Trouble, type TroublePlan, tellTrouble } from '../trouble.ts'

/** Bytes of the length that leads a frame. */
export const PREFIX_BYTES = 4
/** Frames that one sendmsg carries at the most; more are sent by further calls. */
const SEND_FRAMES = 64
const RECEIVE_BYTES = 256 * 1024
const SEND_IOVECS = IOVECS_MAX
const BOUNCE_BYTES = 2 * FRAME_BUFFER
const MESSAGE_ROOM = 64 // a msghdr, rounded up, and the state of the residue
const AREA_MESSAGE = 0
const AREA_RESIDUE_SENT = 56 // u32 each, behind the msghdr: several processors take turns with one residue
const AREA_RESIDUE_END = 60
const AREA_PREFIXES = AREA_MESSAGE + MESSAGE_ROOM
const AREA_IOVECS = AREA_PREFIXES + SEND_FRAMES * PREFIX_BYTES
const AREA_RESIDUE = AREA_IOVECS + SEND_IOVECS * IOVEC_BYTES
const AREA_BOUNCE = AREA_RESIDUE + FRAME_BUFFER
const AREA_RECEIVE = AREA_BOUNCE + BOUNCE_BYTES
/** Bytes of the area that the control half allocates. */
export const STREAM_AREA_BYTES = AREA_RECEIVE + RECEIVE_BYTES

export interface StreamPlan extends QueuePlan, TroublePlan {
  readonly kind: 'stream'
  readonly fd: number
  /** Linear address of STREAM_AREA_BYTES. */
  readonly area: number
}

export class StreamQueue implements EndpointQueue {
  readonly offloads = 0
  refusal: number = DropReason.none
  readonly plan: StreamPlan
  readonly memory: SharedMemory
  readonly filler: SlotFiller
  readonly gatherer: Gatherer
  readonly context: QueueContext
  readonly fd: number
  readonly message: number
  readonly iovecs: number
  readonly prefixes: number
  readonly residue: number
  readonly receiveStart: number
  readonly receiveEnd: number
  /** Received bytes not yet handed out lie from `head` to `tail`. */
  head: number
  tail: number
  /** Slots of the send in work and the frames' ends on the wire. */
  readonly slots = new Uint16Array(SEND_FRAMES)
  readonly ends = new Uint32Array(SEND_FRAMES)
  /** Nothing more comes. */
  finished = false
  /** Nothing more can be sent. */
  sendClosed = false

  constructor(plan: StreamPlan, context: QueueContext) {
    const { memory, kernels, pool } = context
    this.plan = plan
    this.context = context
    this.memory = memory
    this.fd = plan.fd
    this.message = plan.area + AREA_MESSAGE
    this.iovecs = plan.area + AREA_IOVECS
    this.prefixes = plan.area + AREA_PREFIXES
    this.residue = plan.area + AREA_RESIDUE
    this.receiveStart = plan.area + AREA_RECEIVE
    this.receiveEnd = this.receiveStart + RECEIVE_BYTES
    this.head = this.receiveStart
    this.tail = this.receiveStart
    this.filler = new SlotFiller(memory, kernels.linear, pool, plan.port)
    this.gatherer = new Gatherer(memory, pool, kernels.any, plan.area + AREA_BOUNCE, BOUNCE_BYTES)
  }

  /** Bytes of the residue already sent, and its end; equal: none. */
  get residueSent(): number {
    return this.memory.u32[(this.plan.area + AREA_RESIDUE_SENT) >> 2]!
  }

  set residueSent(bytes: number) {
    this.memory.u32[(this.plan.area + AREA_RESIDUE_SENT) >> 2] = bytes
  }

  get residueEnd(): number {
    return this.memory.u32[(this.plan.area + AREA_RESIDUE_END) >> 2]!
  }

  set residueEnd(bytes: number) {
    this.memory.u32[(this.plan.area + AREA_RESIDUE_END) >> 2] = bytes
  }

  receive(first: number, max: number): number {
    if (this.residueEnd > this.residueSent) this.flushResidue()
    let count = this.take(first, max)
    if (count === 0 && !this.finished && this.fill()) count = this.take(first, max)
    this.filler.finish(first, count)
    return count
  }

  complete(): void {} // handed-out frames are overwritten by the next receive at the earliest

  deliver(list: number, count: number): number {
    if (this.sendClosed || this.finished) {
      this.refusal = DropReason.linkDown
      return 0
    }
    if (this.residueEnd > this.residueSent && !this.flushResidue()) {
      this.refusal = this.sendClosed ? DropReason.linkDown : DropReason.peerNotReading
      return 0
    }
    const { gatherer } = this
    let taken = 0
    let next = 0
    while (next < count) {
      // Gather as many frames as one call carries …
      let frames = 0
      let pieces = 0
      let wire = 0
      gatherer.reset()
      while (next < count && frames < SEND_FRAMES && pieces + PACKET_IOVECS <= SEND_IOVECS) {
        const slot = gatherer.u16[(list >> 1) + next]!
        if (slot >= POOL_SLOTS) {
          this.refusal = DropReason.noResources
          next++
          continue
        }
        if (gatherer.needsRoom(slot) && frames > 0) break
        const at = this.iovecs + pieces * IOVEC_BYTES
        const added = gatherer.gather(slot, at + IOVEC_BYTES)
        next++
        if (added === 0) {
          this.refusal = DropReason.noResources
          continue
        }
        const length = gatherer.lengthOf(slot)
        const prefix = this.prefixes + frames * PREFIX_BYTES
        this.putLength(prefix, length)
        gatherer.put(at, prefix, PREFIX_BYTES)
        pieces += added + 1
        wire += length + PREFIX_BYTES
        this.slots[frames] = slot
        this.ends[frames] = wire
        frames++
      }
      if (frames === 0) continue
      // … and send them.
      putMessage(gatherer.u32, this.message, gatherer.base + this.iovecs, pieces, 0, 0)
      const sent = this.send()
      if (sent === wire) {
        taken += frames
        continue
      }
      return taken + this.keepResidue(sent, frames)
    }
    return taken
  }

  arm(epoll: EpollSet): boolean {
    if (this.finished) {
      epoll.remove(this.fd)
      return false
    }
    epoll.add(this.fd, this.residueEnd > this.residueSent && !this.sendClosed)
    return this.holdsFrame()
  }

  disarm(): void {}

  close(epoll: EpollSet): void {
    epoll.remove(this.fd)
  }

  /** Hands out whole frames from the receive buffer. */
  take(first: number, max: number): number {
    const { filler } = this
    let count = 0
    while (count < max && this.tail - this.head >= PREFIX_BYTES && !this.finished) {
      const length = this.lengthAt(this.head)
      if (length === 0 || length > FRAME_MAX) {
        this.finish(Trouble.badLength, length)
        break
      }
      if (this.tail - this.head < PREFIX_BYTES + length) break
      filler.clearVnet(first + count)
      filler.copyAndDescribe(first + count, this.head + PREFIX_BYTES, length)
      this.head += PREFIX_BYTES + length
      count++
    }
    return count
  }

  /** Reads what the socket holds behind what is left. Returns true if something came. */
  fill(): boolean {
    if (this.head > this.receiveStart) {
      this.filler.u8.copyWithin(this.receiveStart, this.head, this.tail) // a part of one frame
      this.tail -= this.head - this.receiveStart
      this.head = this.receiveStart
    }
    const got = sys.recvfromAt(this.fd, this.gatherer.base + this.tail, this.receiveEnd - this.tail, MSG_DONTWAIT, null, null)
    if (got > 0) {
      this.tail += got
      return true
    }
    if (got === 0) this.finish(Trouble.closed, 0)
    else {
      const errno = lastErrno()
      if (errno !== EAGAIN && errno !== EINTR) this.finish(Trouble.closed, errno)
    }
    return false
  }

  /** Whether the receive buffer holds a frame that receive can hand out without reading (or a length that ends the connection). */
  holdsFrame(): boolean {
    const held = this.tail - this.head
    if (held < PREFIX_BYTES) return false
    const length = this.lengthAt(this.head)
    return length === 0 || length > FRAME_MAX || held >= PREFIX_BYTES + length
  }

  finish(trouble: Trouble, detail: number): void {
    this.finished = true
    this.sendClosed = true
    tellTrouble(this.memory, this.plan, trouble, detail)
  }

  /** Sends the message prepared. Returns the bytes taken, 0 if none. */
  send(): number {
    for (;;) {
      const sent = sys.sendmsgAt(this.fd, this.gatherer.base + this.message, MSG_DONTWAIT | MSG_NOSIGNAL)
      if (sent >= 0) return sent
      const errno = lastErrno()
      if (errno === EINTR) continue
      if (errno !== EAGAIN) this.sendClosed = true // what the peer sent before it went is still received
      this.refusal = this.sendClosed ? DropReason.linkDown : DropReason.peerNotReading
      return 0
    }
  }

  /** After a send of `sent` bytes of `frames` frames: keeps the rest of a frame begun. Returns the frames that count as taken. */
  keepResidue(sent: number, frames: number): number {
    if (!this.sendClosed) this.refusal = DropReason.peerNotReading
    let whole = 0
    while (whole < frames && this.ends[whole]! <= sent) whole++
    const start = whole === 0 ? 0 : this.ends[whole - 1]!
    if (whole === frames || sent === start) return whole
    const slot = this.slots[whole]!
    const length = this.gatherer.lengthOf(slot)
    this.putLength(this.residue, length)
    this.context.kernels.any.copyFrame(this.context.pool, slot, 0, length, this.residue + PREFIX_BYTES)
    this.residueSent = sent - start
    this.residueEnd = PREFIX_BYTES + length
    return whole + 1
  }

  /** Sends what is left of a frame begun. Returns true when nothing is left. */
  flushResidue(): boolean {
    const { gatherer } = this
    gatherer.put(this.iovecs, this.residue + this.residueSent, this.residueEnd - this.residueSent)
    putMessage(gatherer.u32, this.message, gatherer.base + this.iovecs, 1, 0, 0)
    if (!this.sendClosed) this.residueSent += this.send()
    return this.residueSent === this.residueEnd
  }

  lengthAt(at: number): number {
    const { u8 } = this.filler
    return u8[at]! * 0x1000000 + ((u8[at + 1]! << 16) | (u8[at + 2]! << 8) | u8[at + 3]!)
  }

  putLength(at: number, length: number): void {
    const { u8 } = this.filler
    u8[at] = 0
    u8[at + 1] = length >>> 16
    u8[at + 2] = (length >>> 8) & 0xff
    u8[at + 3] = length & 0xff
  }
}

/** Opens the data half of a stream peer. */
export const openStreamQueue = (plan: QueuePlan, context: QueueContext): EndpointQueue =>
  new StreamQueue(plan as StreamPlan, context)
