// A lock on a file that lasts as long as its process: the kernel takes it back however the process ends.
//
// The rule it must not break: whoever does not get the lock changes nothing in the file.
import { ftruncateSync, writeSync } from 'node:fs'
import { SystemCallError } from './errors.ts'
import { closeFd, EAGAIN, EINTR, O_RDWR, openFile } from './files.ts'
import { lastErrno, sys } from './libc.ts'

const O_CREAT = 0o100
const O_NOFOLLOW = 0o400000
const LOCK_EXCLUSIVE = 2
const LOCK_NON_BLOCKING = 4
const LOCK_MODE = 0o600

/** A lock that is held. */
export interface FileLock {
  /** Gives it back; the file stays. */
  release(): void
}

/**
 * Locks the file `path`, which is made with mode 0600 if it does not exist, and writes `note` into it. Returns null if another process
 * holds it. Throws SystemCallError if the file can't be opened.
 */
export function lockFile(path: string, note: string): FileLock | null {
  const fd = openFile(path, O_RDWR | O_CREAT | O_NOFOLLOW, LOCK_MODE)
  while (sys.flock(fd, LOCK_EXCLUSIVE | LOCK_NON_BLOCKING) < 0) {
    const errno = lastErrno()
    if (errno === EINTR) continue
    closeFd(fd)
    if (errno === EAGAIN) return null
    throw new SystemCallError('flock', errno, path, sys.strerror(errno))
  }
  ftruncateSync(fd)
  writeSync(fd, `${note}\n`, 0)
  return { release: () => closeFd(fd) }
}
