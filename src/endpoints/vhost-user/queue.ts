// The data half of a vhost-user port: one queue pair, served by one processor, delivered to by all.
//
// The rule it must not break: no ring, guest memory or descriptor is touched without the queue's lock, and none once the block says
// "stopped". The transmit lock is held from `receive` to `complete`, since payloads stay in the guest's memory in between.
import { type DirectQueue, DirectStart } from '../../adapter/direct-path.ts'
import type { Kernels } from '../../kernels/kernels.ts'
import {
  DELIVER_COUNT,
  DELIVER_NOTIFY,
  P_FLAGS,
  PF_FOREIGN,
  Q_ALARM,
  Q_BAD_BUFFER,
  Q_CALL,
  Q_DISCARD,
  Q_DRIVER,
  Q_FLAGS,
  Q_GENERATION,
  Q_INFLIGHT,
  Q_KICK,
  Q_LAST,
  Q_NO_BUFFER,
  Q_OFFLOADS,
  Q_SIZE,
  Q_STATE,
  Q_TOO_BIG,
  Q_USED,
  Q_WRAP,
  QF_EVENT_INDEX,
  QF_FOREIGN,
  QF_PACKED,
  QS_BROKEN,
  QS_RUNNING,
} from '../../kernels/layout.ts'
import type { EpollSet } from '../../linux/epoll.ts'
import { closeFd, drainEventFd, duplicateFd, signalEventFd } from '../../linux/files.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import { INFLIGHT_HEADER_BYTES, recordUsed } from '../../vhost-user/inflight.ts'
import { lockQueue, tryLockQueue, unlockQueue } from '../../virtio/queue-lock.ts'
import type { EndpointQueue, QueueContext, QueuePlan } from '../endpoint.ts'

/** Longest wait for a receive ring that another processor delivers into, or that the control half changes. */
const DELIVER_LOCK_MS = 100
const NEVER = 0xffff_ffff
const INDEX_MASK = 0xffff // of free running indices of split rings
const AVAILABLE_HEADER_WORDS = 2 // flags and index, before the entries
const { nothing, begun, refused } = DirectStart

/** The plan of one queue pair: linear addresses of its two queue blocks. */
export interface VhostUserPlan extends QueuePlan {
  readonly kind: 'vhost-user'
  readonly rx: number
  readonly tx: number
  readonly generation: number
  /** False: the driver does not receive on this pair, though it may send. */
  readonly receives: boolean
}

/** The data half of `plan`, which a vhost-user control half made, in the calling processor's thread. */
export const openVhostUserQueue = (plan: QueuePlan, context: QueueContext): EndpointQueue =>
  new VhostUserQueue(plan as VhostUserPlan, context)

// Ordinary fields: `#private` ones double the cost of access on the hot path.
class VhostUserQueue implements EndpointQueue, DirectQueue {
  readonly direct = this
  refusal: number = DropReason.none
  private readonly rx: number
  private readonly tx: number
  private readonly pool: number
  private readonly linear: Kernels
  private readonly any: Kernels
  readonly u16: Uint16Array
  private readonly u32: Uint32Array
  private readonly i32: Int32Array
  readonly flags: number
  /** Which kernels serve the burst between receive and complete. */
  private burst: Kernels
  private armed = false
  /** Our own descriptor of the kick eventfd: the control half may close its own at any time. */
  private kick = -1
  private kickGeneration = NEVER
  private rxGeneration = NEVER
  /** The head of the transmit ring's driver part, and its linear address: an idle ring is known by it. */
  private offered: Uint16Array = new Uint16Array(2)
  private offeredAt = 0
  /** The receive ring's driver part, and its linear address: who moves flows looks there. */
  private lent: Uint16Array = new Uint16Array(0)
  private lentAt = 0
  private readonly buffer: ArrayBufferLike
  private readonly txRecord: UsedRecord
  private readonly rxRecord: UsedRecord

  constructor(plan: VhostUserPlan, context: QueueContext) {
    this.rx = plan.rx
    this.tx = plan.tx
    this.pool = context.pool
    this.linear = context.kernels.linear
    this.any = context.kernels.any
    this.burst = this.linear
    this.buffer = context.memory.buffer
    this.u32 = context.memory.u32
    this.i32 = context.memory.i32
    this.u16 = new Uint16Array(context.memory.buffer, 0, this.u32.length * 2)
    this.flags = (context.pool + P_FLAGS) >> 2
    this.txRecord = new UsedRecord(this.u32, plan.tx, context.memory.buffer)
    this.rxRecord = new UsedRecord(this.u32, plan.rx, context.memory.buffer)
  }

  get offloads(): number {
    return this.u32[(this.rx + Q_OFFLOADS) >> 2]!
  }

