// File descriptors: checked calls over the table, eventfds, memfds, mappings, watchers.
import { SystemCallError } from './errors.ts'
import { addressOf, lastErrno, pollHandle, sys } from './libc.ts'

export const O_RDWR = 2
export const O_NONBLOCK = 0o4000
export const O_CLOEXEC = 0o2000000
export const F_GETFL = 3
export const F_SETFL = 4
export const F_DUPFD_CLOEXEC = 1030
export const F_ADD_SEALS = 1033
export const F_GET_SEALS = 1034
export const F_SEAL_SEAL = 1
export const F_SEAL_SHRINK = 2
export const F_SEAL_GROW = 4
export const EAGAIN = 11
export const EINTR = 4

const EFD_NONBLOCK = 0o4000
const EFD_CLOEXEC = 0o2000000
const MFD_CLOEXEC = 1
const MFD_ALLOW_SEALING = 2
const PROT_READ_WRITE = 3
const MAP_SHARED = 0x01
const MAP_PRIVATE = 0x02
const MAP_FIXED = 0x10
const MAP_ANONYMOUS = 0x20
const MAP_NORESERVE = 0x4000
const MADV_HUGEPAGE = 14
const MADV_DONTDUMP = 16
const MAP_FAILED = 0xffff_ffff_ffff_ffffn

/** Returns `result` if it is not negative, else throws a SystemCallError that names the call, the errno and the subject. */
export function check(call: string, result: number, subject = ''): number {
  if (result >= 0) return result
  const errno = lastErrno()
  throw new SystemCallError(call, errno, subject, sys.strerror(errno))
}

/** Opens `path`; flags as in open(2), close-on-exec always set. */
export const openFile = (path: string, flags: number, mode = 0o600): number =>
  check('open', sys.open(path, flags | O_CLOEXEC, mode), path)

/** Closes a descriptor; a negative one is ignored. */
export function closeFd(fd: number): void {
  if (fd >= 0) sys.close(fd)
}

/** Closes a descriptor whose close waits in the kernel, such as an interface's, without keeping this thread; settles when it is closed. */
export const closeFdAside = (fd: number): Promise<void> => new Promise((resolve) => sys.closeAside(fd, () => resolve()))

/** Another descriptor of the same open file, close-on-exec. */
export const duplicateFd = (fd: number): number => check('fcntl', sys.fcntl(fd, F_DUPFD_CLOEXEC, 0), `fd ${fd}`)

/** Sets or clears O_NONBLOCK. */
export function setNonBlocking(fd: number, on: boolean): void {
  const flags = check('fcntl', sys.fcntl(fd, F_GETFL, 0), `fd ${fd}`)
  check('fcntl', sys.fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK), `fd ${fd}`)
}

/** A non-blocking eventfd with value 0. */
export const createEventFd = (): number => check('eventfd', sys.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC))

const one = Buffer.alloc(8)
one.writeBigUInt64LE(1n)
const sink = Buffer.alloc(8)
/** Adds 1 to an eventfd; a full counter is as good as a signal. Allocates nothing. */
export const signalEventFd = (fd: number): void => {
  sys.write(fd, one, 8)
}
/** Resets a non-blocking eventfd to 0. Allocates nothing. */
export const drainEventFd = (fd: number): void => {
  sys.read(fd, sink, 8)
}

/** A memfd of `size` bytes. With `sealed`, it can neither shrink nor grow afterwards. */
export function createMemfd(name: string, size: number, sealed = true): number {
  const fd = check('memfd_create', sys.memfdCreate(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), name)
  try {
    check('ftruncate', sys.ftruncate(fd, size), name)
    if (sealed) check('fcntl', sys.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), name)
  } catch (error) {
    sys.close(fd)
    throw error
  }
  return fd
}

/** The seals of a memfd (F_SEAL_* bits), or -1 for a file that can't carry seals. */
export const sealsOf = (fd: number): number => sys.fcntl(fd, F_GET_SEALS, 0)

/** The size of a file in bytes, by seeking to its end. */
export const fileSize = (fd: number): number => check('lseek', sys.lseek(fd, 0, 2), `fd ${fd}`)

function checkMap(result: number | bigint, subject: string): number {
  if (BigInt(result) === MAP_FAILED) {
    const errno = lastErrno()
    throw new SystemCallError('mmap', errno, subject, sys.strerror(errno))
  }
  return Number(result)
}

/** Maps `length` bytes of `fd` from `offset`, shared and writable, at exactly `address`, replacing what is there. */
export function mapFixed(address: number, length: number, fd: number, offset: number): void {
  checkMap(
    sys.mmap(address, length, PROT_READ_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, offset),
    `fd ${fd}, ${length} bytes`,
  )
}

/** Puts anonymous, empty pages at `address`, replacing what is there: a mapping goes without leaving a hole. */
export function mapAnonymousFixed(address: number, length: number): void {
  checkMap(
    sys.mmap(address, length, PROT_READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0),
    `${length} anonymous bytes`,
  )
}

/** Maps `length` bytes of `fd` anywhere and returns the address. */
export const mapAnywhere = (length: number, fd: number, offset: number): number =>
  checkMap(sys.mmap(0, length, PROT_READ_WRITE, MAP_SHARED | MAP_NORESERVE, fd, offset), `fd ${fd}, ${length} bytes`)

/** Leaves a range out of core dumps: guest memory is the guest's. */
export const excludeFromDumps = (address: number, length: number): void => {
  sys.madvise(address, length, MADV_DONTDUMP)
}

/** Asks for huge pages under a range of anonymous memory; a kernel that has none to give goes on with small ones. */
export const preferHugePages = (address: number, length: number): void => {
  sys.madvise(address, length, MADV_HUGEPAGE)
}

/** Removes a mapping. */
export const unmap = (address: number, length: number): void => {
  check('munmap', sys.munmap(address, length))
}

/** A watcher of one descriptor on this thread's event loop. */
export interface Watcher {
  close(): void
}

const liveWatchers = new Set<Watcher>()

/** Calls `onReady` whenever `fd` is readable (or writable). The watcher lives until it is closed. */
export function watchFd(fd: number, onReady: () => void, mode: 'readable' | 'writable' = 'readable'): Watcher {
  const handle = pollHandle(fd, mode === 'readable' ? { readable: true } : { writable: true }, onReady)
  const watcher: Watcher = {
    close() {
      if (liveWatchers.delete(watcher)) handle.close()
    },
  }
  liveWatchers.add(watcher) // an unreferenced handle is collected and the watcher falls silent
  return watcher
}

/** Lets this thread run on the given processors only. Throws where the machine lacks them. */
export function pinThread(processors: readonly number[]): void {
  const mask = Buffer.alloc(128)
  for (const cpu of processors) mask[cpu >> 3] = (mask[cpu >> 3] ?? 0) | (1 << (cpu & 7))
  check('sched_setaffinity', sys.schedSetaffinity(sys.gettid(), mask.length, mask), `processors ${processors.join(',')}`)
}

export { addressOf }
