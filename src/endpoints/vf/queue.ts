// The data half of a virtual function: its one queue pair, served by one processor, delivered to by all.
//
// The rule it must not break: no ring and no guest memory is touched without that ring's lock. The transmit lock is held from
// `receive` to `complete`, since payloads stay in the guest's memory in between.
import { V_ASLEEP, V_RUNG, V_TIMER_SET } from '../../adapter/igbvf/block.ts'
import { Interrupts } from '../../adapter/igbvf/interrupts.ts'
import type { EpollSet } from '../../linux/epoll.ts'
import { drainEventFd, signalEventFd } from '../../linux/files.ts'
import { setTimerFd, stopTimerFd } from '../../linux/timer-fd.ts'
import type { EndpointQueue, QueueContext, QueuePlan } from '../endpoint.ts'
import { ReceiveRing } from './receive-ring.ts'
import { TransmitRing } from './transmit-ring.ts'

/** The plan of a function's queue pair. */
export interface VfPlan extends QueuePlan {
  readonly kind: 'vf'
  /** Linear address of the function's block. */
  readonly block: number
  /** eventfd that wakes the processor that polls the transmit ring. */
  readonly doorbell: number
  /** Timer that wakes it for interrupts that wait for their interval. */
  readonly timer: number
}

/** The data half of `plan`, in the calling processor's thread. */
export const openVfQueue = (plan: QueuePlan, context: QueueContext): EndpointQueue => new VfQueue(plan as VfPlan, context)

/** Milliseconds on a clock that all threads share. */
export const sharedNowMs = (): number => performance.timeOrigin + performance.now()

/** Sets the timer of the function whose block is at `block`. Set first, noted then: what is noted has been set. */
export function wakeIn(i32: Int32Array, block: number, timer: number, ms: number): void {
  setTimerFd(timer, ms)
  Atomics.store(i32, (block + V_TIMER_SET) >> 2, 1)
}

// Ordinary fields: `#private` ones double the cost of access on the hot path.
class VfQueue implements EndpointQueue {
  /** The guest's memory takes finished frames only: checksums and cuts are done before. */
  readonly offloads = 0
  private readonly transmit: TransmitRing
  private readonly receiver: ReceiveRing
  private readonly interrupts: Interrupts
  private readonly i32: Int32Array
  private readonly asleep: number
  private readonly doorbell: number
  private readonly rung: number
  private readonly timer: number
  private readonly timerSet: number
  private readonly block: number

  constructor(plan: VfPlan, context: QueueContext) {
    const { i32, f64 } = context.memory
    this.i32 = i32
    this.asleep = (plan.block + V_ASLEEP) >> 2
    this.doorbell = plan.doorbell
    this.rung = (plan.block + V_RUNG) >> 2
    this.timer = plan.timer
    this.timerSet = (plan.block + V_TIMER_SET) >> 2
    this.block = plan.block
    this.interrupts = new Interrupts(plan.block, {
      i32,
      f64,
      signal: signalEventFd,
      wakeIn: (ms) => wakeIn(i32, plan.block, plan.timer, ms),
      nowMs: sharedNowMs,
    })
    this.transmit = new TransmitRing(plan.block, plan.port, context, this.interrupts)
    this.receiver = new ReceiveRing(plan.block, context, this.interrupts)
  }

  get refusal(): number {
    return this.receiver.refusal
  }

  receive(first: number, max: number): number {
    if (this.interrupts.hasDeferred) this.transmit.evaluateInterrupts()
    return this.transmit.take(first, max)
  }

  complete(): void {
    this.transmit.complete()
  }

  deliver(list: number, count: number): number {
    return this.receiver.deliver(list, count)
  }

  arm(epoll: EpollSet): boolean {
    epoll.add(this.doorbell)
    epoll.add(this.timer)
    Atomics.store(this.i32, this.asleep, 1)
    const { deferredMs } = this.interrupts
    if (!this.transmit.hasWork && deferredMs > 0) {
      if (deferredMs !== Number.POSITIVE_INFINITY) wakeIn(this.i32, this.block, this.timer, deferredMs)
      return false
    }
    Atomics.store(this.i32, this.asleep, 0)
    return true
  }

  disarm(): void {
    if (Atomics.exchange(this.i32, this.asleep, 0) === 0) return
    if (Atomics.exchange(this.i32, this.rung, 0) !== 0) drainEventFd(this.doorbell)
    if (Atomics.exchange(this.i32, this.timerSet, 0) !== 0) stopTimerFd(this.timer)
  }

  close(epoll: EpollSet): void {
    epoll.remove(this.doorbell)
    epoll.remove(this.timer)
    Atomics.store(this.i32, this.asleep, 0)
  }
}
