// Waiting for descriptors with a time-out to the fraction of a millisecond: epoll_wait counts whole ones.
//
// The rule it must not break: who waits without one pays nothing.
import type { EpollSet } from '../linux/epoll.ts'
import { closeFd } from '../linux/files.ts'
import { createTimerFd, setTimerFd, stopTimerFd } from '../linux/timer-fd.ts'

/** Waits on one set of descriptors. */
export class Alarm {
  readonly #epoll: EpollSet
  #timer = -1

  constructor(epoll: EpollSet) {
    this.#epoll = epoll
  }

  /**
   * Blocks until a descriptor is readable, or `timeoutMs` (whole) or `exactMs` (with fractions) have passed. Returns how many
   * descriptors are ready; 0 if time is what ended it.
   */
  wait(timeoutMs: number, exactMs: number): number {
    if (exactMs >= timeoutMs) return this.#epoll.wait(timeoutMs)
    if (exactMs <= 0) return 0
    if (this.#timer < 0) {
      this.#timer = createTimerFd()
      this.#epoll.add(this.#timer)
    }
    setTimerFd(this.#timer, exactMs)
    const ready = this.#epoll.wait(timeoutMs)
    stopTimerFd(this.#timer)
    return ready === 1 && this.#epoll.ready(0) === this.#timer ? 0 : ready
  }

  close(): void {
    this.#epoll.remove(this.#timer)
    closeFd(this.#timer)
    this.#timer = -1
  }
}
