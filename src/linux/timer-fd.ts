// A timer as a descriptor: it becomes readable when its time is over, so that a thread that waits for descriptors waits for it too.
import { check } from './files.ts'
import { sys } from './libc.ts'

const CLOCK_MONOTONIC = 1
const TFD_NONBLOCK = 0o4000
const TFD_CLOEXEC = 0o2000000
const NS_PER_MS = 1e6
const MS_PER_S = 1000

const times = Buffer.alloc(32) // interval, value: seconds and nanoseconds each

/** A timer that does not run. */
export const createTimerFd = (): number => check('timerfd_create', sys.timerfdCreate(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC))

/** Lets the timer become readable once, in `ms` milliseconds (fractional, above 0), instead of when it was set to before. Allocates nothing. */
export function setTimerFd(fd: number, ms: number): void {
  const seconds = Math.floor(ms / MS_PER_S)
  times.writeUInt32LE(seconds, 16)
  times.writeUInt32LE(Math.max(1, Math.round((ms - seconds * MS_PER_S) * NS_PER_MS) % 1e9), 24)
  sys.timerfdSettime(fd, 0, times, null)
}

/** Stops the timer: it is not readable any more. Allocates nothing. */
export function stopTimerFd(fd: number): void {
  times.writeUInt32LE(0, 16)
  times.writeUInt32LE(0, 24)
  sys.timerfdSettime(fd, 0, times, null)
}