  receive(first: number, max: number): number {
    const { tx, u32 } = this
    // Before the lock: an idle port costs a few reads. The control half may hold the lock; then there is nothing for now.
    if (u32[(tx + Q_STATE) >> 2] !== QS_RUNNING || this.isIdle() || !tryLockQueue(this.i32, tx)) return 0
    if (u32[(tx + Q_STATE) >> 2] !== QS_RUNNING) {
      unlockQueue(this.i32, tx)
      return 0
    }
    const kernels = this.kernelsOf(tx)
    this.burst = kernels
    const count = kernels.dequeue(tx, this.pool, first, max)
    if (u32[(tx + Q_STATE) >> 2] === QS_BROKEN) this.raiseAlarm(tx)
    if (count > 0 && u32[(tx + Q_DISCARD) >> 2] === 0) return count
    if (count > 0) this.giveBack(first, count)
    unlockQueue(this.i32, tx)
    return 0
  }

  complete(first: number, count: number): void {
    this.giveBack(first, count)
    unlockQueue(this.i32, this.tx)
  }

  deliver(list: number, count: number): number {
    const { rx, u32, i32 } = this
    if (u32[(rx + Q_STATE) >> 2] !== QS_RUNNING) {
      this.refusal = DropReason.linkDown
      return 0
    }
    if (!lockQueue(i32, rx, DELIVER_LOCK_MS)) {
      this.refusal = DropReason.noResources
      return 0
    }
    if (u32[(rx + Q_STATE) >> 2] !== QS_RUNNING) {
      unlockQueue(i32, rx)
      this.refusal = DropReason.linkDown
      return 0
    }
    const kernels = (u32[(rx + Q_FLAGS) >> 2]! & QF_FOREIGN) !== 0 || this.holdsForeign(list, count) ? this.any : this.linear
    this.followReceive(kernels)
    const noBuffer = u32[(rx + Q_NO_BUFFER) >> 2]!
    const tooBig = u32[(rx + Q_TOO_BIG) >> 2]!
    const badBuffer = u32[(rx + Q_BAD_BUFFER) >> 2]!
    const result = kernels.deliver(rx, this.pool, list, count)
    this.rxRecord.update()
    if ((result & DELIVER_NOTIFY) !== 0) this.notify(rx)
    if (u32[(rx + Q_STATE) >> 2] === QS_BROKEN) this.raiseAlarm(rx)
    const delivered = result & DELIVER_COUNT
    if (delivered < count)
      this.refusal =
        u32[(rx + Q_NO_BUFFER) >> 2] !== noBuffer
          ? DropReason.receiveBufferFull
          : u32[(rx + Q_TOO_BIG) >> 2] !== tooBig
            ? DropReason.receiveBufferTooSmall
            : u32[(rx + Q_BAD_BUFFER) >> 2] !== badBuffer
              ? DropReason.receiveBufferBad
              : DropReason.receiveBufferFull
    unlockQueue(i32, rx)
    return delivered
  }

  /**
   * Read without the lock: a driver may lie about its own ring, and harms nobody. It has taken all if every buffer is ours again, or if it
   * asks to be told of the next one. Of packed rings, and those whose memory is elsewhere, nothing is known.
   */
  drained(): boolean {
    const { rx, u32 } = this
    if (u32[(rx + Q_STATE) >> 2] !== QS_RUNNING) return true
    const flags = u32[(rx + Q_FLAGS) >> 2]!
    if ((flags & (QF_PACKED | QF_FOREIGN)) !== 0) return false
    const size = u32[(rx + Q_SIZE) >> 2]!
    const at = u32[(rx + Q_DRIVER) >> 2]!
    if (at !== this.lentAt || this.lent.length !== AVAILABLE_HEADER_WORDS + size + 1) {
      this.lentAt = at
      this.lent = new Uint16Array(this.buffer, at, AVAILABLE_HEADER_WORDS + size + 1)
    }
    const used = u32[(rx + Q_USED) >> 2]! & INDEX_MASK
    if (((Atomics.load(this.lent, 1) - used) & INDEX_MASK) === size) return true
    // 0 is what a driver writes there while it wants to hear nothing.
    const wanted = Atomics.load(this.lent, AVAILABLE_HEADER_WORDS + size)
    return (flags & QF_EVENT_INDEX) !== 0 && used !== 0 && wanted === used
  }

  get transmitRing(): number {
    return this.tx
  }

  get receiveRing(): number {
    return this.rx
  }

  beginDirect(): number {
    const { tx, u32 } = this
    if (u32[(tx + Q_STATE) >> 2] !== QS_RUNNING || this.isIdle() || !tryLockQueue(this.i32, tx)) return nothing
    if (u32[(tx + Q_STATE) >> 2] === QS_RUNNING && u32[(tx + Q_DISCARD) >> 2] === 0) return begun
    unlockQueue(this.i32, tx)
    return refused
  }

  endDirect(taken: number, notify: number): void {
    if (taken > 0) this.txRecord.update()
    if (notify !== 0) this.notify(this.tx)
    unlockQueue(this.i32, this.tx)
  }

  settleDirect(frames: number, notify: number): void {
    this.followReceive(this.linear)
    if (frames > 0) this.rxRecord.update()
    if (notify !== 0) this.notify(this.rx)
    unlockQueue(this.i32, this.rx)
  }

