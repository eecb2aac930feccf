// Waiting on several descriptors in the calling thread, outside its event loop: how an idle processor sleeps.
import { check, closeFd, EINTR } from './files.ts'
import { lastErrno, sys } from './libc.ts'

const EPOLL_CLOEXEC = 0o2000000
const EPOLL_CTL_ADD = 1
const EPOLL_CTL_DEL = 2
const EPOLL_CTL_MOD = 3
const EPOLLIN = 1
const EPOLLOUT = 4
const EVENTS_MAX = 64

/** A set of descriptors to wait for. Level triggered: the owner drains what it reports. */
export class EpollSet {
  readonly #epoll = check('epoll_create1', sys.epollCreate1(EPOLL_CLOEXEC))
  readonly #events = Buffer.alloc(EVENTS_MAX * 12)
  readonly #event = Buffer.alloc(12)
  readonly #members = new Map<number, number>()

  /** Adds a descriptor to wait for, or changes what it waits for: readable, or readable and writable. */
  add(fd: number, writable = false): void {
    const events = writable ? EPOLLIN | EPOLLOUT : EPOLLIN
    const known = this.#members.get(fd)
    if (fd < 0 || known === events) return
    this.#event.writeUInt32LE(events, 0)
    this.#event.writeInt32LE(fd, 4)
    check(
      'epoll_ctl',
      sys.epollCtl(this.#epoll, known === undefined ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, this.#event),
      `fd ${fd}`,
    )
    this.#members.set(fd, events)
  }

  /** Removes a descriptor; one that was closed meanwhile is no error. */
  remove(fd: number): void {
    if (this.#members.delete(fd)) sys.epollCtl(this.#epoll, EPOLL_CTL_DEL, fd, this.#event)
  }

  /** Blocks this thread until a descriptor is readable or `timeoutMs` have passed. Returns how many are ready. */
  wait(timeoutMs: number): number {
    const ready = sys.epollWait(this.#epoll, this.#events, EVENTS_MAX, timeoutMs)
    if (ready >= 0) return ready
    if (lastErrno() === EINTR) return 0
    return check('epoll_wait', ready)
  }

  /** The descriptor at position `i` of the last wait. */
  ready(i: number): number {
    return this.#events.readInt32LE(i * 12 + 4)
  }

  close(): void {
    closeFd(this.#epoll)
    this.#members.clear()
  }
}
