// A queue of an endpoint that several processors deliver to. Sockets, taps and rings of our own have one area of memory and one state
// per queue, so whoever receives or delivers holds the queue's lock. (vhost-user queues lock their virtqueues themselves.)
//
// The rule it must not break: the lock is held within one call only, never from one call to the next, so nobody waits in a circle.
import type { EndpointQueue } from '../endpoints/endpoint.ts'
import type { EpollSet } from '../linux/epoll.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import { lockQueue, unlockQueue } from '../virtio/queue-lock.ts'

/** Bytes of shared memory, zeroed, that a lock takes. */
export const SHARED_QUEUE_LOCK_BYTES = 64

export class SharedQueue implements EndpointQueue {
  refusal: number = DropReason.none
  readonly queue: EndpointQueue
  readonly i32: Int32Array
  readonly lock: number

  /** `lock`: linear address of the lock that all processors use for this queue; `i32` views shared memory from address 0. */
  constructor(queue: EndpointQueue, i32: Int32Array, lock: number) {
    this.queue = queue
    this.i32 = i32
    this.lock = lock
  }

  get offloads(): number {
    return this.queue.offloads
  }

  receive(first: number, max: number): number {
    if (!lockQueue(this.i32, this.lock)) return 0
    const taken = this.queue.receive(first, max)
    unlockQueue(this.i32, this.lock)
    return taken
  }

  complete(first: number, count: number): void {
    this.queue.complete(first, count)
  }

  deliver(list: number, count: number): number {
    if (!lockQueue(this.i32, this.lock)) {
      this.refusal = DropReason.peerNotReading
      return 0
    }
    const taken = this.queue.deliver(list, count)
    this.refusal = this.queue.refusal
    unlockQueue(this.i32, this.lock)
    return taken
  }

  takeLost(): number {
    return this.queue.takeLost?.() ?? 0
  }

  arm(epoll: EpollSet): boolean {
    return this.queue.arm(epoll)
  }

  disarm(epoll: EpollSet): void {
    this.queue.disarm(epoll)
  }

  close(epoll: EpollSet): void {
    this.queue.close(epoll)
  }
}