  arm(epoll: EpollSet): boolean {
    const { tx, u32 } = this
    if (!tryLockQueue(this.i32, tx)) return true // the control half changes it: look again soon
    try {
      this.followKick(epoll)
      if (u32[(tx + Q_STATE) >> 2] !== QS_RUNNING) return false // its start is signalled through the kick, or by a new plan
      if (this.kick < 0) return true // the guest polls and never kicks, so we poll too
      const kernels = this.kernelsOf(tx)
      if (kernels.arm(tx) !== 0) {
        kernels.disarm(tx)
        return true
      }
      this.armed = true
      return false
    } finally {
      unlockQueue(this.i32, tx)
    }
  }

  disarm(epoll: EpollSet): void {
    if (this.kick >= 0) drainEventFd(this.kick)
    if (!this.armed || !lockQueue(this.i32, this.tx, DELIVER_LOCK_MS)) return
    this.armed = false
    this.followKick(epoll)
    if (this.u32[(this.tx + Q_STATE) >> 2] === QS_RUNNING) this.kernelsOf(this.tx).disarm(this.tx)
    unlockQueue(this.i32, this.tx)
  }

  close(epoll: EpollSet): void {
    this.dropKick(epoll)
  }

  /** Under the receive lock: tells a ring that was set up anew that nobody waits for new receive buffers. */
  private followReceive(kernels: Kernels): void {
    const generation = this.u32[(this.rx + Q_GENERATION) >> 2]!
    if (generation === this.rxGeneration) return
    this.rxGeneration = generation
    kernels.disarm(this.rx)
  }

  private giveBack(first: number, count: number): void {
    const notify = this.burst.complete(this.tx, this.pool, first, count)
    this.txRecord.update()
    if (notify !== 0) this.notify(this.tx)
  }

  /**
   * True if the driver has offered nothing since we looked last. Read without the lock: of a ring that is being moved it may be wrong,
   * for one look; the memory is there in any case. Of rings whose memory is elsewhere, and of packed ones, it is never true.
   */
  private isIdle(): boolean {
    const { tx, u32 } = this
    if ((u32[(tx + Q_FLAGS) >> 2]! & (QF_PACKED | QF_FOREIGN)) !== 0) return false
    const at = u32[(tx + Q_DRIVER) >> 2]!
    if (at !== this.offeredAt) {
      this.offeredAt = at
      this.offered = new Uint16Array(this.buffer, at, 2)
    }
    return Atomics.load(this.offered, 1) === u32[(tx + Q_LAST) >> 2]
  }

  private kernelsOf(queue: number): Kernels {
    return (this.u32[(queue + Q_FLAGS) >> 2]! & QF_FOREIGN) !== 0 ? this.any : this.linear
  }

  /** Whether any packet of the list has its payload outside linear memory. */
  private holdsForeign(list: number, count: number): boolean {
    const { u16, u32, flags } = this
    let all = 0
    for (let i = list >> 1, end = i + count; i < end; i++) all |= u32[flags + u16[i]!]!
    return (all & PF_FOREIGN) !== 0
  }

  private notify(queue: number): void {
    const call = this.i32[(queue + Q_CALL) >> 2]!
    if (call >= 0) signalEventFd(call)
  }

  private raiseAlarm(queue: number): void {
    const alarm = this.i32[(queue + Q_ALARM) >> 2]!
    if (alarm >= 0) signalEventFd(alarm)
  }

  /** Under the transmit lock: the block's descriptor is valid. */
  private followKick(epoll: EpollSet): void {
    const generation = this.u32[(this.tx + Q_GENERATION) >> 2]!
    if (generation === this.kickGeneration) return
    this.kickGeneration = generation
    this.dropKick(epoll)
    const fd = this.i32[(this.tx + Q_KICK) >> 2]!
    if (fd < 0) return
    this.kick = duplicateFd(fd)
    epoll.add(this.kick)
  }

  private dropKick(epoll: EpollSet): void {
    if (this.kick < 0) return
    epoll.remove(this.kick)
    closeFd(this.kick)
    this.kick = -1
  }
}

/** Keeps a queue's part of the in-flight region up to date, where there is one. */
class UsedRecord {
  private at = 0
  private words: Uint16Array = new Uint16Array(0)
  private bytes: Uint8Array = new Uint8Array(0)
  readonly u32: Uint32Array
  readonly queue: number
  private readonly buffer: ArrayBufferLike

  constructor(u32: Uint32Array, queue: number, buffer: ArrayBufferLike) {
    this.u32 = u32
    this.queue = queue
    this.buffer = buffer
  }

  /** Under the queue's lock. */
  update(): void {
    const { u32, queue } = this
    const at = u32[(queue + Q_INFLIGHT) >> 2]!
    if (at === 0) return
    if (at !== this.at) {
      this.at = at
      this.words = new Uint16Array(this.buffer, at, INFLIGHT_HEADER_BYTES >> 1)
      this.bytes = new Uint8Array(this.buffer, at, INFLIGHT_HEADER_BYTES)
    }
    const packed = (u32[(queue + Q_FLAGS) >> 2]! & QF_PACKED) !== 0
    recordUsed(this.words, this.bytes, packed, u32[(queue + Q_USED) >> 2]!, (u32[(queue + Q_WRAP) >> 2]! >> 1) & 1)
  }
}
